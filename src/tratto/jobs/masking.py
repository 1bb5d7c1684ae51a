"""Masks as jobs: damage, a wall or an object is found; for doors where a mask is a result.

``tratto mask find``, ``tratto mask wall`` and ``tratto mask background`` write files of these masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import BackgroundRemover, Use, WallDetector, WallPrompt
from tratto.core.errors import InputError, OptionError
from tratto.core.options import NAME, BadOptions, TaskOptions, option
from tratto.tasks import Input, Task
from tratto.tasks.recolor import POINTS, Point

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.jobs.job import Job

#: Kinds of damage that somebody may say are there.
Kind = Literal["crack", "weathering", "missing", "dirt", "vandalism", "scratch", "fold", "stain"]
CLASSES: tuple[str, ...] = get_args(Kind)


class MaskFindOptions(TaskOptions):
    """What a user may ask of a search for damage, validated."""

    threshold: float = option(
        0.5, "Minimum probability that counts, 0-1; somewhere each find is surer by far.", gt=0, lt=1
    )
    kinds: tuple[Kind, ...] = option(
        (), "Kinds of damage that you see in the picture. It has no others then.", expected="names of kinds of damage",
        metavar="KIND", parse=str, collect=tuple,
    )  # fmt: skip
    cover: bool = option(True, "Grow each find by what the rim of the damage needs, measured across it.")


class MaskWallOptions(TaskOptions):
    """What a user may ask of a search for a wall, validated. Points are pixels of the picture as it is shown."""

    clicks: tuple[Point, ...] = option((), "A point x,y on the wall.", "--click", **POINTS)
    others: tuple[Point, ...] = option((), "A point x,y on something else.", "--not", **POINTS)
    tolerance: float = option(1.0, "Above 1, less alike parts are taken in too.", gt=0, le=10)
    grow: float = option(0.0, "Grow by this many pixels; negative shrinks.", unit="pixels", ge=-64, le=64)
    feather: float = option(0.0, "Soften the edge over this many pixels.", unit="pixels", ge=0, le=64)

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what says nothing of where the wall is."""
        if not self.clicks and inputs.get("scribble") is None:
            raise BadOptions("say where the wall is: {clicks} x,y on it, or {scribble} with a drawing")


class MaskBackgroundOptions(TaskOptions):
    """What a user may ask of a search for the object of a photograph, validated."""

    provider: str = option("auto", "Who finds it: auto, u2netp (a network) or grabcut.", http=NAME)
    soft: bool = option(True, "Solve for a soft edge (matting); else it is hard.")


_SELF = "tratto.jobs.masking"
#: The jobs that make masks.
MASKING = (
    Task("mask-find", "Propose masks of damage, one for each class.", "MaskFindOptions", _SELF, output="mask"),
    Task(
        "mask-wall", "Find a wall from points or a rough drawing on it.", "MaskWallOptions", _SELF,
        inputs=(
            Input("picture", "A room."),
            Input("scribble", "White where you drew on the wall.", kind="mask"),
            Input("scribble_not", "White where you drew on other things.", kind="mask"),
        ),
        output="mask",
    ),
    Task(
        "mask-background", "Tell the object of a photograph from its background.", "MaskBackgroundOptions", _SELF,
        output="mask",
    ),
)  # fmt: skip


def find_damage(job: Job, image: Image, options: MaskFindOptions) -> dict[str, NDArray[np.float32]]:
    """Return masks of damage by class, as the picture is shown; of classes that were found.

    Parameters
    ----------
    job : Job
        Gives networks, and hears of progress.
    image : Image
        As it was opened; the masks are as it is shown.
    options : MaskFindOptions
        Which kinds, from which probability on, and whether rims are covered.

    Returns
    -------
    dict of str to (H, W) float32
        0 or 1.
    """
    from tratto.imaging.opening import as_shown
    from tratto.imaging.rim import grown_by_rims, measure_rims
    from tratto.providers.damage import masks_of

    detector: Any = job.services().open(Use("damage"))
    shown = as_shown(image)
    job.report("find damage", 0, 1)
    marked = masks_of(detector.find(shown, list(options.kinds)), options.threshold)
    found = {name: values for name, values in marked.items() if values.any()}
    if options.cover:
        found = {name: grown_by_rims(values, measure_rims(shown, values)) for name, values in found.items()}
    job.report("find damage", 1, 1)
    return {name: values.astype(np.float32) for name, values in found.items()}


def find_wall(
    job: Job,
    image: Image,
    options: MaskWallOptions,
    drawings: Mapping[str, NDArray[np.float32]],
    use: Use[WallDetector] | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.float32]:
    """Return the mask of a wall, as the picture is shown.

    Parameters
    ----------
    job : Job
        Gives networks, and hears of progress.
    image : Image
        As it was opened; the mask is as it is shown.
    options : MaskWallOptions
        Points on the wall and off it, tolerance, and how the edge is made.
    drawings : mapping of str to (H, W) float32
        ``scribble`` and ``scribble_not``, as the picture is shown.
    use : Use or None
        Who finds it; None: the one that needs no weights.
    box : (x0, y0, x1, y1) or None
        Around the wall, for those who take one.

    Returns
    -------
    (H, W) float32
        In [0, 1].

    Raises
    ------
    OptionError
        If a drawing is of another size.
    """
    from tratto.imaging.opening import as_shown
    from tratto.imaging.wall_mask import adjust_mask

    rgb = as_shown(image)
    for name, drawn in drawings.items():
        if drawn.shape != rgb.shape[:2]:
            raise OptionError(
                f"{name} is {drawn.shape[1]}x{drawn.shape[0]}, the picture as shown {rgb.shape[1]}x{rgb.shape[0]}; "
                "they must be of one size"
            )
    strokes = [drawings[n] > 0.5 if n in drawings else None for n in ("scribble", "scribble_not")]
    services = job.services()
    use = use or Use("wall", "grow", {"tolerance": max(options.tolerance, 0.01)})
    job.report("find the wall", 0, 1)
    detector: WallDetector = services.open(services.settle(use))
    found = detector.find(rgb, WallPrompt(options.clicks, options.others, box, *strokes))
    job.report("find the wall", 1, 1)
    return adjust_mask(found, options.grow, options.feather)


def find_background(job: Job, image: Image, options: MaskBackgroundOptions) -> NDArray[np.float32]:
    """Return how much of each pixel the object of a photograph covers, as the picture is shown.

    Parameters
    ----------
    job : Job
        Gives networks, and hears of progress.
    image : Image
        As it was opened; the mask is as it is shown.
    options : MaskBackgroundOptions
        Who finds it, and whether the edge is hard or matted.

    Returns
    -------
    (H, W) float32
        In [0, 1]; with a hard edge 0 or 1.

    Raises
    ------
    InputError
        If nothing stands out.
    """
    from tratto.imaging.cutout import matted
    from tratto.imaging.opening import as_shown

    rgb = as_shown(image)
    services = job.services()
    use: Use[BackgroundRemover] = services.settle(Use("background", options.provider))
    job.report("find the object", 0, 1)
    cover = services.open(use).cover(rgb)
    if not (cover > 0.5).any():
        raise InputError("nothing stands out in the photograph; draw a mask of the object: tratto mask draw")
    out = matted(rgb, cover) if options.soft else (cover > 0.5).astype(np.float32)
    job.report("find the object", 1, 1)
    return out
