"""JPEG quality from tables and from samples."""

import io

import numpy as np
import pytest
from PIL import Image as PilImage

from tratto.core.errors import OptionError
from tratto.imaging.estimate import jpeg_quality_from_pixels, jpeg_quality_from_tables, standard_table
from tratto.imaging.estimate.dct import block_dct_matrix


def _encode(picture, quality, subsampling=0, **options):
    buffer = io.BytesIO()
    PilImage.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling, **options)
    return PilImage.open(buffer)


def _jpeg(picture, quality, subsampling=0):
    return np.asarray(_encode(picture, quality, subsampling))


def _float(picture):
    return picture.astype(np.float32) / np.float32(255)


def test_dct_matrix_is_orthonormal_and_equals_opencv():
    import cv2

    m = block_dct_matrix()
    np.testing.assert_allclose(m @ m.T, np.eye(64), atol=1e-6)
    block = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    np.testing.assert_allclose((m @ block.ravel()).reshape(8, 8), cv2.dct(block), atol=1e-6)


def test_standard_table_is_what_the_encoder_writes():
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for q in (1, 10, 49, 50, 75, 90, 99, 100):
        written = _encode(np.dstack([gray] * 3), q).quantization
        np.testing.assert_array_equal(np.sort(written[0]), np.sort(standard_table(q)))
        np.testing.assert_array_equal(np.sort(written[1]), np.sort(standard_table(q, chroma=True)))
    # quality 50 is annex K itself
    assert standard_table(50)[:8].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert standard_table(50, chroma=True)[:5].tolist() == [17, 18, 24, 47, 99]
    with pytest.raises(OptionError, match="1 to 100"):
        standard_table(0)


def test_every_standard_table_is_read_exactly():
    for q in range(1, 101):
        got = jpeg_quality_from_tables([standard_table(q).tolist(), standard_table(q, chroma=True).tolist()])
        assert got.basis == "exact"
        assert np.array_equal(standard_table(int(got.value)), standard_table(q))


def test_other_tables_are_said_to_be_estimated():
    table = standard_table(80)
    table[5] += 1
    got = jpeg_quality_from_tables([table.tolist()])
    assert (got.value, got.basis) == (80.0, "estimated")
    # luminance and chrominance of different qualities are no standard pair
    mixed = jpeg_quality_from_tables([standard_table(80).tolist(), standard_table(60, chroma=True).tolist()])
    assert (mixed.value, mixed.basis) == (80.0, "estimated")
    for bad in ([], [[1] * 63], [[0] * 64]):
        with pytest.raises(OptionError, match="64"):
            jpeg_quality_from_tables(bad)


@pytest.mark.parametrize("quality", [15, 30, 60, 75, 90, 95])
def test_quality_from_samples(photos, quality):
    for k, p in enumerate(photos):
        got = jpeg_quality_from_pixels(_float(_jpeg(p, quality, 2 * (k % 2))))
        assert got.quality.basis == "estimated"
        assert abs(got.quality.value - quality) <= 2
        assert got.grid == (0, 0)
        assert got.generations == 1


def test_cropped_grid_is_found(photos):
    for oy, ox in [(3, 5), (0, 7), (4, 0), (1, 1)]:
        got = jpeg_quality_from_pixels(_float(_jpeg(photos[0], 80)[oy:, ox:]))
        assert abs(got.quality.value - 80) <= 2
        assert got.grid == ((-oy) % 8, (-ox) % 8)


def test_gray_and_crops(photos):
    gray = _jpeg(photos[1][..., 1].copy(), 70)
    got = jpeg_quality_from_pixels([_float(gray[:72]), _float(gray[72:144])])
    assert abs(got.quality.value - 70) <= 2


def test_no_trace_in_native_noisy_and_enlarged_pictures(photos):
    import cv2

    rng = np.random.default_rng(0)
    for p in photos:
        noisy = np.clip(p + 12 * rng.standard_normal(p.shape), 0, 255).astype(np.uint8)
        larger = cv2.resize(p, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for x in (p, noisy, larger):
            got = jpeg_quality_from_pixels(_float(x))
            assert (got.quality.value, got.quality.basis, got.generations) == (None, "not measurable", 0)
            assert "no JPEG artefacts" in got.quality.note


def test_two_generations(photos):
    found = []
    for p in photos:
        first = _jpeg(p, 60)[5:, 2:]
        got = jpeg_quality_from_pixels(_float(_jpeg(first, 95)))
        assert abs(got.quality.value - 95) <= 2
        found.append(got.generations)
    assert found.count(2) >= 3


def test_nothing_to_measure():
    for x in (np.zeros((9, 9), np.float32), np.full((64, 64, 3), 0.5, np.float32), np.zeros((64, 64), np.float32)):
        got = jpeg_quality_from_pixels(x)
        assert (got.quality.value, got.grid, got.generations) == (None, None, 0)
    with pytest.raises(OptionError, match="H, W"):
        jpeg_quality_from_pixels(np.zeros((64, 64, 4), np.float32))
