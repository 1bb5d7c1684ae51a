"""Tratto restores pictures and can prove what it did. Public names only; everything is loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tratto._version import __version__

if TYPE_CHECKING:
    from tratto.core.errors import TrattoError
    from tratto.core.image import Image, Mask
    from tratto.core.inspection import Inspection
    from tratto.core.recipe import Recipe
    from tratto.core.result import Result
    from tratto.session import SaveOptions, Session, inspect, recolor, repair, replay, restore, revert, save, verify
    from tratto.tasks.recolor import RecolorOptions
    from tratto.tasks.repair import RepairOptions
    from tratto.tasks.restore import RestoreOptions

_HOMES = {
    "TrattoError": "tratto.core.errors",
    "Image": "tratto.core.image",
    "Mask": "tratto.core.image",
    "Inspection": "tratto.core.inspection",
    "Recipe": "tratto.core.recipe",
    "Result": "tratto.core.result",
    "RecolorOptions": "tratto.tasks.recolor",
    "RepairOptions": "tratto.tasks.repair",
    "RestoreOptions": "tratto.tasks.restore",
    "SaveOptions": "tratto.session",
    "Session": "tratto.session",
    "save": "tratto.session",
    "inspect": "tratto.session",
    "recolor": "tratto.session",
    "repair": "tratto.session",
    "replay": "tratto.session",
    "restore": "tratto.session",
    "revert": "tratto.session",
    "verify": "tratto.session",
}

__all__ = [
    "Image",
    "Inspection",
    "Mask",
    "Recipe",
    "RecolorOptions",
    "RepairOptions",
    "RestoreOptions",
    "Result",
    "SaveOptions",
    "Session",
    "TrattoError",
    "__version__",
    "inspect",
    "recolor",
    "repair",
    "replay",
    "restore",
    "revert",
    "save",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tratto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
