"""Printing the report of a bundle: checked, made again as the page it is, and laid out by :mod:`.report.pdf`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tratto.core.errors import InputError, ReceiptError, UnavailableError
from tratto.core.hashing import read_limited
from tratto.ledger.proof import MAX_PROOF, read_proof
from tratto.provenance.bundle import LEDGER, OBSERVED, Bundle, find_output, read_bundle
from tratto.provenance.bundle.read import some_bundle
from tratto.provenance.consistency import Known

if TYPE_CHECKING:
    from tratto.provenance.report import ReportInputs


def printed(path: Path, known: Known | None = None, when: datetime | None = None) -> bytes:
    """Return the report of a bundle as a PDF; the same bundle at the same moment gives the same bytes.

    Parameters
    ----------
    path : Path
        A result, its bundle, or a file in it.
    known : Known or None
        The models and providers known here, as for :func:`.verify.verify`.
    when : datetime or None
        When it is made, which the PDF says of itself; None: now.

    Raises
    ------
    ReceiptError
        If there is no bundle, or it was altered: nothing is printed that looks like an account of it.
    InputError, MissingExtra
        If the bundle cannot be read, or the ``pdf`` extra is missing.
    """
    from tratto.provenance.report.pdf import render_pdf

    when = when or datetime.now(UTC)
    return render_pdf(*page_of(path, known, when), when)


def page_of(path: Path, known: Known | None = None, when: datetime | None = None) -> tuple[str, ReportInputs]:
    """Check a bundle and return its report as a page, with what checking said, and what that was made from.

    It is made again from the receipt. Pictures whose files are not at hand are those of the stored report. The
    parameters are those of :func:`printed`, and so is what is raised.
    """
    from tratto.provenance.findings import Findings
    from tratto.provenance.recheck import decode, too_large
    from tratto.provenance.recheck_report import again, read_report
    from tratto.provenance.report import Checked, named_in, render_report, with_stored
    from tratto.provenance.verify import verify

    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    folder = some_bundle(path)
    verdict = verify(path, known=known)
    if verdict.word == "altered":
        raise ReceiptError(f"{folder.name} was altered, so no report of it is printed: {verdict.reasons[0]}")
    bundle = read_bundle(folder)
    large = too_large(bundle.receipt)
    if large:
        raise ReceiptError(f"no report of {folder.name} is printed: {large}")
    picture, matches = find_output(bundle)
    stored = read_report(bundle)
    try:
        inputs, missing = again(bundle, decode(bundle, picture if matches else None, Findings()), named_in(stored))
    except UnavailableError as e:
        raise ReceiptError(f"no report of {folder.name} is printed: {e}; print report.html") from e
    checked = Checked(verdict.word, verdict.reasons, _proof(bundle), _day(when or datetime.now(UTC)), _written(bundle))
    page = render_report(inputs, checked)
    return with_stored(page, stored, missing), inputs


def _day(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _written(bundle: Bundle) -> str:
    """Return when the bundle was written, as its sealed notes say; empty: they do not."""
    if OBSERVED not in bundle.sealed_files:
        return ""
    from tratto.provenance.recheck_report import read_observed

    return _day(datetime.fromisoformat(read_observed(bundle)["written"]))


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
