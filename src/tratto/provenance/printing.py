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
    LEDGER,
    MASK,
    MASK_PARTS,
    OBSERVED,
    REPORT,
    Bundle,
    find_bundle,
    find_original,
    find_output,
    read_bundle,
    read_map,
    read_picture,
)
from tratto.provenance.consistency import Known
from tratto.provenance.proof import MAX_PROOF, read_proof
from tratto.provenance.receipt import FileFacts
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
    from tratto.provenance.recheck import read_observed, to_show
    from tratto.provenance.report.compare import named_in, pictures_in
    from tratto.provenance.report.inputs import ReportInputs
    from tratto.provenance.report.pdf import PdfInputs
    from tratto.provenance.verify import verify

    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    folder = find_bundle(path)
    verdict = verify(path, known=known)
    if verdict.word == "altered":
        raise ReceiptError(f"{folder.name} was altered, so no report of it is printed: {verdict.reasons[0]}")
    bundle = read_bundle(folder)
    receipt = bundle.receipt
    page = read_limited(folder / REPORT, _MAX_REPORT).decode("utf-8")
    stored = pictures_in(page)
    before, after = _original(bundle), _result(bundle)
    kept: dict[str, str] = {}
    if before is None:
        kept |= {k: stored[k] for k in ("before", "crop_before")}
    if after is None:
        kept |= {k: stored[k] for k in ("after", "crop_after")}
    source = to_show(before, receipt["input"]["picture"], after)
    result = to_show(after, receipt["output"]["picture"], before)
    if source is None or result is None:
        raise ReceiptError("the colour profile that the pictures are shown through is not at hand; print report.html")
    names = read_observed(bundle) if OBSERVED in bundle.sealed_files else None
    mask = None
    if MASK in bundle.sealed_files:
        mask = read_map(bundle, MASK, receipt["input"]["picture"])
    size = receipt["output"]["picture"]
    report = ReportInputs(
        receipt=receipt,
        receipt_sha256=FileFacts.of(bundle.receipt_bytes).sha256,
        source=source,
        result=result,
        edit_map=read_map(bundle, EDIT_MAP, size),
        confidence=read_map(bundle, CONFIDENCE, size),
        output_name=named_in(page),
        original_name=names["input_name"] if names is not None else "",
        original_file=find_original(bundle),
        signed=bundle.sealed_output if bundle.credentials else None,
        mask=mask,
        parts=tuple(read_map(bundle, n, receipt["input"]["picture"]) for n in MASK_PARTS if n in bundle.sealed_files),
    )
    return PdfInputs(report, verdict.word, verdict.reasons, tuple(_proof(bundle).items()), tuple(kept.items()))


def _original(bundle: Bundle) -> Image | None:
    """Return the original if the bundle holds it and it can be decoded here."""
    name, facts = find_original(bundle), bundle.receipt["input"]
    if name is None:
        return None
    try:
        size = facts["picture"]
        return read_picture(bundle.folder / name, size["width"], size["height"], facts["page"])
    except InputError:
        return None


def _result(bundle: Bundle) -> Image | None:
    """Return the sealed picture if it lies beside the bundle."""
    path, matches = find_output(bundle)
    size = bundle.receipt["output"]["picture"]
    return read_picture(path, size["width"], size["height"]) if path is not None and matches else None


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
