"""``tratto faces``: where faces are, how they are turned, and how alike they are; nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import (
    PageNumber,
    argument_path,
    check_new_png,
    emit_json,
    make_folder,
    open_page,
    path_argument,
    printable,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tratto.jobs.faces import Face

    Picture = NDArray[np.float32]


@exits
def faces(
    picture: Annotated[Path, path_argument("Picture to look at.", metavar="PICTURE")],
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare", parser=argument_path, metavar="PICTURE", help="Distances to its faces, too; repeatable."
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option("--overlay", parser=argument_path, metavar="FILE.png", help="The picture with faces drawn in."),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", parser=argument_path, metavar="FILE.png", help="Mask of the faces' outlines."),
    ] = None,
    only: Annotated[int | None, typer.Option("--face", min=1, help="Only this one, by its number.")] = None,
    all_points: Annotated[bool, typer.Option("--points", help="All 468 points in the JSON, not seven.")] = False,
    insightface: Annotated[
        Path | None,
        typer.Option(
            "--insightface",
            parser=argument_path,
            metavar="FOLDER",
            help="InsightFace's networks instead of those that ship: the folder buffalo_l, or 'auto' for where "
            "it keeps them. Non-commercial.",
        ),
    ] = None,
    other: Annotated[
        bool, typer.Option("--other", help="Files of that folder may be others than the published ones.")
    ] = False,
    page: PageNumber = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Find faces: boxes, points, pose, outlines, and how far apart they are; say so if there are none.

    A distance below 0.6 mostly means the same person, and is no proof. What the network says of one face alone is
    never shown or written.
    """
    from tratto.cli.mask import write_mask
    from tratto.core.errors import OptionError
    from tratto.jobs import Job
    from tratto.jobs.faces import Networks, distances, faces_of

    inputs = [picture, *(compare or [])]
    for path, what in ((overlay, "an overlay"), (mask, "a mask")):
        if path is not None:
            check_new_png(path, inputs, overwrite, what)
    if overlay is not None and overlay == mask:
        raise OptionError("--overlay and --mask name the same file")
    services = Job().services()
    shown = _upright(picture, page)
    by = None
    if insightface is not None:
        by = Networks.insightface("" if str(insightface) == "auto" else str(insightface), other)
        typer.echo("note: InsightFace's networks are for non-commercial research only", err=True)
    every = faces_of(shown, services, by)
    if only is not None and only > len(every):
        raise OptionError(f"--face {only}: {_count(len(every))} found in {picture.name}")
    found = every if only is None else every[only - 1 : only]
    numbers = [only] if only is not None else list(range(1, len(found) + 1))
    facts: dict[str, Any] = {
        "picture": str(picture),
        "width": shown.shape[1],
        "height": shown.shape[0],
        "faces": [{"number": n, **f.to_json(all_points)} for n, f in zip(numbers, found, strict=True)],
        "distances": distances(found, found),
        "compared": [
            {"picture": str(path), "distances": distances(found, faces_of(_upright(path), services, by))}
            for path in compare or []
        ],
    }
    if overlay is not None:
        _draw(shown, found, numbers, overlay)
    if mask is not None:
        write_mask(_outlines(shown, found), mask, inputs, overwrite)
    if as_json:
        emit_json(facts)
        return 0
    for line in _lines(facts):
        typer.echo(printable(line))
    return 0


def _count(number: int) -> str:
    return f"{number or 'no'} face{'s' * (number != 1)}"


def _upright(path: Path, page: int | None = None) -> Picture:
    from tratto.imaging.opening import as_shown

    return as_shown(open_page(path, page))


def _lines(facts: dict[str, Any]) -> list[str]:
    """Return the table for people."""
    found = facts["faces"]
    lines = [f"{facts['picture']}: {_count(len(found))}"]
    for face, row in zip(found, facts["distances"], strict=True):
        x0, y0, x1, y1 = face["box"]
        pose = face["pose"]
        apart = [f"{v:.2f} to {other['number']}" for v, other in zip(row, found, strict=True) if other is not face]
        lines.append(
            f"  {face['number']}: {x1 - x0:.0f}x{y1 - y0:.0f} at {x0:.0f},{y0:.0f}; sure to {100 * face['score']:.0f} %"
            + ("; " if pose["yaw"] is None else f"; turned {pose['yaw']:.0f}, nods {pose['pitch']:.0f}, ")
            + f"leans {pose['roll']:.0f} degrees"
            + (f"; distance {', '.join(apart)}" if apart else "")
        )
    for other in facts["compared"]:
        count = len(other["distances"][0]) if other["distances"] else 0
        lines.append(f"compared with {other['picture']}: {_count(count)} there" if found else "nothing to compare")
        for face, row in zip(found, other["distances"], strict=True):
            if row:
                apart = [f"{v:.2f} to {n}" for n, v in enumerate(row, 1)]
                lines.append(f"  {face['number']}: distance {', '.join(apart)}")
    return lines


def _outlines(shown: Picture, found: tuple[Face, ...]) -> Picture:
    import numpy as np

    from tratto.faces.points import outline

    out = np.zeros(shown.shape[:2], np.float32)
    for face in found:
        out = np.maximum(out, outline(face.mesh.points, shown.shape[:2]))
    return out


def _draw(shown: Picture, found: tuple[Face, ...], numbers: list[int], path: Path) -> None:
    """Write the picture with boxes, points and numbers."""
    import cv2
    import numpy as np

    from tratto.core.image import ColorMode, Image
    from tratto.imaging import io

    drawn = np.ascontiguousarray(np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8))
    for number, face in zip(numbers, found, strict=True):
        x0, y0, x1, y1 = (round(v) for v in face.found.box)
        thick = max(1, round((x1 - x0) / 80))
        cv2.rectangle(drawn, (x0, y0), (x1, y1), (255, 190, 0), thick)
        for x, y in face.mesh.points[:, :2]:
            cv2.circle(drawn, (round(x), round(y)), max(0, thick // 2), (0, 220, 255), -1)
        size = max(0.4, (x1 - x0) / 120)
        cv2.putText(drawn, str(number), (x0, y0 - 3 * thick), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 190, 0), thick)
    make_folder(path.parent)
    io.write_image(Image(drawn, ColorMode.RGB), path, "png")
