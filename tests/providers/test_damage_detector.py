import cv2
import numpy as np
import pytest

from tratto.core.capability import DamageDetector, ModelRef
from tratto.core.errors import OptionError, WeightMismatch
from tratto.imaging.masks import CLASSES
from tratto.models.card import parse_card
from tratto.providers.damage import (
    TOLD_OUTPUT,
    NetworkDetector,
    YoloDetector,
    YoloOutput,
    decode_yolo,
    joined,
    letterbox,
    look_sizes,
)

CARD = parse_card(
    """
id = "tiny-damage"
file = "tiny.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
licence = "Apache-2.0"
commercial_use = true
capability = "damage"
backend = "onnx"
overlap = 8
multiple = 2
input = "image"
output = "chance"
paper = "none"
training_data = "none"
command = "none"
limits = "none"
"""
)


class Brightness:
    """Finds class 2 where it is bright."""

    library, precision, model = "none", "fp32", ModelRef("tiny-damage", "0" * 64, "CC0-1.0")

    def run(self, inputs):
        (x,) = inputs.values()
        out = np.zeros((1, len(CLASSES) + 1, *x.shape[2:]), np.float32)
        out[0, 2] = x[0].mean(axis=0)
        return {"chance": out}


def test_there_is_one_plane_per_class_of_the_pictures_size():
    rng = np.random.default_rng(0)
    rgb = rng.uniform(0, 1, (301, 533, 3)).astype(np.float32)
    found = NetworkDetector(CARD, Brightness()).find(rgb)
    assert tuple(found) == (*CLASSES, "any")
    np.testing.assert_allclose(found[CLASSES[2]], rgb.mean(axis=2), atol=1e-5)
    assert found["crack"].max() == 0


def test_a_large_picture_is_shown_smaller_and_answered_in_full_size():
    seen = []

    class Watching(Brightness):
        def run(self, inputs):
            seen.append(max(v.shape[2] * v.shape[3] for v in inputs.values()))
            return super().run(inputs)

    ramp = np.linspace(0, 1, 1800, dtype=np.float32)
    rgb = np.repeat(np.repeat(ramp[None, :, None], 1800, 0), 3, 2)
    found = NetworkDetector(CARD, Watching()).find(rgb)[CLASSES[2]]
    assert found.shape == (1800, 1800)
    np.testing.assert_allclose(found, rgb[..., 0], atol=2e-3)
    assert len(seen) == 3  # 256, 512 and 900 pixels
    assert max(seen) <= (900 + CARD.multiple) ** 2


def test_what_one_look_sees_counts_by_kind():
    names = ("crack", "missing", "weathering", "dirt")

    class BySize(Brightness):
        """A probability of 0.9 at 256 pixels, 0.4 at 512, 0.2 at 800."""

        def run(self, inputs):
            (x,) = inputs.values()
            probability = {256: 0.9, 512: 0.4, 800: 0.2}[min(x.shape[2:])]
            out = np.zeros((1, len(CLASSES) + 1, *x.shape[2:]), np.float32)
            for name in names:
                out[0, CLASSES.index(name)] = probability
            return {"chance": out}

    found = NetworkDetector(CARD, BySize()).find(np.zeros((800, 800, 3), np.float32))
    means = [float(found[name].mean()) for name in names]
    np.testing.assert_allclose(means, [0.9, 0.5, 0.6, 0.4], atol=1e-5)


def test_a_line_of_the_first_look_is_as_wide_as_the_picture_shows_it():
    class FirstOnly(Brightness):
        """Sees bright lines at 256 pixels alone, and every class in them."""

        def run(self, inputs):
            (x,) = inputs.values()
            out = np.zeros((1, len(CLASSES) + 1, *x.shape[2:]), np.float32)
            if min(x.shape[2:]) == 256:
                out[:] = cv2.dilate((x[0, 0] > 0.45).astype(np.float32), np.ones((3, 3)))
            return {"chance": out}

    picture = np.full((900, 900, 3), 0.4, np.float32)
    picture[:, 450:454] = 0.9
    found = NetworkDetector(CARD, FirstOnly()).find(picture)
    widths = {name: int((found[name][450] >= 0.5).sum()) for name in CLASSES if name not in ("weathering", "dirt")}
    assert all(4 <= widths[name] <= 7 for name in ("crack", "scratch", "fold"))
    np.testing.assert_allclose(found["stain"][450].max(), 1 / 3, atol=1e-5)  # areas keep the mean of all looks
    blurred = NetworkDetector(CARD, FirstOnly()).find(cv2.GaussianBlur(picture, (0, 0), 5))
    assert (blurred["crack"][450] >= 0.5).sum() >= 10


def test_wide_dirt_needs_the_first_look_and_specks_do_not():
    fine, first = np.zeros((200, 200), np.float32), np.zeros((200, 200), np.float32)
    fine[20:80, 20:80] = 0.98
    fine[120:180, 20:80] = 0.98
    fine[120:126, 150:156] = 0.98
    first[120:180, 20:80] = 0.98
    plane = joined("dirt", [first, fine])
    assert plane[20:80, 20:80].max() < 0.5
    assert plane[120:180, 20:80].min() > 0.97
    assert plane[120:126, 150:156].min() > 0.97


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((256, 400), [256]), ((332, 400), [332]), ((496, 624), [256, 496]), ((4000, 6000), [256, 512, 735])],
)
def test_the_sizes_it_looks_at(shape, sides):
    sizes = look_sizes(*shape)
    assert [min(size) for size in sizes] == sides
    for width, height in sizes:
        assert width / height == pytest.approx(shape[1] / shape[0], rel=0.01)


def test_a_very_long_picture_is_never_shown_larger_than_the_last_look():
    assert all(w * h <= 901**2 for w, h in look_sizes(300, 10_000))
    assert look_sizes(1, 1) == ((1, 1),)


def test_kinds_that_are_told_are_not_judged_and_others_are_not_found():
    class Telling(Brightness):
        def run(self, inputs):
            (x,) = inputs.values()
            every = np.full((1, len(CLASSES) + 1, *x.shape[2:]), 0.5, np.float32)
            return {**super().run(inputs), TOLD_OUTPUT: every}

    rgb = np.full((64, 80, 3), 0.25, np.float32)
    judged = NetworkDetector(CARD, Telling()).find(rgb)
    assert judged[CLASSES[2]].mean() == pytest.approx(0.25)
    told = NetworkDetector(CARD, Telling()).find(rgb, kinds=("fold", "stain"))
    assert {name for name, probability in told.items() if probability.any()} == {"fold", "stain", "any"}
    assert told["fold"].mean() == pytest.approx(0.5)
    with pytest.raises(OptionError, match="'hole'"):
        NetworkDetector(CARD, Telling()).find(rgb, kinds=("hole",))
    with pytest.raises(OptionError, match="cannot be told"):
        NetworkDetector(CARD, Brightness()).find(rgb, kinds=("fold",))


def test_a_network_of_other_classes_is_refused():
    class Wrong(Brightness):
        def run(self, inputs):
            (x,) = inputs.values()
            return {"chance": np.zeros((1, 3, *x.shape[2:]), np.float32)}

    with pytest.raises(WeightMismatch, match="9 planes"):
        NetworkDetector(CARD, Wrong()).find(np.zeros((64, 64, 3), np.float32))


def output(rows, prototypes, **how):
    return YoloOutput(
        np.array(rows, np.float32).T[None], np.array(prototypes, np.float32)[None], ("crack", "stain"), **how
    )


def test_one_find_is_its_prototype_cut_to_its_box():
    # 32 x 32 network, prototypes of a quarter of that: one that is on everywhere, one that is off
    prototypes = np.stack([np.full((8, 8), 10.0), np.full((8, 8), -10.0)])
    rows = [[16, 12, 8, 4, 0.1, 0.9, 1.0, 0.0]]
    found = decode_yolo(output(rows, prototypes), (32, 32), (32, 32))
    assert set(found) == {"stain"}
    want = np.zeros((32, 32))
    want[10:14, 12:20] = 1 / (1 + np.exp(-10))
    np.testing.assert_allclose(found["stain"], want, atol=1e-4)


def test_weak_finds_and_doubles_are_dropped():
    prototypes = np.full((1, 8, 8), 10.0)
    rows = [
        [16, 12, 8, 4, 0.9, 0.0, 1.0],
        [16, 12, 8, 4, 0.8, 0.0, -1.0],  # the same box, worse: would erase nothing, and must not be drawn
        [16, 12, 8, 4, 0.0, 0.7, 1.0],  # another class may lie there
        [4, 4, 4, 4, 0.2, 0.1, 1.0],  # too weak
    ]
    found = decode_yolo(output(rows, prototypes), (32, 32), (32, 32))
    assert set(found) == {"crack", "stain"}
    assert found["crack"][:8].max() == 0
    np.testing.assert_allclose(found["crack"], found["stain"], atol=1e-6)


def test_rows_may_lie_either_way_and_must_fit():
    prototypes = np.full((1, 8, 8), 10.0)
    rows = [[16, 12, 8, 4, 0.9, 0.0, 1.0]]
    one = output(rows, prototypes)
    other = YoloOutput(one.rows.transpose(0, 2, 1), one.prototypes, one.names)
    a, b = decode_yolo(one, (32, 32), (32, 32)), decode_yolo(other, (32, 32), (32, 32))
    np.testing.assert_array_equal(a["crack"], b["crack"])
    with pytest.raises(OptionError, match="rows of 7"):
        decode_yolo(YoloOutput(one.rows[:, :6], one.prototypes, one.names), (32, 32), (32, 32))
    with pytest.raises(OptionError, match="gives"):
        decode_yolo(YoloOutput(one.rows[0], one.prototypes, one.names), (32, 32), (32, 32))


def test_letterbox_and_back():
    y, x = np.mgrid[0:60, 0:120]
    rgb = np.repeat(((x >= 40) & (x < 80) & (y >= 20) & (y < 40)).astype(np.float32)[..., None], 3, axis=2)
    shown, scale, left, top = letterbox(rgb, (64, 64))
    assert shown.shape == (64, 64, 3)
    assert (left, top) == (0, 16)
    assert scale == pytest.approx(64 / 120)
    np.testing.assert_allclose(shown[:16], 114 / 255)
    assert shown[32, 32, 0] == 1

    class Bright:
        """A YOLO whose one find is the whole picture and whose prototype is its brightness."""

        def run(self, inputs, wanted):
            assert wanted == ["rows", "prototypes"]
            (z,) = inputs.values()
            bright = np.where(z[0].mean(axis=0) > 0.9, 12.0, -12.0).astype(np.float32)
            return {
                "rows": np.array([[32, 32, 64, 64, 0.9, 1.0]], np.float32).T[None],
                "prototypes": bright[None, None],
            }

    detector = YoloDetector(Bright(), ("x", "rows", "prototypes"), ("crack",), (64, 64))
    assert isinstance(detector, DamageDetector)
    with pytest.raises(OptionError, match="told"):
        detector.find(rgb, ["crack"])
    found = detector.find(rgb)["crack"]
    assert found.shape == (60, 120)
    np.testing.assert_array_equal(found[24:36, 46:74] > 0.5, True)
    np.testing.assert_array_equal(found[:16] > 0.5, False)
    np.testing.assert_array_equal(found[:, :36] > 0.5, False)
    np.testing.assert_array_equal(found[:, 84:] > 0.5, False)


def test_of_a_scan_that_has_dirt_specks_are_looked_for_at_full_size():
    class Nothing(Brightness):
        def run(self, inputs):
            (x,) = inputs.values()
            planes = np.zeros((1, len(CLASSES) + 1, *x.shape[2:]), np.float32)
            return {"chance": planes, TOLD_OUTPUT: planes}

    scan = np.full((1900, 2100, 3), 0.4, np.float32)
    scan[700:703, 300:303] = 0.9
    detector = NetworkDetector(CARD, Nothing())
    assert not detector.find(scan)["dirt"].any()
    assert not detector.find(scan, ("crack",))["dirt"].any()
    found = detector.find(scan, ("dirt",))
    assert found["dirt"][700:703, 300:303].min() == 1
    assert found["dirt"].sum() <= 50
    assert not detector.find(scan[:1200, :1400], ("dirt",))["dirt"].any()  # the network sees it large enough
