"""Tratto restores pictures and can prove what it did. Public names only; everything is loaded on first use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tratto._version import __version__

# ONNX Runtime, from 1.31 on, keeps an identifier of the machine and a log of events for its maker unless this is set
# before it is imported. Pictures are restored offline, and nobody is told.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from tratto.core.errors import TrattoError
    from tratto.core.image import Image, Mask
    from tratto.core.inspection import Inspection
    from tratto.core.recipe import Recipe
    from tratto.core.result import Result
    from tratto.jobs import (
        SaveOptions,
        Session,
        audit,
        estimate_depth,
        estimate_depth_confidence,
        find_faces,
        inspect,
        replay,
        revert,
        save,
        verify,
    )
    from tratto.jobs.functions import enhance, recolor, repair, restore
    from tratto.jobs.lifting import lift
    from tratto.provenance.notary import Notary
    from tratto.provenance.trust import Trust
    from tratto.tasks.enhance import EnhanceOptions
    from tratto.tasks.lift import LiftOptions
    from tratto.tasks.lift_photo import LiftPhotoOptions
    from tratto.tasks.recolor import RecolorOptions
    from tratto.tasks.repair import RepairOptions
    from tratto.tasks.restore import RestoreOptions

_NAMES = {
    "tratto.core.errors": ("TrattoError",),
    "tratto.core.image": ("Image", "Mask"),
    "tratto.core.inspection": ("Inspection",),
    "tratto.core.recipe": ("Recipe",),
    "tratto.core.result": ("Result",),
    "tratto.provenance.notary": ("Notary",),
    "tratto.provenance.trust": ("Trust",),
    "tratto.tasks.enhance": ("EnhanceOptions",),
    "tratto.tasks.lift": ("LiftOptions",),
    "tratto.tasks.lift_photo": ("LiftPhotoOptions",),
    "tratto.tasks.recolor": ("RecolorOptions",),
    "tratto.tasks.reface": ("RefaceOptions",),
    "tratto.tasks.repair": ("RepairOptions",),
    "tratto.tasks.restore": ("RestoreOptions",),
    "tratto.jobs": (
        *("SaveOptions", "Session", "audit", "estimate_depth", "estimate_depth_confidence", "find_faces", "inspect"),
        *("replay", "revert", "save", "verify"),
    ),
    "tratto.jobs.lifting": ("lift",),
    "tratto.jobs.functions": ("enhance", "recolor", "reface", "repair", "restore"),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = [
    "EnhanceOptions",
    "Image",
    "Inspection",
    "LiftOptions",
    "LiftPhotoOptions",
    "Mask",
    "Notary",
    "Recipe",
    "RecolorOptions",
    "RefaceOptions",
    "RepairOptions",
    "RestoreOptions",
    "Result",
    "SaveOptions",
    "Session",
    "TrattoError",
    "Trust",
    "__version__",
    "audit",
    "enhance",
    "estimate_depth",
    "estimate_depth_confidence",
    "find_faces",
    "inspect",
    "lift",
    "recolor",
    "reface",
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
