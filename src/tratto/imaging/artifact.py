"""Pictures and contact sheets as what a job makes; see :mod:`tratto.core.artifact`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tratto.core.artifact import picture_facts
from tratto.core.image import ColorMode, Image


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as a result.

    Attributes
    ----------
    image : Image
        The samples with all that came with the file.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode, Image
    >>> Picture(Image(np.zeros((2, 3), np.uint8), ColorMode.GRAY)).facts()["picture"]["height"]
    2
    """

    image: Image
    role: ClassVar[str] = "picture"

    @property
    def format(self) -> str:
        """PNG, or TIFF for inks, which PNG cannot hold."""
        return "tiff" if self.image.mode is ColorMode.CMYK else "png"

    def digest(self) -> str:
        """Return the digest of its samples; see :func:`tratto.imaging.io.digest`."""
        from tratto.imaging.io import digest

        return digest(self.image)

    def facts(self) -> dict[str, Any]:
        """Return its size and kind."""
        return {"picture": picture_facts(self.image)}

    def write(self, path: Path) -> None:
        """Write it without loss."""
        from tratto.imaging.io import write_image

        write_image(self.image, path, self.format)


@dataclass(frozen=True, eq=False)
class Sheet(Picture):
    """A contact sheet: small pictures laid side by side, which come along with a result."""

    role: ClassVar[str] = "sheet"
