import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

import tratto.provenance.recheck
from tratto.core import canonical
from tratto.core.errors import InputError, MissingExtra
from tratto.core.hashing import FileFacts
from tratto.imaging import io
from tratto.provenance.seal import build_seal
from tratto.provenance.verify import verify


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("photo.png", {}),
        ("photo.png", {"masked": True, "scale": 2, "alpha": True}),
        ("photo.tif", {"bits": 16, "input_format": "tiff"}),
        ("photo.jpg", {"input_format": "jpeg"}),
        ("photo.webp", {"changed": False}),
        ("ph[o]t*.png", {"orientation": 8}),
    ],
)
def test_authentic(make_bundle, name, job):
    made = make_bundle(name, **job)
    for start in (made.output, made.bundle, made.bundle / "receipt.json", made.bundle / "report.html"):
        verdict = verify(start)
        assert (verdict.word, verdict.exit_code) == ("authentic", 0), verdict.reasons
    assert any("byte by byte" in r for r in verdict.reasons)
    assert any("samples" in r for r in verdict.reasons)


def flip(path, byte, bit):
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize(("name", "step"), [("receipt.json", 61), ("seal.json", 19)])
def test_flips_all_over_receipt_and_seal_are_found(make_bundle, name, step):
    # every byte was tried once when this was written; the steps keep the test short
    made = make_bundle(masked=True, size=(32, 32))
    path = made.bundle / name
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    missed = []
    for byte in range(0, len(good), step):
        flip(path, byte, int(rng.integers(8)))
        if verify(made.output, deep=False).word != "altered":
            missed.append(byte)
        path.write_bytes(good)
    assert missed == []
    assert verify(made.output).word == "authentic"


@pytest.mark.parametrize(
    "name",
    ["edit-map.png", "confidence.png", "mask.png", "original.png", "report.html", "observed.json", "../photo.png"],
)
def test_single_bit_flips_in_every_file_are_found(make_bundle, name):
    made = make_bundle(masked=True)
    path = made.bundle / name
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    places = sorted({0, len(good) - 1, *rng.integers(0, len(good), 24).tolist()})
    for number, byte in enumerate(places):
        flip(path, byte, int(rng.integers(8)))
        for start in (made.output, made.bundle)[: 2 if number < 4 else 1]:  # what is checked is the same from both
            assert verify(start, deep=False).word == "altered", (byte, start)
        path.write_bytes(good)
    assert verify(made.output).word == "authentic"


@pytest.mark.parametrize("name", ["edit-map.png", "original.png", "report.html", "observed.json"])
def test_missing_and_longer_files_are_found(make_bundle, name):
    made = make_bundle()
    path = made.bundle / name
    good = path.read_bytes()
    path.write_bytes(good + b"\0")
    assert verify(made.output).word == "altered"
    path.write_bytes(good[:-1])
    assert verify(made.output).word == "altered"
    path.unlink()
    verdict = verify(made.output)
    assert verdict.word == "altered"
    assert any(name in r for r in verdict.reasons)


def test_added_files(make_bundle):
    made = make_bundle(save={"keep_original": False})
    (made.bundle / ".DS_Store").write_bytes(b"x")
    assert verify(made.output).word == "authentic"
    (made.bundle / "original.png").write_bytes(made.input.read_bytes())
    assert any("added after" in r for r in verify(made.output).reasons)


def test_every_reason_is_given(make_bundle):
    made = make_bundle()
    flip(made.bundle / "report.html", 5, 0)
    flip(made.bundle / "confidence.png", 50, 0)
    reasons = verify(made.output).reasons
    assert len(reasons) == 2


def test_unknown(make_bundle, tmp_path):
    made = make_bundle()
    lonely = tmp_path / "lonely.png"
    lonely.write_bytes(made.output.read_bytes())
    verdict = verify(lonely)
    assert (verdict.word, verdict.exit_code) == ("unknown", 10)
    assert any("no bundle" in r for r in verdict.reasons)
    (tmp_path / "empty.tratto").mkdir()
    assert verify(tmp_path / "empty.tratto").word == "unknown"
    with pytest.raises(InputError, match="no such"):
        verify(tmp_path / "nothing.png")


def test_bundle_without_its_picture(make_bundle):
    made = make_bundle()
    made.output.rename(made.output.with_name("renamed.png"))
    assert verify(made.bundle).word == "authentic"  # recognised by its hash
    made.output.with_name("renamed.png").unlink()
    verdict = verify(made.bundle)
    assert verdict.word == "unknown"
    assert "not beside it" in verdict.reasons[0]
    flip(made.bundle / "report.html", 9, 1)
    assert verify(made.bundle).word == "altered"


def test_the_source_beside_the_result(make_bundle):
    made = make_bundle("photo.png", input_format="jpeg")
    source = made.output.with_name("photo.jpeg")
    source.write_bytes(made.input.read_bytes())
    assert verify(source).word == "unknown"
    assert "untouched source" in verify(source).reasons[0]
    assert verify(made.output).word == "authentic"
    assert verify(made.bundle).word == "authentic"
    source.write_bytes(made.input.read_bytes() + b"x")
    assert verify(source).word == "altered"


def test_receipt_alone(make_bundle, tmp_path):
    made = make_bundle()
    lone = tmp_path / "receipt.json"
    lone.write_bytes((made.bundle / "receipt.json").read_bytes())
    verdict = verify(lone)
    assert verdict.word == "unknown"
    assert made.receipt["outputs"]["picture"]["samples_sha256"] in verdict.reasons[1]
    lone.write_bytes(lone.read_bytes() + b"\n")
    assert verify(lone).word == "altered"


def reseal(made, receipt=None):
    """Rebuild the seal consistently, as somebody who alters a bundle would."""
    if receipt is not None:
        (made.bundle / "receipt.json").write_bytes(canonical.dumps(receipt))
    names = [p.name for p in made.bundle.iterdir() if p.name not in ("receipt.json", "seal.json")]
    facts = {n: FileFacts.of((made.bundle / n).read_bytes()) for n in names}
    seal = build_seal(
        FileFacts.of((made.bundle / "receipt.json").read_bytes()), FileFacts.of(made.output.read_bytes()), facts
    )
    (made.bundle / "seal.json").write_bytes(canonical.dumps(seal))


def test_resealed_contradictions_are_found(make_bundle):
    made = make_bundle(masked=True)
    good = json.loads((made.bundle / "receipt.json").read_bytes())
    reseal(made)
    assert verify(made.output).word == "authentic"

    def altered_by(change):
        receipt = json.loads(json.dumps(good))
        change(receipt)
        reseal(made, receipt)
        verdict = verify(made.output)
        reseal(made, good)
        return verdict.word, " ".join(verdict.reasons)

    zero = "0" * 64
    cases = [
        (lambda r: r["outputs"]["picture"]["file"].update(decoded_samples_sha256=zero), "samples of photo.png"),
        (lambda r: r["inputs"]["picture"].update(samples_sha256=zero), "receipt.steps[0].input_digest"),
        (
            lambda r: (r["inputs"]["picture"].update(samples_sha256=zero), r["steps"][0].update(input_digest=zero)),
            "samples of original.png",
        ),
        (lambda r: r["inputs"]["picture"]["file"].update(sha256=zero), "original.png"),
        (lambda r: r["outputs"]["picture"]["maps"]["edit"].update(samples_sha256=zero), "samples of edit-map.png"),
        (
            lambda r: r["outputs"]["picture"]["maps"]["confidence"].update(samples_sha256=zero),
            "samples of confidence.png",
        ),
        (lambda r: r["outputs"]["picture"]["maps"]["edit"].update(file_sha256=zero), "edit-map.png"),
        (lambda r: r["outputs"]["picture"]["maps"]["edit"]["stats"].update(mean=0.01), "statistics"),
        (lambda r: r["mask"].update(samples_sha256=zero), "mask.png"),
        (lambda r: r["outputs"]["picture"]["file"].update(sha256=zero), "the picture"),
    ]
    for change, word in cases:
        got, reasons = altered_by(change)
        assert got == "altered"
        assert word in reasons
    assert verify(made.output).word == "authentic"


def test_another_map_of_the_same_name(make_bundle):
    made = make_bundle()
    io.encode_png16_gray(made.bundle / "edit-map.png", np.zeros((48, 64), np.uint16), {}, 1)
    reseal(made)
    assert "edit-map.png" in " ".join(verify(made.output).reasons)


def test_another_decoder_of_a_lossy_original_is_noted_not_accused(make_bundle, monkeypatch):
    made = make_bundle(input_format="jpeg")
    real = tratto.provenance.recheck.read_picture

    def newer(path, *more):
        image = real(path, *more)
        return image.replace(pixels=image.pixels ^ 1) if path.name.startswith("original") else image

    monkeypatch.setattr("tratto.provenance.recheck.read_picture", newer)
    verdict = verify(made.output)
    assert verdict.word == "authentic", verdict.reasons
    reasons = " ".join(verdict.reasons)
    assert "another decoder version" in reasons
    assert "could not be decoded" in reasons
    assert "state before" in reasons


def test_a_missing_decoder_is_noted_not_accused(make_bundle, monkeypatch):
    made = make_bundle()
    real = tratto.provenance.recheck.read_picture

    def without_extra(path, *more):
        if path.name.startswith("original"):
            raise MissingExtra("HEIF", "heif")
        return real(path, *more)

    monkeypatch.setattr("tratto.provenance.recheck.read_picture", without_extra)
    verdict = verify(made.output)
    assert verdict.word == "authentic", verdict.reasons
    assert "not decoded" in " ".join(verdict.reasons)


def test_undecodable_though_sealed(make_bundle):
    made = make_bundle(save={"keep_original": False})
    (made.bundle / "confidence.png").write_bytes(b"not a picture")
    receipt = json.loads((made.bundle / "receipt.json").read_bytes())
    receipt["outputs"]["picture"]["maps"]["confidence"]["file_sha256"] = FileFacts.of(b"not a picture").sha256
    reseal(made, receipt)
    assert "64x48" in " ".join(verify(made.output).reasons)


def test_map_of_another_size_is_refused_before_it_is_decoded(make_bundle):
    made = make_bundle()
    io.encode_png16_gray(made.bundle / "confidence.png", np.zeros((3000, 3000), np.uint16), {}, 1)
    receipt = json.loads((made.bundle / "receipt.json").read_bytes())
    receipt["outputs"]["picture"]["maps"]["confidence"]["file_sha256"] = FileFacts.of(
        (made.bundle / "confidence.png").read_bytes()
    ).sha256
    reseal(made, receipt)
    assert "over the limit" in " ".join(verify(made.output).reasons)


@pytest.mark.parametrize(
    "name", ["edit-map.png", "mask.png", "original.png", "receipt.json", "seal.json", "../photo.png"]
)
@pytest.mark.parametrize("start", ["bundle", "picture"])
def test_a_file_that_may_not_be_read_is_not_called_altered(make_bundle, monkeypatch, name, start):
    made = make_bundle(masked=True)
    locked, really = (made.bundle / name).resolve(), os.open

    def guarded(path, *args, **more):
        if isinstance(path, str | os.PathLike) and Path(path).resolve() == locked:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return really(path, *args, **more)

    monkeypatch.setattr(os, "open", guarded)
    with pytest.raises(InputError, match=rf"{locked.name} could not be read \(Permission denied\)"):
        verify(made.bundle if start == "bundle" else made.output)
    monkeypatch.undo()
    assert verify(made.output).word == "authentic"


@pytest.mark.parametrize("name", ["observed.json", "original.png", "mask.png", "edit-map.png", "report.html"])
def test_a_file_that_was_removed_is_named(make_bundle, name):
    made = make_bundle(masked=True)
    (made.bundle / name).unlink()
    verdict = verify(made.output)
    assert verdict.word == "altered"
    assert verdict.reasons == (f"{name} was removed: the seal names it, and it is not in the bundle",)


def test_what_was_left_out_is_named(make_bundle):
    reasons = verify(make_bundle().output).reasons
    assert not any("left out" in r for r in reasons)
    reasons = " ".join(
        verify(make_bundle("b.png", save={"keep_original": False, "strip_metadata": True}).output).reasons
    )
    assert "no original" in reasons
    assert "no observed.json" in reasons


def test_no_path():
    for value in (None, 3, b"photo.png"):
        with pytest.raises(InputError, match=f"got {type(value).__name__}"):
            verify(value)
