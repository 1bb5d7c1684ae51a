import numpy as np
import pytest
from skimage import color, data

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image, Metadata
from tratto.core.result import EDIT_MAP_SCALE
from tratto.imaging.color import delta_e_2000
from tratto.provenance.edit_map import EditStats, edit_map, stats_of


def rgb(pixels, **more):
    return Image(np.ascontiguousarray(pixels), ColorMode.RGB, 16 if pixels.dtype == np.uint16 else 8, **more)


def blank(image):
    return np.full((image.height, image.width), 7, np.uint16)


def noisy(pixels, sigma, seed=0):
    rng = np.random.default_rng(seed)
    full = 65535 if pixels.dtype == np.uint16 else 255
    return np.clip(pixels + rng.normal(0, sigma, pixels.shape), 0, full).astype(pixels.dtype)


@pytest.mark.parametrize("depth", [8, 16])
def test_agrees_with_scikit_image(depth):
    a = data.astronaut()[:300, :301]
    if depth == 16:
        a = a.astype(np.uint16) * 257
    b = noisy(a, 12 if depth == 8 else 3000)
    out = np.zeros(a.shape[:2], np.uint16)
    edit_map(rgb(a), rgb(b), out)
    full = np.iinfo(a.dtype).max
    reference = color.deltaE_ciede2000(color.rgb2lab(a / full), color.rgb2lab(b / full))
    worst = np.abs(out / EDIT_MAP_SCALE - reference).max()
    assert worst < 0.05  # 0.002 when written: half a map step plus float32


def test_identical_pictures_give_zero():
    a = rgb(data.astronaut()[:50, :60])
    out = blank(a)
    stats = edit_map(a, rgb(a.pixels.copy()), out)
    assert not out.any()
    assert stats == EditStats(0.0, 0.0, 0.0, 0.0, 0.0, "none")


def test_every_single_step_change_shows_and_nothing_else():
    a = noisy(np.full((40, 50, 3), 30000, np.uint16), 9000)
    b = a.copy()
    rng = np.random.default_rng(1)
    where = rng.random((40, 50)) < 0.3
    channel = rng.integers(0, 3, (40, 50))
    yy, xx = np.nonzero(where)
    b[yy, xx, channel[yy, xx]] ^= 1  # one 65535th: about 0.001 Delta-E, less than one map step
    out = blank(rgb(a))
    stats = edit_map(rgb(a), rgb(b), out)
    np.testing.assert_array_equal(out > 0, where)
    assert stats.changed_fraction == where.mean()


def test_known_stats():
    a = np.zeros((10, 10, 3), np.uint8)
    b = a.copy()
    b[0, :4] = 255  # black to white is exactly Delta-E 100 in CIEDE2000
    out = np.zeros((10, 10), np.uint16)
    stats = edit_map(rgb(a), rgb(b), out)
    assert stats.changed_fraction == 0.04
    assert stats.mean == pytest.approx(4.0, abs=0.01)
    assert stats.mean_changed == pytest.approx(100.0, abs=0.05)
    assert stats.maximum == pytest.approx(100.0, abs=0.05)
    assert stats.p95 == 0.0
    b[0] = 255
    assert edit_map(rgb(a), rgb(b), out).p95 == pytest.approx(100.0, abs=0.05)
    assert stats_of(out) == edit_map(rgb(a), rgb(b), out)


def test_bands_do_not_show():
    # more rows than one band of 131 072 pixels holds, compared with one call per row
    a = noisy(np.full((600, 500, 3), 120, np.uint8), 30)
    b = noisy(a, 5, 2)
    out = blank(rgb(a))
    stats = edit_map(rgb(a), rgb(b), out)
    rows = np.zeros_like(out)
    for y in range(0, 600, 97):
        edit_map(rgb(a[y : y + 97]), rgb(b[y : y + 97]), rows[y : y + 97])
    # the CIELAB product sums in another order for another length: at most one step
    assert np.abs(out.astype(int) - rows).max() <= 1
    assert stats.changed_fraction == (a != b).any(axis=2).mean()


@pytest.mark.parametrize("mode", ["gray", "cmyk"])
def test_other_modes_use_native_samples(mode):
    rng = np.random.default_rng(3)
    shape = (20, 30) if mode == "gray" else (20, 30, 4)
    a = rng.integers(0, 256, shape, dtype=np.uint8)
    b = a.copy()
    if mode == "cmyk":
        a[..., 3] = 255  # full black ink hides a change of the other inks from the eye, but not from the map
        b[..., 3] = 255
        b[4, 5, 0] ^= 1
    else:
        b[4, 5] ^= 1
    one, two = Image(a, ColorMode(mode)), Image(b, ColorMode(mode))
    out = blank(one)
    stats = edit_map(one, two, out)
    assert np.argwhere(out).tolist() == [[4, 5]]
    assert stats.changed_fraction == 1 / 600


def test_palette_against_its_expansion():
    palette = np.array([[10, 20, 30, 255], [200, 100, 0, 255], [0, 0, 0, 0]], np.uint8)
    index = np.array([[0, 1], [1, 2]], np.uint8)
    before = Image(index, ColorMode.PALETTE, palette=palette)
    px = np.ascontiguousarray(palette[index][..., :3])
    alpha = np.ascontiguousarray(palette[index][..., 3])
    out = blank(before)
    assert edit_map(before, rgb(px, alpha=alpha), out).changed_fraction == 0.0
    assert not out.any()
    edit_map(before, rgb(px), out)  # alpha lost: the transparent entry became opaque
    assert np.argwhere(out).tolist() == [[1, 1]]
    assert out[1, 1] / EDIT_MAP_SCALE == pytest.approx(100.0, abs=0.05)


def test_alpha_counts():
    a = np.full((5, 5, 3), 90, np.uint8)
    alpha = np.full((5, 5), 255, np.uint8)
    other = alpha.copy()
    other[2, 3] = 0
    out = blank(rgb(a))
    stats = edit_map(rgb(a, alpha=alpha), rgb(a, alpha=other), out)
    assert np.argwhere(out).tolist() == [[2, 3]]
    assert out[2, 3] / EDIT_MAP_SCALE == pytest.approx(100.0, abs=0.05)
    assert stats.alpha == "compared"
    other[2, 3] = 254
    edit_map(rgb(a, alpha=alpha), rgb(a, alpha=other), out)
    assert np.argwhere(out).tolist() == [[2, 3]]
    # lost altogether, but opaque before: no difference
    assert edit_map(rgb(a, alpha=alpha), rgb(a), out).changed_fraction == 0.0


def test_wrong_sizes_are_refused():
    a, b = rgb(np.zeros((4, 4, 3), np.uint8)), rgb(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(OptionError, match="4x4"):
        edit_map(a, b, blank(b))
    with pytest.raises(OptionError, match="uint16"):
        edit_map(a, a, np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("bits", [8, 16])
def test_differences_are_those_of_the_picture_s_own_profile(bits):
    """Little CMS as the independent reader: saturated colours of a wide space do not collapse into those of sRGB."""
    import imagecodecs

    p3 = [0.680, 0.320, 1, 0.265, 0.690, 1, 0.150, 0.060, 1]
    icc = imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.3290, 1.0], primaries=p3, gamma=2.2)
    top, dtype = (1 << bits) - 1, np.uint8 if bits == 8 else np.uint16
    rng = np.random.default_rng(8)
    a = (rng.uniform(0, 1, (24, 24, 3)) * top).astype(dtype)
    a[:4] = (0, top, 0)
    b = np.clip(a + rng.normal(0, 0.04 * top, a.shape), 0, top).astype(dtype)
    b[:4] = (0, int(0.93 * top), 0)  # both greens lie outside sRGB
    one, two = (Image(v, ColorMode.RGB, bits, meta=Metadata(icc=icc)) for v in (a, b))
    out = blank(one)
    edit_map(one, two, out)
    labs = [
        imagecodecs.cms_transform(
            v, icc, imagecodecs.cms_profile("lab4"), colorspace="rgb", outcolorspace="lab", outdtype="float32", intent=1
        )
        for v in (a, b)
    ]
    want = delta_e_2000(*labs)
    got = out / EDIT_MAP_SCALE
    # D65 here, D50 there
    assert np.median(np.abs(got - want)) < 0.1
    assert got[:4].mean() == pytest.approx(want[:4].mean(), rel=0.05)
    assert want[:4].mean() > 3
