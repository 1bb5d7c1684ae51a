"""The working state of one job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Scene
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
    sheet : Image or None
        Small pictures of what a search looked at, laid side by side.
    inputs : mapping of str to Image
        What the job was given besides the picture, by role: ``"texture"``, ``"character"``.
    """

    image: Image
    source: Image
    masks: Mapping[str, Mask] = field(default_factory=dict)
    inspection: Inspection | None = None
    sigma: NDArray[np.uint16] | None = None
    depth: Depth | None = None
    caption: str | None = None
    scene: Scene | None = None
    sheet: Image | None = None
    inputs: Mapping[str, Image] = field(default_factory=dict)

    @property
    def scale(self) -> int | None:
        """How many times larger the working picture is than the source (1, 2, 4 ...); None: no whole number."""
        return whole_scale(self.image, self.source)

    def replace(self, **changes: Any) -> Canvas:
        """Return a copy with some attributes exchanged."""
        return replace(self, **changes)


def whole_scale(image: Image, source: Image) -> int | None:
    """Return how many times as large a picture is as another, both sides alike; None if that is no whole number.

    Examples
    --------
    >>> from tratto.core.image import ColorMode
    >>> small, large = (Image(np.zeros((h, 4 * h), np.uint8), ColorMode.GRAY) for h in (2, 6))
    >>> whole_scale(large, small), whole_scale(small, large)
    (3, None)
    """
    scale = image.width // source.width
    whole = scale >= 1 and (image.width, image.height) == (scale * source.width, scale * source.height)
    return scale if whole else None
