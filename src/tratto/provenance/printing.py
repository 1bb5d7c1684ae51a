"""Printing the report of a bundle: what is needed is read from it, checked first, and told to :mod:`.report.pdf`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tratto.core.errors import InputError, ReceiptError
from tratto.core.image import Image
from tratto.provenance.bundle import (
    CONFIDENCE,
    EDIT_MAP,
    INPUTS,
    LEDGER,
    MASK,
    MASK_PARTS,
    OBSERVED,
    OUTPUTS,
    REPORT,
    Bundle,
    find_original,
    find_output,
    read_bundle,
    read_input,
    read_map,
    read_picture,
)
from tratto.provenance.bundle.read import some_bundle
from tratto.provenance.consistency import Known
from tratto.provenance.proof import MAX_PROOF, read_proof
from tratto.provenance.receipt import FileFacts, maps_of
from tratto.provenance.seal import read_limited

if TYPE_CHECKING:
    from tratto.provenance.report.pdf import PdfInputs

_MAX_REPORT = 64 << 20


def printed(path: Path, known: Known | None = None) -> bytes:
    """Return the report of a bundle as a PDF; the same bundle gives the same bytes.

    Parameters
    ----------
    path : Path
        A result, its bundle, or a file in it.
    known : Known or None
        The models and providers known here, as for :func:`.verify.verify`.

    Raises
    ------
    ReceiptError
        If there is no bundle, or it was altered: nothing is printed that looks like an account of it.
    InputError, MissingExtra
    """
    from tratto.provenance.report.pdf import render_pdf

    return render_pdf(read_inputs(path, known))


def read_inputs(path: Path, known: Known | None = None) -> PdfInputs:
    """Read and check what is printed; raises as :func:`printed` does."""
    from tratto.provenance.recheck import read_observed, small_blank, to_show
    from tratto.provenance.report.compare import input_alt, named_in, pictures_in
    from tratto.provenance.report.inputs import ReportInputs
    from tratto.provenance.report.pdf import PdfInputs
    from tratto.provenance.verify import verify

    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    folder = some_bundle(path)
    verdict = verify(path, known=known)
    if verdict.word == "altered":
        raise ReceiptError(f"{folder.name} was altered, so no report of it is printed: {verdict.reasons[0]}")
    bundle = read_bundle(folder)
    receipt = bundle.receipt
    page = read_limited(folder / REPORT, _MAX_REPORT).decode("utf-8")
    stored = pictures_in(page)
    before, after, made = _original(bundle), _result(bundle), receipt["outputs"].get("picture")
    second, sheet = _second(bundle), _sheet(bundle)
    edit, confidence = maps_of(receipt)
    missing = {"before": "before"} if before is None else {}
    missing |= {"after": "after"} if after is None and made is not None else {}
    missing |= {f"crop_{k}": f"crop_{k}" for k in missing if edit is not None}
    missing |= {f"input {role}": input_alt(role) for role, image in second.items() if image is None}
    for name in missing.values():
        if name not in stored:
            raise ReceiptError(f"the stored report does not show what is not at hand either: {name}")
    kept = {k: stored[name] for k, name in missing.items()}
    source = to_show(before, receipt["inputs"]["picture"]["picture"], after, edit is not None)
    result = None if made is None else to_show(after, made["picture"], before, edit is not None)
    if source is None or (result is None and made is not None):
        raise ReceiptError("the colour profile that the pictures are shown through is not at hand; print report.html")
    names = read_observed(bundle) if OBSERVED in bundle.sealed_files else None
    mask, size = None, receipt["inputs"]["picture"]["picture"]
    if MASK in bundle.sealed_files:
        mask = read_map(bundle, MASK, size)
    report = ReportInputs(
        receipt=receipt,
        receipt_sha256=FileFacts.of(bundle.receipt_bytes).sha256,
        source=source,
        result=result,
        edit_map=None if edit is None or made is None else read_map(bundle, EDIT_MAP, made["picture"]),
        confidence=None if confidence is None or made is None else read_map(bundle, CONFIDENCE, made["picture"]),
        output_name=named_in(page),
        original_name=names["input_name"] if names is not None else "",
        original_file=find_original(bundle),
        signed=bundle.sealed_output if bundle.credentials else None,
        mask=mask,
        parts=tuple(read_map(bundle, n, size) for n in MASK_PARTS if n in bundle.sealed_files),
        inputs={r: small_blank(receipt["inputs"][r]["picture"]) if i is None else i for r, i in second.items()},
        sheet=sheet,
        files=tuple(sorted(n for n in bundle.sealed_files if "/" in n)),
    )
    return PdfInputs(report, verdict.word, verdict.reasons, tuple(_proof(bundle).items()), tuple(kept.items()))


def _original(bundle: Bundle) -> Image | None:
    """Return the original if the bundle holds it and it can be decoded here."""
    name, facts = find_original(bundle), bundle.receipt["inputs"]["picture"]
    if name is None:
        return None
    try:
        size = facts["picture"]
        return read_picture(bundle.folder / name, size["width"], size["height"], facts["page"])
    except InputError:
        return None


def _result(bundle: Bundle) -> Image | None:
    """Return the sealed picture if it lies beside the bundle; None of what is no picture, too."""
    made = bundle.receipt["outputs"].get("picture")
    path, matches = find_output(bundle)
    if made is None or path is None or not matches:
        return None
    return read_picture(path, made["picture"]["width"], made["picture"]["height"])


def _second(bundle: Bundle) -> dict[str, Image | None]:
    """Return the second inputs; None for what is not at hand or cannot be decoded here."""
    names = bundle.in_folder(INPUTS)
    found: dict[str, Image | None] = {}
    for role, facts in bundle.receipt["inputs"].items():
        if role == "picture":
            continue
        source = bundle.folder / names[role] if role in names else bundle.carried.get(role)
        try:
            found[role] = None if source is None else read_input(source, facts)
        except InputError:
            found[role] = None
    return found


def _sheet(bundle: Bundle) -> Image | None:
    name = bundle.in_folder(OUTPUTS).get("sheet")
    return None if name is None else read_input(bundle.folder / name, bundle.receipt["outputs"]["sheet"])


def _proof(bundle: Bundle) -> Mapping[str, str]:
    """Return what the ledger's proof says; it was checked before."""
    path = bundle.folder / LEDGER
    if not path.exists():
        return {}
    proof = read_proof(read_limited(path, MAX_PROOF))
    checkpoint = proof.note.checkpoint
    rows = {
        "Ledger": checkpoint.origin,
        "Entry": f"{proof.index} of {checkpoint.size} (counted from 0)",
        "Root": base64.b64encode(checkpoint.root).decode(),
        "Key": proof.key.text(),
        "Audit path": f"{len(proof.path)} hashes, in {LEDGER}",
    }
    rows |= {f"Witness {i}": w.text() for i, w in enumerate(proof.witnesses, 1)}
    rows["To check"] = f"python check.py bundle {bundle.folder.name} KEY; check.py: tratto ledger verifier -o check.py"
    return rows
