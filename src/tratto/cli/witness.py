"""``tratto witness``: sign the checkpoints of other people's ledgers, if they only grew."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, group, path_argument, path_option, printable, say
from tratto.core.errors import OptionError
from tratto.core.files import write_bytes

witness_app = group("Sign checkpoints of ledgers that only grew, and refuse all others.")
_State = Annotated[Path, path_argument("Folder in which the witness remembers.", metavar="STATE")]
_Name = Annotated[str, typer.Option("--key-name", help="The witness's key; see tratto keys new --kind witness.")]


@witness_app.command("watch")
@exits
def _watch(
    state: _State,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Public key of a ledger, or a file that holds it.")],
    name: _Name = "witness",
    as_json: AsJson = False,
) -> int:
    """Begin to watch a ledger."""
    from tratto.cli.ledger import key_of
    from tratto.ledger.keys import signer
    from tratto.ledger.witness import Witness

    ledger = key_of(key)
    if ledger is None:
        raise OptionError("name the ledger's key")
    Witness(state, signer(name, "witness")).watch(ledger)
    say(as_json, {"state": str(state), "watches": ledger.name}, f"{state}: watches {ledger.name}")
    return 0


@witness_app.command("sign")
@exits
def _sign(
    state: _State,
    request: Annotated[Path, path_argument("A request, or a ledger's folder.")],
    out: Annotated[Path, path_option("File for the answer.", "--out", "-o")],
    name: _Name = "witness",
    as_json: AsJson = False,
) -> int:
    """Sign one checkpoint and stop: for witnesses without a network."""
    from tratto.core.hashing import read_limited
    from tratto.imaging.io.target import check_no_picture
    from tratto.ledger import witness as witnesses
    from tratto.ledger.keys import signer
    from tratto.ledger.tiles import LedgerReader

    check_no_picture(out)
    me = witnesses.Witness(state, signer(name, "witness"))
    if request.is_dir():
        reader = LedgerReader(request)
        last = me.last(reader.checkpoint.origin)
        data = witnesses.request(reader, 0 if last is None else last.checkpoint.size)
    else:
        data = read_limited(request, witnesses.MAX_REQUEST)
    signature = me.sign(data)
    write_bytes(out, signature.line().encode())
    answer = {"path": str(out), "signed_by": me.key.verifier.text()}
    say(as_json, answer, f"{out}: signed by {me.key.verifier.text()}")
    return 0


@witness_app.command("serve")
@exits
def _serve(
    state: _State,
    host: Annotated[str, typer.Option(help="Where to listen; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8765,
    name: _Name = "witness",
) -> int:
    """Answer over HTTP until interrupted."""
    from tratto.ledger import witness as witnesses
    from tratto.ledger.keys import signer

    me = witnesses.Witness(state, signer(name, "witness"))
    with witnesses.serve(me, host, port) as server:
        at = f"http://{server.server_address[0]!s}:{server.server_address[1]}"
        typer.echo(printable(f"{me.key.verifier.text()} answers at {at}"))
        # in the background of a shell or under nohup the interrupt is ignored, and services are stopped by SIGTERM
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("stopped")
    return 0
