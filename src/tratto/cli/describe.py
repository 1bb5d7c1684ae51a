"""``tratto describe``: what can be said of a picture without changing it: caption, depth, edges and lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import PageNumber, argument_path, emit_json, make_folder, open_page, path_argument, printable
from tratto.core.errors import OptionError, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The files that ``-o`` receives.
FILES = ("caption.txt", "depth.png", "edges.png", "description.json")


@exits
def describe(
    picture: Annotated[Path, path_argument("Picture to describe.", metavar="PICTURE")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help=f"Folder for {', '.join(FILES)}."),
    ] = None,
    captioner: Annotated[
        str, typer.Option(help="measured (recognises nothing), joycaption:FOLDER (LLaVA), or auto.")
    ] = "auto",
    depth: Annotated[
        str, typer.Option(help="dpt, midas, geometric (a stand-in that looks at no pixel), or auto.")
    ] = "auto",
    depth_model: Annotated[
        str, typer.Option(help="Folder of dpt (DPT, Depth Anything or ZoeDepth), or the ONNX file of midas.")
    ] = "",
    page: PageNumber = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say what a picture shows, how far away it is and where its edges and lines are; change nothing."""
    from tratto.core.capability import Use
    from tratto.imaging.opening import as_shown
    from tratto.jobs import Job
    from tratto.providers.caption import captioner_use
    from tratto.providers.depth import depth_use, grey_of
    from tratto.providers.structure import drawn

    if out is not None:
        _check_free(out, overwrite)
    rgb = as_shown(open_page(picture, page))
    services = Job().services()
    captions: Any = services.open(services.settle(captioner_use(captioner)))
    given = {"model": depth_model} if depth_model else {}
    wanted: Any = depth_use(depth_model) if depth_model and depth == "auto" else Use("depth", depth, given)
    depths: Any = services.open(services.settle(wanted))
    detector: Any = services.open(Use("structure"))
    caption, deep, structure = captions.caption(rgb), depths.estimate(rgb), detector.find(rgb)
    facts: dict[str, Any] = {
        "picture": picture.name,
        "width": rgb.shape[1],
        "height": rgb.shape[0],
        "caption": {"text": caption, **_by(captions.info)},
        "depth": {"unit": deep.unit, "nearer_is": deep.nearer_is, **_by(depths.info)},
        "structure": {
            "edge_share": round(float(structure.edges.mean()), 6),
            "lines": [[round(float(v), 2) for v in line] for line in structure.lines],
            **_by(detector.info),
        },
    }
    if out is not None:
        import json

        from tratto.core.files import write_text

        make_folder(out)
        write_text(out / "caption.txt", caption + "\n")
        _write_gray(grey_of(deep), out / "depth.png")
        _write_gray(drawn(structure), out / "edges.png")
        write_text(out / "description.json", json.dumps(facts, indent=1) + "\n")
    if as_json:
        emit_json(facts)
        return 0
    typer.echo(printable(caption))
    typer.echo(f"depth by {depths.info.provider}: {deep.unit}, nearer is {deep.nearer_is}")
    typer.echo(f"{len(structure.lines)} lines; {100 * facts['structure']['edge_share']:.2g} % of the pixels are edges")
    if out is not None:
        typer.echo(printable(f"written to {out}: {', '.join(FILES)}"))
    for info in (captions.info, depths.info):
        if info.stand_in:
            typer.echo(printable(f"note: {info.provider} is a stand-in for {info.stand_in}"), err=True)
    return 0


def _by(info: Any) -> dict[str, Any]:
    facts = {"by": info.provider, "library": info.library, "precision": info.precision}
    return facts | {"models": [m.to_json() for m in info.models], "stand_in": info.stand_in}


def _check_free(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OptionError(f"{out} is a file; --out names a folder")
    there = [name for name in FILES if (out / name).exists()]
    if there and not overwrite:
        raise OutputError(f"{out / there[0]} exists; choose another folder, or replace it with --overwrite")


def _write_gray(values: NDArray[np.generic], path: Path) -> None:
    import numpy as np

    from tratto.core.image import ColorMode, Image
    from tratto.imaging import io

    samples: Any = np.ascontiguousarray(values)
    io.write_image(Image(samples, ColorMode.GRAY, 16 if samples.dtype == np.uint16 else 8), path, "png")
