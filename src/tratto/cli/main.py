"""``tratto``: one command per job. Errors become one line and an exit code; see ``tratto.core.errors``."""

from __future__ import annotations

from typing import Annotated

import typer

from tratto._version import __version__
from tratto.cli.guard import HELP
from tratto.cli.plugins import RootGroup


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
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Restore pictures and prove what was done."""


def main() -> None:
    """Run the command line."""
    app(prog_name="tratto")


if __name__ == "__main__":
    main()
