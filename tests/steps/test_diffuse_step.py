import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tratto.core.canvas import Canvas
from tratto.core.capability import InpainterInfo, ModelRef
from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Depth, Image, Mask
from tratto.engine.notes import licence_notes
from tratto.steps.diffuse import Diffuse, fill_prompt, near_is_one, plan_windows


class Painter:
    """Paints one colour and remembers what it was asked."""

    side, takes_depth, takes_reference = 64, False, False

    def __init__(self, color=(1.0, 0.0, 0.0), models=()):
        self.color, self.asked = np.array(color, np.float32), []
        self.info = InpainterInfo("sdxl", 0, 3, precision="fp32", models=models, library="none")

    def paint(self, picture, hole, wanted, seed, progress):
        self.asked.append((picture.copy(), hole.copy(), wanted, seed))
        progress(1, 1)
        return np.where(hole[..., None], self.color, picture).astype(np.float32)


class Services:
    seed = 11

    def __init__(self, painter):
        self.painter, self.stages = painter, []

    def settle(self, use):
        return use

    def open(self, use):
        assert (use.capability, use.provider) == ("inpainter", "sdxl")
        opened_with = {"model", "lora", "controlnet", "dtype", "device", "offload", "tiling", "slicing"}
        assert set(use.params) <= opened_with
        return self.painter

    def scratch(self, shape, dtype):
        return np.zeros(shape, dtype)

    def progress(self, stage, done, total):
        self.stages.append((stage, done, total))


PARAMS = {
    "model": "m@" + "0" * 64, "lora": [], "steps": 10, "guidance": 7.5, "strength": 1.0, "refine": 0.4,
    "control_scale": 1.0, "prompt": "Restore this monument: {caption}", "negative": "n", "dtype": "auto",
}  # fmt: skip


def canvas_of(px, hole, **more):
    mode = ColorMode.GRAY if px.ndim == 2 else ColorMode.RGB
    image = Image(px, mode, bits=16 if px.dtype == np.uint16 else 8)
    return Canvas(image, image, {"edit": Mask(hole.astype(np.float32))}, **more)


def run(step, canvas, painter):
    services = Services(painter)
    resolved = step.resolve(canvas, services)
    assert resolved.resolve(canvas, services) == resolved
    after, record = resolved.apply(canvas, services)
    return after, record, resolved, services


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("gray", [False, True])
def test_only_the_hole_is_painted_in_the_pictures_own_samples(dtype, gray):
    rng = np.random.default_rng(0)
    full = np.iinfo(dtype).max
    px = rng.integers(0, full, (90, 130) if gray else (90, 130, 3), dtype=dtype)
    hole = np.zeros((90, 130), bool)
    hole[10:20, 100:125] = True
    hole[70:72, 5:9] = True
    painter = Painter((0.5, 0.5, 0.5) if gray else (1.0, 0.0, 0.0))
    after, record, resolved, services = run(Diffuse(params=PARAMS, caption="a  church"), canvas_of(px, hole), painter)
    np.testing.assert_array_equal(after.image.pixels[~hole], px[~hole])
    want = round(full / 2) if gray else np.array([full, 0, 0])
    assert (np.abs(after.image.pixels[hole].astype(int) - want) <= 1).all()
    assert (after.sigma[hole] == round(0.25 * 65535)).all()
    assert (after.sigma[~hole] == 0).all()
    assert resolved.prompt == "Restore this monument: a church"
    assert resolved.params["dtype"] == "fp32"
    assert [a[3] for a in painter.asked] == [11, 12]
    assert painter.asked[0][2].negative == "n"
    assert record.generative
    assert record.confidence_basis == "none"
    assert record.scores == {"filled_pixels": 258.0, "windows": 2.0}
    assert services.stages[-1][0] == "diffuse"
    # what the model was shown is the picture where nothing was painted yet
    seen = painter.asked[0][0]
    assert seen.shape[:2] == (64, 64)
    assert np.abs(seen * full - px[0:64, 66:130].reshape(64, 64, -1)).max() < 1.5 if dtype == np.uint8 else True


def test_a_profile_and_the_share_of_wall_are_honoured():
    from tratto.imaging.matting import coded

    px = np.full((80, 80, 3), 100, np.uint8)
    share = np.zeros((80, 80), np.float32)
    share[20:40, 20:40] = 1
    share[40:44, 20:40] = 0.5
    image = Image(px, ColorMode.RGB)
    canvas = Canvas(image, image, {"edit": Mask(coded(share, 0))})
    after, *_ = run(Diffuse(params=PARAMS, coded=True), canvas, Painter((1.0, 1.0, 1.0)))
    assert (after.image.pixels[20:40, 20:40] == 255).all()
    # half white light and half that of 100: (1 + 0.1274) / 2 = 0.5637, which is encoded as 197.3
    assert (np.abs(after.image.pixels[40:44, 20:40].astype(int) - 197) <= 1).all()
    assert (after.image.pixels[44:] == 100).all()


def test_later_windows_see_what_was_painted_and_large_parts_are_gone_over():
    px = np.full((200, 200, 3), 128, np.uint8)
    hole = np.zeros((200, 200), bool)
    hole[40:160, 40:160] = True
    painter = Painter((0.0, 0.0, 1.0))
    after, record, resolved, _ = run(Diffuse(params=PARAMS), canvas_of(px, hole), painter)
    first, rest = resolved.windows[0], resolved.windows[1:]
    assert first["box"][2] > 120
    assert first["again"] is False
    assert len(rest) == 9
    assert all(w["again"] and w["strength"] == 0.4 and w["box"][2:] == [64, 64] for w in rest)
    assert np.abs(painter.asked[1][0][painter.asked[1][1]] - [0, 0, 1]).max() < 1e-3
    # what was gone over counts as known in the windows after it
    assert not painter.asked[2][1].all()
    assert (after.image.pixels[hole] == [0, 0, 255]).all()
    assert any("smaller scale" in n for n in record.notes)
    assert painter.asked[1][2].steps == 10
    few = Painter()
    run(Diffuse(params={**PARAMS, "steps": 2}), canvas_of(px, hole), few)
    assert [a[2].steps for a in few.asked] == [2] + [3] * 9  # 0.4 of 3 steps is the least that is one
    once = run(Diffuse(params={**PARAMS, "refine": 0.0}), canvas_of(px, hole), Painter())[2]
    assert len(once.windows) == 1


def test_licences_that_are_unknown_or_forbid_are_told():
    models = (ModelRef("a", "0" * 64, "unknown", False), ModelRef("b", "1" * 64, "cc-by-nc-4.0", False),
              ModelRef("c", "2" * 64, "mit", True))  # fmt: skip
    px, hole = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool)
    hole[3:5, 3:5] = True
    record = run(Diffuse(params=PARAMS), canvas_of(px, hole), Painter(models=models))[1]
    told = licence_notes(record.models)
    assert len(told) == 2
    assert "of a come with no licence" in told[0]
    assert "cc-by-nc-4.0" in told[1]
    assert record.models == models


def test_what_does_not_go_is_refused():
    px = np.zeros((64, 64, 3), np.uint8)
    some = np.zeros((64, 64), bool)
    some[2:4, 2:4] = True
    with pytest.raises(OptionError, match="whole picture"):
        run(Diffuse(params=PARAMS), canvas_of(px, np.ones((64, 64), bool)), Painter())
    image = Image(np.zeros((64, 64, 4), np.uint8), ColorMode.CMYK)
    with pytest.raises(OptionError, match="cmyk"):
        run(Diffuse(params=PARAMS), Canvas(image, image, {"edit": Mask(some.astype(np.float32))}), Painter())
    with pytest.raises(OptionError, match="mask"):
        Diffuse(params=PARAMS).resolve(Canvas(image, image), Services(Painter()))
    with pytest.raises(OptionError, match="resolved"):
        Diffuse(params=PARAMS).apply(canvas_of(px, some), Services(Painter()))
    deep = Painter()
    deep.takes_depth = True
    with pytest.raises(OptionError, match="of the picture"):
        run(Diffuse(params=PARAMS), canvas_of(px, some, depth=Depth(np.zeros((3, 3), np.float32))), deep)
    guided = Painter()
    guided.takes_reference = True
    with pytest.raises(OptionError, match="color or a texture"):
        run(Diffuse(params=PARAMS), canvas_of(px, some), guided)
    with pytest.raises(OptionError, match="three values"):
        Diffuse(color=[1.0, 2.0, 0.0])
    with pytest.raises(OptionError, match="a window has"):
        Diffuse(windows=[{"box": [0, 0, 1, 1]}])


def test_depth_is_shown_with_near_as_one():
    px = np.zeros((64, 64, 3), np.uint8)
    some = np.zeros((64, 64), bool)
    some[2:4, 2:4] = True
    metres = np.broadcast_to(np.linspace(1, 4, 64, dtype=np.float32), (64, 64)).copy()
    painter = Painter()
    painter.takes_depth = True
    run(Diffuse(params=PARAMS), canvas_of(px, some, depth=Depth(metres, "metre")), painter)
    shown = painter.asked[0][2].depth
    assert shown[0, 0] == 1
    assert shown[0, -1] == 0
    # 1 / distance: at 2 m it is (1/2 - 1/4) / (1 - 1/4) = 1/3
    at = int(np.argmin(np.abs(metres[0] - 2)))
    assert shown[0, at] == pytest.approx((1 / metres[0, at] - 0.25) / 0.75, abs=1e-6)


def test_near_is_one_for_every_kind_of_map():
    v = np.array([[0.0, 1.0, 4.0]], np.float32)
    np.testing.assert_allclose(near_is_one(Depth(v, "relative", "larger")), [[0, 0.25, 1]])
    np.testing.assert_allclose(near_is_one(Depth(v, "relative", "smaller")), [[1, 0.75, 0]])
    np.testing.assert_allclose(near_is_one(Depth(np.full((2, 2), 3.0, np.float32))), 0.5)
    holes = np.array([[0.0, np.nan, 4.0, np.inf]], np.float32)
    np.testing.assert_allclose(near_is_one(Depth(holes, "relative", "larger")), [[0, 0.5, 1, 0.5]])
    with pytest.raises(OptionError, match="no finite"):
        near_is_one(Depth(np.full((2, 2), np.nan, np.float32)))


def test_a_prompt_without_caption_reads_well():
    assert fill_prompt("Restore this monument: {caption}", "") == "Restore this monument"
    assert fill_prompt("Restore this monument: {caption}", "a\n gate") == "Restore this monument: a gate"
    assert fill_prompt("{caption}, old", "x") == "x, old"
    assert fill_prompt("", "x") == ""


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 300), st.integers(20, 300), st.sampled_from([32, 64, 128]))
def test_windows_cover_every_pixel_of_the_mask_and_lie_in_the_picture(seed, height, width, side):
    rng = np.random.default_rng(seed)
    hole = np.zeros((height, width), bool)
    for _ in range(int(rng.integers(1, 8))):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        h, w = (int(v) for v in rng.integers(1, 1 + max(height, width) // int(rng.choice([1, 3, 20])) + 1, 2))
        hole[y : y + h, x : x + w] = True
    if hole.all():
        hole[0, 0] = False
    covered = np.zeros_like(hole)
    for w in plan_windows(hole, side, 1.0, 0.4):
        x, y, a, b = w["box"]
        ox, oy, oa, ob = w["own"]
        assert 0 <= x <= ox
        assert ox + oa <= x + a <= width
        assert 0 <= y <= oy
        assert oy + ob <= y + b <= height
        if w["again"]:
            assert a <= side
            assert b <= side
        else:
            covered[oy : oy + ob, ox : ox + oa] = True
    assert (covered | ~hole).all()


def test_cracks_far_apart_share_windows_and_long_ones_are_cut():
    hole = np.zeros((256, 256), bool)
    hole[10, 10:14] = hole[20, 20:24] = hole[200, 200:204] = True
    assert [w["own"] for w in plan_windows(hole, 128, 1.0, 0.4)] == [[10, 10, 14, 11], [200, 200, 4, 1]]
    line = np.zeros((256, 256), bool)
    line[100:103] = True
    windows = plan_windows(line, 128, 1.0, 0.4)
    assert [w["own"] for w in windows] == [[0, 100, 96, 3], [96, 100, 96, 3], [192, 100, 64, 3]]
    assert all(w["box"][2:] == [128, 128] and not w["again"] for w in windows)
