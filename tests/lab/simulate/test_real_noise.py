"""Cameras, octaves, film and print screens: what the numbers must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto_lab.simulate import degrade as d
from tratto_lab.simulate.degrade.mosaic import DEMOSAICERS, PATTERNS, filters


def rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([7, *key])


def flat(*colour: float, side: int = 64) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.float32), (side, side, 3)).copy()


def smooth(side: int = 64) -> np.ndarray:
    """A picture without fine detail: slow waves, different in every channel."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(3 * x + 2 * y), np.cos(2 * x - 3 * y), np.sin(2 * x + y + 1)]
    return (0.5 + 0.3 * np.stack(waves, axis=2)).astype(np.float32)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_mosaic_keeps_the_samples_its_filters_let_through(pattern: str) -> None:
    picture = rng().uniform(0, 1, (6, 8, 3)).astype(np.float32)
    seen = d.mosaic(picture, pattern)
    for y in range(6):
        for x in range(8):
            assert seen[y, x] == picture[y, x, "RGB".index(pattern[2 * (y % 2) + x % 2])]


def test_each_square_of_a_filter_array_has_two_green_ones() -> None:
    for pattern in PATTERNS:
        assert sorted(filters(pattern).ravel()) == [0, 1, 1, 2]
    with pytest.raises(OptionError, match="RGGB"):
        filters("RGBG")  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("how", DEMOSAICERS)
def test_a_demosaicer_returns_a_plain_colour_and_what_was_seen(pattern: str, how: str) -> None:
    plain = flat(0.2, 0.5, 0.8, side=16)
    out = d.demosaic(d.mosaic(plain, pattern), pattern, how)
    assert np.abs(out - plain).max() < 4e-5
    picture = rng().uniform(0, 1, (16, 16, 3)).astype(np.float32)
    seen = d.mosaic(picture, pattern)
    again = d.mosaic(d.demosaic(seen, pattern, how), pattern)
    # OpenCV's edge-aware one fills the outermost pixels from their neighbours
    inner = (slice(1, -1), slice(1, -1)) if how == "edge" else (slice(None), slice(None))
    assert np.abs(again - seen)[inner].max() < 4e-5


def test_malvar_is_nearer_to_a_detailed_picture_than_bilinear() -> None:
    import cv2

    grey = cv2.GaussianBlur(rng().uniform(0, 1, (64, 64)).astype(np.float32), (0, 0), 0.8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    error = {how: float(np.square(d.demosaic(d.mosaic(picture), "RGGB", how) - picture).mean()) for how in DEMOSAICERS}
    assert error["malvar"] < 0.5 * error["bilinear"]


def test_a_mosaic_too_small_and_an_unknown_demosaicer_are_refused() -> None:
    with pytest.raises(OptionError):
        d.demosaic(np.zeros((2, 2), np.float32))
    with pytest.raises(OptionError, match="malvar"):
        d.demosaic(np.zeros((8, 8), np.float32), "RGGB", "nearest")  # type: ignore[arg-type]


CAMERA = d.CameraNoise(2e-3, 1e-5, 2.0, 1.7, (1.7, -0.55, -0.15, -0.22, 1.55, -0.33, 0.03, -0.48, 1.45))


def test_the_noise_of_a_sensor_has_the_variance_of_photons_and_reading() -> None:
    raw = flat(0.3, 0.3, 0.3, side=256)
    seen = d.expose(raw, d.Pipeline(CAMERA, d.Sensor(bits=16)), rng())
    assert float(seen.mean()) == pytest.approx(0.3, abs=5e-4)
    assert float(seen.var()) == pytest.approx(2e-3 * 0.3 + 1e-5, rel=0.03)
    dark = d.expose(np.zeros_like(raw), d.Pipeline(CAMERA, d.Sensor(bits=16)), rng())
    assert float(dark.var()) == pytest.approx(1e-5, rel=0.03)
    assert dark.min() < 0  # the black level is not a floor


def test_rows_share_an_offset_and_hot_pixels_are_as_many_as_asked() -> None:
    dark = np.zeros((256, 256, 3), np.float32)
    rows = d.expose(dark, d.Pipeline(CAMERA, d.Sensor(rows=1.0, bits=16)), rng())
    plain = d.expose(dark, d.Pipeline(CAMERA, d.Sensor(bits=16)), rng())
    assert float(rows.mean(1).var()) == pytest.approx(1e-5 * (1 + 1 / 256), rel=0.35)
    assert float(plain.mean(1).var()) < 1e-6
    hot = d.expose(dark, d.Pipeline(CAMERA, d.Sensor(hot=0.01, bits=16)), rng())
    assert int((hot > 0.08).sum()) == pytest.approx(655, abs=90)


def test_a_converter_of_few_bits_leaves_few_levels() -> None:
    seen = d.expose(flat(0.3, 0.3, 0.3), d.Pipeline(CAMERA, d.Sensor(bits=6)), rng())
    assert np.abs(seen * 63 - np.round(seen * 63)).max() < 1e-4


def test_without_noise_a_camera_returns_a_smooth_picture() -> None:
    clean = smooth()
    for how in DEMOSAICERS:
        out = d.photograph(clean, d.Pipeline(CAMERA, how=how), None)
        assert np.abs(out - clean)[2:-2, 2:-2].max() < 0.02, how


def test_demosaiced_noise_is_coarser_than_white_and_tied_between_channels() -> None:
    clean = flat(0.5, 0.5, 0.5, side=128)
    camera = d.Pipeline(replace(CAMERA, matrix=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)))
    noise = d.photograph(clean, camera, rng()) - d.photograph(clean, camera, None)
    noise = noise - noise.mean((0, 1))

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))

    red = noise[..., 0]
    assert alike(red[:, 1:], red[:, :-1]) > 0.15
    assert alike(red, noise[..., 1]) > 0.1
    assert 1 / 255 < float(noise.std()) < 30 / 255


def test_a_shrunk_photograph_is_cleaner_and_an_enlarged_one_coarser() -> None:
    clean = flat(0.4, 0.5, 0.6, side=128)

    def noise(scale: float) -> np.ndarray:
        camera = d.Pipeline(CAMERA, scale=scale)
        return d.photograph(clean, camera, rng()) - d.photograph(clean, camera, None)

    one, two, half = noise(1.0), noise(2.0), noise(0.5)
    assert two.std() < 0.75 * one.std()
    beside = [float((n[:, 1:] * n[:, :-1]).mean() / np.square(n).mean()) for n in (one, half)]
    assert beside[1] > beside[0] + 0.2


def test_what_a_camera_does_by_itself() -> None:
    grey = flat(0.5, 0.5, 0.5, side=128)
    noisy = d.gaussian_noise(grey, 10, rng())
    weights = np.array([0.299, 0.587, 0.114], np.float32)

    def parts(picture: np.ndarray) -> tuple[float, float]:
        light = picture @ weights
        return float(light.std()), float((picture - light[..., None]).std())

    light, colour = parts(noisy)
    after = parts(d.finished(noisy, d.Finish(chroma=2.0)))
    assert after[0] == pytest.approx(light, rel=1e-3)
    assert after[1] < 0.25 * colour
    for finish in (d.Finish(bilateral=30.0), d.Finish(coring=8.0)):
        after = parts(d.finished(noisy, finish))
        assert after[0] < 0.7 * light
        assert after[1] == pytest.approx(colour, rel=1e-3)
    assert parts(d.finished(noisy, d.Finish(sharpen=1.0)))[0] > 1.4 * light
    assert np.abs(d.finished(noisy, d.Finish()) - noisy).max() < 1e-6


def test_a_camera_refuses_what_it_cannot_be() -> None:
    with pytest.raises(OptionError, match="scale"):
        d.Pipeline(CAMERA, scale=8)
    with pytest.raises(OptionError, match="bits"):
        d.Pipeline(CAMERA, d.Sensor(bits=2))


def test_octaves_have_the_amplitudes_that_were_asked() -> None:
    amplitudes = (2.1, 1.3, 1.1, 0.8, 0.5)
    for number, amplitude in enumerate(amplitudes):
        only = tuple(a if k == number else 0.0 for k, a in enumerate(amplitudes))
        field = d.octave_field((96, 128), only, (0.0,) * 5, rng(number))
        assert field.shape == (96, 128, 3)
        np.testing.assert_allclose(np.sqrt(np.square(field).mean((0, 1))), amplitude, rtol=1e-4)


def test_an_octave_is_as_coarse_as_its_number() -> None:
    for number in range(1, 5):
        only = tuple(float(k == number) for k in range(5))
        field = d.octave_field((256, 256), only, (0.0,) * 5, rng(number))[..., 0]
        step = 2**number
        centred = field - field.mean()
        far = float((centred[:, 2 * step :] * centred[:, : -2 * step]).mean())
        near = float((centred[:, step // 2 :] * centred[:, : -(step // 2)]).mean())
        assert near > 0.55, number
        assert abs(far) < 0.25, number


def test_octaves_fall_from_one_to_the_next_as_asked() -> None:
    for seed in range(200):
        noise = d.random_octaves(np.random.default_rng(seed))
        a = np.array(noise.amplitudes)
        assert 1.0 <= np.sqrt(np.square(a).sum()) <= 18.0
        fall = (a[4] / a[2]) ** 0.5  # the two finest may be damped, each has some play of its own
        assert 0.45 * 0.6 < fall < 0.95 * 1.6
    plain = d.OctaveNoise((4.0, 2.0), (0.5, 0.5))
    assert plain.gains == (1.0, 1.0, 1.0)


def test_octaves_may_be_grey_and_follow_brightness() -> None:
    left = flat(0.1, 0.1, 0.1, side=128)
    left[:, 64:] = 0.9
    noise = d.OctaveNoise((5.0, 2.0), (1.0, 1.0), by_light=(0.0, 1.0))
    out = d.octave_noise(left, noise, rng()) - left
    assert np.abs(out[..., 0] - out[..., 1]).max() < 1e-6
    ratio = float(out[:, 64:].std() / out[:, :64].std())
    assert ratio == pytest.approx(9.0, rel=0.15)
    with pytest.raises(OptionError):
        d.OctaveNoise((1.0, 1.0), (0.5,))
    with pytest.raises(OptionError):
        d.OctaveNoise((1.0,), (1.5,))


def densities(picture: np.ndarray) -> np.ndarray:
    return -np.log10(d.to_linear(picture))


@pytest.mark.parametrize(("negative", "ratio"), [(True, np.sqrt(2.65 / 1.45)), (False, np.sqrt(0.45 / 1.65))])
def test_the_variance_of_grain_goes_with_density(negative: bool, ratio: float) -> None:
    levels = [10**-0.4, 10**-1.6]  # of light: densities 0.4 and 1.6 of the print, 2.6 and 1.4 of the negative
    spread = []
    for light in levels:
        plain = flat(*d.to_encoded(np.full(3, light, np.float32)), side=128)
        grainy = d.film_grain(plain, d.Film(0.02, (1.0,), negative=negative), rng())
        spread.append(float(densities(grainy).std()))
    assert spread[0] / spread[1] == pytest.approx(ratio, rel=0.08)


def test_grain_of_black_and_white_film_is_grey_and_that_of_colour_film_is_not() -> None:
    plain = flat(0.5, 0.5, 0.5, side=96)
    grey = d.film_grain(plain, d.Film(0.03, (1.0,)), rng())
    assert np.ptp(grey, axis=2).max() < 1e-5
    colour = d.film_grain(plain, d.Film(0.03, (1.0,), tied=0.0), rng())
    a, b = (colour[..., c] - colour[..., c].mean() for c in (0, 1))
    assert abs(float((a * b).mean() / (a.std() * b.std()))) < 0.1


def test_the_size_of_grain_changes_how_coarse_it_is_and_not_how_strong() -> None:
    plain = flat(0.5, 0.5, 0.5, side=192)
    fine, coarse = (d.film_grain(plain, d.Film(0.02, (s,)), rng())[..., 0] for s in (0.5, 2.0))
    assert float(coarse.std()) == pytest.approx(float(fine.std()), rel=0.1)
    beside = [
        float((n[:, 1:] * n[:, :-1]).mean() / np.square(n).mean()) for n in (fine - fine.mean(), coarse - coarse.mean())
    ]
    assert beside[0] < 0.5 < 0.9 < beside[1]


def test_without_grain_film_changes_nothing() -> None:
    picture = smooth()
    assert np.abs(d.film_grain(picture, d.Film(0.0), rng()) - picture).max() < 1e-4
    black = d.film_grain(flat(0.0, 0.0, 0.0), d.Film(0.05), rng())
    assert float(black.mean()) < 0.01
    with pytest.raises(OptionError):
        d.Film(-1.0)


def test_a_print_has_as_much_ink_as_the_picture_is_dark() -> None:
    for level in (0.2, 0.5, 0.8):
        printed = d.halftone(flat(level, level, level, side=240), 6.0, gray=True, softness=0.02)
        assert float(printed.mean()) == pytest.approx(level, abs=0.02)
        assert np.mean((printed < 0.05) | (printed > 0.95)) > 0.9


def test_a_print_has_the_period_that_was_asked() -> None:
    printed = d.halftone(flat(0.5, 0.5, 0.5, side=240), 6.0, angle=-45.0, gray=True)[..., 0]
    spectrum = np.abs(np.fft.rfft(printed[0] - printed[0].mean()))
    assert int(spectrum.argmax()) == 40
    with pytest.raises(OptionError):
        d.halftone(smooth(), 1.0)


KINDS = (
    d.random_photograph,
    d.random_octave_noise,
    d.random_film_grain,
    d.random_halftone,
    d.random_nearly_clean,
    d.random_real_twice,
)


@pytest.mark.parametrize("make", KINDS)
def test_what_is_drawn_depends_on_the_seed_alone_and_is_told(make) -> None:  # type: ignore[no-untyped-def]
    picture = smooth()
    for seed in range(6):
        one, two = make(picture, np.random.default_rng(seed)), make(picture, np.random.default_rng(seed))
        np.testing.assert_array_equal(one.picture, two.picture)
        assert one.applied == two.applied
        assert one.applied
        assert one.picture.shape == picture.shape
        assert one.picture.dtype == np.float32
        assert 0 <= one.picture.min() <= one.picture.max() <= 1  # what was saved is a file
    assert not np.array_equal(one.picture, make(picture, np.random.default_rng(99)).picture)


def test_nearly_clean_is_nearly_clean() -> None:
    picture = smooth()
    errors = [
        float(np.sqrt(np.square(d.random_nearly_clean(picture, np.random.default_rng(s)).picture - picture).mean()))
        for s in range(60)
    ]
    assert max(errors) < 3 / 255
    assert min(errors) < 0.6 / 255


def test_what_the_camera_does_to_a_clean_picture_is_kept_in_most_photographs() -> None:
    told = [d.random_photograph(smooth(32), np.random.default_rng(s)).applied[0].parameters for s in range(120)]
    kept = [t["noise alone"] == "True" for t in told]
    assert 0.65 < np.mean(kept) < 0.9
    assert all(k for k, t in zip(kept, told, strict=True) if float(t["scale"]) < 1)


def test_the_new_kinds_change_no_sample_of_a_mix_that_has_none_of_them() -> None:
    old = d.Mix()
    kinds = list(old.weights())
    assert kinds[:9] == [
        "clean",
        "gaussian",
        "poisson",
        "camera",
        "jpeg",
        "blur_noise",
        "mixed",
        "second_order",
        "noise_jpeg",
    ]
    assert sum(list(old.weights().values())[9:]) == 0
    only = replace(old, **(dict.fromkeys(kinds, 0.0) | {"film": 1.0}))  # type: ignore[arg-type]
    assert d.degrade(smooth(), only, rng()).applied[0].name == "film"
