"""Find the wall that points or strokes lie on: by region growing and GrabCut, or with Segment Anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, WallDetector, WallPrompt
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.folder import missing_folder, settle_folder

Float = NDArray[np.float32]


_REMEDY = "a folder with a Segment Anything model (--model FOLDER; see docs/recolor.md)"


def missing(request: Request) -> UnavailableError | None:
    """Return why a wall detector cannot be used here, or None."""
    if request.variant == "grow":
        return None
    return missing_folder(request, "the wall detector sam", _REMEDY)


def settle(request: Request) -> dict[str, Any]:
    """Check the folder of ``sam``; it becomes a reference that a recipe may keep."""
    return settle_folder(request, missing(request), _REMEDY)


def open(request: Request) -> WallDetector:
    """Open a wall detector."""
    if request.variant == "grow":
        return GrowingDetector(float(request.params.get("tolerance", 1.0)))
    from tratto.backends.sam import open_sam

    return SamDetector(open_sam(str(request.params["model"]), request.device))


class GrowingDetector:
    """Takes in what is like the points; see :func:`tratto.imaging.wall_mask.wall_from_scribble`.

    Parameters
    ----------
    tolerance : float
        Above 1, less alike parts are taken in too.
    """

    def __init__(self, tolerance: float = 1.0) -> None:
        self._tolerance = tolerance

    @property
    def info(self) -> DescriberInfo:
        """Facts about this detector."""
        import cv2

        return DescriberInfo("grow", precision="uint8", library=f"opencv {cv2.__version__}")

    def find(self, picture: Float, prompt: WallPrompt) -> Float:
        """Find a wall from points and strokes."""
        from tratto.imaging.wall_mask import draw_points, wall_from_scribble

        if prompt.box is not None:
            raise OptionError("a box around the wall is for sam; grow takes points and strokes")
        size = picture.shape[:2]
        on, off = draw_points(list(prompt.points), size), draw_points(list(prompt.others), size)
        on = on if prompt.drawn is None else on | prompt.drawn
        off = off if prompt.drawn_others is None else off | prompt.drawn_others
        return wall_from_scribble(picture, on, off if off.any() else None, self._tolerance)


class SamDetector:
    """Asks a Segment Anything model; see :mod:`tratto.backends.sam`."""

    def __init__(self, network: Any) -> None:
        from tratto.backends.transformers import library

        self._network = network
        #: Facts about this detector.
        self.info = DescriberInfo("sam", library=library(), models=(network.folder.model,))

    def find(self, picture: Float, prompt: WallPrompt) -> Float:
        """Find a wall from points and a box."""
        if prompt.drawn is not None or prompt.drawn_others is not None:
            raise OptionError("sam takes points and a box; strokes are for grow")
        return self._network.find(picture, prompt)  # type: ignore[no-any-return]
