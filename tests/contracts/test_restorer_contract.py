"""What every restorer must keep."""

from __future__ import annotations

import numpy as np
import pytest

from tratto.core.capability import Restorer
from tratto.core.errors import OptionError
from tratto.providers.catalogue import CATALOGUE, open_provider
from tratto.providers.restorer.tratto import open_card

# (name, scale, parameters): what is opened. The tiny ones are our provider's code around a network made here.
CASES = {
    "tiny-x1": ("tratto", 1, {}),
    "tiny-x2": ("tratto", 2, {}),
    "tiny-x4": ("tratto", 4, {}),
    "tiny-openvino": ("tratto-openvino", 2, {}),
    "span-x2": ("span", 2, {}),
    "span-x4": ("span", 4, {}),
    "span-sharp-x4": ("span-sharp", 4, {}),
    "nlm": ("nlm", 1, {"sigma": 12}),
    "wiener": ("wiener", 1, {"blur": 1.5}),
    "dct": ("dct", 1, {"noise1": 3, "noise2": 4, "noise4": 2}),
    "bicubic-x2": ("bicubic", 2, {}),
    "bicubic-x4": ("bicubic", 4, {}),
    "lanczos-x2": ("lanczos", 2, {}),
    "lanczos-x4": ("lanczos", 4, {}),
    "waifu2x-x1": ("waifu2x", 1, {"noise": 1}),
    "waifu2x-cunet-x2": ("waifu2x", 2, {"model": "cunet", "noise": 0}),
    "waifu2x-photo-x2": ("waifu2x", 2, {}),
    "waifu2x-anime-x2": ("waifu2x", 2, {"model": "anime", "noise": 3}),
    "animevideo-x2": ("realesrgan", 2, {}),
    "animevideo-x3": ("realesrgan", 3, {}),
    "animevideo-x4": ("realesrgan", 4, {"model": "animevideo"}),
    "x4plus": ("realesrgan", 4, {}),
    "x4plus-anime": ("realesrgan", 4, {"model": "x4plus-anime"}),
}
# Their receptive field is larger than any overlap one would pay for, or they pool over the tile; the cards say so.
NOT_SEAM_EXACT = ("waifu2x-x1", "waifu2x-cunet-x2", "x4plus", "x4plus-anime")


@pytest.fixture(params=list(CASES))
def case(request):
    return request.param


_opened = {}  # those of other people do not depend on the test's folder, and reading 33 MB each time takes a while


@pytest.fixture
def restorer(case, tiny, need_package):
    name, scale, params = CASES[case]
    if name.startswith("tratto"):
        variant = "openvino" if name == "tratto-openvino" else "onnx"
        need_package("openvino" if variant == "openvino" else "onnxruntime")
        return open_card(tiny.onnx(scale, sigma=True), variant=variant)
    if name in ("waifu2x", "realesrgan"):
        need_package("ncnn")
    if case not in _opened:
        _opened[case] = open_provider("restorer", name, scale=scale, params=params)
    return _opened[case]


def smooth(h, w):
    """A picture without edges, different in each channel, in about [0.1, 0.9]."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    planes = [0.5 + 0.35 * np.sin(x / 9 + k) * np.cos(y / 11 - k) for k in range(3)]
    return np.stack(planes, -1).astype(np.float32)


def side(info, at_least):
    return -(-at_least // info.multiple) * info.multiple


def test_info_is_plausible(restorer, case):
    name, scale, params = CASES[case]
    info = restorer.info
    assert isinstance(restorer, Restorer)
    assert (info.provider, info.scale, info.params) == (name, scale, params)
    assert info.generative == CATALOGUE["restorer"][name].generative == (name in ("realesrgan", "span-sharp"))
    assert info.tile % info.multiple == 0
    assert info.tile > 2 * info.overlap
    assert 0.001 < info.megapixels_per_second < 1000
    assert info.library.split(" ")[1][0].isdigit()
    assert info.precision == ("uint8" if name == "nlm" else "fp32")
    assert all(len(m.sha256) == 64 for m in info.models)
    assert bool(info.models) == (name not in ("nlm", "wiener", "dct", "bicubic", "lanczos"))


def test_shape_type_range_and_sigma(restorer):
    info = restorer.info
    h, w = side(info, 12), side(info, 21)
    out = restorer.restore(smooth(h, w), 5.0)
    assert out.image.shape == (h * info.scale, w * info.scale, 3)
    assert out.image.dtype == np.float32
    assert np.isfinite(out.image).all()
    assert out.image.min() > -0.5
    assert out.image.max() < 1.5
    assert (out.sigma is not None) == info.has_sigma
    if out.sigma is not None:
        assert out.sigma.shape == out.image.shape[:2]
        assert out.sigma.dtype == np.float32
        assert out.sigma.min() >= 0


def test_deterministic_and_leaves_the_tile_alone(restorer):
    tile = smooth(side(restorer.info, 16), side(restorer.info, 20))
    before = tile.copy()
    first = restorer.restore(tile, 8.0).image
    second = restorer.restore(tile.copy(), 8.0).image
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(tile, before)
    first[:] = -1  # what comes back is the caller's
    np.testing.assert_array_equal(tile, before)


def test_no_seams_when_the_overlap_is_kept(restorer, case):
    if case in NOT_SEAM_EXACT:
        assert restorer.info.models[0].id.startswith(("waifu2x-cunet", "realesrgan-x4plus"))
        return
    info, core = restorer.info, side(restorer.info, 8)
    reach = info.overlap - info.overlap // 4  # the engine blends over a quarter
    n = core + 2 * (info.overlap + 8)
    rng = np.random.default_rng(3)
    tile = np.clip(smooth(n, n) + rng.normal(0, 0.05, (n, n, 3)), 0, 1).astype(np.float32)
    whole = restorer.restore(tile, 8.0)
    a = (n - core) // 2
    part = restorer.restore(np.ascontiguousarray(tile[a - reach : a + core + reach, a - reach : a + core + reach]), 8.0)
    s = info.scale
    got = part.image[reach * s : (reach + core) * s, reach * s : (reach + core) * s]
    want = whole.image[a * s : (a + core) * s, a * s : (a + core) * s]
    # ncnn sums in another order for other sizes: up to 0.001/255 was measured
    assert np.abs(got - want).max() * 255 < 0.01


def test_nothing_moves(restorer):
    """The centre of a soft bright spot stays where it was: a network's cropping must be undone on the right side."""
    info = restorer.info
    n = side(info, 28)
    c = n / 2 + 1.25  # off centre, so that a flip shows too
    y, x = np.mgrid[0:n, 0:n] + 0.5
    spot = np.exp(-((x - c) ** 2 + (y - c + 2) ** 2) / (2 * 3.0**2))
    tile = np.repeat((0.1 + 0.8 * spot)[..., None], 3, 2).astype(np.float32)
    light = np.clip(restorer.restore(tile, 2.0).image.mean(2) - 0.3, 0, None)
    y, x = (np.mgrid[0 : light.shape[0], 0 : light.shape[1]] + 0.5) / info.scale
    # in input pixels; a wrong output pixel would be 0.25 at the least. The GANs redraw the spot: 0.14 was seen
    assert abs((light * x).sum() / light.sum() - c) < 0.2
    assert abs((light * y).sum() / light.sum() - (c - 2)) < 0.2


def test_colours_stay_in_their_channel(restorer):
    n = side(restorer.info, 16)
    tile = np.broadcast_to(np.array([0.8, 0.5, 0.2], np.float32), (n, n, 3)).copy()
    out = restorer.restore(tile, 5.0).image
    middle = out[out.shape[0] // 4 : -(out.shape[0] // 4), out.shape[1] // 4 : -(out.shape[1] // 4)]
    # the tiny network adds up to 0.2 of the neighbours; real ones keep a flat colour within 0.04
    np.testing.assert_allclose(middle.mean((0, 1)), [0.8, 0.5, 0.2], atol=0.2)


@pytest.mark.parametrize(
    "tile",
    [
        np.zeros((16, 16, 3)),
        np.zeros((16, 16), np.float32),
        np.zeros((16, 16, 4), np.float32),
        np.zeros((0, 16, 3), np.float32),
        np.zeros((16, 16, 3), np.uint8),
    ],
    ids=["float64", "gray", "rgba", "empty", "uint8"],
)
def test_refuses_other_tiles(restorer, tile):
    with pytest.raises(OptionError, match="float32"):
        restorer.restore(tile)


def test_refuses_sides_that_are_no_multiples(restorer):
    if restorer.info.multiple == 1:
        assert restorer.restore(smooth(13, 17), 3.0).image.shape[0] == 13 * restorer.info.scale
        return
    with pytest.raises(OptionError, match="multiples of 4"):
        restorer.restore(smooth(restorer.info.multiple * 4 + 1, 16))


def test_time_estimates_count_what_tiles_overlap(tiny):
    restorer = open_card(tiny.onnx(1))
    # the tiny card: 0.5 s per megapixel of tiles of 32, of which 24 are left inside an overlap of 4
    assert np.isclose(restorer.info.megapixels_per_second, 1 / (0.5 * (32 / 24) ** 2))


@pytest.mark.parametrize("name", ["tratto", "tratto-openvino", "waifu2x", "nlm"])
def test_a_run_leaves_the_arithmetic_of_this_thread_alone(name):
    """Runtimes like to switch a thread to flush subnormal numbers to zero; what runs next would compute differently."""
    from tratto.providers.catalogue import open_provider

    tile = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    open_provider("restorer", name, scale=1, params={"noise": 1} if name == "waifu2x" else {}).restore(tile, 10.0)
    assert np.float64(5e-324) * np.float64(1.0) == 5e-324
