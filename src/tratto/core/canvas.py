"""The working state of one job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Depth, Image, Mask
from tratto.core.inspection import Inspection


@dataclass(frozen=True, eq=False)
class Canvas:
    """The image being worked on, the untouched source and what is known about them. Frozen: a step returns a new one.

    Attributes
    ----------
    image : Image
        The working picture; never of palette mode (palette sources are expanded to RGB before the first step).
    source : Image
        The picture as decoded; never changed.
    masks : mapping of str to Mask
        ``"edit"``, in the geometry of ``source``, is the one the engine enforces.
    sigma : (H, W) uint16 array or None
        Expected one-sigma error of ``image`` per pixel, in units of full scale / 65535. None: nothing estimated yet.
    depth, caption, scene
        Filled by steps that estimate them.
    """

    image: Image
    source: Image
    masks: Mapping[str, Mask] = field(default_factory=dict)
    inspection: Inspection | None = None
    sigma: NDArray[np.uint16] | None = None
    depth: Depth | None = None
    caption: str | None = None
    scene: Any = None

    @property
    def scale(self) -> int:
        """How many times larger the working picture is than the source (1, 2, 4 ...)."""
        return self.image.width // self.source.width

    def replace(self, **changes: Any) -> Canvas:
        """Return a copy with some attributes exchanged."""
        return replace(self, **changes)
