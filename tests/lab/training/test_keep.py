"""Weights that are kept in the repository, and going on from them."""

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from tratto.core.errors import InputError, OptionError, OutputError  # noqa: E402
from tratto_lab.corpus.pack import build_pack  # noqa: E402
from tratto_lab.simulate.degrade import Mix  # noqa: E402
from tratto_lab.training import keep as kept  # noqa: E402
from tratto_lab.training.config import Data, Optim, Run  # noqa: E402
from tratto_lab.training.loop import HeldOut, build_network, ema_weights, learning_rate, load_ema, run  # noqa: E402

SMALL = {"widths": (8, 8), "encoder": (1,), "bottleneck": 2, "decoder": (1,), "sigma_width": 4}
TINY = Run(
    name="tiny",
    network="restorer",
    network_options=SMALL,
    steps=6,
    batch=2,
    data=Data(patch=16),
    optim=Optim(warmup=2, lr=3e-3),
    log_every=2,
    check_every=100,
)


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    build_pack(photos, folder / "pack", text_pages=1)
    run(TINY, photos, folder / "runs", folder / "pack")
    return folder


def test_what_is_kept_is_the_ema_in_half_precision_and_says_what_it_cost(trained, tmp_path):
    path = kept.keep(TINY, trained / "runs", tmp_path, {"figures": {"clean": 50.0}}, (TINY,))
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["step"] == 6
    assert told["runs"] == ["tiny", "tiny"]
    assert told["steps_of_all_runs"] == 12
    assert told["megapixels_seen"] == pytest.approx(12 * 2 * 16 * 16 / 1e6, abs=0.05)
    assert told["figures"] == {"clean": 50.0}
    assert told["weights"] * 2 <= path.stat().st_size <= told["weights"] * 2 + 20_000
    before, after = ema_weights(trained / "runs" / "tiny"), ema_weights(path)
    assert set(before) == set(after)
    for name, value in after.items():
        assert value.dtype == torch.float32
        assert (value - before[name]).abs().max() < 1e-3


def test_another_run_goes_on_from_what_is_kept_also_with_a_larger_network(photos, trained, tmp_path):
    path = kept.keep(TINY, trained / "runs", tmp_path, {})
    network = build_network(TINY)
    assert load_ema(path, network) == []
    larger = SMALL | {"widths": (8, 8, 12), "encoder": (2, 1), "decoder": (1, 1)}
    more = replace(TINY, name="more", network_options=larger, initial=str(path), grow=True, steps=2)
    folder = run(more, photos, trained / "runs", trained / "pack")
    moved = ema_weights(folder)
    assert moved["entry.weight"].shape == network.entry.weight.shape
    assert (moved["entry.weight"] - network.entry.weight).abs().max() < 0.02
    assert any(k.startswith("ups.1") for k in moved)


def test_effort_adds_up_the_lines_of_the_log(tmp_path):
    log = tmp_path / "log.jsonl"
    rows = [
        {"step": 100, "loss": 1.0, "steps_per_s": 1.0},
        {"step": 100, "check": {"clean": 50.0}},
        {"step": 300, "loss": 1.0, "steps_per_s": 0.5, "cpu_s": 100.0},
    ]
    log.write_text("".join(json.dumps(r) + "\n" for r in rows))
    cost = kept.effort(replace(TINY, steps=1000, accumulate=3), log)
    assert cost.steps == 300
    assert cost.megapixels == pytest.approx(300 * 6 * 256 / 1e6, abs=0.05)
    assert cost.hours == pytest.approx(500 / 3600, abs=0.005)
    assert cost.cpu_hours == pytest.approx(200 / 3600, abs=0.005)
    log.write_text("")
    with pytest.raises(InputError):
        kept.effort(TINY, log)


def test_weights_too_large_for_a_repository_are_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "LARGEST", 100)
    with pytest.raises(OutputError, match="100"):
        kept.keep(TINY, trained / "runs", tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_the_rate_stays_until_its_decay_begins():
    config = Run(name="r", network="restorer", steps=1000, optim=Optim(lr=1e-3, lr_end=0.0, warmup=10, decay_share=0.2))
    assert learning_rate(config, 10) == learning_rate(config, 800) == pytest.approx(1e-3)
    assert learning_rate(config, 900) == pytest.approx(5e-4)
    assert learning_rate(config, 1000) == pytest.approx(0.0, abs=1e-9)
    assert learning_rate(replace(config, steps=2000), 1500) == pytest.approx(1e-3)
    with pytest.raises(OptionError, match="decay_share"):
        Run(name="r", network="restorer", steps=1000, optim=Optim(decay_share=1.5))


def test_growing_needs_something_to_grow_from():
    with pytest.raises(OptionError, match="initial"):
        replace(TINY, grow=True)


def test_who_trains_on_real_noise_is_checked_on_it(photos):
    plain = HeldOut(photos, TINY)
    real = HeldOut(photos, replace(TINY, data=Data(patch=16, mix=Mix(photograph=0.2))))
    assert set(real.cases) - set(plain.cases) == {
        f"{kind} {draw}" for kind in ("photograph", "octaves", "film", "twice") for draw in (1, 2)
    }
    for case, pairs in plain.cases.items():
        for (a, _), (b, _) in zip(pairs, real.cases[case], strict=True):
            assert torch.equal(a, b)
