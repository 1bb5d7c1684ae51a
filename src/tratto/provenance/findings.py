"""What a check of a bundle has found, and what of it could be decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image


@dataclass
class Findings:
    """What a check has found so far.

    Attributes
    ----------
    wrong, checked, notes : list of str
        What contradicts, what was compared and agrees, what could not be compared.
    refused : list of str
        Why somebody the reader relies on does not vouch for it, though nothing contradicts.
    """

    wrong: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Seen:
    """What could be decoded."""

    edits: NDArray[np.uint16] | None = None
    confidences: NDArray[np.uint16] | None = None
    mask: NDArray[np.uint16] | None = None
    parts: list[NDArray[np.uint16]] = field(default_factory=list)
    inputs: dict[str, Image] = field(default_factory=dict)  # second inputs, if their samples are the stated ones
    sheet: Image | None = None
    before: Image | None = None  # the original, if its samples are the stated ones
    before_kept: bool = False  # the bundle holds one
    after: Image | None = None  # the result as the receipt describes it
    other_decoder: bool = False  # this one gives the picture other samples than the receipt names
    after_is: str = "missing"  # "exact", "as shown" (same colours, another form), "lossy" or "missing"
