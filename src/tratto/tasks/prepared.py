"""What a job was given, and what a task made of it before it plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tratto.core.image import Mask
from tratto.core.result import MaskParts

if TYPE_CHECKING:
    from tratto.imaging.io import Limits


@dataclass(frozen=True, eq=False)
class Given:
    """What a job was given besides the picture.

    Attributes
    ----------
    inputs : mapping of str to Any
        By role, as the caller gave them: ``"mask"`` and others that the task takes.
    limits : Limits or None
        Reading limits.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """What ``prepare(options, image, given, services)`` of a task returns.

    Attributes
    ----------
    options : the task's options
        With what the inputs decide.
    mask : Mask or None
        Where the picture may change.
    masks : MaskParts
        What it was made of.
    notes : tuple of str
        Warnings that the result carries.
    """

    options: Any = None
    mask: Mask | None = None
    masks: MaskParts = field(default_factory=MaskParts)
    notes: tuple[str, ...] = ()
