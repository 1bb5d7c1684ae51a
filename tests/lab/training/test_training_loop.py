import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from tratto.core.errors import InputError, OptionError, OutputError  # noqa: E402
from tratto_lab.corpus.pack import HELD_OUT, Pack  # noqa: E402
from tratto_lab.simulate.degrade import Mix  # noqa: E402
from tratto_lab.training import losses  # noqa: E402
from tratto_lab.training.ablate import compare  # noqa: E402
from tratto_lab.training.config import Data, Optim, Run, load_run  # noqa: E402
from tratto_lab.training.loop import build_network, learning_rate, load_ema, run  # noqa: E402
from tratto_lab.training.samples import MicroBatches, make_sample  # noqa: E402
from tratto_lab.training.steps import NotFinite  # noqa: E402

TINY = Run(
    name="tiny",
    network="restorer",
    network_options={"widths": (8, 8), "encoder": (1,), "bottleneck": 1, "decoder": (1,)},
    steps=12,
    batch=2,
    data=Data(patch=16),
    optim=Optim(warmup=2, lr=3e-3),
    save_every=4,
    log_every=1,
    check_every=100,
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def losses_of(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {r["step"]: r["loss"] for r in rows if "loss" in r}


def test_interrupted_run_continues_with_the_same_losses(photos, pack, tmp_path):
    whole = losses_of(run(TINY, photos, tmp_path / "whole", pack))
    run(TINY, photos, tmp_path / "parts", pack, stop_after=5)
    resumed = losses_of(run(TINY, photos, tmp_path / "parts", pack))
    assert sorted(whole) == sorted(resumed) == list(range(1, 13))
    assert whole == resumed  # one thread, one machine: equal to the last bit


def test_slow_parameters_move_at_their_share_and_the_run_continues(photos, pack, tmp_path):
    slow = replace(TINY, name="slow", optim=replace(TINY.optim, slow="exit", slow_rate=0.0))
    whole = run(slow, photos, tmp_path / "whole", pack)
    run(slow, photos, tmp_path / "parts", pack, stop_after=5)
    assert losses_of(run(slow, photos, tmp_path / "parts", pack)) == losses_of(whole)
    before, after = build_network(slow).state_dict(), build_network(slow)
    assert load_ema(whole, after) == []
    moved = {k for k, v in after.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert not any(k.startswith("exit") for k in moved)
    with pytest.raises(OptionError, match="move slowly"):
        run(replace(slow, name="no", optim=Optim(slow="nobody")), photos, tmp_path / "runs", pack)


def test_killed_run_continues_with_the_same_losses(photos, pack, tmp_path):
    whole = losses_of(run(replace(TINY, steps=40), photos, tmp_path / "whole", pack))
    code = (
        "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from dataclasses import replace; import test_training_loop as t\n"
        "t.run(replace(t.TINY, steps=40), *map(Path, sys.argv[2:5]))"
    )
    here = str(Path(__file__).parent)
    process = subprocess.Popen([sys.executable, "-c", code, here, str(photos), str(tmp_path / "killed"), str(pack)])
    log = tmp_path / "killed" / "tiny" / "log.jsonl"
    for _ in range(3000):
        if log.is_file() and len(log.read_text().splitlines()) >= 6:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = losses_of(run(replace(TINY, steps=40), photos, tmp_path / "killed", pack))
    assert resumed == whole


def test_accumulated_micro_batches_equal_one_batch(photos, pack, tmp_path):
    # The gradient of the mean of two half batches is the gradient of the whole; samples are the same by index.
    data = Pack(pack)
    net = build_network(TINY)
    x, y, _ = MicroBatches(replace(TINY, batch=4), data)[0]
    from tratto_lab.training.loop import loss_of

    loss_of(TINY, net, x, y, 0).backward()
    whole = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    for part in (slice(0, 2), slice(2, 4)):
        (loss_of(TINY, net, x[part], y[part], 0) / 2).backward()
    for a, p in zip(whole, net.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad, atol=1e-6, rtol=1e-4)


def test_accumulating_run_takes_whole_steps(photos, pack, tmp_path):
    found = losses_of(run(replace(TINY, accumulate=3, steps=3), photos, tmp_path, pack))
    assert sorted(found) == [1, 2, 3]


def test_shards_hold_the_same_samples_as_one_process(pack):
    data = Pack(pack)
    config = replace(TINY, batch=4)
    whole = MicroBatches(config, data)[3]
    shards = [MicroBatches(config, data, rank, 2)[3] for rank in (0, 1)]
    assert torch.equal(whole[0][0::2], shards[0][0])
    assert torch.equal(whole[1][1::2], shards[1][1])


def test_training_reduces_the_error_on_noise(photos, pack, tmp_path):
    mix = Mix(clean=0, gaussian=1, poisson=0, camera=0, jpeg=0, blur_noise=0, mixed=0, second_order=0)
    config = replace(TINY, steps=150, batch=4, data=Data(patch=24, mix=mix), log_every=10, save_every=150)
    config = replace(config, check_every=150, tensorboard=True)
    folder = run(config, photos, tmp_path, pack)
    checks = [json.loads(r) for r in (folder / "log.jsonl").read_text().splitlines() if "check" in r]
    assert list((folder / "board").glob("events.*"))
    assert checks[-1]["check"]["sigma50"] > 15.7  # noise of sigma 50 alone: 14.2 dB


def test_frozen_parts_do_not_move(photos, pack, tmp_path):
    first = run(TINY, photos, tmp_path, pack)
    second = run(replace(TINY, name="head", initial="tiny", train_only="sigma", steps=4), photos, tmp_path, pack)
    from safetensors.torch import load_file

    a, b = (load_file(f / "checkpoint.safetensors") for f in (first, second))
    assert torch.equal(a["ema.entry.weight"], b["net.entry.weight"])
    assert torch.equal(b["net.entry.weight"], b["ema.entry.weight"])
    assert not torch.equal(a["ema.sigma.second.bias"], b["net.sigma.second.bias"])
    with pytest.raises(OptionError, match="be trained"):
        run(replace(TINY, name="none", train_only="nowhere"), photos, tmp_path, pack)


def test_blended_start_lies_between(photos, pack, tmp_path):
    from safetensors.torch import load_file

    a = load_file(run(TINY, photos, tmp_path, pack) / "checkpoint.safetensors")
    b = load_file(run(replace(TINY, name="other", seed=3), photos, tmp_path, pack) / "checkpoint.safetensors")
    mixed = replace(TINY, name="mixed", initial="tiny", blend=(("other", 0.25),), train_only="sigma", steps=1)
    c = load_file(run(mixed, photos, tmp_path, pack) / "checkpoint.safetensors")
    key = "ema.entry.weight"
    torch.testing.assert_close(c[key], 0.75 * a[key] + 0.25 * b[key])
    with pytest.raises(OptionError, match="blend"):
        replace(TINY, blend=(("other", 0.5),))


def test_what_is_on_disk_and_cannot_be_read_is_named(photos, pack, tmp_path):
    folder = run(TINY, photos, tmp_path, pack, stop_after=4)
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "che')  # a full disk cut it off
    run(TINY, photos, tmp_path, pack, stop_after=2)
    assert sorted(losses_of(folder)) == list(range(1, 7))
    wider = replace(TINY, network_options={**TINY.network_options, "widths": (8, 16)})
    with pytest.raises(InputError, match="of another shape"):
        run(wider, photos, tmp_path, pack)
    for damage in (b"", (folder / "checkpoint.safetensors").read_bytes()[:-9]):
        (folder / "checkpoint.safetensors").write_bytes(damage)
        with pytest.raises(InputError, match=r"checkpoint\.safetensors"):
            run(TINY, photos, tmp_path, pack)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="used as a folder"):
        run(TINY, photos, tmp_path / "file", pack)
    with pytest.raises(InputError, match="no checkpoint"):
        run(replace(TINY, name="new", initial="missing"), photos, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()  # neither a folder nor a pack


def test_a_check_that_a_kill_prevented_is_made_up_for(photos, pack, tmp_path):
    one = replace(TINY, steps=8, check_every=4)
    folder = run(one, photos, tmp_path, pack, stop_after=4)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    before = [r for r in rows if "check" in r]
    assert [r["step"] for r in before] == [4]
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows if "check" not in r))
    for _ in range(2):
        run(one, photos, tmp_path, pack)
        rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [r["step"] for r in rows if "check" in r] == [4, 8]
        assert [r for r in rows if "check" in r][:1] == before


def test_without_held_out_photographs_it_says_so(photos, pack, tmp_path, caplog):
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in photos.glob("*.png"):
        (bare / path.name).write_bytes(path.read_bytes())
    run(replace(TINY, steps=2), bare, tmp_path / "runs", pack)
    assert "be checked" in caplog.text
    with pytest.raises(InputError, match="held-out photographs"):
        compare({"a": TINY}, (bare, tmp_path / "runs", pack), "x")
    Image.new("RGB", (400, 600)).save(bare / f"{HELD_OUT[0]}.png")
    with pytest.raises(InputError, match="400x600"):
        run(TINY, bare, tmp_path / "others", pack)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "..", "name"),
        ("name", "a/b", "name"),
        ("steps", "60", "steps"),
        ("save_every", 0, "save_every"),
        ("seed", -1, "seed"),
        ("optim", {"lr": float("nan")}, r"optim\.lr"),
        ("optim", {"clip": -1}, r"optim\.clip"),
        ("data", {"text_share": 2.0}, r"data\.text_share"),
        ("data", {"patch": 8}, r"data\.patch"),
        ("data", {"units": (2.0, 1.0)}, r"data\.units"),
        ("data", {"text_share": 2.0, "patch": 8}, r"data\.patch.*data\.text_share"),
    ],
)
def test_values_out_of_range_are_refused(field, value, said):
    with pytest.raises(OptionError, match=said):
        replace(TINY, **{field: replace(getattr(TINY, field), **value) if isinstance(value, dict) else value})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RUN = (", "SyntaxError"),
        ("import sys\n\nimport not_there", "line 3: ModuleNotFoundError"),
        ("raise SystemExit(0)", "line 1: SystemExit"),
    ],
)
def test_a_run_file_that_fails_says_where(text, said, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load_run(path)


def test_a_network_that_cannot_be_built_is_refused(photos, pack, tmp_path):
    with pytest.raises(OptionError, match="network_options"):
        run(replace(TINY, network_options={"depth": 3}), photos, tmp_path, pack)
    with pytest.raises(OptionError, match="multiple of 4"):
        run(replace(TINY, data=replace(TINY.data, patch=18)), photos, tmp_path, pack)


def test_not_a_number_names_the_samples(photos, pack, tmp_path, monkeypatch):
    from tratto_lab.training import samples

    real = samples.make_sample

    def poisoned(config, data, step, index):
        sample = real(config, data, step, index)
        return replace(sample, source=sample.source * np.float32(np.nan)) if step == 2 else sample

    monkeypatch.setattr(samples, "make_sample", poisoned)
    with pytest.raises(NotFinite, match=r"step 2: .*@\d+,\d+"):
        run(TINY, photos, tmp_path, pack)


def test_learning_rate_warms_up_and_follows_the_cosine():
    config = replace(TINY, steps=102, optim=Optim(lr=1e-3, lr_end=1e-6, warmup=2))
    assert learning_rate(config, 0) == pytest.approx(5e-4)
    assert learning_rate(config, 2) == pytest.approx(1e-3)
    assert learning_rate(config, 52) == pytest.approx((1e-3 + 1e-6) / 2)
    assert learning_rate(config, 102) == pytest.approx(1e-6)


def test_upscaler_samples_have_the_scale(pack):
    config = Run("up", "upscaler", 1, {"scale": 4}, data=Data(patch=32))
    sample = make_sample(config, Pack(pack), 0, 0)
    assert sample.source.shape == (8, 8, 3)
    assert sample.target.shape == (32, 32, 3)


def test_other_light_and_swapped_colours_change_only_the_crops_they_are_drawn_for(pack):
    data = Pack(pack)
    clean = replace(TINY, data=Data(patch=16, mix=Mix(clean=1.0), gray_share=0.0))
    plain = [make_sample(clean, data, step, 0).target for step in range(40)]
    for field in ("exposed_share", "swapped_share"):
        told = replace(clean, data=replace(clean.data, **{field: 0.5}))
        others = [make_sample(told, data, step, 0).target for step in range(40)]
        same = [np.array_equal(a, b) for a, b in zip(plain, others, strict=True)]
        assert 8 < sum(same) < 36
        if field == "swapped_share":
            for a, b in zip(plain, others, strict=True):
                np.testing.assert_array_equal(np.sort(a, axis=2), np.sort(b, axis=2))
        assert all(0 <= t.min() <= t.max() <= 1 for t in others)


def test_fine_dots_belong_to_the_clean_picture_and_change_only_the_crops_they_are_drawn_for(pack):
    clean = Mix(**(dict.fromkeys(Mix().weights(), 0.0) | {"clean": 1.0}))
    plain = replace(TINY, data=Data(patch=16, mix=clean, gray_share=0.0))
    dotted = replace(plain, data=replace(plain.data, screened_share=0.5))
    opened = Pack(pack)
    pairs = [(make_sample(plain, opened, step, 0), make_sample(dotted, opened, step, 0)) for step in range(60)]
    assert all(np.array_equal(b.source, b.target) for _, b in pairs)  # they are no degradation
    same = [np.array_equal(a.target, b.target) for a, b in pairs]
    assert 0.3 < np.mean(same) < 0.7


def test_gray_targets_are_gray(pack):
    config = replace(TINY, data=Data(patch=16, gray_share=1.0))
    target = make_sample(config, Pack(pack), 0, 0).target
    assert np.ptp(target, axis=2).max() == 0


def test_run_files_are_validated(tmp_path):
    with pytest.raises(OptionError, match="steps"):
        Run("a", "restorer", 0)
    with pytest.raises(OptionError, match="network"):
        Run("a", "resnet", 1)
    with pytest.raises(InputError, match="no run file"):
        load_run(tmp_path / "none.py")
    (tmp_path / "bad.py").write_text("RUN = 3")
    with pytest.raises(InputError, match="it sets int"):
        load_run(tmp_path / "bad.py")


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[3].joinpath("training_runs").glob("*.py")), ids=str)
def test_shipped_run_files_load(path):
    from tratto_lab.training.lora_config import load_any

    assert load_any(path).name == path.stem


def test_charbonnier_and_fft_by_hand():
    a, b = torch.full((1, 3, 4, 4), 0.5), torch.zeros(1, 3, 4, 4)
    assert losses.charbonnier(a, b).item() == pytest.approx(np.sqrt(0.25 + 1e-6), rel=1e-6)
    # A constant 0.5 has one coefficient, 0.5 * 16 / 4 = 2, among 4 x 3 kept ones.
    assert losses.fft_l1(a, b).item() == pytest.approx(2 / 12, rel=1e-5)


def test_decibels_average_over_samples_not_pixels():
    a = torch.zeros(2, 3, 4, 4)
    b = torch.stack((torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)))
    assert losses.mean_decibels(a, b).item() == pytest.approx((-20 + 10 * np.log10(1.01e-4)) / 2, abs=0.01)


def test_ssim_loss_matches_the_metric():
    from tratto_lab.evaluation.metrics import ssim

    rng = np.random.default_rng(0)
    a = rng.random((32, 40, 3), dtype=np.float32)
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype(np.float32)
    ours = 1 - losses.ssim_loss(*(torch.from_numpy(v).permute(2, 0, 1)[None] for v in (a, b))).item()
    assert ours == pytest.approx(ssim(a, b), abs=1e-4)


def test_sigma_loss_is_least_at_the_mean_error():
    a, b = torch.full((1, 3, 4, 4), 0.3), torch.full((1, 3, 4, 4), 0.2)
    log_sigma = torch.full((1, 1, 4, 4), -1.0, requires_grad=True)
    optimizer = torch.optim.SGD([log_sigma], 20.0)
    for _ in range(200):
        optimizer.zero_grad()
        losses.sigma_nll(a, b, log_sigma).backward()
        optimizer.step()
    assert log_sigma.exp().mean().item() == pytest.approx(0.1, rel=0.01)
