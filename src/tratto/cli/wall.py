"""``tratto mask wall``: find a wall from clicks or a scribble and write its mask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.find import write_overlay
from tratto.cli.guard import exits
from tratto.cli.show import AsJson, PageNumber, check_new_png, open_page, path_argument, path_option, say
from tratto.core.errors import OptionError


@exits
def wall(
    picture: Annotated[Path, path_argument("Picture of a room.", metavar="PICTURE")],
    out: Annotated[Path, path_option("PNG to write.", "--out", "-o")],
    click: Annotated[list[str] | None, typer.Option(help="A point x,y on the wall; repeatable.")] = None,
    other: Annotated[list[str] | None, typer.Option("--not", help="A point x,y on something else; repeatable.")] = None,
    scribble: Annotated[Path | None, path_option("Mask that is white where you drew on the wall.")] = None,
    scribble_not: Annotated[Path | None, path_option("Mask that is white where you drew on other things.")] = None,
    provider: Annotated[
        str, typer.Option(help="auto (region growing and GrabCut), or sam: a Segment Anything model on this machine.")
    ] = "auto",
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Weights of sam, in the published layout.")
    ] = None,
    box: Annotated[str | None, typer.Option(help="Box x0,y0,x1,y1 around the wall; sam only.")] = None,
    tolerance: Annotated[float, typer.Option(help="Above 1, less alike parts are taken in too.")] = 1.0,
    grow: Annotated[float, typer.Option(help="Grow by this many pixels; negative shrinks.")] = 0.0,
    feather: Annotated[float, typer.Option(help="Soften the edge over this many pixels.")] = 0.0,
    overlay: Annotated[Path | None, path_option("PNG to write the picture into, with the wall in colour.")] = None,
    page: PageNumber = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")] = False,
    as_json: AsJson = False,
) -> int:
    """Find a wall from points or a rough drawing on it, and write its mask for tratto recolor."""
    from tratto.backends.sam import missing_sam
    from tratto.cli.mask import read_mask, write_mask
    from tratto.core.capability import Use
    from tratto.imaging.opening import as_shown
    from tratto.jobs import Job
    from tratto.jobs.masking import MaskWallOptions, find_wall

    sam = provider == "sam"
    if provider not in ("auto", "sam"):
        raise OptionError(f"--provider is auto or sam, got {provider!r}")
    if not sam and (model is not None or box is not None):
        raise OptionError("--model and --box belong to --provider sam")
    if sam and model is None:
        raise missing_sam() or OptionError(
            "--provider sam needs --model FOLDER: a Segment Anything model; see docs/recolor.md"
        )
    if not 0 < tolerance <= 10:
        raise OptionError(f"--tolerance lies above 0 and up to 10, got {tolerance}")
    if overlay is not None:
        check_new_png(overlay, [picture, out], overwrite, "an overlay")
    on, off = (
        tuple((a, b) for a, b in (_numbers(p, 2, f"{flag} takes x,y") for p in given or ()))
        for flag, given in (("--click", click), ("--not", other))
    )
    drawn = {n: p for n, p in (("scribble", scribble), ("scribble_not", scribble_not)) if p is not None}
    drawings = {name: read_mask(path) for name, path in drawn.items()}
    if not sam and not on and not ("scribble" in drawings and (drawings["scribble"] > 0.5).any()):
        raise OptionError("say where the wall is: --click x,y on it, or --scribble with a drawing")
    corners = None
    if box is not None:
        x0, y0, x1, y1 = _numbers(box, 4, "--box takes x0,y0,x1,y1")
        corners = (x0, y0, x1, y1)
    use: Use[Any] | None = Use("wall", "sam", {"model": str(model)}) if sam else None
    options = MaskWallOptions(clicks=on, others=off, tolerance=tolerance, grow=grow, feather=feather)
    image = open_page(picture, page)
    values = find_wall(Job(), image, options, drawings, use, corners)
    written = write_mask(values, out, [picture, *drawn.values()], overwrite)
    if overlay is not None:
        write_overlay(as_shown(image), {"wall": values}, overlay)
    say(as_json, written, f"{out}: {written['width']}x{written['height']}, {100 * written['share']:.3g} % is wall")
    return 0


def _numbers(text: str, count: int, expected: str) -> tuple[float, ...]:
    """Return so many numbers; ``expected`` says what was expected."""
    from tratto.core.options import numbers

    try:
        return numbers(count)(text)
    except ValueError:
        raise OptionError(f"{expected}, got {text!r}") from None
