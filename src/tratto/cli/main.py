"""``tratto``: one command per job. Errors become one line and an exit code; see ``tratto.core.errors``."""

from __future__ import annotations

from typing import Annotated

import typer

from tratto._version import __version__
from tratto.cli.guard import HELP
from tratto.cli.plugins import LARGER, RootGroup


class Commands(RootGroup):
    """The commands beside the jobs in ``TASKS``, and where each is."""

    places = {  # noqa: RUF012
        "inspect": "tratto.cli.inspect:inspect",
        "replay": "tratto.cli.account:replay",
        "verify": "tratto.cli.account:verify",
        "audit": "tratto.cli.audit:audit",
        "revert": "tratto.cli.account:revert",
        "report": "tratto.cli.report:report",
        "describe": "tratto.cli.describe:describe",
        "faces": "tratto.cli.faces:faces",
        "mask": "tratto.cli.mask:mask_app",
        "lift": "tratto.cli.lift:lift_app",
        "models": "tratto.cli.models:models_app",
        "serve": "tratto.cli.serve:serve",
        "work": "tratto.cli.serve:work",
        "monitor": "tratto.cli.monitor:monitor",
        "prompts": "tratto.cli.prompts:prompts_app",
        "keys": "tratto.cli.keys:keys_app",
        "ledger": "tratto.cli.ledger:ledger_app",
        "witness": "tratto.cli.witness:witness_app",
        "help": "tratto.cli.plugins:show_help",
    }


app = typer.Typer(
    name="tratto",
    cls=Commands,
    help="Restore pictures and prove what was done.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
    context_settings=HELP,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"tratto {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
    megapixels: Annotated[
        str | None,
        typer.Option(
            LARGER,
            metavar="N",
            help="Take pictures of up to so many megapixels (else 250); it may stand anywhere on any line.",
        ),
    ] = None,
) -> None:
    """Restore pictures and prove what was done."""
    if megapixels is not None:
        _allow(ctx, megapixels)


def _allow(ctx: typer.Context, megapixels: str) -> None:
    """Let larger pictures in while a command runs, and in the processes that work for it."""
    import os

    from tratto.core.errors import OptionError
    from tratto.imaging.io.limits import MAX_MEGAPIXELS, pixels_of

    try:
        pixels_of(megapixels, LARGER)
    except OptionError as e:
        raise typer.BadParameter(str(e)) from e
    before = os.environ.get(MAX_MEGAPIXELS)
    os.environ[MAX_MEGAPIXELS] = megapixels

    def back() -> None:
        os.environ.pop(MAX_MEGAPIXELS)
        if before is not None:
            os.environ[MAX_MEGAPIXELS] = before

    ctx.call_on_close(back)


def main() -> None:
    """Run the command line."""
    app(prog_name="tratto")


if __name__ == "__main__":
    main()
