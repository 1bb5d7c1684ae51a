"""The mask editor: what its tools mark, pixel by pixel, and the page that ``tratto mask edit`` writes."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image as Pil
from scipy import ndimage
from typer.testing import CliRunner

from tratto.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def picture(path, size=(64, 48), **save):
    values = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Pil.fromarray(values).save(path, **save)
    return path


def given(page):
    text = re.search(r'id="given">(.*?)</script>', page.read_text("utf-8"), re.S)[1]
    return json.loads(text)


# -- the values --------------------------------------------------------------------------------------------------------

#: Draws on a mask of 600 by 300, which has tiles that are cut off, and returns its PNG.
DRAWN = """async ([code]) => {
  const m = await import("/mask.js");
  const mask = new m.Mask(600, 300);
  await new Function("mask", "m", `return (async () => { ${code} })()`)(mask, m);
  const file = await m.encodePng(600, 300, (y) => mask.row(y));
  return btoa(Array.from(new Uint8Array(await file.arrayBuffer()), (b) => String.fromCharCode(b)).join(""));
}"""


def drawn(modules, code):
    image = Pil.open(io.BytesIO(base64.b64decode(modules.evaluate(DRAWN, [code]))))
    assert (image.mode, image.size) == ("L", (600, 300))
    return np.asarray(image)


def centres():
    y, x = np.mgrid[:300, :600]
    return x + 0.5, y + 0.5


def test_all_kinds_are_cleared_together_and_come_back_together(modules):
    two = "mask.edit(() => mask.disc(50, 50, 9)); mask.use('crack'); mask.edit(() => mask.disc(300, 50, 9));"
    clear = "mask.edit(() => mask.clearAll());"
    assert not drawn(modules, two + clear).any()
    assert np.array_equal(drawn(modules, two + clear + "mask.undo();"), drawn(modules, two))
    assert drawn(
        modules, two + clear + "mask.edit(() => mask.disc(9, 9, 3)); if (mask.active !== 'crack') throw 1;"
    ).any()


def test_a_disc_holds_the_pixels_whose_centres_it_covers(modules):
    got = drawn(modules, "mask.edit(() => mask.disc(256.3, 255.6, 20.2))")  # over the corner of four tiles
    x, y = centres()
    assert np.array_equal(got > 0, np.hypot(x - 256.3, y - 255.6) <= 20.2)


def test_a_stroke_is_what_its_discs_cover(modules):
    got = drawn(modules, "mask.edit(() => mask.stroke([20, 30, 4], [580, 250, 9]))") > 0
    x, y = centres()
    # distance to the line between both ends, the radius growing along it; discs a quarter of the radius apart may miss
    # a sliver at the rim
    t = np.clip(((x - 20) * 560 + (y - 30) * 220) / (560**2 + 220**2), 0, 1)
    gap = np.hypot(x - 20 - 560 * t, y - 30 - 220 * t) - (4 + 5 * t)
    assert got[gap < -0.2].all()
    assert not got[gap > 0.2].any()


def test_a_polygon_follows_the_even_odd_rule(modules):
    got = drawn(modules, "mask.edit(() => mask.polygon([[2, 2], [6, 2], [6, 5], [2, 5]]))")
    assert got[2:5, 2:6].all()
    assert np.count_nonzero(got) == 12
    # a bow tie over the edge of the picture, with no centre on its outline
    bow = drawn(modules, "mask.edit(() => mask.polygon([[-9.8, 10], [30.2, 50], [30.2, 10], [-9.8, 50]]))") > 0
    x, y = centres()
    assert np.array_equal(bow, (abs(y - 30) < abs(x - 10.2)) & (x < 30.2))


def test_erasing_undo_and_redo_give_back_every_pixel(modules):
    box = "mask.edit(() => mask.polygon([[0, 0], [600, 0], [600, 300], [0, 300]]));"
    hole = "mask.edit(() => mask.disc(300, 150, 40, 0));"
    whole, cut = drawn(modules, box), drawn(modules, box + hole)
    assert whole.all()
    assert 4900 < np.count_nonzero(cut == 0) < 5100
    assert np.array_equal(drawn(modules, box + hole + "mask.undo();"), whole)
    assert np.array_equal(drawn(modules, box + hole + "mask.undo(); mask.redo();"), cut)
    assert not drawn(modules, box + hole + "mask.undo(); mask.undo(); mask.undo();").any()
    assert np.array_equal(drawn(modules, box + hole + "mask.edit(() => mask.invert());"), 255 - cut)


def test_layers_are_kept_apart_and_joined_where_one_mask_is_asked_for(modules):
    code = """mask.edit(() => mask.disc(50, 50, 10)); mask.use("crack"); mask.edit(() => mask.disc(500, 200, 10));
    if (mask.drawn().join() !== ",crack" || mask.at(50, 50, "crack") !== 0) throw new Error(mask.drawn());
    const other = new m.Mask(600, 300); other.unpack(structuredClone(mask.pack())); mask.layers = other.layers;"""
    got = drawn(modules, code)
    assert got[50, 50] == got[200, 500] == 255
    assert got[120, 300] == 0


def test_what_is_saved_comes_back_grey_by_grey(modules):
    code = """const rows = new Uint8Array(600 * 300).map((_, i) => (i * 7) % 256);
    const file = await m.encodePng(600, 300, (y) => rows.subarray(600 * y, 600 * (y + 1)));
    await m.loadInto(mask, file);
    const small = await m.encodePng(5, 4, () => new Uint8Array(5));
    const error = await m.loadInto(mask, small).catch((e) => e);
    if (!(error instanceof RangeError)) throw new Error("a mask of another size was taken");"""
    assert np.array_equal(drawn(modules, code), (np.arange(600 * 300) * 7 % 256).reshape(300, 600))


def test_the_wand_takes_what_is_alike_and_connected(modules):
    rng = np.random.default_rng(5)
    rgb = ndimage.gaussian_filter(rng.normal(size=(90, 120, 3)), (4, 4, 0))
    rgb = (128 + 100 * rgb / abs(rgb).max()).astype(np.uint8)
    rgba = np.dstack([rgb, np.full((90, 120), 255, np.uint8)])
    code = """async ([samples, x, y, tolerance]) => {
      const m = await import("/mask.js");
      return Array.from(m.alike(Uint8ClampedArray.from(samples), 120, 90, x, y, tolerance));
    }"""
    for x, y, tolerance in ((60, 45, 25), (0, 0, 10), (119, 89, 60)):
        got = np.array(modules.evaluate(code, [rgba.ravel().tolist(), x, y, tolerance])).reshape(90, 120)
        near = (abs(rgb.astype(int) - rgb[y, x].astype(int)) <= tolerance).all(axis=2)
        labels, _ = ndimage.label(near)  # the independent reference, connected by sides
        assert np.array_equal(got > 0, labels == labels[y, x])


# -- the page of its own -----------------------------------------------------------------------------------------------


def test_the_page_saves_what_is_drawn_by_keys_alone(tmp_path, tab):
    page = tmp_path / "m.html"
    assert run("mask", "edit", picture(tmp_path / "a b.png"), "-o", tmp_path / "m.png").exit_code == 0
    tab.goto(page.as_uri())
    assert tab.locator(".command").inner_text() == "tratto repair 'a b.png' -o out --mask m.png"
    tab.locator("canvas").focus()
    tab.keyboard.press("g")
    for move, count in (("Right", 5), ("Down", 4), ("Left", 5), ("", 0)):
        tab.keyboard.press("Space")  # a corner; the drawing point begins in the middle, at 32, 24
        for _ in range(count):
            tab.keyboard.press(f"Control+Arrow{move}")
    tab.keyboard.press("Enter")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Save mask").press("Enter")
    assert download.value.suggested_filename == "m.png"
    download.value.save_as(tmp_path / "m.png")
    got = np.asarray(Pil.open(tmp_path / "m.png"))
    assert got.shape == (48, 64)
    assert got[24:28, 32:37].all()
    assert np.count_nonzero(got) == 20
    tab.locator("canvas").press("Control+z")
    assert tab.get_by_role("button", name="Undo").is_disabled()
    tab.locator("canvas").press("k")
    tab.keyboard.press("Space")
    command = tab.locator(".command").inner_text()
    assert command.startswith("tratto mask wall 'a b.png' -o m.png --click ")


def test_a_pen_that_is_pressed_harder_draws_wider(tmp_path, tab):
    run("mask", "edit", picture(tmp_path / "a.png"), "-o", tmp_path / "m.png")
    tab.goto((tmp_path / "m.html").as_uri())
    code = """([pressure]) => {
      const canvas = document.querySelector("canvas");
      const box = canvas.getBoundingClientRect();
      const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
      const at = { clientX: x, clientY: y, pointerId: 1, pointerType: "pen" };
      canvas.setPointerCapture = () => {};
      canvas.dispatchEvent(new PointerEvent("pointerdown", { ...at, pressure }));
      canvas.dispatchEvent(new PointerEvent("pointerup", at));
    }"""
    # a page that is not laid out yet shows nothing to draw on; the canvas learns of its size in a later frame
    tab.wait_for_function("""() => {
      const canvas = document.querySelector("canvas");
      return canvas.clientWidth && canvas.width === Math.round(canvas.clientWidth * devicePixelRatio);
    }""")
    shares = []
    for pressure in (0.1, 0.5, 1):
        tab.evaluate(code, [pressure])
        shares.append(float(tab.locator(".facts").inner_text().split(" %")[0]))
        tab.get_by_role("button", name="Undo").click()
    assert shares == sorted(set(shares))


def test_the_page_takes_a_picture_as_it_is_shown(tmp_path):
    exif = Pil.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "turned.jpg", exif=exif)
    assert run("mask", "edit", tmp_path / "turned.jpg", "-o", tmp_path / "new" / "m.png").exit_code == 0
    told = given(tmp_path / "new" / "m.html")
    assert (told["width"], told["height"]) == (48, 64)
    inside = Pil.open(io.BytesIO(base64.b64decode(told["picture"].partition(",")[2])))
    assert inside.size == (48, 64)


def test_a_name_is_text_and_never_markup_or_a_command(tmp_path):
    name = "$(x) </script><b>'.png"
    picture(tmp_path / "a.png").rename(tmp_path / name.replace("/", ""))
    done = run("mask", "edit", tmp_path / name.replace("/", ""), "-o", tmp_path / "m.png")
    assert done.exit_code == 0
    told = given(tmp_path / "m.html")
    assert told["name"] == name.replace("/", "")
    assert "tratto repair '$(x) <script><b>'\"'\"'.png' " in told["commands"]["repair"]
    assert (tmp_path / "m.html").read_text("utf-8").count("<b>") == 0


@pytest.mark.parametrize(
    ("make", "arguments", "code"),
    [
        (lambda p: None, (), 3),
        (lambda p: p.write_bytes(b"<svg></svg>"), (), 3),
        (lambda p: picture(p), ("-o", "mask.jpg"), 2),
        (lambda p: picture(p), ("-o", "a.png"), 4),
        (lambda p: (picture(p), p.with_name("m.html").write_text("mine")), ("-o", "m.png"), 4),
        (lambda p: (picture(p), p.with_name("m.html").mkdir()), ("-o", "m.png", "--overwrite"), 4),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, monkeypatch, make, arguments, code):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a.png")
    before = {p.name: p.is_file() and p.read_bytes() for p in tmp_path.iterdir()}
    done = run("mask", "edit", "a.png", *arguments)
    assert done.exit_code == code, done.output
    assert len(done.stderr.strip().splitlines()) == 1
    assert {p.name: p.is_file() and p.read_bytes() for p in tmp_path.iterdir()} == before
