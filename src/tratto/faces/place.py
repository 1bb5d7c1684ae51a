"""Where in a picture a face is worked on, and where it may change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.faces.region import Bool, Float, region_of
from tratto.faces.swap import AROUND, Target


@dataclass(frozen=True, eq=False)
class Place:
    """A face cut out of an upright picture.

    Attributes
    ----------
    target : Target
        The face with its points and its region, in the cut's own pixels.
    rows, columns : slice
        Where it was cut out.
    """

    target: Target
    rows: slice
    columns: slice


def upright(image: Image) -> Float:
    """Return a picture as encoded sRGB, upright, to work on: (H, W, 3) float32 in [0, 1].

    Raises
    ------
    OptionError
        If it is of inks.
    """
    from tratto.imaging.opening import as_shown

    if image.mode is ColorMode.CMYK:
        raise OptionError(
            "a face can be worked on in RGB and grey pictures only, this one is of inks; convert it first"
        )
    return as_shown(image).copy()


def box_around(points: NDArray[np.float64], shape: tuple[int, int], also: Bool | None = None) -> tuple[slice, slice]:
    """Return rows and columns that hold a face with its surroundings, and whatever else may change.

    Parameters
    ----------
    points : (468, 2 or 3) array
        In pixels of the picture.
    shape : (int, int)
        Of the picture: rows, columns.
    also : (H, W) bool or None
        Further pixels that the box must hold; None: the face alone.
    """
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    half = (0.5 + AROUND) * float((high - low).max())
    middle = (low + high) / 2
    low, high = np.floor(middle - half), np.ceil(middle + half)
    if also is not None and also.any():
        rows, columns = np.nonzero(also)
        low = np.minimum(low, (columns.min() - 4, rows.min() - 4))
        high = np.maximum(high, (columns.max() + 5, rows.max() + 5))
    x0, y0 = (int(v) for v in np.clip(low, 0, (shape[1] - 1, shape[0] - 1)))
    x1, y1 = (int(v) for v in np.clip(high, (x0 + 1, y0 + 1), (shape[1], shape[0])))
    return slice(y0, y1), slice(x0, x1)


def place_of(scene: Float, points: NDArray[np.float64], may: Bool, bare: bool = False) -> Place:
    """Cut a face out of a scene.

    Parameters
    ----------
    scene : (H, W, 3) float32
        Upright.
    points : (468, 3) array
        In pixels of the scene; depth has the same unit.
    may : (H, W) bool
        Where the scene may change.
    bare : bool
        Whether glasses are taken off; else their frame stays, also where the scene may change.
    """
    rows, columns = box_around(points, (scene.shape[0], scene.shape[1]), may)
    part = np.ascontiguousarray(scene[rows, columns])
    moved = points - (columns.start, rows.start, 0)
    region, here = region_of(part, moved), may[rows, columns]
    if bare:
        region = region.bare()
    elif region.frames is not None:
        here = here & ~region.frames
    return Place(Target(part, moved, here.astype(np.float32), region), rows, columns)


def face_mask(
    scene: Float, points: NDArray[np.float64], drawn: Bool | None = None, bare: bool = False
) -> tuple[Bool, float, bool]:
    """Return where a face may be painted, which share of its outline is held back, and whether glasses were seen.

    Parameters
    ----------
    scene : (H, W, 3) float32
        Upright.
    points : (468, 3) array
        In pixels of the scene.
    drawn : (H, W) bool or None
        What a person drew; it is added whatever lies there.
    bare : bool
        Whether the frame of glasses may be painted over.
    """
    shape = (scene.shape[0], scene.shape[1])
    rows, columns = box_around(points, shape)
    moved = points - (columns.start, rows.start, 0)
    region = region_of(np.ascontiguousarray(scene[rows, columns]), moved)
    out = np.zeros(shape, bool)
    out[rows, columns] = region.bare().open if bare else region.open
    held = 1 - int(np.count_nonzero(region.open)) / max(1, int(np.count_nonzero(region.face)))
    return (out if drawn is None else out | drawn), held, region.glasses


def label_box(shape: tuple[int, int]) -> list[int]:
    """Return where a visible label lies in a picture of so many rows and columns: x, y, width, height.

    Examples
    --------
    >>> label_box((1000, 1000))
    [12, 955, 250, 33]
    """
    from tratto.faces.label import size_of

    height, width = size_of(shape)
    margin = max(1, round(0.012 * min(shape)))
    return [min(margin, shape[1] - width), max(0, shape[0] - height - margin), width, height]
