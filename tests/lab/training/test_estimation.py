from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tratto.core.errors import OptionError
from tratto.imaging.estimate import SPECTRUM_SIZE
from tratto_lab.corpus.pack import HELD_OUT, Pack, build_pack
from tratto_lab.networks.estimator import TRAITS
from tratto_lab.training.config import Data, Run
from tratto_lab.training.estimation import (
    answers,
    held_out_cases,
    held_out_draws,
    make_estimation_sample,
    random_noise,
)
from tratto_lab.training.loop import build_network, run
from tratto_lab.training.publish_estimator import error_factors, export_estimator


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
    network_options={"hidden": (8, 8)},
    steps=4,
    batch=2,
    data=Data(patch=96, text_share=0.0, shrink_weights=(1, 0, 0)),
    check_every=4,
    save_every=2,
    log_every=1,
)


def test_samples_say_what_was_done_and_repeat(photos, tmp_path):
    build_pack(photos, tmp_path / "pack")
    pack = Pack(tmp_path / "pack", 0.0, (1, 0, 0))
    kinds = set()
    for step in range(24):
        spectrum, traits, name = make_estimation_sample(RUN, pack, step, 0)
        again = make_estimation_sample(RUN, Pack(tmp_path / "pack", 0.0, (1, 0, 0)), step, 0)
        np.testing.assert_array_equal(spectrum, again[0])
        np.testing.assert_array_equal(traits, again[1])
        assert spectrum.shape == (1, 1, SPECTRUM_SIZE)
        assert spectrum.dtype == np.float32
        assert traits.shape == (1, 1, len(TRAITS))
        noise, grain, blur = traits[0, 0]
        assert f"{name.split('{')[1]}".startswith("'noise'")
        assert 0 <= noise < 150
        assert np.isnan(grain) == (noise < 3)
        assert np.isnan(grain) or grain == 0 or 0.4 <= grain <= 2.0
        assert blur == 0 or 0.4 <= blur <= 3.0
        kinds.add((noise > 0, grain > 0, blur > 0, "None" in name))
    assert len(kinds) >= 6


def test_a_pool_holds_so_many_different_samples(photos, tmp_path):
    build_pack(photos, tmp_path / "pack")
    pack = Pack(tmp_path / "pack", 0.0, (1, 0, 0))
    pooled = replace(RUN, data=replace(RUN.data, pool=5))
    names = {make_estimation_sample(pooled, pack, step, index)[2] for step in range(20) for index in range(2)}
    assert len(names) == 5


def test_noise_has_the_deviation_that_is_stated():
    rng = np.random.default_rng(3)
    picture = np.full((96, 96, 3), 0.5, np.float32)
    for _ in range(12):
        noisy, sigma, size = random_noise(picture, rng)
        assert size == 0 or 0.4 <= size <= 2.0
        met = 255 * float(np.sqrt(np.mean((noisy - picture) ** 2)))
        assert met == pytest.approx(sigma, rel=0.15, abs=0.05)


def test_held_out_cases_are_what_they_are_called():
    clean = np.full((64, 64, 3), 0.4, np.float32)
    cases = {c: (p, t, q) for c, p, t, q in held_out_cases(clean, np.random.default_rng(0))}
    np.testing.assert_allclose(cases["clean"][0], np.round(clean * 255) / 255, atol=1e-7)
    assert cases["white 25"][1] == (25.0, 0.0, 0.0)
    assert 255 * cases["white 25"][0].std() == pytest.approx(25, rel=0.05)
    assert cases["noise 10 jpeg 60"][1:] == ((10.0, 0.0, 0.0), 60)
    assert np.isnan(cases["clean"][1][1])


def test_a_run_trains_checks_exports(photos, tmp_path):
    folder = run(RUN, photos, tmp_path, tmp_path / "pack")
    lines = (folder / "log.jsonl").read_text()
    assert '"within_one_error"' in lines
    assert '"clean noise"' in lines
    network = build_network(RUN).eval()
    draws = held_out_draws(photos, each=20)
    assert len(draws) == 40
    factors = error_factors(network, draws)
    inside = []
    for source, truth in draws:
        with torch.no_grad():
            value, stated = answers(network, source)
        apart = (value - torch.tensor(truth)).abs().numpy()
        inside.append(np.where(np.isnan(apart), np.nan, apart <= stated.numpy() * factors * 1.0001))
    met = np.nanmean(inside, axis=0)
    assert np.all((met >= 0.6) & (met <= 0.8)), met
    apart = export_estimator(network, factors, tmp_path / "e.onnx", [source for source, _ in draws])
    assert apart < 0.2


def test_calibrating_needs_photographs(tmp_path):
    with pytest.raises(OptionError, match="held-out"):
        error_factors(build_network(RUN), held_out_draws(tmp_path))
