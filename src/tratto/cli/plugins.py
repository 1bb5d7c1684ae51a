"""The commands of ``tratto``: the jobs, its own others, and those that other installed packages add.

Each package names them in the entry-point group ``tratto.commands``: an entry names a Typer application that holds a
command of the entry's name, ``train = "tratto_lab.cli.main:app"``. Nothing is imported before its command, or the help,
is asked for, and the help builds no command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from inspect import getdoc
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

from tratto.cli.guard import GuardedGroup
from tratto.tasks import TASKS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The entry-point group.
GROUP = "tratto.commands"
#: The option that lets larger pictures in, of every command.
LARGER = "--max-input-megapixels"


def in_front(line: list[str]) -> list[str]:
    """Return the words of a line with the option of the root that may stand anywhere before all others.

    Examples
    --------
    >>> in_front(["inspect", "a.png", "--max-input-megapixels", "400"])
    ['--max-input-megapixels', '400', 'inspect', 'a.png']
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(line)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == LARGER:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(f"{LARGER}="):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest]


class GroupedCommand(TyperCommand):
    """A command whose help shows its options in groups, by the panel each belongs to."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, the options of the command itself, and each group under its head."""
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                own = "Arguments" if param.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(param, "rich_help_panel", None) or own, []).append(record)
        for head, records in sections.items():
            if records:
                with formatter.section(head):
                    formatter.write_dl(records)


class RootGroup(GuardedGroup):
    """The root command.

    Attributes
    ----------
    places : mapping of str to str
        Commands beside the jobs, and where each is: ``package.module:attribute``, a function or a Typer application.
    """

    places: ClassVar[Mapping[str, str]] = {}

    def main(self, args: Any = None, *more: Any, **extra: Any) -> Any:
        """Run; the option that lets larger pictures in may stand anywhere on the line."""
        given = sys.argv[1:] if args is None else list(args)
        if any(str(word).partition("=")[0] == LARGER for word in given):
            args = in_front(given)
        return super().main(args, *more, **extra)

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points

        own = {*self.places, *(t.name for t in TASKS)}
        return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in own}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands: jobs first, those of other packages last."""
        return [*(t.name for t in TASKS), *self.places, *sorted(self._added)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return a command and what follows it; one that is not there is told with what its name is like."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as e:
            # typer looks among the commands that it holds itself, and ours are found when they are asked for
            if args and isinstance(words := getattr(e, "message", None), str):
                e.message = f"{words.rstrip('.')}{alike(args[0], self.list_commands(ctx))}"  # type: ignore[attr-defined]
            raise

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, or None."""
        if cmd_name in self.places or any(t.name == cmd_name for t in TASKS):
            return _command(cmd_name, self.places.get(cmd_name, ""))
        return _group(self._added[cmd_name].value).commands[cmd_name] if cmd_name in self._added else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with what they say of themselves."""
        listed = {name: TyperCommand(name, help=self._said(name)) for name in self.list_commands(ctx)}
        limit = formatter.width - 6 - max(map(len, listed))
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in listed.items()])

    def _said(self, name: str) -> str | None:
        for task in TASKS:
            if task.name == name:
                return task.summary
        target = _loaded(self.places[name] if name in self.places else self._added[name].value)
        if name not in self.places:
            held = {i.name or i.callback.__name__: i.callback for i in target.registered_commands}
            target = (held | {i.name: i.typer_instance for i in target.registered_groups})[name]
        return target.info.help if isinstance(target, typer.Typer) else getdoc(target)


def alike(word: str, names: Iterable[str]) -> str:
    """Return a question after the commands that a mistyped one may have meant; empty if none is like it.

    Examples
    --------
    >>> alike("restor", ["restore", "repair"])
    ". Did you mean 'restore'?"
    """
    from difflib import get_close_matches

    found = ", ".join(repr(name) for name in get_close_matches(word, list(names)))
    return f". Did you mean {found}?" if found else ""


def show_help(
    ctx: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(help="A command, and one of it.", metavar="[COMMAND]...")] = None,
) -> None:
    """Show the help of a command, or of tratto as a whole."""
    shown: Any = ctx.find_root()
    for word in words or []:
        found = getattr(shown.command, "get_command", lambda *_: None)(shown, word)
        if found is None:
            names = getattr(shown.command, "list_commands", lambda *_: ())(shown)
            raise typer.BadParameter(f"{shown.command_path} has no command {word!r}{alike(word, names)}")
        shown = type(ctx)(found, parent=shown, info_name=word)
    typer.echo(shown.get_help())


@cache
def _command(name: str, place: str) -> Any:
    """Return a command of our own, without a place a job; built once, however often it is asked for."""
    from typer.main import get_command

    shell = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    shell.callback()(_nothing)
    if not place:
        from tratto.cli.derive import command_of

        task = next(t for t in TASKS if t.name == name)
        shell.command(name, help=task.summary, cls=GroupedCommand)(command_of(task))
    elif isinstance(target := _loaded(place), typer.Typer):
        shell.add_typer(target, name=name)
    else:
        shell.command(name)(target)
    return get_command(shell).commands[name]  # type: ignore[attr-defined]


def _nothing() -> None:
    """A callback makes an application of one command a group."""


def _loaded(place: str) -> Any:
    from importlib import import_module

    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


@cache
def _group(place: str) -> Any:
    """Return the commands of an application, ``package.module:attribute``; built once, however many are asked for."""
    from typer.main import get_command

    return get_command(_loaded(place))
