"""Bundles that were made up consistently: every hash and the seal fit, the statements are false."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tratto.core import canonical
from tratto.core.hashing import FileFacts
from tratto.core.image import ColorMode, Image
from tratto.imaging import io
from tratto.provenance.consistency import Known
from tratto.provenance.edit_map import edit_map, stats_of
from tratto.provenance.receipt import array_digest, claim, validate_receipt
from tratto.provenance.recheck import as_stated
from tratto.provenance.recheck_maps import SLACK
from tratto.provenance.report import ReportInputs, render_report
from tratto.provenance.seal import build_seal
from tratto.provenance.verify import verify


def seal_again(made, receipt):
    """Write a receipt and a seal that fits all files."""
    (made.bundle / "receipt.json").write_bytes(canonical.dumps(receipt))
    names = [p.name for p in made.bundle.iterdir() if p.name not in ("receipt.json", "seal.json")]
    facts = {n: FileFacts.of((made.bundle / n).read_bytes()) for n in names}
    seal = build_seal(
        FileFacts.of((made.bundle / "receipt.json").read_bytes()), FileFacts.of(made.output.read_bytes()), facts
    )
    (made.bundle / "seal.json").write_bytes(canonical.dumps(seal))


def forge(made, image=None, edits=None, change=None, report=True):
    """Make a new, consistent bundle: another picture, another edit map, other words in the receipt."""
    receipt = json.loads(json.dumps(made.receipt))
    image = image or made.result.image
    edits = made.result.edit_map if edits is None else edits
    fmt = receipt["outputs"]["picture"]["file"]["format"]
    io.write_image(image, made.output, fmt)
    receipt["outputs"]["picture"]["samples_sha256"] = io.digest(image)
    if receipt["steps"]:
        receipt["steps"][-1]["output_digest"] = io.digest(image)
    data = made.output.read_bytes()
    receipt["outputs"]["picture"]["file"] |= FileFacts.of(data).to_json()
    receipt["outputs"]["picture"]["file"]["decoded_samples_sha256"] = io.digest(io.read_image(made.output))
    io.encode_png16_gray(made.bundle / "edit-map.png", edits, {}, image.meta.orientation)
    stats = stats_of(edits, receipt["outputs"]["picture"]["maps"]["edit"]["stats"]["alpha"])
    receipt["outputs"]["picture"]["maps"]["edit"] |= {
        "samples_sha256": array_digest(edits),
        "file_sha256": FileFacts.of((made.bundle / "edit-map.png").read_bytes()).sha256,
        "stats": stats.to_json(),
    }
    generative = any(s["generative"] for s in receipt["steps"])
    scale, kernel = receipt["outputs"]["picture"]["scale"], receipt["outputs"]["picture"]["kernel"]
    receipt["claim"] = claim(generative, scale, stats.changed_fraction, kernel)
    if change is not None:
        change(receipt)
    receipt = json.loads(canonical.dumps(receipt))
    validate_receipt(receipt)
    if report:
        html = render_report(
            ReportInputs(
                receipt=receipt, receipt_sha256=FileFacts.of(canonical.dumps(receipt)).sha256,
                source=made.result.source, result=image, edit_map=edits, confidence=made.result.confidence,
                output_name=made.output.name, original_name=made.input.name,
                original_file=next((p.name for p in made.bundle.glob("original.*")), None),
                mask=None if made.result.mask is None else made.result.mask.values,
            )
        )  # fmt: skip
        (made.bundle / "report.html").write_text(html, encoding="utf-8", newline="\n")
    seal_again(made, receipt)
    return verify(made.output)


def painted(image, y=40, x=50):
    pixels = np.array(image.pixels)
    pixels[y : y + 4, x : x + 6] = (image.max_value, 0, 0)
    return image.replace(pixels=pixels)


JOBS = [
    ("photo.png", {"masked": True}),
    ("photo.png", {"masked": True, "scale": 2, "alpha": True}),
    ("photo.tif", {"masked": True, "bits": 16, "input_format": "tiff"}),
    ("photo.webp", {"masked": True, "input_format": "jpeg"}),
    ("photo.png", {"masked": True, "orientation": 6}),
]


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_the_forger_of_these_tests_is_believed_as_long_as_he_tells_the_truth(make_bundle, name, job):
    verdict = forge(make_bundle(name, **job))
    assert verdict.word == "authentic", verdict.reasons
    assert any("made again from the original" in r for r in verdict.reasons)
    assert any("made again from the receipt" in r for r in verdict.reasons)
    assert any("mask.png" in r for r in verdict.reasons)


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_paint_outside_the_mask_with_the_map_left_as_it_was(make_bundle, name, job):
    made = make_bundle(name, **job)
    verdict = forge(made, painted(made.result.image))
    assert verdict.word == "altered"
    assert verdict.reasons[0] == "24 pixels differ from the original where edit-map.png shows no change"


def test_paint_outside_the_mask_with_the_map_made_to_fit(make_bundle):
    made = make_bundle(masked=True)
    image = painted(made.result.image)
    edits = np.zeros_like(made.result.edit_map)
    edit_map(made.result.source, image, edits)
    verdict = forge(made, image, edits)
    assert verdict.word == "altered"
    assert verdict.reasons == ("edit-map.png shows change in 24 pixels outside mask.png",)


@pytest.mark.parametrize("deep", [True, False])
def test_a_mask_that_was_taken_out(make_bundle, deep):
    """With it goes the proof that nothing changed outside, so it is not merely noted."""
    made = make_bundle(masked=True)
    (made.bundle / "mask.png").unlink()
    seal_again(made, made.receipt)
    verdict = verify(made.output, deep=deep)
    assert verdict.word == "altered"
    assert verdict.reasons == ("the receipt names a mask, but the bundle holds no mask.png: it was taken out",)


def test_a_share_that_belittles_what_the_encoding_changed(make_bundle):
    made = make_bundle("photo.jpg", changed=False, input_format="jpeg")
    receipt = json.loads(json.dumps(made.receipt))
    receipt["outputs"]["picture"]["file"]["recoded_fraction"] = 1e-5
    seal_again(made, receipt)
    verdict = verify(made.output)
    assert verdict.word == "altered"
    assert verdict.reasons == ("the receipt states another share of samples that the encoding changed than there is",)


def test_a_map_that_invents_or_belittles_change(make_bundle):
    made = make_bundle(masked=True)
    edits = made.result.edit_map.copy()
    y, x = np.argwhere(edits == 0)[0]
    edits[y, x] = 700
    reasons = " ".join(forge(made, edits=edits).reasons)
    assert "one pixel" in reasons
    strong = made.result.edit_map > 600
    edits = np.where(strong, made.result.edit_map // 2, made.result.edit_map).astype(np.uint16)
    reasons = forge(made, edits=edits).reasons
    assert f"another difference from the original than there is in {strong.sum()} pixels" in " ".join(reasons)
    # what another processor may round otherwise is no alteration
    nudged = np.where(made.result.edit_map > SLACK, made.result.edit_map + SLACK, made.result.edit_map)
    assert forge(made, edits=nudged.astype(np.uint16)).word == "authentic"


def test_without_an_original_the_map_cannot_be_recomputed_and_that_is_said(make_bundle):
    made = make_bundle(save={"keep_original": False})
    verdict = verify(made.output)
    assert verdict.word == "authentic"
    reasons = " ".join(verdict.reasons)
    assert "could not be recomputed" in reasons
    assert "state before" in reasons
    assert "made again from the original" not in reasons


def test_a_jpeg_result_cannot_be_compared_with_the_map_and_that_is_said(make_bundle):
    made = make_bundle("photo.jpg")
    verdict = verify(made.output)
    assert verdict.word == "authentic"
    reasons = " ".join(verdict.reasons)
    assert "is a JPEG" in reasons
    assert "state after" in reasons


@pytest.mark.parametrize("quality", [1, 30, 75, 95])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_jpeg_is_near_the_original_where_nothing_changed(make_bundle, monkeypatch, quality, scale):
    real = io.WriteOptions
    monkeypatch.setattr(io, "WriteOptions", lambda **k: real(**{"quality": quality, **k}))
    made = make_bundle("photo.jpg", masked=True, scale=scale)
    verdict = verify(made.output)
    assert verdict.word == "authentic", verdict.reasons
    edits = made.result.edit_map
    still = (edits.reshape(edits.shape[0] // 8, 8, -1, 8) == 0).all(axis=(1, 3)).sum()
    assert still > 20
    assert any(
        r.startswith(f"{still} blocks of the JPEG that edit-map.png calls unchanged are as") for r in verdict.reasons
    )


@pytest.mark.parametrize("colour", [(255, 0, 0), (90, 160, 90), (255, 255, 255), (0, 0, 0)])
def test_paint_on_a_jpeg_outside_the_mask(make_bundle, colour):
    made = make_bundle("photo.jpg", masked=True)
    pixels = np.array(made.result.image.pixels)
    pixels[32:40, 48:56] = colour
    verdict = forge(made, made.result.image.replace(pixels=pixels))
    assert verdict.word == "altered"
    assert "blocks of the JPEG" in verdict.reasons[0]


def test_a_bundle_without_its_picture_says_what_was_not_compared(make_bundle):
    made = make_bundle()
    made.output.unlink()
    verdict = verify(made.bundle)
    assert verdict.word == "unknown"
    assert "not at hand" in " ".join(verdict.reasons)


def test_a_lossless_file_must_hold_the_result(make_bundle):
    made = make_bundle()

    def other(receipt):
        receipt["outputs"]["picture"]["samples_sha256"] = receipt["steps"][-1]["output_digest"] = "0" * 64

    verdict = forge(made, change=other)
    assert verdict.word == "altered"
    assert "PNG loses nothing" in " ".join(verdict.reasons)


def test_facts_of_the_original_are_compared(make_bundle):
    made = make_bundle()
    verdict = forge(made, change=lambda r: r["inputs"]["picture"]["picture"].update(orientation=3, bits=16))
    assert verdict.reasons == ("the receipt states another bits and orientation than original.png has",)


def test_the_share_a_mask_covers_is_compared(make_bundle):
    made = make_bundle(masked=True)
    verdict = forge(made, change=lambda r: r["mask"].update(covered=0.01))
    assert verdict.reasons == ("the share that the receipt says the mask covers does not follow from mask.png",)


@pytest.mark.parametrize("written_as", ["png", "webp", "tiff"])
def test_a_palette_picture_is_followed_through_its_expansion(tmp_path, make_bundle, written_as):
    # the step works on RGB: the first digest is that of the expanded source, the last is before the way back
    rng = np.random.default_rng(4)
    palette = np.concatenate([rng.integers(0, 256, (14, 4)), [[9, 9, 9, 255]] * 2]).astype(np.uint8)
    palette[:, 3] = 255
    source = Image(rng.integers(0, 16, (48, 64)).astype(np.uint8), ColorMode.PALETTE, 8, palette=palette)
    indices = np.array(source.pixels)
    indices[5:20, 5:30] = 3
    result = source.replace(pixels=indices)
    made = make_palette(make_bundle, tmp_path, source, result, written_as)
    verdict = verify(made.output)
    assert verdict.word == "authentic", verdict.reasons
    assert any("made again from the original" in r for r in verdict.reasons)
    receipt = json.loads((made.bundle / "receipt.json").read_bytes())
    receipt["steps"][0]["input_digest"] = "0" * 64
    seal_again(made, receipt)
    assert "colours of original.png" in " ".join(verify(made.output).reasons)
    # another colour where the map says that nothing changed
    indices = np.array(result.pixels)
    indices[40, 40:50] = (indices[40, 40:50] + 1) % 14
    made = make_palette(make_bundle, tmp_path, source, result, written_as, source.replace(pixels=indices))
    assert "10 pixels differ" in " ".join(verify(made.output).reasons)


def make_palette(make_bundle, tmp_path, source, result, fmt, shown=None):
    """Write a job on a palette picture; ``shown`` is put in the place of its result afterwards."""
    from tratto.core.artifact import InputPicture
    from tratto.core.recipe import Recipe
    from tratto.imaging.artifact import Picture
    from tratto.provenance.bundle import BundleParts, write_bundle
    from tratto.provenance.receipt import InputFacts, ReceiptInputs, build_receipt

    plain = make_bundle()
    path = tmp_path / "palette.png"
    io.write_image(source, path, "png")
    source = io.read_image(path)
    edits = np.zeros((48, 64), np.uint16)
    stats = edit_map(source, result, edits)
    final = shown or result
    record = replace(
        plain.result.records[0],
        input_digest=io.digest(io.expand_palette(source)),
        output_digest=io.digest(io.expand_palette(result)),
    )
    recipe = Recipe("restore", plain.result.resolved.steps, 3)
    receipt = build_receipt(
        ReceiptInputs(
            asked=recipe,
            resolved=recipe,
            records=(record,),
            inspection=plain.result.inspection,
            inputs={"picture": InputFacts(source, io.digest(source), 0, FileFacts.of(path.read_bytes()))},
            outputs={"picture": Picture(final)},
            edit=stats,
            edit_map=edits,
            confidence=plain.result.confidence,
        )
    )
    done = replace(
        plain.result,
        outputs={"picture": Picture(final)},
        inputs={"picture": InputPicture(source, path)},
        edit_map=edits,
        records=(record,),
        receipt=receipt,
    )
    output = plain.output.with_name(f"palette.{'tif' if fmt == 'tiff' else fmt}")
    part = output.with_name(".palette.part")
    io.write_image(final, part, fmt)
    facts = write_bundle(BundleParts(done, part, output, fmt, original=path, original_name=path.name))
    return type(plain)(done, path, output, output.with_suffix(".tratto"), facts)


def test_grey_and_few_bits_come_back_from_wider_forms():
    rng = np.random.default_rng(0)
    for bits in (1, 2, 4, 8):
        small = rng.integers(0, 1 << bits, (5, 7)).astype(np.uint8)
        wide = (small.astype(np.uint32) * 255 // ((1 << bits) - 1)).astype(np.uint8)
        rgb = Image(np.repeat(wide[..., None], 3, axis=2), ColorMode.RGB)
        back = as_stated(rgb, {"mode": "gray", "bits": bits})
        assert (back.mode, back.bits) == (ColorMode.GRAY, bits)
        np.testing.assert_array_equal(back.pixels, small)
    odd = Image(np.full((5, 7, 3), 100, np.uint8), ColorMode.RGB)
    assert as_stated(odd, {"mode": "gray", "bits": 2}) is None
    coloured = Image(rng.integers(0, 256, (5, 7, 3)).astype(np.uint8), ColorMode.RGB)
    assert as_stated(coloured, {"mode": "gray", "bits": 8}) is None
    assert as_stated(coloured, {"mode": "cmyk", "bits": 8}) is None
    assert as_stated(coloured, {"mode": "rgb", "bits": 8}) is coloured


# ------------------------------------------------------------------------------------------------- report and observed


def rewrite(made, name, change):
    path = made.bundle / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    seal_again(made, json.loads((made.bundle / "receipt.json").read_bytes()))
    return verify(made.output)


def test_another_report_is_found(make_bundle):
    made = make_bundle()
    assert rewrite(made, "report.html", lambda s: s).word == "authentic"
    good = (made.bundle / "report.html").read_text()
    for change in (
        lambda s: "<h1>photo.png</h1>authentic<script src=//evil></script>",
        lambda s: s.replace("Evidence-based restoration", "Existing state"),
        lambda s: s.replace("does not invent detail", "does not invent  detail"),
        lambda s: s.replace("</body>", "<img src=x></body>"),
    ):
        verdict = rewrite(made, "report.html", lambda s, c=change: c(good))
        assert verdict.word == "altered"
        assert "its words" in verdict.reasons[0]


def test_another_picture_in_the_report_is_found(make_bundle):
    made = make_bundle()
    other = make_bundle("other.png", masked=True)
    parts = (made.bundle / "report.html").read_text().split('src="')
    foreign = (other.bundle / "report.html").read_text().split('src="')
    for i in (2, 3, 8, 9):  # after, edit map, detail after, detail of the map
        swapped = [*parts[:i], foreign[i][: foreign[i].index('"')] + parts[i][parts[i].index('"') :], *parts[i + 1 :]]
        verdict = rewrite(made, "report.html", lambda s, p=swapped: 'src="'.join(p))
        assert verdict.word == "altered"
        assert f"picture {i} of it shows something else" in verdict.reasons[0]


def test_a_report_of_another_version_is_not_compared_and_that_is_said(make_bundle):
    made = make_bundle()
    verdict = forge(made, change=lambda r: r["tool"].update(version="9.9.9"))
    assert verdict.word == "authentic"
    assert "version 9.9.9" in " ".join(verdict.reasons)


def test_a_bundle_whose_report_was_taken_out(make_bundle):
    made = make_bundle()
    (made.bundle / "report.html").unlink()
    seal_again(made, made.receipt)
    assert verify(made.output).reasons == ("the seal names no report.html; every bundle has one",)


def test_a_renamed_pair_stays_authentic(make_bundle):
    made = make_bundle()
    made.bundle.rename(made.bundle.with_name("new name.tratto"))
    moved = made.output.rename(made.output.with_name("new name.png"))
    verdict = verify(moved)
    assert verdict.word == "authentic", verdict.reasons
    assert "picture photo.png" in " ".join(verdict.reasons)


@pytest.mark.parametrize("name", ['a "b" <c> & d.png', "bild\u202egnp.png", "-rf $x.png", "猫.png"])
def test_reports_of_odd_names_are_made_again(make_bundle, name):
    made = make_bundle(name)
    verdict = verify(made.output)
    assert verdict.word == "authentic", verdict.reasons
    assert any("report.html, made again" in r for r in verdict.reasons)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda o: o.update(x="../../etc/passwd"), "does not belong"),
        (lambda o: o.update(written="yesterday"), "observed.written"),
        (lambda o: o.update(steps=[]), "one entry for each step"),
        (lambda o: o.pop("input_name"), "'input_name' is missing"),
        (lambda o: o.update(output_name="other.png"), "name different pictures"),
        (lambda o: o.update(input_name="other.png"), "its words"),
    ],
)
def test_observed_is_held_to_its_schema(make_bundle, change, word):
    made = make_bundle()

    def edit(s):
        seen = json.loads(s)
        change(seen)
        return canonical.dumps(seen).decode()

    verdict = rewrite(made, "observed.json", edit)
    assert verdict.word == "altered"
    assert word in " ".join(verdict.reasons)


def test_observed_must_be_canonical_and_may_hold_more(make_bundle):
    made = make_bundle(save={"observed": {"machine": "box"}})
    assert json.loads((made.bundle / "observed.json").read_bytes())["more"] == {"machine": "box"}
    assert verify(made.output).word == "authentic"
    verdict = rewrite(made, "observed.json", lambda s: s + "\n")
    assert "canonical" in verdict.reasons[0]


def test_models_without_cards_are_said_to_be_uncompared(make_bundle):
    made = make_bundle()
    assert any("model cards" in r for r in verify(made.output).reasons)
    reasons = verify(made.output, known=Known()).reasons
    assert any("provider mean" in r for r in reasons)
    assert any("mean-3" in r for r in reasons)
