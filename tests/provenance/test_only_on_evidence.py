"""*Altered* is said only of what is known to differ."""

import io
import itertools
import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image as Pil

from tratto.core import canonical
from tratto.core.hashing import FileFacts
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import read_image, writable, write_image
from tratto.imaging.io.limits import MAX_MEGAPIXELS
from tratto.jobs import SaveOptions, Session
from tratto.provenance import recheck, recheck_maps, recheck_report, xmp
from tratto.provenance.bundle import read_bundle
from tratto.provenance.embedded import holds_credentials
from tratto.provenance.recheck import as_stated
from tratto.provenance.report import COMPARED
from tratto.provenance.seal import build_seal
from tratto.provenance.verify import verify
from tratto.tasks.restore import RestoreOptions

ENDINGS = {"png": "png", "tiff": "tif", "webp": "webp", "bmp": "bmp"}


def picture(mode, bits, alpha):
    """Return a picture of any form; ``alpha`` is none, opaque or mixed."""
    rng = np.random.default_rng(0)
    top, dtype = (1 << bits) - 1, np.uint16 if bits == 16 else np.uint8
    channels = {"rgb": (3,), "cmyk": (4,)}.get(mode, ())
    pixels = rng.integers(0, top + 1, (20, 24, *channels)).astype(dtype)
    if bits >= 8 and mode != "palette":  # so that a filter for noise finds something to do
        pixels = np.clip(rng.normal(0.5, 0.08, pixels.shape) * top, 0, top).astype(dtype)
    if mode == "palette":
        palette = rng.integers(0, 256, (1 << bits, 4)).astype(np.uint8)
        if alpha != "mixed":
            palette[:, 3] = 255
        return Image(pixels, ColorMode.PALETTE, bits, palette=palette)
    planes = {"none": None, "opaque": np.full((20, 24), top, dtype)}
    plane = planes.get(alpha, rng.integers(0, top + 1, (20, 24)).astype(dtype))
    return Image(pixels, ColorMode(mode), bits, plane)


FORMS = [
    (mode, bits, alpha)
    for mode, bits, alpha in itertools.product(
        ("gray", "rgb", "palette", "cmyk"),
        (1, 4, 8, 16),  # 2 bits are packed as 4 are
        ("none", "opaque", "mixed"),
    )
    if not (mode in ("rgb", "cmyk") and bits < 8) and not (mode == "palette" and (bits == 16 or alpha == "opaque"))
]


@pytest.mark.parametrize(("mode", "bits", "alpha"), FORMS)
def test_every_form_in_every_format_is_authentic(tmp_path, mode, bits, alpha):
    image = picture(mode, bits, alpha)
    session = Session()
    result = session.restore(image, RestoreOptions(force=True, provider="nlm"))
    for fmt, ending in ENDINGS.items():
        if writable(image, fmt) is not None:
            continue
        done = session.save(result, tmp_path / f"out.{ending}", SaveOptions(format=fmt), overwrite=True)
        verdict = verify(done.output)
        assert (verdict.word, verdict.reasons if verdict.word != "authentic" else ()) == ("authentic", ()), fmt
        for path in (done.output, *done.bundle.iterdir()):
            path.unlink()
        done.bundle.rmdir()


def test_a_form_is_told_back_only_where_no_colour_changes():
    grey = picture("gray", 8, "none")
    facts = {"mode": "gray", "bits": 8, "alpha": True}
    assert as_stated(grey, facts).alpha.tolist() == np.full((20, 24), 255).tolist()
    mixed = picture("gray", 8, "mixed")
    assert np.array_equal(as_stated(mixed, facts).alpha, mixed.alpha)
    assert as_stated(grey, facts | {"bits": 4}) is None


# ---------------------------------------------------------------------------------------------- credentials of anybody


def plain_files():
    """Return pictures without credentials: whole, odd, and cut short, each with its format."""
    image = Pil.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    out = {}
    for fmt in ("png", "jpeg", "webp", "tiff"):
        buffer = io.BytesIO()
        image.save(buffer, fmt)
        data = buffer.getvalue()
        out[f"whole {fmt}"] = (fmt, data)
        for cut in (9, 40, len(data) // 2, len(data) - 3):
            out[f"{fmt} of {cut} bytes"] = (fmt, data[:cut])
    wide = np.arange(600, dtype=np.uint16).reshape(20, 30)
    for name, options in {
        "big": {"bigtiff": True},
        "big-endian": {"byteorder": ">"},
        "pages": {"photometric": "minisblack"},
        "tiles": {"tile": (16, 16)},
    }.items():
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, **{k: v for k, v in options.items() if k in ("bigtiff", "byteorder")}) as f:
            for _ in range(2):
                f.write(wide, **{k: v for k, v in options.items() if k not in ("bigtiff", "byteorder")})
        out[f"tiff {name}"] = ("tiff", buffer.getvalue())
    # a loop of directories, and one that lies outside
    out["tiff loop"] = ("tiff", struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 256, 3, 1, 1, 8))
    out["tiff outside"] = ("tiff", struct.pack("<2sHI", b"II", 42, 1 << 30))
    return out


@pytest.mark.parametrize("name", sorted(plain_files()))
def test_a_file_without_credentials_was_not_altered(tmp_path, name):
    pytest.importorskip("c2pa")
    fmt, data = plain_files()[name]
    path = tmp_path / f"some.{fmt}"
    path.write_bytes(data)
    assert not holds_credentials(path, fmt)
    assert verify(path).word == "unknown"


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.webp", "photo.tif"])
def test_damaged_credentials_are_still_found(tmp_path, monkeypatch, name):
    c2pa = pytest.importorskip("c2pa")
    from tratto.ledger import keys
    from tratto.provenance import credentials

    image = Pil.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    fmt = {"png": "png", "jpg": "jpeg", "webp": "webp", "tif": "tiff"}[name[6:]]
    plain, signed = io.BytesIO(), io.BytesIO()
    image.save(plain, fmt)
    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    keys.new_key("me", "identity")
    identity = keys.identity("me")
    info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain_pem, identity.private_pem, None)
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": f"{xmp._SOURCE}digitalCreation"}]}
    definition = {"format": f"image/{fmt}", "assertions": [{"label": "c2pa.actions.v2", "data": actions}]}
    with (
        c2pa.Context.from_dict(credentials._settings(b"")) as context,
        c2pa.Builder.from_json(definition, context) as builder,
        c2pa.Signer.from_info(info) as signer,
    ):
        plain.seek(0)
        builder.sign(signer, f"image/{fmt}", plain, signed)
    path = tmp_path / name
    path.write_bytes(signed.getvalue())
    assert holds_credentials(path, fmt)
    assert verify(path).word == "unknown"  # they fit, and nobody vouches for them
    data = bytearray(signed.getvalue())
    at = data.find(b"c2pa.actions")
    data[at] ^= 0xFF
    path.write_bytes(data)
    assert verify(path).word == "altered"


# ------------------------------------------------------------------------------------------------------------------ XMP


def packet(nodes=0, depth=0):
    inside = "".join(f"<e:n{i % 7}>1</e:n{i % 7}>" for i in range(nodes))
    nested = "<e:d r:parseType='Resource'>" * depth + "</e:d>" * depth
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<r:Description xmlns:e='urn:e/' r:about=''>{inside}{nested}</r:Description></r:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize(
    ("given", "kept"),
    [(packet(), True), (packet(1000), True), (packet(1990), False), (packet(2001), False), (packet(3, 59), True)],
)
def test_a_packet_at_the_limit_gives_a_result_that_is_authentic(tmp_path, monkeypatch, given, kept):
    monkeypatch.setattr("tratto.provenance.xmp._MAX_NODES", 2000)  # a fiftieth: what counts is the nearness to it
    source = Image(picture("rgb", 8, "none").pixels, ColorMode.RGB, meta=Metadata(xmp=given))
    write_image(source, tmp_path / "in.png", "png")
    session = Session()
    result = session.restore(tmp_path / "in.png", RestoreOptions(force=True, provider="nlm"))
    done = session.save(result, tmp_path / "out.png", source=tmp_path / "in.png")
    assert verify(done.output).word == "authentic"
    assert (b"urn:e/" in read_image(done.output).meta.xmp) == kept
    assert any("left out" in w for w in done.warnings) != kept


def test_a_report_of_before_a_row_was_told_is_not_altered(tmp_path):
    """Bundles of this version exist whose report does not name the digital source type of a step."""
    import re

    source = Image(picture("rgb", 8, "none").pixels, ColorMode.RGB)
    write_image(source, tmp_path / "in.png", "png")
    session = Session()
    result = session.restore(tmp_path / "in.png", RestoreOptions(force=True, provider="nlm"))
    done = session.save(result, tmp_path / "out.png", source=tmp_path / "in.png")
    page = done.bundle / "report.html"
    older, count = re.subn(r"<tr><th>Digital source type</th><td>\w*</td></tr>", "", page.read_text())
    assert count == 1
    page.write_text(older)
    reseal(done, {})
    assert verify(done.output).word == "authentic"
    page.write_text(older.replace("nlm", "nlx"))
    reseal(done, {})
    assert verify(done.output).word == "altered"


def test_a_report_of_before_the_edit_map_saw_colours_outside_srgb_is_not_altered(tmp_path):
    source = Image(picture("rgb", 8, "none").pixels, ColorMode.RGB)
    write_image(source, tmp_path / "in.png", "png")
    session = Session()
    result = session.restore(tmp_path / "in.png", RestoreOptions(force=True, provider="nlm"))
    done = session.save(result, tmp_path / "out.png", source=tmp_path / "in.png")
    page = done.bundle / "report.html"
    words = page.read_text()
    assert words.count(COMPARED) == 1
    page.write_text(words.replace(COMPARED, "The edit map compares colours as they are shown in sRGB."))
    reseal(done, {})
    assert verify(done.output).word == "authentic"
    page.write_text(words.replace(COMPARED, "The edit map compares nothing."))
    reseal(done, {})
    assert verify(done.output).word == "altered"


def test_a_report_of_before_it_said_that_transparency_is_not_compared_is_not_altered(tmp_path):
    source = Image(picture("rgb", 8, "none").pixels, ColorMode.RGB)
    write_image(source, tmp_path / "in.png", "png")
    mask = np.zeros((20, 24), np.float32)
    mask[4:9, 4:9] = 1
    session = Session()
    result = session.restore(tmp_path / "in.png", RestoreOptions(force=True, provider="nlm"), mask=mask)
    done = session.save(result, tmp_path / "out.png", source=tmp_path / "in.png")
    page = done.bundle / "report.html"
    words = page.read_text()
    assert words.count(recheck_report._LEFT_OUT) == 1
    page.write_text(words.replace(recheck_report._LEFT_OUT, ""))
    reseal(done, {})
    assert verify(done.output).word == "authentic"
    page.write_text(words.replace(recheck_report._LEFT_OUT, " Transparency is compared."))
    reseal(done, {})
    assert verify(done.output).word == "altered"


def test_a_packet_that_cannot_be_read_is_compared_with_nothing(tmp_path):
    """The picture of a bundle that was made whole with a packet that breaks off."""
    source = Image(picture("rgb", 8, "none").pixels, ColorMode.RGB)
    write_image(source, tmp_path / "in.png", "png")
    session = Session()
    result = session.restore(tmp_path / "in.png", RestoreOptions(force=True, provider="nlm"))
    done = session.save(result, tmp_path / "out.png", source=tmp_path / "in.png")
    image = read_image(done.output)
    write_image(image.replace(meta=replace(image.meta, xmp=b"<x:xmpmeta")), done.output, "png")
    reseal(done, {"output": {"file": FileFacts.of(done.output.read_bytes()).to_json()}})
    verdict = verify(done.output)
    assert verdict.word == "authentic"
    assert any("cannot be read" in r for r in verdict.reasons)


def reseal(done, change, raw=None):
    """Write receipt, report and seal anew with some facts changed, or with other bytes as the receipt."""
    bundle = read_bundle(done.bundle)
    forged = canonical.loads(bundle.receipt_bytes)
    forged["outputs"]["picture"]["file"] |= change.get("output", {}).get("file", {})
    data = raw or canonical.dumps(forged)
    page = (done.bundle / "report.html").read_text()
    page = page.replace(FileFacts.of(bundle.receipt_bytes).sha256, FileFacts.of(data).sha256)
    was, now = (r["outputs"]["picture"]["file"]["sha256"] for r in (bundle.receipt, forged))
    page = page.replace(was, now)
    (done.bundle / "report.html").write_text(page)
    (done.bundle / "receipt.json").write_bytes(data)
    files = dict(bundle.sealed_files) | {"report.html": FileFacts.of(page.encode())}
    output = FileFacts.of(done.output.read_bytes())
    (done.bundle / "seal.json").write_bytes(canonical.dumps(build_seal(FileFacts.of(data), output, files)))


# ------------------------------------------------------------------------------------------------------ other receipts


def test_a_receipt_of_another_form_is_not_altered(tmp_path, make_bundle):
    made = make_bundle()
    newer = made.receipt | {"schema": "tratto/receipt/7", "more": [1, 2]}
    data = canonical.dumps(newer)
    lone = tmp_path / "receipt.json"
    lone.write_bytes(data)
    assert verify(lone).word == "unknown"

    class Done:
        bundle, output = made.bundle, made.output

    good = (made.bundle / "receipt.json").read_bytes()
    (made.bundle / "receipt.json").write_bytes(data)
    assert verify(made.output).word == "altered"  # the seal is of another one
    (made.bundle / "receipt.json").write_bytes(good)
    reseal(Done, {}, raw=data)
    verdict = verify(made.output)
    assert verdict.word == "unknown"
    assert "tratto/receipt/7" in verdict.reasons[0]


@pytest.mark.parametrize("text", ["{}", "[]", "null", "not json", '{"name": "package", "version": 1}', "[" * 5000])
def test_some_json_is_no_altered_receipt(tmp_path, text):
    path = tmp_path / "package.json"
    path.write_text(text)
    assert verify(path).word == "unknown"


def test_a_receipt_that_was_edited_is_altered(tmp_path, make_bundle):
    made = make_bundle()
    lone = tmp_path / "receipt.json"
    lone.write_text(json.dumps(made.receipt | {"forensic": "yes"}))
    assert verify(lone).word == "altered"


# -------------------------------------------------------------------------------------------------------------- limits


def test_maps_of_any_stated_size_are_not_decoded(make_bundle, monkeypatch):
    made = make_bundle()
    monkeypatch.setattr(recheck, "MOST_PIXELS", 48 * 64 - 1)
    monkeypatch.setenv(MAX_MEGAPIXELS, "0.001")
    monkeypatch.setattr(recheck_maps, "read_map", lambda *_: pytest.fail("a map was decoded"))
    verdict = verify(made.output)
    assert verdict.word == "unknown"
    assert "--max-input-megapixels" in verdict.reasons[0]
    assert verify(made.output, deep=False).word == "authentic"


def test_a_file_of_another_size_is_not_read_to_its_end(make_bundle):
    made = make_bundle()
    os.truncate(made.output, 5 << 30)  # sparse: it takes no room
    verdict = verify(made.output)
    assert verdict.word == "altered"
    assert "bytes" in verdict.reasons[0]
