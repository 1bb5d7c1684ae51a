import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tratto.core.errors import OptionError
from tratto.imaging import masks as m

small = arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32))


@settings(max_examples=40, deadline=None)
@given(small, small)
def test_set_operations(a, b):
    np.testing.assert_array_equal(m.union([a, b]), np.where(a > b, a, b))
    np.testing.assert_array_equal(m.intersection([a, b]), np.where(a < b, a, b))
    left = m.subtract(a, [b])
    assert (left <= a).all()
    assert (left <= 1 - b + 1e-7).all()
    np.testing.assert_array_equal(m.subtract(a, [np.zeros_like(a)]), a)
    np.testing.assert_allclose(m.invert(m.invert(a)), a, atol=1e-6)
    np.testing.assert_array_equal(m.to_samples(a) > 0, a > 0)


def test_masks_of_different_sizes_are_refused():
    with pytest.raises(OptionError, match="7x5"):
        m.union([np.zeros((5, 7), np.float32), np.zeros((5, 8), np.float32)])
    with pytest.raises(OptionError, match="at least one"):
        m.union([])


def square(side=21, half=3):
    out = np.zeros((side, side), np.float32)
    c = side // 2
    out[c - half : c + half + 1, c - half : c + half + 1] = 1
    return out


def test_growing_by_two_is_a_disc_of_two():
    one = np.zeros((11, 11), np.float32)
    one[5, 5] = 1
    y, x = np.mgrid[-5:6, -5:6]
    np.testing.assert_array_equal(m.grow(one, 2.0) > 0.5, np.hypot(y, x) < 2.5)


def test_shrinking_undoes_growing_along_straight_edges():
    a = square()
    np.testing.assert_array_equal(m.shrink(m.grow(a, 0.0), 0.0), a)
    shrunk = m.shrink(a, 1.0) > 0.5
    np.testing.assert_array_equal(shrunk, square(21, 2) > 0.5)
    with pytest.raises(OptionError):  # nothing would be left
        m.shrink(a, 4.0)


@pytest.mark.parametrize("pixels", [-1.0, np.nan, np.inf])
def test_growth_must_be_a_distance(pixels):
    with pytest.raises(OptionError, match="0 pixels"):
        m.grow(square(), pixels)


def test_feather_is_a_ramp_of_its_width():
    a = np.zeros((20, 40), np.float32)
    a[:, 20:] = 1
    soft = m.feather(a, 8.0)[10]
    assert (np.diff(soft) >= 0).all()
    np.testing.assert_allclose(soft[16:24], (np.arange(8) + 0.5) / 8, atol=1e-6)
    assert soft[15] == 0
    assert soft[24] == 1


def test_drawing_boxes_discs_and_lines():
    shapes = [
        m.Shape("box", ((2, 3), (5, 4))),
        m.Shape("disc", ((15.0, 10.0),), 3.0),
        m.Shape("box", ((3, 3), (3, 3)), erase=True),
    ]
    out = m.draw(20, 24, shapes)
    assert out[3:5, 2:6].sum() == 7
    assert out[3, 3] == 0
    y, x = np.mgrid[0:20, 0:24]
    inside = np.hypot(y - 10, x - 15)
    np.testing.assert_array_equal(out[(x > 8)] == 1, (inside <= 3)[x > 8])
    line = m.draw(20, 24, [m.Shape("line", ((2, 10), (20, 10)), 3)])
    np.testing.assert_array_equal(line[:, 10], np.isin(np.arange(20), (9, 10, 11)))
    assert m.draw(8, 8, [m.Shape("line", ((4, 4),), 1)]).sum() >= 1


def test_polygon_is_filled():
    out = m.draw(20, 20, [m.Shape("polygon", ((2, 2), (12, 2), (12, 12), (2, 12)))])
    np.testing.assert_array_equal(out[3:12, 3:12], 1)
    assert out.sum() == 121


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "blob", "points": [[1, 2]]},
        {"kind": "line", "points": []},
        {"kind": "box", "points": [[1, 2]]},
        {"kind": "disc", "points": [[1, 2]], "width": 0},
        {"kind": "disc", "points": [[1, float("nan")]]},
        {"kind": "disc", "points": "ab"},
        {"kind": "disc", "points": [[1, 2]], "colour": 3},
        [1],
    ],
)
def test_shapes_that_make_no_sense_are_refused(data):
    with pytest.raises(OptionError):
        m.Shape.from_json(data)


def test_shape_from_json():
    got = m.Shape.from_json({"kind": "line", "points": [[1, 2], [3, 4]], "width": 5, "erase": True})
    assert got == m.Shape("line", ((1.0, 2.0), (3.0, 4.0)), 5.0, True)


def test_marked_finds_what_was_painted_over():
    rng = np.random.default_rng(0)
    before = rng.uniform(0.2, 0.8, (30, 40, 3)).astype(np.float32)
    after = np.clip(before + rng.normal(0, 0.01, before.shape), 0, 1).astype(np.float32)
    after[5:9, 10:20] = (1, 0, 0)
    after[25, 35] = (0, 1, 0)  # one pixel alone is not a stroke
    found = m.marked(before, after)
    assert found[5:9, 10:20].min() == 1
    assert found.sum() == 40
    with pytest.raises(OptionError, match="cropping"):
        m.marked(before, after[1:])
    with pytest.raises(OptionError, match="nearly everywhere"):
        m.marked(before, 1 - before.round())
