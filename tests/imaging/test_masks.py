import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.imaging.masks import mask_from_array, mask_from_picture


def gray(values, bits=8, alpha=None):
    dtype = np.uint16 if bits == 16 else np.uint8
    return Image(np.array(values, dtype), ColorMode.GRAY, bits, None if alpha is None else np.array(alpha, dtype))


def rgb(values):
    return Image(np.array(values, np.uint8), ColorMode.RGB)


@pytest.mark.parametrize(
    ("picture", "values"),
    [
        (gray([[0, 51, 255]]), [[0.0, 0.2, 1.0]]),
        (gray([[0, 65535]], 16), [[0.0, 1.0]]),
        (gray([[0, 1]], 1), [[0.0, 1.0]]),
        (gray([[0, 1]]), [[0.0, 1.0]]),
        (gray([[0, 1]], 16), [[0.0, 1.0]]),
        (gray([[0, 2]]), [[0.0, 2 / 255]]),
        (gray([[0, 0]]), [[0.0, 0.0]]),
        (gray([[0, 255]], 8, [[255, 255]]), [[0.0, 1.0]]),
        (rgb([[[255, 255, 255], [50, 51, 52]]]), [[1.0, 0.2]]),
    ],
)
def test_pictures(picture, values):
    found = mask_from_picture(picture)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, atol=1e-7)


def test_a_palette_is_looked_up():
    palette = np.array([[0, 0, 0, 255], [255, 255, 255, 255]], np.uint8)
    picture = Image(np.array([[1, 0]], np.uint8), ColorMode.PALETTE, 1, palette=palette)
    assert mask_from_picture(picture).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("picture", "word"),
    [
        (rgb([[[255, 255, 255], [255, 0, 0]]]), "colours"),
        (gray([[255, 255]], 8, [[0, 255]]), "transparent"),
        (Image(np.zeros((2, 2, 4), np.uint8), ColorMode.CMYK), "CMYK"),
    ],
)
def test_what_could_mean_either_is_refused(picture, word):
    with pytest.raises(OptionError, match=word):
        mask_from_picture(picture)


def test_more_rows_than_a_band():
    values = np.zeros((600, 3), np.uint8)
    values[599] = 255
    assert mask_from_picture(gray(values))[598:].tolist() == [[0.0] * 3, [1.0] * 3]
    coloured = np.zeros((600, 3, 3), np.uint8)
    coloured[599, 2] = (0, 255, 0)
    with pytest.raises(OptionError, match="colours"):
        mask_from_picture(rgb(coloured))


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (np.array([[False, True]]), [[0.0, 1.0]]),
        (np.array([[0, 1]], np.uint8), [[0.0, 1.0]]),
        (np.array([[0, 1]], np.uint16), [[0.0, 1.0]]),
        (np.array([[0, 51, 255]], np.uint8), [[0.0, 0.2, 1.0]]),
        (np.array([[0, 65535]], np.uint16), [[0.0, 1.0]]),
        (np.array([[0.0, 0.25]]), [[0.0, 0.25]]),
        (np.array([[[0], [255]]], np.uint8), [[0.0, 1.0]]),
    ],
)
def test_arrays(array, values):
    np.testing.assert_allclose(mask_from_array(array), values, atol=1e-7)


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 3), np.uint8), np.zeros(4), np.zeros((2, 2), np.int64)])
def test_arrays_that_are_no_masks(bad):
    with pytest.raises(OptionError, match="mask array"):
        mask_from_array(bad)
