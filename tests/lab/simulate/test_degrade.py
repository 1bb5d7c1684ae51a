import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tratto.core.errors import OptionError
from tratto_lab.simulate import degrade as d


@pytest.fixture
def gray_card():
    return np.full((96, 96, 3), 0.5, np.float32)


@pytest.fixture
def picture():
    y, x = np.mgrid[0:64, 0:64] / 64
    waves = 0.5 + 0.3 * np.sin(2 * np.pi * (3 * x + 2 * y))
    return np.stack((waves, x, y), -1).astype(np.float32)


def test_gaussian_noise_has_the_sigma_asked_for_and_is_not_clipped(gray_card):
    noisy = d.gaussian_noise(gray_card, 50, np.random.default_rng(0))
    noise = (noisy - gray_card) * 255
    assert abs(noise.std() - 50) < 0.5  # 27 648 samples: standard error 0.21
    assert abs(noise.mean()) < 1.0
    assert d.gaussian_noise(np.zeros_like(gray_card), 50, np.random.default_rng(0)).min() < 0


def test_equal_seeds_equal_results(picture):
    a = d.degrade(picture, d.Mix(), np.random.default_rng(5))
    b = d.degrade(picture, d.Mix(), np.random.default_rng(5))
    assert np.array_equal(a.picture, b.picture)
    assert a.applied == b.applied


def test_tone_curve_matches_iec_61966():
    x = np.array([0.0, 0.04045, 0.5, 1.0], np.float32)
    np.testing.assert_allclose(d.to_linear(x), [0, 0.0031308, 0.2140411, 1], atol=1e-6)
    np.testing.assert_allclose(d.to_encoded(d.to_linear(x)), x, atol=1e-6)


def test_poisson_variance_is_signal_over_peak(gray_card):
    noisy = d.poisson_noise(gray_card, 1000.0, np.random.default_rng(1))
    signal = float(d.to_linear(gray_card)[0, 0, 0])
    assert d.to_linear(noisy).var() == pytest.approx(signal / 1000, rel=0.04)


def test_camera_chain_is_invertible_without_noise(picture):
    camera = d.random_camera(np.random.default_rng(2))
    soft = 0.2 + 0.6 * picture  # far from saturation, where clipping would lose information
    muted = (soft + soft.mean(-1, keepdims=True)) / 2  # inside the gamut of the camera matrix
    np.testing.assert_allclose(d.process(d.unprocess(muted, camera), camera), muted, atol=2e-4)


def test_camera_noise_grows_with_shot(gray_card):
    quiet = d.CameraNoise(1e-4, 1e-7, 2.0, 1.7, (1, 0, 0, 0, 1, 0, 0, 0, 1))
    loud = d.CameraNoise(1e-2, 1e-5, 2.0, 1.7, (1, 0, 0, 0, 1, 0, 0, 0, 1))
    stds = [d.camera_noise(gray_card, c, np.random.default_rng(0))[..., 1].std() for c in (quiet, loud)]
    assert stds[1] / stds[0] == pytest.approx(10, rel=0.1)  # square root of the ratio of variances


def test_random_camera_follows_the_published_line():
    rng = np.random.default_rng(0)
    cameras = [d.random_camera(rng) for _ in range(400)]
    shot, read = np.log([c.shot for c in cameras]), np.log([c.read for c in cameras])
    rest = read - (2.18 * shot + 1.20)
    assert abs(rest.mean()) < 0.06
    assert rest.std() == pytest.approx(0.26, rel=0.15)
    assert shot.min() >= np.log(1e-4)
    assert shot.max() <= np.log(1.2e-2)
    np.testing.assert_allclose([sum(c.matrix[:3]) for c in cameras], 1, atol=1e-9)


def test_jpeg_errors_grow_with_falling_quality(picture):
    errors = [np.abs(d.jpeg(picture, q) - picture).mean() for q in (95, 50, 10)]
    assert errors == sorted(errors)
    levels = d.jpeg(picture, 50) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)


def test_jpeg_grid_is_where_the_shift_puts_it():
    ramp = np.broadcast_to(np.linspace(0.2, 0.6, 64, dtype=np.float32)[:, None, None], (64, 64, 3)).copy()
    coded = d.jpeg(ramp, 2, "4:4:4", (3, 0))[..., 0]
    # At quality 2 only the means of the blocks are left: nothing changes but where the grid is.
    steps = np.abs(np.diff(coded, axis=0)).mean(1)
    moving = {r for r in range(63) if steps[r] > 1e-3}
    assert moving
    assert moving <= {r for r in range(63) if (r + 1 + 3) % 8 == 0}


def test_chroma_subsampling_costs_colour_detail():
    _, x = np.mgrid[0:64, 0:64]
    stripes = np.stack((x % 2, np.full_like(x, 0.5, float), 1 - x % 2), -1).astype(np.float32)
    full, half = (np.abs(d.jpeg(stripes, 95, s) - stripes).mean() for s in ("4:4:4", "4:2:0"))
    assert half > 5 * full


@pytest.mark.parametrize(("quality", "shift"), [(0, (0, 0)), (101, (0, 0)), (50, (8, 0))])
def test_jpeg_refuses_nonsense(picture, quality, shift):
    with pytest.raises(OptionError):
        d.jpeg(picture, quality, "4:2:0", shift)


@given(st.floats(0.3, 3), st.floats(0.3, 3), st.floats(0, 3.14))
@settings(max_examples=30, deadline=None)
def test_kernels_sum_to_one_and_are_symmetric(a, b, angle):
    for k in (d.gaussian_kernel(a, b, angle), d.motion_kernel(a * 3, angle), d.defocus_kernel(a)):
        assert k.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(k, k[::-1, ::-1], atol=1e-4)


def test_gaussian_kernel_has_its_variances_along_its_axes():
    k = d.gaussian_kernel(3.0, 1.0, np.pi / 2, radius=12).astype(float)
    y, x = np.mgrid[-12:13, -12:13]
    assert (k * y * y).sum() == pytest.approx(9, rel=0.01)
    assert (k * x * x).sum() == pytest.approx(1, rel=0.01)


def test_defocus_matches_the_area_of_the_disc():
    k = d.defocus_kernel(3.0)
    assert 1 / k.max() == pytest.approx(np.pi * 9, rel=0.01)  # interior weight is one over the area


def test_blur_convolves_rather_than_correlates():
    point = np.zeros((9, 9, 3), np.float32)
    point[4, 4] = 1
    kernel = np.zeros((3, 3), np.float32)
    kernel[0, 1] = 1  # moves content up
    moved = d.blur(point, kernel, linear=False)
    assert moved[3, 4, 0] == 1
    assert moved.sum() == 3


def test_blur_keeps_a_flat_picture(gray_card):
    np.testing.assert_allclose(d.blur(gray_card, d.defocus_kernel(2.0)), gray_card, atol=1e-6)


@pytest.mark.parametrize("kernel", d.KERNELS)
def test_resize_matrices_keep_constants(kernel):
    for size_in, size_out in ((16, 8), (15, 4), (8, 16), (9, 9)):
        np.testing.assert_allclose(d.resize_matrix(size_in, size_out, kernel).sum(1), 1, atol=1e-6)


def test_bicubic_halving_matches_the_closed_form():
    # Keys' kernel at +-0.25, 0.75, 1.25, 1.75 (half size, stretched by two), divided by two.
    row = d.resize_matrix(16, 8, "bicubic")[4]
    expected = np.array([-0.01171875, -0.03515625, 0.11328125, 0.43359375] * 2)
    expected[4:] = expected[3::-1]
    np.testing.assert_allclose(row[5:13], expected, atol=1e-6)


def test_area_halving_is_the_mean_of_blocks(picture):
    small = d.downsample(picture, 2, "area")
    np.testing.assert_allclose(small, picture.reshape(32, 2, 32, 2, 3).mean((1, 3)), atol=1e-6)


def test_downsample_refuses_sides_that_do_not_divide(picture):
    with pytest.raises(OptionError, match="multiples"):
        d.downsample(picture[:63], 2)


def test_mix_frequencies(gray_card):
    mix = d.Mix(clean=0.5, gaussian=0.5, poisson=0, camera=0, jpeg=0, blur_noise=0, mixed=0, second_order=0)
    rng = np.random.default_rng(0)
    clean = sum(not d.degrade(gray_card[:8, :8], mix, rng).applied for _ in range(400))
    assert 160 < clean < 240  # four standard deviations


@pytest.mark.parametrize("kind", ["poisson", "camera", "jpeg", "blur_noise", "mixed", "second_order", "noise_jpeg"])
def test_every_kind_returns_its_parameters(picture, kind):
    weights = dict.fromkeys(d.Mix().weights(), 0.0) | {kind: 1.0}
    result = d.degrade(picture, d.Mix(**weights), np.random.default_rng(9))
    assert result.picture.shape == picture.shape
    assert result.picture.dtype == np.float32
    assert np.isfinite(result.picture).all()
    assert result.applied
    assert all(a.parameters for a in result.applied)


def test_mix_refuses_negative_weights():
    with pytest.raises(OptionError):
        d.Mix(jpeg=-1)


@pytest.mark.parametrize(("size", "tied"), [(0.0, True), (0.7, False), (1.5, True)])
def test_grain_has_its_deviation_its_spread_and_its_colour(size, tied):
    flat = np.full((256, 256, 3), 0.5, np.float32)
    grain = 255 * (d.grain_noise(flat, 10, size, np.random.default_rng(1), tied) - flat)
    assert grain.std() == pytest.approx(10, rel=0.03)
    # neighbours of white noise smoothed by a Gaussian of deviation s are correlated by about exp(-1 / 4 s^2)
    met = float(np.mean(grain[:, 1:, 0] * grain[:, :-1, 0])) / 100
    assert met == pytest.approx(np.exp(-1 / (4 * size**2)) if size else 0.0, abs=0.05)
    assert np.array_equal(grain[..., 0], grain[..., 1]) == tied


def test_grain_of_negative_size_is_refused():
    with pytest.raises(OptionError, match="negative"):
        d.grain_noise(np.zeros((8, 8, 3), np.float32), 1.0, -0.1, np.random.default_rng(0))
