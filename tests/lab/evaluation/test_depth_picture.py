import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto_lab.evaluation.depth import depth_picture


def test_the_range_becomes_inferno_from_black_to_pale_yellow():
    found = depth_picture(np.array([[2.0, 3.0, 4.0]]))
    # the ends and the middle of the published colour map (Smith and van der Walt 2015)
    np.testing.assert_allclose(found.pixels[0].astype(int), [[0, 0, 4], [188, 55, 84], [252, 255, 164]], atol=2)
    assert (found.low, found.high, found.cleaned, found.note) == (2.0, 4.0, 0, "")


def test_what_is_not_finite_is_cleaned_and_counted():
    dirty = np.array([[np.nan, 1.0], [np.inf, 5.0], [-np.inf, 3.0]], np.float32)
    found = depth_picture(dirty)
    assert found.cleaned == 3
    assert (found.low, found.high) == (1.0, 5.0)
    np.testing.assert_array_equal(found.pixels[:, 0], np.repeat(found.pixels[0, 1][None], 3, axis=0))


@pytest.mark.parametrize(("value", "words"), [(3.5, "flat: every finite value is 3.5"), (np.nan, "no value")])
def test_a_flat_map_says_so_and_is_grey(value, words):
    found = depth_picture(np.full((4, 5), value))
    assert words in found.note
    np.testing.assert_array_equal(found.pixels, 128)


def test_rounding_is_no_depth():
    almost = np.full((4, 4), 7.0)
    almost[0, 0] += 1e-9
    assert "flat" in depth_picture(almost).note


def test_other_shapes_are_refused():
    for shape in ((3,), (2, 2, 3), (0, 4)):
        with pytest.raises(OptionError, match="depth map"):
            depth_picture(np.zeros(shape))
