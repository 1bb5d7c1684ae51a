"""The whole inspection on every kind of picture."""

import io
import json

import numpy as np
import pytest
from PIL import Image as PilImage

from tratto.core.image import ColorMode, Image, JpegFacts, Metadata
from tratto.imaging.estimate import inspect_image, sample_windows, standard_table


def _jpeg(picture, quality):
    buffer = io.BytesIO()
    PilImage.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return np.asarray(PilImage.open(buffer))


def test_file_facts_are_exact_and_samples_estimated(photos):
    x = _jpeg(photos[0], 70)
    tables = (tuple(standard_table(70).tolist()), tuple(standard_table(70, chroma=True).tolist()))
    with_file = inspect_image(Image(x, ColorMode.RGB, meta=Metadata("jpeg", jpeg=JpegFacts(tables, "4:4:4"))))
    assert (with_file.jpeg_quality.value, with_file.jpeg_quality.basis) == (70.0, "exact")
    assert (with_file.jpeg_generations, with_file.format) == (1, "jpeg")
    without = inspect_image(Image(x, ColorMode.RGB))
    assert abs(without.jpeg_quality.value - 70) <= 2
    assert without.jpeg_quality.basis == "estimated"
    assert "JPEG" in without.noise_sigma.note


def test_recompressed_file_has_two_generations(photos):
    x = _jpeg(_jpeg(photos[0], 60)[3:, 4:], 95)
    tables = (tuple(standard_table(95).tolist()),)
    got = inspect_image(Image(x, ColorMode.RGB, meta=Metadata("jpeg", jpeg=JpegFacts(tables, "4:4:4"))))
    assert (got.jpeg_quality.value, got.jpeg_generations) == (95.0, 2)


def test_broken_tables_fall_back_on_the_samples(photos):
    x = _jpeg(photos[0], 50)
    got = inspect_image(Image(x, ColorMode.RGB, meta=Metadata("jpeg", jpeg=JpegFacts(((1, 2, 3),), "gray"))))
    assert got.jpeg_quality.basis == "estimated"
    assert abs(got.jpeg_quality.value - 50) <= 2


def test_clean_native_photograph(photos):
    got = inspect_image(Image(photos[1], ColorMode.RGB))
    assert (got.width, got.height, got.mode, got.bits) == (photos[1].shape[1], photos[1].shape[0], "rgb", 8)
    assert (got.upscale.value, got.jpeg_quality.value, got.jpeg_generations) == (1.0, None, 0)
    assert got.noise_sigma.value < 3
    json.dumps(got.to_json())


def test_same_noise_in_every_mode_and_depth(scene):
    rng = np.random.default_rng(0)
    v = np.clip(0.2 + 0.6 * scene / 255 + 10 / 255 * rng.standard_normal(scene.shape), 0, 1)
    eight = np.rint(v * 255).astype(np.uint8)
    deep = np.rint(v * 65535).astype(np.uint16)
    cmyk = np.dstack([eight, eight[::-1, :, :1]])
    for image, channels in [
        (Image(eight, ColorMode.RGB), 3),
        (Image(deep, ColorMode.RGB, 16), 3),
        (Image(eight[..., 0].copy(), ColorMode.GRAY), 1),
        (Image(cmyk, ColorMode.CMYK), 4),
    ]:
        got = inspect_image(image)
        assert got.noise_sigma.value == pytest.approx(10, abs=0.7)
        assert len(got.noise_channels) == channels
        np.testing.assert_allclose(got.noise_channels, 10, atol=1)


def test_palette_is_seen_through_its_colours():
    rng = np.random.default_rng(1)
    index = np.clip(np.rint(8 + 2 * rng.standard_normal((96, 96))), 0, 15).astype(np.uint8)
    gray = np.arange(16, dtype=np.uint8) * 17
    palette = np.stack([gray, gray, gray, np.full(16, 255, np.uint8)], axis=1)
    got = inspect_image(Image(index, ColorMode.PALETTE, 4, palette=palette))
    assert got.noise_sigma.value == pytest.approx(2 * 17, rel=0.08)
    assert "palette" in got.noise_sigma.note


def test_clipping_is_counted():
    x = np.full((10, 20, 3), 100, np.uint8)
    x[:5] = 255
    x[5, :10] = 0
    got = inspect_image(Image(x, ColorMode.RGB))
    assert (got.clipped_low, got.clipped_high) == (0.05, 0.5)
    bits = np.zeros((10, 20), np.uint8)
    bits[0] = 1
    one = inspect_image(Image(bits, ColorMode.GRAY, 1))
    assert (one.clipped_low, one.clipped_high) == (0, 0)  # it has no other values
    assert one.noise_sigma.basis == "not measurable"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_no_ink_is_white_and_full_ink_black(dtype):
    full = np.iinfo(dtype).max
    inks = np.full((10, 20, 4), full // 3, dtype)
    inks[:5] = 0  # paper
    inks[5, :10] = (0, 0, 0, full)
    inks[6, :10] = (full, full, full, 0)
    inks[7] = (full, 0, 0, 0)  # cyan is neither
    got = inspect_image(Image(inks, ColorMode.CMYK, 8 * inks.itemsize))
    assert (got.clipped_low, got.clipped_high) == (0.1, 0.5)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 300), (300, 1), (7, 9), (16, 16), (17, 17), (20, 33), (32, 32), (2, 40000)]
)
@pytest.mark.parametrize("mode", list(ColorMode))
def test_tiny_and_narrow_pictures_never_fail(shape, mode):
    rng = np.random.default_rng(0)
    full = shape + {ColorMode.RGB: (3,), ColorMode.CMYK: (4,)}.get(mode, ())
    palette = np.full((4, 4), 200, np.uint8) if mode is ColorMode.PALETTE else None
    for pixels in (np.zeros(full, np.uint8), np.full(full, 90, np.uint8), rng.integers(0, 256, full, dtype=np.uint8)):
        got = inspect_image(Image(pixels, mode, palette=palette))
        for e in (got.noise_sigma, got.jpeg_quality, got.blur_sigma, got.upscale):
            assert (e.value is None) == (e.basis == "not measurable")
            assert e.note
        if min(shape) <= 16:
            assert got.noise_sigma.value is None
            assert got.noise_channels == ()


def test_windows_are_bounded_aligned_and_inside():
    for h, w in [(10, 10), (1000, 2000), (1500, 2000), (10000, 10000), (100, 900000), (900000, 30), (3000, 701)]:
        windows = sample_windows(h, w)
        area = 0
        seen = set()
        for y0, x0, y1, x1 in windows:
            assert 0 <= y0 < y1 <= h
            assert 0 <= x0 < x1 <= w
            assert (y0 % 24, x0 % 24) == (0, 0)
            area += (y1 - y0) * (x1 - x0)
            seen.add((y0, x0))
        assert area <= 2_000_000
        assert len(seen) == len(windows)
    assert sample_windows(1000, 2000) == ((0, 0, 1000, 2000),)
    assert len(sample_windows(10000, 10000)) == 16


def test_large_picture_reads_only_its_windows(tmp_path, scene):
    """A sparse memory map whose pages outside the windows are never touched gives the windows' noise."""
    h, w = 6000, 8000
    pixels = np.memmap(tmp_path / "large.raw", np.uint8, "w+", shape=(h, w))
    rng = np.random.default_rng(0)
    for y0, x0, y1, x1 in sample_windows(h, w):
        pixels[y0:y1, x0:x1] = np.clip(128 + 6 * rng.standard_normal((y1 - y0, x1 - x0)), 0, 255)
    got = inspect_image(Image(pixels, ColorMode.GRAY))
    assert got.noise_sigma.value == pytest.approx(6, abs=0.3)
    assert got.clipped_low == 0
