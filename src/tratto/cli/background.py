"""``tratto mask background``: tell an object from what it stands before and write its mask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import PageNumber, check_new_png, emit_json, open_page, path_argument, path_option, printable


@exits
def background(
    picture: Annotated[Path, path_argument("A photograph of one thing.", metavar="PHOTO")],
    out: Annotated[Path, path_option("PNG to write, or a folder for NAME.png.", "--out", "-o")],
    provider: Annotated[str, typer.Option(help="auto, u2netp (a network) or grabcut.")] = "auto",
    soft: Annotated[
        bool, typer.Option("--soft/--hard", help="Solve for a soft edge (matting), or say yes and no.")
    ] = True,
    cutout: Annotated[Path | None, path_option("PNG to write the object into, on transparency.")] = None,
    page: PageNumber = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Write a mask that is white where the object is, as tratto lift --object takes it."""
    import numpy as np

    from tratto.cli.mask import write_mask
    from tratto.core.image import ColorMode, Image
    from tratto.imaging import io
    from tratto.imaging.cutout import own_colors
    from tratto.imaging.opening import as_shown
    from tratto.jobs import Job
    from tratto.jobs.masking import MaskBackgroundOptions, find_background

    if out.suffix.lower() != ".png":
        out = out / f"{picture.stem}.png"
    check_new_png(out, [picture], overwrite, "a mask")
    if cutout is not None:
        check_new_png(cutout, [picture, out], overwrite, "a cut-out")
    image = open_page(picture, page)
    values = find_background(Job(), image, MaskBackgroundOptions(provider=provider, soft=soft))
    written = write_mask(values, out, [picture], overwrite)
    if cutout is not None:
        color = np.rint(255 * own_colors(as_shown(image), values)).astype(np.uint8)
        alpha = np.rint(255 * values).astype(np.uint8)
        io.write_image(Image(np.ascontiguousarray(color), ColorMode.RGB, alpha=alpha), cutout, "png")
    if as_json:
        emit_json(written)
        return 0
    typer.echo(
        printable(f"{out}: {written['width']}x{written['height']}, {100 * written['share']:.3g} % is the object")
    )
    return 0
