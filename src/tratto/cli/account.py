"""The commands about results that exist: replay, verify, revert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tratto.cli.show import ProgressLine, emit_json, printable

if TYPE_CHECKING:
    from tratto.provenance.trust import Trust


def run_replay(receipt: Path, source: Path | None, as_json: bool) -> int:
    """Replay; return the exit code: 0 for tiers A, B and C, 9 for another result, 10 if not comparable."""
    from tratto.session import Session

    with ProgressLine() as line:
        verdict = Session(progress=line).replay(receipt, source)
    if as_json:
        emit_json(verdict.to_json())
    else:
        typer.echo(printable(verdict.sentence()))
    return verdict.exit_code


def trust_of(ledger: Path | None, keys: list[str] | None, anchors: Path | None, stamp_anchors: Path | None) -> Trust:
    """Return whom the options of these names say to trust."""
    from tratto.cli.ledger import key_of
    from tratto.provenance.tiles import LedgerReader
    from tratto.provenance.trust import Trust

    named = tuple(k for k in map(key_of, keys or ()) if k is not None)
    if ledger is not None:
        LedgerReader.must_exist(ledger)  # a wrong path is a mistake on the line, not a finding about the picture
    return Trust(named, ledger, *(b"" if p is None else roots_in(p) for p in (anchors, stamp_anchors)))


def roots_in(path: Path) -> bytes:
    """Read a file of root certificates, which must hold one: no roots would mean that nobody need vouch.

    Raises
    ------
    InputError
        If it cannot be read or holds no certificate.
    """
    from tratto.core.errors import InputError, ReceiptError
    from tratto.provenance.seal import read_limited
    from tratto.provenance.trust import check_roots

    try:
        pem = read_limited(path, 1 << 20)
    except ReceiptError as e:
        raise InputError(str(e)) from e  # a wrong path on the line, not a finding about the picture
    if not pem.strip():
        raise InputError(f"{path} holds no certificate: it is empty")
    try:
        check_roots(pem)
    except InputError as e:
        raise InputError(f"{path}: {e}") from e
    return pem


def run_verify(path: Path, as_json: bool, trust: Trust | None = None, bundle: Path | None = None) -> int:
    """Verify; return the exit code: 0 authentic, 9 altered, 10 unknown."""
    from tratto.session import verify

    verdict = verify(path, trust, bundle)
    if as_json:
        told = verdict.to_json()
        told.pop("exit_code")
        emit_json({"path": str(path), **told})
    else:
        stamp = f" ({verdict.stamp})" if verdict.stamp else ""
        typer.echo(printable(f"{path}: {verdict.word}{stamp}"))
        for reason in verdict.reasons:
            typer.echo(printable(f"  {reason}"))
    return verdict.exit_code


def run_revert(path: Path, out: Path) -> int:
    """Write the original; return the exit code."""
    from tratto.provenance.bundle import revert

    written = revert(path, out)
    typer.echo(printable(f"{written}: the original, byte for byte"))
    return 0
