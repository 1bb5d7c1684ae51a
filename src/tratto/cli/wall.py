"""``tratto mask wall``: find a wall from clicks or a scribble and write its mask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import guarded
from tratto.cli.show import argument_path, printable
from tratto.core.errors import OptionError


def wall(
    picture: Annotated[Path, typer.Argument(parser=argument_path, metavar="PICTURE", help="Picture of a room.")],
    out: Annotated[Path, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="PNG to write.")],
    click: Annotated[list[str] | None, typer.Option(help="A point x,y on the wall; repeatable.")] = None,
    other: Annotated[list[str] | None, typer.Option("--not", help="A point x,y on something else; repeatable.")] = None,
    scribble: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="PATH", help="Mask that is white where you drew on the wall."),
    ] = None,
    scribble_not: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="PATH", help="Mask that is white where you drew on other things."),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Above 1, less alike parts are taken in too.")] = 1.0,
    grow: Annotated[float, typer.Option(help="Grow by this many pixels; negative shrinks.")] = 0.0,
    feather: Annotated[float, typer.Option(help="Soften the edge over this many pixels.")] = 0.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")] = False,
) -> None:
    """Find a wall from points or a rough drawing on it, and write its mask for tratto recolor."""
    guarded(_wall, picture, out, (click, other), (scribble, scribble_not), (tolerance, grow, feather), overwrite)


def _wall(
    picture: Path,
    out: Path,
    points: tuple[list[str] | None, list[str] | None],
    drawings: tuple[Path | None, Path | None],
    numbers: tuple[float, float, float],
    overwrite: bool,
) -> int:
    import numpy as np

    from tratto.cli.mask import read_mask, write_mask
    from tratto.cli.recolor import numbers_of, picture_of
    from tratto.imaging.wall_mask import adjust_mask, draw_points, wall_from_scribble

    rgb = picture_of(picture)
    tolerance, grow, feather = numbers
    if not 0 < tolerance <= 10:
        raise OptionError(f"--tolerance lies above 0 and up to 10, got {tolerance}")
    drawn = []
    for flag, given, drawing in zip(("--click", "--not"), points, drawings, strict=True):
        places = draw_points([numbers_of(p, 2, f"{flag} takes x,y") for p in given or ()], rgb.shape[:2])
        drawn.append(places if drawing is None else places | (read_mask(drawing) > 0.5))
    if not drawn[0].any():
        raise OptionError("say where the wall is: --click x,y on it, or --scribble with a drawing")
    found = wall_from_scribble(rgb, drawn[0], drawn[1] if drawn[1].any() else None, tolerance)
    values = adjust_mask(found, grow, feather)
    inputs = [picture, *(d for d in drawings if d is not None)]
    told = write_mask(np.ascontiguousarray(values), out, inputs, overwrite)
    typer.echo(printable(f"{out}: {told['width']}x{told['height']}, {100 * told['share']:.3g} % is wall"))
    return 0
