import base64
import hashlib
import io
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.image import ColorMode, Image
from tratto.core.result import EDIT_MAP_SCALE
from tratto.imaging.io import read_image
from tratto.provenance import pictures as pic
from tratto.provenance.report import (
    ReportInputs,
    as_named,
    compare_reports,
    delta,
    inspection_words,
    named_in,
    percent,
    render_report,
    text,
)
from tratto.provenance.verify import verify

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attrs, self.words, self.scripts, self._in = [], [], "", [], None
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, k, v or "") for k, v in attrs]
        if tag not in ("meta", "img", "input", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not (self.open and self.open[-1] == "style"):
            self.words += data


def report(result, **more):
    given = {"output_name": "photo.png", "original_name": "input.png", "original_file": "original.png"} | more
    return render_report(
        ReportInputs(
            receipt=result.receipt, receipt_sha256="ab" * 32, source=result.source, result=result.image,
            edit_map=result.edit_map, confidence=result.confidence, **given,
        )
    )  # fmt: skip


def pictures_of(page):
    out = []
    for tag, key, value in page.attrs:
        if tag == "img" and key == "src":
            head, _, data = value.partition(";base64,")
            assert head in ("data:image/jpeg", "data:image/png")
            out.append(Pil.open(io.BytesIO(base64.b64decode(data))))
    return out


def test_page_is_whole_and_loads_nothing(make_result):
    result, _ = make_result()
    page = Page(report(result))
    assert page.unbalanced == []
    assert page.open == []
    assert {"link", "iframe", "object", "embed", "form", "base", "svg"} & set(page.tags) == set()
    assert [
        v for _, k, v in page.attrs if k in ("src", "href", "action", "data") and not v.startswith("data:image/")
    ] == []
    assert [k for _, k, _ in page.attrs if k.startswith("on")] == []
    assert len(page.scripts) == 1
    (policy,) = [v for t, k, v in page.attrs if t == "meta" and k == "content" and "default-src" in v]
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert "http" not in re.sub(r"data:image/[^\"]*", "", report(result)).replace("http-equiv", "")


def test_script_in_names_and_notes_is_only_text(make_result):
    result, _ = make_result(notes=(EVIL, "$before ${after}"), reasons=(EVIL,))
    result.receipt["steps"][0]["params"][EVIL] = EVIL
    result.receipt["steps"][0]["provider"] = EVIL
    result.receipt["environment"]["libraries"][EVIL] = EVIL
    result.receipt["inspection"]["noise_sigma"]["note"] = EVIL
    result.receipt["stand_ins"] = [EVIL]
    plain, _ = make_result(notes=("a", "b"))
    calm = report(plain)
    wild = report(result, output_name=EVIL + ".png", original_name=EVIL, original_file="original.png")
    page = Page(wild)
    assert page.tags.count("script") == 1
    assert page.scripts == Page(calm).scripts
    assert [k for _, k, _ in page.attrs if k.startswith("on")] == []
    assert page.unbalanced == []
    assert EVIL in page.words
    assert "$before ${after}" in page.words


def test_direction_and_control_characters_are_made_visible():
    assert text("a\u202egnp.exe\x00\x1b[31m") == "a\ufffdgnp.exe\ufffd\ufffd[31m"
    assert text("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"


def test_commands_quote_the_name(make_result):
    result, _ = make_result()
    page = Page(report(result, output_name="-rf $(touch x) 'a'.png"))
    assert "tratto verify './-rf $(touch x) '\"'\"'a'\"'\"'.png'" in page.words


def test_numbers_and_status(make_result):
    result, _ = make_result(masked=True)
    words = Page(report(result)).words
    share = result.receipt["outputs"]["picture"]["maps"]["edit"]["stats"]["changed_fraction"]
    assert f"{share * 100:.1f} %of the pixels changed" in words
    assert "Evidence-based restoration" in words
    assert "not for examination" not in words.lower()
    assert "Made from input.png" in words
    for digest in (
        result.receipt["outputs"]["picture"]["samples_sha256"],
        result.receipt["inputs"]["picture"]["file"]["sha256"],
        "ab" * 32,
    ):
        assert digest in words
    assert "11.5 %" in words  # 22 x 16 of 48 x 64
    assert "forensic mode" not in words
    result.receipt["forensic"] = True
    assert "forensic mode" in Page(report(result)).words
    made_up, _ = make_result(generative=True)
    words = Page(report(made_up)).words
    assert "not for examination" in words
    assert "Hypothetical reconstruction" in words
    calm, _ = make_result(changed=False)
    words = Page(report(calm)).words
    assert "Existing state" in words
    assert "0 %of" in words
    assert "No step" in words


def test_made_twice_it_is_the_same_byte_by_byte(make_result):
    for job in ({}, {"scale": 2, "alpha": True}, {"orientation": 5, "bits": 16}):
        assert report(make_result(**job)[0]) == report(make_result(**job)[0])


def test_names_come_back(make_result):
    result, _ = make_result()
    for name in ("photo.png", EVIL + ".png", "a & b.png", "x\u202ey\x00.png"):
        assert named_in(report(result, output_name=name)) == as_named(name)
    assert as_named("a & <b>.png") == "a & <b>.png"
    assert named_in("nothing") == ""


def test_pictures_are_compared_by_what_they_show(make_result):
    result, _ = make_result()
    good = report(result)
    assert compare_reports(good, good) == ("", False)
    array = np.asarray(pictures_of(Page(good))[1])

    def with_after(picture, **how):
        buffer = io.BytesIO()
        Pil.fromarray(picture).save(buffer, **how)
        kind = how["format"].lower()
        uri = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
        return re.sub(r'(alt="The picture before".*?src=")[^"]*', lambda m: m.group(1) + uri, good, flags=re.DOTALL)

    # the same picture from another encoder
    assert compare_reports(with_after(array, format="JPEG", quality=95, subsampling=0), good) == ("", True)
    spot = array.copy()
    spot[5:8, 5:8] ^= 0x80
    wrong, _ = compare_reports(with_after(spot, format="PNG"), good)
    assert wrong == "picture 2 of it shows something else"
    assert compare_reports(with_after(spot, format="PNG"), good, frozenset({"The picture after"})) == ("", False)
    assert compare_reports(with_after(array[:-1], format="PNG"), good)[0] == "picture 2 of it shows something else"
    broken = good.replace('alt="The picture before"', "")
    assert compare_reports(broken, good)[0] == "its words or its form differ"
    assert compare_reports(re.sub(r"base64,[^\"]*", "base64,AAAA", good), good)[0].startswith("picture 1")


def test_without_an_original(make_result):
    result, _ = make_result()
    words = Page(report(result, original_name="", original_file=None)).words
    assert "tratto revert" not in words
    assert "cannot undo" in words
    assert "--input THE-SOURCE-FILE" in words


def test_previews_are_upright_and_limited(make_result):
    result, _ = make_result(orientation=6, size=(40, 64))
    pictures = pictures_of(Page(report(result)))
    before, after, edits, _, sure = pictures[:5]
    assert before.size == after.size == edits.size == sure.size == (40, 64)
    turned = np.rot90(result.image.pixels, -1)  # orientation 6 is shown turned clockwise
    assert np.abs(np.asarray(after).astype(int) - turned).mean() < 4  # JPEG


def test_large_previews_are_reduced():
    view = pic.View(3001, 200, lambda y0, y1: np.full((y1 - y0, 200, 3), 0.25, np.float32))
    small = pic.shrink(view, 1400)
    assert small.shape == (1400, 93, 3)
    np.testing.assert_allclose(small, 0.25, atol=1e-6)


@pytest.mark.parametrize(("size", "limit"), [((400, 300), 100), ((403, 299), 100), ((150, 100), 120), ((1000, 7), 90)])
def test_shrink_against_a_slow_area_average(size, limit):
    rng = np.random.default_rng(0)
    a = rng.random((*size, 3), dtype=np.float32)
    small = pic.shrink(pic.View(*size, lambda y0, y1: a[y0:y1]), limit)
    assert max(small.shape[:2]) == limit
    # whole blocks first: exact only where they divide the side, so compare means of quarters
    assert small.mean() == pytest.approx(a.mean(), abs=0.01)
    if size == (400, 300):
        want = a.reshape(100, 4, 75, 4, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(small, want, atol=1e-5)
    if size == (150, 100):
        cells = np.kron(a[..., 0], np.ones((4, 4)))  # 150 to 120: cells of 5 quarter pixels
        np.testing.assert_allclose(small[..., 0], cells.reshape(120, 5, 80, 5).mean(axis=(1, 3)), atol=1e-5)


def test_transparency_shows_as_a_chequerboard():
    image = Image(np.zeros((24, 24, 3), np.uint8), ColorMode.RGB, alpha=np.zeros((24, 24), np.uint8))
    shown = pic.on_checkers(pic.shrink(pic.view_of(image), 100))
    assert shown.shape == (24, 24, 3)
    np.testing.assert_allclose([shown[0, 0, 0], shown[0, 12, 0], shown[12, 12, 0]], [0.98, 0.86, 0.98], atol=1e-6)


def test_busiest_square_finds_the_change():
    values = np.zeros((500, 700), np.uint16)
    values[310:330, 520:560] = 900
    y0, y1, x0, x1 = pic.busiest(values, 100)
    assert (y1 - y0, x1 - x0) == (100, 100)
    assert y0 <= 310
    assert y1 >= 330
    assert x0 <= 520
    assert x1 >= 560
    assert pic.busiest(np.zeros((30, 900), np.uint16), 100) == (0, 30, 0, 100)
    assert pic.busiest(np.ones((3, 2), np.uint16), 100) == (0, 3, 0, 2)


def test_thirds():
    values = np.zeros((9, 9), np.uint16)
    values[0:3, 6:9] = int(EDIT_MAP_SCALE)
    values[8, 0] = 90
    share, mean = pic.thirds(values)
    np.testing.assert_allclose(share, [[0, 0, 1], [0, 0, 0], [1 / 9, 0, 0]])
    np.testing.assert_allclose(mean, [[0, 0, 512], [0, 0, 0], [10, 0, 0]])
    share, _ = pic.thirds(np.ones((1, 9), np.uint16))
    assert np.isnan(share[0]).all()
    assert share[2].tolist() == [1, 1, 1]


def test_smallest_pictures(make_result):
    for size in ((1, 1), (1, 40), (40, 2)):
        result, _ = make_result(size=size)
        assert Page(report(result)).unbalanced == []


def test_map_colours():
    values = np.array([[0.0, 1e-4, 5.0, 10.0, 99.0]], np.float32)
    uri = pic.ramp_uri(values, 10.0, pic.EDIT_RAMP)
    shown = np.asarray(Pil.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))[0]
    hexes = ["#" + "".join(f"{v:02x}" for v in p) for p in shown]
    assert hexes[0] == pic.EDIT_RAMP[0]
    assert hexes[1] != hexes[0]  # hardly changed does not look unchanged
    assert hexes[2] == pic.EDIT_RAMP[3]
    assert hexes[3] == hexes[4] == pic.EDIT_RAMP[6]


@pytest.mark.parametrize("ramp", [pic.EDIT_RAMP, pic.CONFIDENCE_RAMP])
def test_ramps_get_lighter_evenly(ramp):
    # lightness alone must tell the values, for colour-blind readers and grey prints
    from tratto.imaging.color import srgb_to_lab

    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in ramp]) / 255
    steps = np.diff(srgb_to_lab(rgb)[:, 0])
    assert steps.min() > 8
    assert steps.max() < 20


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"), (1.0, "100 %"), (1e-9, "under 0.01 %"), (0.999999, "over 99.99 %"), (0.00123, "0.12 %"),
        (0.5, "50.0 %"), (0.9951, "99.51 %"),
    ],
)  # fmt: skip
def test_percent(share, words):
    assert percent(share) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (1 / 512 / 1e6, "under 0.01"), (0.0149, "0.01"), (11.921875, "11.92")]
)
def test_delta(value, words):
    assert delta(value) == words


def test_inspection_in_words(make_result):
    result, _ = make_result()
    rows = {r[0]: r[1:] for r in inspection_words(result.receipt["inspection"])}
    assert rows["Noise"] == ("9.8 / 255", "strong", "estimated: from flat areas")
    assert rows["JPEG quality"][:2] == ("none", "no JPEG artefacts")
    assert rows["Blur"] == ("0.7 px", "sharp", "estimated")
    assert rows["Earlier enlargement"][1] == "none found"
    assert rows["Clipped shadows and highlights"][0] == "0 % black, 0.40 % white"


def test_a_preview_of_pure_noise_can_be_encoded():
    """Pillow's optimising JPEG encoder fails on these: its buffer is too small."""
    from tratto.provenance.pictures import jpeg_uri

    noise = np.random.default_rng(0).random((200, 300, 3), np.float32)
    assert jpeg_uri(noise).startswith("data:image/jpeg;base64,")


def plain(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_a_picture_that_was_only_encoded_again_is_not_called_unchanged(make_bundle):
    """A JPEG that needed nothing, written as JPEG: no step ran, and yet the file holds other samples."""
    made = make_bundle("photo.jpg", changed=False, input_format="jpeg")
    assert made.receipt["steps"] == []
    source, after = read_image(made.input), read_image(made.output)
    share = (source.pixels != after.pixels).mean()
    assert 0 < share < 1
    assert made.receipt["outputs"]["picture"]["file"]["recoded_fraction"] == share
    words = plain((made.bundle / "report.html").read_text(encoding="utf-8"))
    assert "encoded again as JPEG" in words
    assert f"encoded again as JPEG, and {100 * share:.1f} % of its samples differ from those of the source" in words
    assert "Nothing was changed" not in words
    assert "so nothing was lost" not in words
    verdict = verify(made.output)
    assert verdict.word == "authentic"
    assert "counted again" in " ".join(verdict.reasons)


def test_a_picture_that_was_left_alone_is_called_so(make_bundle):
    made = make_bundle(changed=False)
    assert "recoded_fraction" not in made.receipt["outputs"]["picture"]["file"]
    words = plain((made.bundle / "report.html").read_text(encoding="utf-8"))
    assert "Existing state Nothing was changed: the result holds the same samples as the source." in words
    assert "encoded again" not in words


def test_a_jpeg_says_what_share_of_its_samples_it_lost(make_bundle):
    made = make_bundle("photo.jpg", masked=True)
    share = (made.result.image.pixels != read_image(made.output).pixels).mean()
    assert made.receipt["outputs"]["picture"]["file"]["recoded_fraction"] == share
    words = plain((made.bundle / "report.html").read_text(encoding="utf-8"))
    assert f"loses some of it: {100 * share:.1f} % of its samples differ from those of the result" in words
    assert "before it was encoded" in words
