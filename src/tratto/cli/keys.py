"""``tratto keys``: make and list keys."""

from __future__ import annotations

from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, emit_json, group, printable

keys_app = group("Make and list the keys of identities, ledgers and witnesses.", needs_command=False)


@keys_app.callback(invoke_without_command=True)
def _default(context: typer.Context, as_json: AsJson = False) -> None:
    """Make and list the keys of identities, ledgers and witnesses."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@keys_app.command("list")
@exits
def _list(as_json: AsJson = False) -> int:
    """List the keys that are here."""
    from tratto.provenance.keys import keys_folder, list_keys

    spoilt: list[str] = []
    found = list(list_keys(spoilt))
    if as_json:
        emit_json([k.to_json() for k in found])
    for key in () if as_json else found:
        typer.echo(printable(f"{key.name}: {key.kind}, {key.public}"))
    for name in spoilt:
        typer.echo(printable(f"cannot be read: {name}"), err=True)
    if not found and not spoilt and not as_json:
        typer.echo(printable(f"no keys in {keys_folder()}; make one with: tratto keys new"))
    return 0


@keys_app.command("new")
@exits
def _new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it here.")] = "default",
    kind: Annotated[
        str, typer.Option(help="identity (a test identity that signs pictures), ledger or witness.")
    ] = "identity",
    origin: Annotated[
        str, typer.Option(help="Name that a ledger or witness signs with, such as example.org/log.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Make a key. It is never replaced, and the private half never leaves its folder."""
    from tratto.provenance.keys import new_key

    made = new_key(name, kind, origin)
    if as_json:
        emit_json(made.to_json())
        return 0
    typer.echo(printable(f"{made.folder}: key of kind {made.kind}"))
    typer.echo(printable(f"  public: {made.public}"))
    if kind == "identity":
        typer.echo(
            "  a test identity: nobody vouches for it, and verify says so. It signs pictures with: "
            f"tratto restore --sign {name}"
        )
    return 0
