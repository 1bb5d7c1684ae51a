"""``tratto prompts``: named words, used where a task takes words."""

from __future__ import annotations

from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, say

prompts_app = typer.Typer(
    help="Keep named words, to be used by --template where a job takes words.", no_args_is_help=True,
    rich_markup_mode=None, add_completion=False,
)  # fmt: skip
_Name = Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")]


@prompts_app.command("list")
@exits
def _list(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """List the templates that are here."""
    from tratto.cli.show import emit_json, printable
    from tratto.core.prompts import prompts_file, read_templates

    found = read_templates()
    if as_json:
        emit_json([{"name": name, "text": text} for name, text in found.items()])
        return 0
    for name, text in found.items():
        typer.echo(printable(f"{name}: {text}"))
    if not found:
        typer.echo(printable(f"no templates in {prompts_file()}; add one with: tratto prompts add NAME TEXT"))
    return 0


@prompts_app.command("add")
@exits
def _add(
    name: _Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The words; {words} stands for those given with it.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace one of this name.")] = False,
    as_json: AsJson = False,
) -> int:
    """Add a template."""
    from tratto.core.errors import OptionError
    from tratto.core.prompts import read_templates, write_templates

    there = read_templates()
    if name in there and not overwrite:
        raise OptionError(f"there is a template called {name}; choose another name, or replace it with --overwrite")
    path = write_templates({**there, name: text})
    say(as_json, {"path": str(path), "name": name}, f"{path}: {name}")
    return 0


@prompts_app.command("remove")
@exits
def _remove(name: _Name, as_json: AsJson = False) -> int:
    """Remove a template."""
    from tratto.core.errors import InputError
    from tratto.core.prompts import read_templates, write_templates

    there = read_templates()
    if name not in there:
        raise InputError(f"no template is called {name[:60]!r}; tratto prompts list shows them")
    del there[name]
    path = write_templates(there)
    say(as_json, {"path": str(path), "name": name}, f"{path}: {name} is removed")
    return 0
