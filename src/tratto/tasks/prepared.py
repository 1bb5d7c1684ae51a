"""What a job was given, and what a task made of it before it plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tratto.core.artifact import InputPicture
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
    inputs : mapping of str to InputPicture
        Second inputs, opened, by role.
    output : str
        Role of the result: ``"picture"`` or ``"scene"``.
    statements : tuple of mapping
        What somebody stated, such as consent: ``kind``, ``by``, ``text``, perhaps the ``sha256`` of a document.
    """

    options: Any = None
    mask: Mask | None = None
    masks: MaskParts = field(default_factory=MaskParts)
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, InputPicture] = field(default_factory=dict)
    output: str = "picture"
    statements: tuple[Mapping[str, Any], ...] = ()
