"""Commands that other installed packages add to ``tratto``, through the entry-point group ``tratto.commands``.

Each entry names a Typer application that holds a command of the entry's name:
``train = "tratto_lab.cli.main:app"``. Nothing of it is imported before such a command, or the help, is asked for.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from tratto.cli.guard import GuardedGroup

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The entry-point group.
GROUP = "tratto.commands"


class RootGroup(GuardedGroup):
    """The root command: its own commands, then those of other packages."""

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points

        return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in self.commands}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, those of other packages last."""
        return [*super().list_commands(ctx), *sorted(self._added)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, or None."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in self._added:
            return own
        return _group(self._added[cmd_name].value).commands[cmd_name]


@cache
def _group(place: str) -> Any:
    """Return the commands of an application, ``package.module:attribute``; built once, however many are asked for."""
    from importlib import import_module

    from typer.main import get_command

    module, _, attribute = place.partition(":")
    return get_command(getattr(import_module(module), attribute))
