"""The commands about results that exist: replay, verify, revert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, ProgressLine, emit_json, path_argument, path_option, printable, say
from tratto.core.errors import InputError, OptionError, ReceiptError

if TYPE_CHECKING:
    from tratto.provenance.trust import Trust


Ledger = Annotated[Path | None, path_option("A ledger, or a copy of one, to compare with.", metavar="DIR")]
Keys = Annotated[
    list[str] | None, typer.Option(help="Public key of a ledger or witness you trust, or its file; repeatable.")
]
Anchors = Annotated[Path | None, path_option("Root certificates (PEM) whose content credentials you trust.")]
StampAnchors = Annotated[Path | None, path_option("Root certificates (PEM) of time-stamp authorities.")]


@exits
def replay(
    receipt: Annotated[Path, path_argument("A receipt, its bundle or the picture beside it.", metavar="RECEIPT")],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[ROLE=]PATH",
            help="The original, when the bundle holds none; texture=PATH: the wallpaper. Repeatable.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Do it again from the receipt and say how exactly the result agrees (tier A, B or C)."""
    from tratto.jobs import Session

    inputs = inputs_of(given or [])
    source = inputs.pop("picture", None)
    with ProgressLine() as line:
        verdict = Session(progress=line).job().replay(receipt, source, inputs)
    if as_json:
        emit_json(verdict.to_json())
    else:
        typer.echo(printable(verdict.sentence()))
    return verdict.exit_code


@exits
def verify(
    path: Annotated[Path, path_argument("A result, its bundle or a receipt.")],
    ledger: Ledger = None,
    key: Keys = None,
    anchors: Anchors = None,
    stamp_anchors: StampAnchors = None,
    bundle: Annotated[Path | None, path_option("The picture's bundle, if it is not beside it.", metavar="DIR")] = None,
    as_json: AsJson = False,
) -> int:
    """Say whether a result and its account are unchanged: authentic, altered or unknown. Works offline."""
    from tratto import jobs

    verdict = jobs.verify(path, trust_of(ledger, key, anchors, stamp_anchors), bundle)
    if as_json:
        answer = verdict.to_json()
        answer.pop("exit_code")
        emit_json({"path": str(path), **answer})
    else:
        stamp = f" ({verdict.stamp})" if verdict.stamp else ""
        typer.echo(printable(f"{path}: {verdict.word}{stamp}"))
        for reason in verdict.reasons:
            typer.echo(printable(f"  {reason}"))
    return verdict.exit_code


@exits
def revert(
    path: Annotated[Path, path_argument("A result or its bundle.")],
    out: Annotated[Path, path_option("File to write the original to.", "--out", "-o")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists (never a result).")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Give back the exact bytes of the original."""
    from tratto.provenance import bundle

    written = bundle.revert(path, out, overwrite)
    say(as_json, {"path": str(written)}, f"{written}: the original, byte for byte")
    return 0


def inputs_of(given: list[str]) -> dict[str, Path]:
    """Return files by role: ``ROLE=FILE`` names both; a file alone is the picture.

    Raises
    ------
    OptionError
        If one is empty, or a role has two.

    Examples
    --------
    >>> inputs_of(["photo.png", "texture=paper.png"])["texture"].name
    'paper.png'
    """
    found: dict[str, Path] = {}
    for text in given:
        role, equals, file = text.partition("=")
        if not equals or not _ROLE.fullmatch(role) or Path(text).exists():
            role, file = "picture", text
        if not file:
            raise OptionError("--input is empty; name a file, or a role and a file: texture=FILE")
        if role in found:
            raise OptionError(f"--input names two files for the {role}: {found[role]} and {file}")
        found[role] = Path(file)
    return found


_ROLE = re.compile("[a-z][a-z0-9-]*")


def trust_of(ledger: Path | None, keys: list[str] | None, anchors: Path | None, stamp_anchors: Path | None) -> Trust:
    """Return whom the options of these names say to trust."""
    from tratto.cli.ledger import key_of
    from tratto.ledger.tiles import LedgerReader
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
    from tratto.core.hashing import read_limited
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
