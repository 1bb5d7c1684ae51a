"""``tratto keys``: make and list keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, emit_json, group, path_option, printable, say

if TYPE_CHECKING:
    from tratto.server.access import Access

keys_app = group("Make and list the keys of identities, ledgers and witnesses.", needs_command=False)
api_app = group("Make, list and remove the keys with which programs use a server.")
keys_app.add_typer(api_app, name="api")


@keys_app.callback(invoke_without_command=True)
def _default(context: typer.Context, as_json: AsJson = False) -> None:
    """Make and list the keys of identities, ledgers and witnesses."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@keys_app.command("list")
@exits
def _list(as_json: AsJson = False) -> int:
    """List the keys that are here."""
    from tratto.ledger.keys import keys_folder, list_keys

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
    from tratto.ledger.keys import new_key

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


_Data = Annotated[Path | None, path_option("Folder of the server.", "--data", metavar="DIR")]


def _access(data: Path | None) -> Access:
    """Return the keys of a server; its folder is made if it is not there."""
    from tratto.server.settings import Settings, need_extra, usual_folder

    need_extra()
    from tratto.server.access import Access
    from tratto.server.database import Database

    settings = Settings(folder=(data or usual_folder()).absolute())
    settings.make_folders()
    return Access(Database(settings.database))


@api_app.command("add")
@exits
def _api_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, run, verify (these three unless given) or monitor; repeatable.")
    ] = None,
    quota: Annotated[str | None, typer.Option(help="Most disk space: 500M, 20G.")] = None,
    max_upload: Annotated[str | None, typer.Option(help="Largest file: 100M, 2G.")] = None,
    max_megapixels: Annotated[float | None, typer.Option(help="Largest picture.", min=0.01)] = None,
    per_minute: Annotated[int | None, typer.Option(help="Most requests a minute.", min=1)] = None,
    expires: Annotated[str | None, typer.Option(help="How long it is good for: 12h, 7d, 52w.")] = None,
    data: _Data = None,
    as_json: AsJson = False,
) -> int:
    """Make a key for a program. It is shown once; only its hash is kept."""
    import time

    access = _access(data)
    from tratto.server.access import SCOPES, KeyLimits
    from tratto.server.settings import age, size

    limits = KeyLimits(
        quota=None if quota is None else size(quota),
        upload_bytes=None if max_upload is None else size(max_upload),
        pixels=None if max_megapixels is None else int(max_megapixels * 1e6),
        per_minute=per_minute,
        expires=None if expires is None else time.time() + age(expires),
    )
    scopes = tuple(dict.fromkeys(scope or SCOPES))
    key = access.add_key(name, scopes, limits)
    if as_json:
        emit_json({"name": name, "scopes": list(scopes), "key": key})
    else:
        typer.echo(f"{key}\n  shown this once; send it as Authorization: Bearer KEY. It may {', '.join(scopes)}.")
    return 0


@api_app.command("list")
@exits
def _api_list(data: _Data = None, as_json: AsJson = False) -> int:
    """List the keys of programs; never the keys themselves."""
    found = _access(data).keys()
    if as_json:
        emit_json(found)
    for key in () if as_json else found:
        limits = ", ".join(f"{n} {key[n]}" for n in ("quota", "upload_bytes", "pixels", "per_minute") if key[n])
        typer.echo(f"{key['name']}: {' '.join(key['scopes'])}" + (f"; {limits}" if limits else ""))
    if not found and not as_json:
        typer.echo("no keys of programs; make one with: tratto keys api add NAME")
    return 0


@api_app.command("remove")
@exits
def _api_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    data: _Data = None,
    as_json: AsJson = False,
) -> int:
    """Make a key worthless at once."""
    _access(data).remove_key(name)
    say(as_json, {"name": name, "removed": True}, f"{name}: the key is good for nothing any more")
    return 0


@api_app.command("link")
@exits
def _api_link(
    port: Annotated[
        int | None, typer.Option(help="Port of the server; else that of the one that runs.", min=1, max=65535)
    ] = None,
    data: _Data = None,
    as_json: AsJson = False,
) -> int:
    """Print another link to the page of a server that runs here; it is good once, for a quarter of an hour."""
    access = _access(data)
    if port is None:
        from tratto.core.errors import InputError
        from tratto.server.serve import port_of
        from tratto.server.settings import usual_folder

        port = port_of(data or usual_folder())
    if port is None:
        raise InputError("no server uses this folder; tratto serve prints a link when it starts, or name its --port")
    link = f"http://127.0.0.1:{port}/start/{access.new_link()}"
    say(as_json, {"link": link}, link)
    return 0
