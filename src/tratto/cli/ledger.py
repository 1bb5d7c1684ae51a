"""``tratto ledger``: make a ledger, record results in it, check it, have it witnessed and time-stamped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, emit_json, group, path_argument, path_option, printable, say
from tratto.core.errors import InputError, OptionError
from tratto.core.files import write_bytes

if TYPE_CHECKING:
    from tratto.ledger.note import VerifierKey

ledger_app = group("Record results where nobody can change, shorten or fork the record unnoticed.")
_Folder = Annotated[Path, path_argument("The ledger's folder.", metavar="DIR")]
_Key = Annotated[
    str | None, typer.Option("--key", help="Its public key as you know it, or a file that holds it.", metavar="KEY")
]
_Out = Annotated[Path, path_option("File to write.", "--out", "-o")]


@ledger_app.command("new")
@exits
def _new(
    folder: _Folder,
    name: Annotated[str, typer.Option("--key-name", help="Key to use or make; see tratto keys.")] = "ledger",
    origin: Annotated[str, typer.Option(help="Name the ledger signs with, if the key is made now.")] = "",
    as_json: AsJson = False,
) -> int:
    """Begin a ledger."""
    from tratto.ledger import Ledger, keys

    try:
        keys.key_info(name)
    except InputError:
        keys.new_key(name, "ledger", origin)
    else:
        if origin and keys.signer(name, "ledger").verifier.name != origin:
            raise OptionError(f"the key {name!r} is there and signs with another name; choose another --key-name")
    with Ledger.create(folder, keys.signer(name, "ledger")) as log:
        name, public = log.checkpoint.origin, log.key.verifier.text()
        answer = {"folder": str(folder), "origin": name, "public": public}
        say(as_json, answer, f"{folder}: the ledger {name}", f"  public key, to be told to others: {public}")
    return 0


@ledger_app.command("add")
@exits
def _add(
    folder: _Folder,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Results, their bundles, or folders of them.")],
    as_json: AsJson = False,
) -> int:
    """Record results, each once, and lay a proof of the newest state into each bundle."""
    from tratto.provenance.audit import find_bundles
    from tratto.provenance.notary import record

    bundles = list(dict.fromkeys(b for p in paths for b in find_bundles(Path(p))))
    proofs = record(folder, bundles)
    rows = [
        {"bundle": str(b), "entry": p.index, "size": p.note.checkpoint.size}
        for b, p in zip(bundles, proofs, strict=True)
    ]
    if as_json:
        emit_json(rows)
    for row in () if as_json else rows:
        typer.echo(printable(f"{row['bundle']}: entry {row['entry']} of {row['size']}"))
    return 0


@ledger_app.command("show")
@exits
def _show(folder: _Folder, key: _Key = None, as_json: AsJson = False) -> int:
    """Show what a ledger says of itself."""
    from tratto.ledger.tiles import LedgerReader
    from tratto.provenance.notary import witnesses_of

    reader = LedgerReader(folder, key_of(key))
    signed = [w.name for w in witnesses_of(folder) if reader.note.signed_by(w)]
    facts = {
        "origin": reader.checkpoint.origin,
        "size": reader.size,
        "root": reader.checkpoint.root.hex(),
        "key": reader.key.text(),
        "witnesses": signed,
    }
    if as_json:
        emit_json(facts)
    else:
        typer.echo(printable(f"{facts['origin']}: {facts['size']} entries, root {facts['root']}"))
        typer.echo(printable(f"  key: {facts['key']}"))
        typer.echo(printable(f"  witnesses that signed this state: {', '.join(signed) or 'none'}"))
    return 0


@ledger_app.command("check")
@exits
def _check(
    folder: _Folder,
    key: _Key = None,
    since: Annotated[Path | None, path_option("An older checkpoint, or a bundle's ledger.json.")] = None,
    as_json: AsJson = False,
) -> int:
    """Read every byte of a ledger and compare it with what was signed."""
    from tratto.ledger import check
    from tratto.ledger.proof import older_checkpoint
    from tratto.ledger.tiles import LedgerReader

    named = key_of(key)
    wrong, note = check(folder, named)
    if since is not None and note is not None and not wrong:
        reader = LedgerReader(folder, named)
        old = older_checkpoint(since, reader.key)
        if old.size > reader.size:
            wrong.append(f"it has {reader.size} entries, but had signed {old.size}: it was rolled back")
        elif reader.root(old.size) != old.root:
            wrong.append(f"it does not continue the {old.size} entries it had signed: it was forked")
    size = None if note is None else note.checkpoint.size
    if as_json:
        emit_json({"path": str(folder), "size": size, "wrong": wrong})
    elif not wrong:
        typer.echo(printable(f"{folder}: every byte of {size} entries is as it was signed"))
    for w in () if as_json else wrong:
        typer.echo(printable(f"{folder}: {w}"))
    return 9 if wrong else 0


@ledger_app.command("request")
@exits
def _request(
    folder: _Folder,
    out: _Out,
    since: Annotated[int, typer.Option("--since", help="How many entries the witness has signed before.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Write what a witness is asked to sign; carry it there by whatever way."""
    from tratto.imaging.io.target import check_no_picture
    from tratto.ledger.tiles import LedgerReader
    from tratto.ledger.witness import request

    check_no_picture(out)
    data = request(LedgerReader(folder), since)
    write_bytes(out, data)
    say(as_json, {"path": str(out)}, f"{out}: for the witness")
    return 0


@ledger_app.command("cosign")
@exits
def _cosign(
    folder: _Folder,
    witness: Annotated[str, typer.Option("--key", help="The witness's public key, or a file that holds it.")],
    answer: Annotated[Path | None, path_option("The witness's answer, as a file.")] = None,
    url: Annotated[
        str | None, typer.Option(help="Or where the witness serves; the only network call there is.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Publish a witness's signature below the checkpoint."""
    from tratto.core.hashing import read_limited
    from tratto.ledger import Ledger
    from tratto.ledger import witness as witnesses
    from tratto.ledger.keys import signer_for
    from tratto.ledger.note import MAX_NOTE
    from tratto.ledger.tiles import LedgerReader
    from tratto.provenance import notary

    key = key_of(witness)
    if key is None or (answer is None) == (url is None):
        raise OptionError("give the witness's key and either --answer or --url")
    reader = LedgerReader(folder)
    if answer is not None:
        signature = witnesses.answered(read_limited(answer, MAX_NOTE), reader, key)
    else:
        signature = witnesses.ask(str(url), reader, key)
    with Ledger.open(folder, signer_for(reader.key)) as log:
        if log.checkpoint != reader.checkpoint:
            raise OptionError("the ledger has grown meanwhile; ask the witness again")
        notary.name_witness(folder, key)
        log.add_signatures([signature])
    facts = {"folder": str(folder), "witness": key.name, "entries": reader.size}
    say(as_json, facts, f"{folder}: {key.name} signed {reader.size} entries")
    return 0


@ledger_app.command("stamp")
@exits
def _stamp(
    folder: _Folder,
    query: Annotated[Path | None, path_option("Write the query for an authority here.")] = None,
    answer: Annotated[Path | None, path_option("Take the authority's answer from here.")] = None,
    anchors: Annotated[Path | None, path_option("Root certificates (PEM) of authorities.")] = None,
    as_json: AsJson = False,
) -> int:
    """Have the checkpoint time-stamped (RFC 3161): write the query, or take the answer."""
    from tratto.core.hashing import read_limited
    from tratto.imaging.io.target import check_no_picture
    from tratto.ledger import timestamp
    from tratto.ledger.tiles import LedgerReader

    checkpoint = LedgerReader(folder).checkpoint
    if (query is None) == (answer is None) or (answer is not None and anchors is None):
        raise OptionError("give either --query, or --answer with --anchors")
    if query is not None:
        check_no_picture(query)
        data = timestamp.request(checkpoint)
        write_bytes(query, data)
        say(as_json, {"path": str(query)}, f"{query}: for the authority")
    elif answer is not None and anchors is not None:
        from tratto.cli.account import roots_in

        stamp = read_limited(answer, timestamp.MAX_STAMP)
        when = timestamp.accept(folder, checkpoint, stamp, roots_in(anchors))
        facts = {"folder": str(folder), "entries": checkpoint.size, "at": when.isoformat()}
        say(as_json, facts, f"{folder}: {checkpoint.size} entries were there at {when.isoformat()}")
    return 0


@ledger_app.command("verifier")
@exits
def _verifier(out: _Out, as_json: AsJson = False) -> int:
    """Write the verifier that works without Tratto: one Python file to keep or hand on."""
    from importlib import resources

    from tratto.imaging.io.target import check_no_picture

    check_no_picture(out)
    data = resources.files("tratto.provenance").joinpath("standalone.py").read_bytes()
    write_bytes(out, data)
    say(as_json, {"path": str(out)}, f"{out}: run it with python {out.name}")
    return 0


def key_of(text: str | None) -> VerifierKey | None:
    """Return the key that an option names: the key itself, or a file that holds it."""
    from tratto.ledger.note import VerifierKey, read_key_file

    if text is None:
        return None
    if "+" not in text or Path(text).is_file():
        if not Path(text).is_file():
            raise OptionError(f"{text[:80]!r} is neither a public key (name+hash+base64) nor a file that holds one")
        return read_key_file(Path(text))
    return VerifierKey.parse(text)
