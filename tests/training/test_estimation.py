import numpy as np
import pytest
import torch
from PIL import Image

from tratto.core.errors import OptionError
from tratto.corpus.pack import HELD_OUT, Pack, build_pack
from tratto.networks.estimator import UNITS
from tratto.training.config import Data, Run
from tratto.training.estimation import EstimationChecks, held_out_cases, make_estimation_sample, random_noise
from tratto.training.loop import build_network, run
from tratto.training.publish_estimator import error_factors, export_estimator


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:600, :640]
    for number, name in enumerate((*HELD_OUT[:2], "one", "two")):
        plane = 128 + 80 * np.sin(x / (20 + 7 * number)) * np.cos(y / 31)
        picture = np.stack([plane, plane * 0.8, 255 - plane], 2) + rng.normal(0, 2, (600, 640, 3))
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / f"{name}.webp", lossless=True)
    return folder


RUN = Run(
    name="estimator_test",
    network="estimator",
    network_options={"widths": (8, 8), "blocks": 1, "hidden": 8},
    steps=4,
    batch=2,
    data=Data(patch=48, text_share=0.0, shrink_weights=(1, 0, 0)),
    check_every=4,
    save_every=2,
    log_every=1,
)


def test_samples_say_what_was_done_and_repeat(photos, tmp_path):
    build_pack(photos, tmp_path / "pack")
    pack = Pack(tmp_path / "pack", 0.0, (1, 0, 0))
    kinds = set()
    for step in range(24):
        crop, traits, name = make_estimation_sample(RUN, pack, step, 0)
        again = make_estimation_sample(RUN, pack, step, 0)
        np.testing.assert_array_equal(crop, again[0])
        np.testing.assert_array_equal(traits, again[1])
        assert crop.shape == (48, 48, 3)
        assert crop.dtype == np.float32
        assert traits.shape == (1, 1, 3)
        noise, jpeg, blur = traits[0, 0] * np.array(UNITS)
        assert f"{name.split('{')[1]}".startswith("'noise'")
        assert 0 <= noise < 120
        assert jpeg == 0 or 5 <= round(jpeg) <= 92
        assert blur == 0 or 0.4 <= blur <= 3.0
        kinds.add((noise > 0, jpeg > 0, blur > 0))
    assert len(kinds) >= 4


def test_noise_has_the_deviation_that_is_stated():
    rng = np.random.default_rng(3)
    picture = np.full((96, 96, 3), 0.5, np.float32)
    for _ in range(12):
        noisy, sigma = random_noise(picture, rng)
        met = 255 * float(np.sqrt(np.mean((noisy - picture) ** 2)))
        assert met == pytest.approx(sigma, rel=0.12, abs=0.05)


def test_held_out_cases_are_what_they_are_called():
    clean = np.full((64, 64, 3), 0.4, np.float32)
    cases = {c: (p, t) for c, p, t in held_out_cases(clean, np.random.default_rng(0))}
    np.testing.assert_allclose(cases["clean"][0], np.round(clean * 255) / 255, atol=1e-7)
    assert cases["white 25"][1] == (25.0, 0.0, 0.0)
    assert 255 * cases["white 25"][0].std() == pytest.approx(25, rel=0.05)
    assert cases["noise 10 jpeg 60"][1] == (10.0, 40.0, 0.0)


def test_a_run_trains_checks_exports(photos, tmp_path):
    folder = run(RUN, photos, tmp_path, tmp_path / "pack")
    lines = (folder / "log.jsonl").read_text()
    assert '"within_one_error"' in lines
    assert '"clean noise"' in lines
    network = build_network(RUN).eval()
    checks = EstimationChecks(photos, RUN)
    factors = error_factors(network, checks)
    assert len(factors) == 3
    inside = []
    for pairs in checks.cases.values():
        for source, truth in pairs:
            with torch.no_grad():
                values, logs = network(source)
            units = torch.tensor(UNITS)
            error = (values[0] * units - torch.tensor(truth)).abs()
            inside.append((error <= logs[0].exp() * units * torch.tensor(factors) * 1.0001).numpy())
    met = np.mean(inside, axis=0)  # of eighteen pictures, some with equal errors
    assert np.all((met >= 0.66) & (met <= 0.84)), met
    assert export_estimator(network, factors, tmp_path / "e.onnx") < 0.05


def test_calibrating_needs_photographs(tmp_path):
    with pytest.raises(OptionError, match="held-out"):
        error_factors(build_network(RUN), EstimationChecks(tmp_path, RUN))
