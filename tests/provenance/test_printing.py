"""The printed report, read again by PDFium."""

import builtins
import io
import json
import re
from datetime import UTC, datetime

import numpy as np
import pypdfium2
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import MissingExtra, ReceiptError
from tratto.core.result import EDIT_MAP_SCALE
from tratto.imaging.io import read_image
from tratto.provenance.bundle import read_bundle
from tratto.provenance.printing import page_of, printed
from tratto.provenance.report.regions import kind, regions_of
from tratto.provenance.report.words import region_rows, steps


def pages(data):
    document = pypdfium2.PdfDocument(data)
    out = [(page.get_size(), page.get_textpage().get_text_range()) for page in document]
    document.close()
    return out


def squeezed(data):
    return re.sub(r"\s+", " ", " ".join(text for _, text in pages(data)))


def test_all_of_it_is_on_a4_with_page_numbers(make_bundle):
    made = make_bundle(masked=True)
    data = printed(made.bundle)
    found = pages(data)
    for i, (size, text) in enumerate(found, 1):
        assert size == pytest.approx((595.28, 841.89), abs=0.01)
        assert f"{i} / {len(found)}" in text
    text = squeezed(data)
    for heading in (
        "Before and after", "Where it changed", "What changed, and how sure that is", "Closest look",
        "Region by region", "What was found in the source", "What was done", "What this result claims, and its limits",
        "Checked when this page was made", "Proof of the ledger", "Check, repeat, undo", "Fingerprints", "Made with",
    ):  # fmt: skip
        assert heading in text, heading
    joined = text.replace(" ", "")
    bundle = read_bundle(made.bundle)
    for digest in (
        bundle.sealed_receipt.sha256,
        bundle.sealed_output.sha256,
        made.receipt["inputs"]["picture"]["samples_sha256"],
    ):
        assert digest in joined
    assert "was: authentic" in text
    assert "no proof" in text
    assert "tratto verify photo.png" in text
    assert "sha256sum photo.tratto/receipt.json" in text
    assert "NOT FOR EXAMINATION" not in text


def test_the_same_bundle_gives_the_same_bytes(make_bundle):
    made = make_bundle(scale=2)
    when = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
    data = printed(made.bundle, when=when)
    assert data == printed(made.output, when=when)
    document = pypdfium2.PdfDocument(data)
    assert document.get_metadata_dict()["CreationDate"] == "D:20260301123015+00'00'"
    assert "2026-03-01 12:30 UTC" in squeezed(data)
    document.close()


def test_every_page_of_what_was_invented_says_so(make_bundle):
    made = make_bundle(generative=True)
    for _, text in pages(printed(made.bundle)):
        assert "NOT FOR EXAMINATION" in text
    assert "Hypothetical reconstruction" in squeezed(printed(made.bundle))


def pictures(data):
    document = pypdfium2.PdfDocument(data)
    out = []
    for page in document:
        for thing in page.get_objects(filter=(pypdfium2.raw.FPDF_PAGEOBJ_IMAGE,)):
            out.append(np.asarray(thing.get_bitmap().to_pil().convert("RGB")).astype(int))
    document.close()
    return out


def test_its_pictures_are_those_of_the_bundle(make_bundle):
    made = make_bundle()
    found = pictures(printed(made.bundle))
    assert len(found) == 11  # before, after, overlay, two maps, two legends, three details, the numbered regions
    before, after = (np.asarray(Pil.open(p)).astype(int) for p in (made.input, made.output))
    for shown, right, other in ((found[0], before, after), (found[1], after, before)):  # JPEG of strong noise
        assert np.abs(shown - right).mean() < min(8, np.abs(shown - other).mean() / 1.2)
    assert np.array_equal(found[7], before)  # 48 x 64 is smaller than a detail: exact
    assert np.array_equal(found[8], after)


def test_where_nothing_changed_the_overlay_is_the_result_in_grey(make_bundle):
    made = make_bundle(masked=True)
    overlay = pictures(printed(made.bundle))[2]
    grey = np.asarray(Pil.open(made.output).convert("L")).astype(float) * 0.8
    same = np.asarray(read_image(made.bundle / "edit-map.png").pixels) == 0
    far = np.abs(overlay - grey[..., None]).max(axis=2)
    # unchanged is the first colour of the map, which is nearly black
    assert np.median(far[same]) < 30
    assert np.median(far[~same]) > 60


def test_an_altered_bundle_is_not_printed(make_bundle):
    made = make_bundle()
    path = made.bundle / "edit-map.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(ReceiptError, match=r"edit-map\.png"):
        printed(made.bundle)


def test_without_the_original_the_stored_pictures_are_shown(make_bundle):
    kept, without = make_bundle("kept.png"), make_bundle(save={"keep_original": False})
    text = squeezed(printed(without.bundle))
    assert "cannot undo" in text
    one, two = pictures(printed(kept.bundle)), pictures(printed(without.bundle))
    assert np.abs(one[0] - two[0]).max() == 0
    assert np.abs(one[7] - two[7]).max() == 0


def test_without_the_picture_the_stored_pictures_are_shown(make_bundle):
    made = make_bundle()
    whole = pictures(printed(made.bundle))
    made.output.unlink()
    data = printed(made.bundle)
    assert "was: unknown" in squeezed(data)
    assert np.abs(whole[1] - pictures(data)[1]).max() == 0


def test_letters_that_the_fonts_lack_are_told_by_their_number(make_bundle):
    made = make_bundle(name="写真 <b>é.png", notes=("a note & <i>more</i>",))
    text = squeezed(printed(made.bundle))
    assert "[U+5199][U+771F] <b>é.png" in text
    assert "a note & <i>more</i>" in text


def test_a_signed_and_recorded_result_shows_its_proof(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    noisy = np.random.default_rng(0).integers(90, 160, (40, 40, 3)).astype(np.uint8)
    Pil.fromarray(noisy).save(tmp_path / "a.png")

    def run(*line, code=0):
        done = CliRunner().invoke(app, [str(part) for part in line])
        assert done.exit_code == code, done.output
        return done.output

    run("ledger", "new", tmp_path / "log", "--origin", "example.org/log")
    run("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--ledger", tmp_path / "log", "--force")
    assert "out/a-report.pdf" in run("report", tmp_path / "out/a.png")
    data = (tmp_path / "out/a-report.pdf").read_bytes()
    text = squeezed(data).replace(" ", "")
    proof = json.loads((tmp_path / "out/a.tratto/ledger.json").read_text())
    assert proof["key"] in text
    assert "0of1(countedfrom0)" in text
    assert "exists" in run("report", tmp_path / "out/a.png", code=4)
    run("report", tmp_path / "out/a.tratto", "--overwrite")
    again = (tmp_path / "out/a-report.pdf").read_bytes()
    assert [re.sub("Printed [^.]*", "", text) for _, text in pages(again)] == [
        re.sub("Printed [^.]*", "", text) for _, text in pages(data)
    ]
    assert ".pdf" in run("report", tmp_path / "out/a.png", "-o", tmp_path / "a.txt", code=2)
    assert "is a folder" in run("report", tmp_path / "out/a.png", "-o", tmp_path, code=2)
    assert "no such file" in run("report", tmp_path / "none.png", code=3)
    assert "no bundle" in run("report", tmp_path / "a.png", code=6)
    run("verify", tmp_path / "out/a.png")  # a report beside it changes nothing
    # several: one that cannot be printed stops no other
    run("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", "--force")
    several = [tmp_path / "out/a.png", tmp_path / "none.png", tmp_path / "b.tratto"]
    told = CliRunner().invoke(app, ["report", *map(str, several), "-o", str(tmp_path / "papers"), "--json"])
    assert told.exit_code == 8
    assert [item["path"] and item["bytes"] > 1000 for item in json.loads(told.stdout)] == [True, None, True]
    assert sorted(p.name for p in (tmp_path / "papers").iterdir()) == ["a-report.pdf", "b-report.pdf"]
    assert "folder" in run("report", *several, "-o", tmp_path / "a.png", code=2)


def test_the_extra_is_named_where_it_is_missing(make_bundle, monkeypatch):
    made = make_bundle()
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("reportlab"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"tratto\[pdf\]"):
        printed(made.bundle)


def test_a_hostile_stored_picture_is_refused(make_bundle):
    from tratto.provenance.report.compare import pictures_in

    page = (make_bundle().bundle / "report.html").read_text()
    assert list(pictures_in(page))[:2] == ["The picture before", "The picture after"]
    stream = io.BytesIO()
    Pil.new("1", (5000, 5000)).save(stream, "png")
    import base64

    big = base64.b64encode(stream.getvalue()).decode()
    with pytest.raises(ReceiptError, match="larger than any"):
        pictures_in(re.sub(r"data:image/png;base64,[^\"]*", f"data:image/png;base64,{big}", page, count=1))
    with pytest.raises(ReceiptError, match="cannot be read"):
        pictures_in(re.sub(r"data:image/png;base64,[^\"]*", "data:image/png;base64,AAAA", page, count=1))
    with pytest.raises(ReceiptError, match="holds 0 pictures"):
        pictures_in("")


# ----------------------------------------------------------------------------------------------------------- regions


def receipt(generative=False, basis="model", scale=1, masked=True, params=None):
    step = {"step": "inpaint", "provider": "tratto", "generative": generative, "params": params or {}}
    return {
        "steps": [step],
        "mask": {} if masked else None,
        "outputs": {
            "picture": {"scale": scale, "kernel": "bicubic", "maps": {"edit": {}, "confidence": {"basis": basis}}}
        },
    }


def test_regions_by_hand():
    mask = np.zeros((40, 60), np.float32)
    mask[2:12, 5:25] = 1  # 200 pixels
    mask[30:34, 50:55] = 0.5  # 20 pixels
    edits = np.zeros((40, 60), np.uint16)
    edits[2:12, 5:15] = 512  # half of the first, ΔE 1
    edits[5, 6] = 5 * 512
    sure = np.full((40, 60), 65535, np.uint16)
    sure[2:12, 5:25] = 65535 - 6553  # a tenth of a quarter of full scale
    big, small = regions_of(receipt(generative=True), edits, sure, mask)
    assert big.box == (5, 2, 20, 10)
    assert big.share == 200 / 2400
    assert big.changed == 0.5
    assert big.mean == pytest.approx((99 + 5) / 200)
    assert big.largest == 5.0
    assert big.error == pytest.approx(0.25 * 255 * 6553 / 65535)
    assert big.status == "hypothetical reconstruction"
    assert (small.box, small.changed, small.error, small.status) == ((50, 30, 5, 4), 0.0, 0.0, "existing state")


def test_without_a_mask_the_changed_pixels_are_the_regions():
    edits = np.zeros((30, 30), np.uint16)
    edits[3:6, 3:6] = 1
    edits[6, 6] = 1  # touches at a corner: the same region
    edits[20, 20] = int(EDIT_MAP_SCALE)
    sure = np.full_like(edits, 65535)
    one, two = regions_of(receipt(basis="none", masked=False), edits, sure)
    assert (one.box, one.share, one.error) == ((3, 3, 4, 4), 10 / 900, None)
    assert (two.box, two.mean) == ((20, 20, 1, 1), 1.0)
    assert regions_of(receipt(masked=False), np.zeros_like(edits), sure) == []


def test_small_regions_share_a_row_and_nothing_is_lost():
    edits = np.zeros((100, 100), np.uint16)
    edits[2::6, 2::6] = 7
    found = regions_of(receipt(masked=False), edits, np.full_like(edits, 65535))
    assert len(found) == 13
    assert found[-1].box is None
    assert found[-1].count == 17 * 17 - 12
    assert sum(r.share for r in found) == pytest.approx(17 * 17 / 10_000)


def test_large_and_enlarged_pictures_are_counted_on_a_grid():
    mask = np.zeros((300, 500), np.uint16)
    mask[100:200, 300:400] = 65535
    edits = np.zeros((600, 1000), np.uint16)
    edits[200:400, 600:800] = 3
    (one,) = regions_of(receipt(scale=2), edits, np.zeros_like(edits), mask)
    assert one.share == 200 * 200 / 600_000
    assert one.changed == 1.0
    x, y, w, h = one.box
    assert 596 <= x <= 600 <= 800 <= x + w <= 804
    assert 196 <= y <= 200 <= 400 <= y + h <= 404
    assert one.error == pytest.approx(0.25 * 255)


def test_rows_name_the_method_of_each_part(make_result):
    result, _ = make_result(masked=True)
    from tratto.provenance.report.inputs import ReportInputs

    told = {
        **result.receipt,
        **receipt(True, params={"fine": "plate", "regions": [{"box": [8, 8, 4, 4], "by": "patch"}]}),
    }
    told["outputs"]["picture"]["maps"] = result.receipt["outputs"]["picture"]["maps"]
    inputs = ReportInputs(
        told, "", result.source, result.image, result.edit_map, result.confidence, "a.png", mask=result.mask.values
    )
    rows = region_rows(inputs, regions_of(told, result.edit_map, result.confidence, result.mask.values))
    assert [r[3] for r in rows] == ["inpaint by patch", "unchanged"]
    assert rows[0][0] == "1: columns 8 to 23, rows 8 to 29"
    assert rows[-1][-1] == "existing state"
    hostile = {**told, "steps": [{**told["steps"][0], "params": {"regions": [{"box": ["x"], "by": 3}, 7], "fine": 5}}]}
    rows = region_rows(inputs, regions_of(hostile, result.edit_map, result.confidence, result.mask.values))
    assert rows[0][3] == "inpaint by patch" or rows[0][3].startswith("inpaint")


@pytest.mark.parametrize("scale", [1, 2])
def test_a_region_names_only_the_passes_that_reach_it(scale):
    edits = np.zeros((300 * scale, 500 * scale), np.uint16)
    masks = [np.zeros((300, 500), np.uint16) for _ in range(3)]
    masks[0][10:30, 10:40] = 65535
    masks[1][200:210, 300:310] = 1
    masks[2][205:212, 308:320] = 65535  # lies over the second one
    whole = np.maximum.reduce(masks)
    edits[whole.repeat(scale, 0).repeat(scale, 1) > 0] = 100
    told = receipt(generative=True, scale=scale)
    told["mask"] = {"parts": [{"class": c, "pass": n} for c, n in ((None, 1), ("crack", 2), ("stain", 3))]}
    told["steps"] = [
        {**told["steps"][0], "provider": p, "params": {"mask": f"pass-{n}", "fine": p}}
        for n, p in ((1, "tratto"), (2, "patch"), (3, "plate"))
    ]
    sure = np.zeros_like(edits)
    one, two = regions_of(told, edits, sure, whole, masks)
    assert (one.passes, two.passes) == ({1}, {2, 3})
    assert [kind(told, r) for r in (one, two)] == ["inpaint by tratto", "inpaint by patch, inpaint by plate"]
    # without the masks nobody can tell, so all are named
    assert (
        kind(told, regions_of(told, edits, sure, whole)[0]) == "inpaint by tratto, inpaint by patch, inpaint by plate"
    )


def test_an_error_that_no_network_predicted_is_not_said_to_be(make_result):
    result, _ = make_result(masked=True)
    step = {**result.receipt["steps"][0], "confidence_basis": "model", "models": []}
    (words,) = steps([step])
    assert ("Error estimate", "by a rule of the method, which has no network", "") in words.rows


def test_what_is_printed_is_what_was_checked(make_bundle):
    made = make_bundle()
    page, inputs = page_of(made.output)
    assert "was: authentic" in page
    assert inputs.output_name == "photo.png"
    assert "no proof" in page
