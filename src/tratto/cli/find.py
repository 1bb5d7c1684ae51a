"""``tratto mask find``: propose masks of damage for a picture, or for each picture of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import (
    PageNumber,
    ProgressLine,
    about,
    check_new_png,
    emit_json,
    make_folder,
    open_page,
    overall,
    path_argument,
    path_option,
    printable,
)
from tratto.core.errors import OptionError, OutputError, TrattoError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tratto.core.capability import DamageDetector
    from tratto.jobs.gather import Source

    Found = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class _Asked:
    """What was asked for, whichever the picture."""

    detector: DamageDetector
    threshold: float
    kinds: tuple[str, ...]
    own_model: bool
    cover: bool
    overwrite: bool
    page: int | None


@exits
def find(
    picture: Annotated[Path, path_argument("Damaged picture, or a folder of them.", metavar="PICTURE")],
    out: Annotated[Path, path_option("Folder for a mask of each class found.", "--out", "-o", metavar="DIR")],
    threshold: Annotated[
        float, typer.Option(help="Minimum probability that counts, 0-1; somewhere each find is surer by far.")
    ] = 0.5,
    model: Annotated[Path | None, path_option("A YOLO segmentation model of your own, ONNX.", metavar="FILE")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names of that model's classes, if it does not say: crack,stain,...")
    ] = None,
    score: Annotated[
        float | None, typer.Option(help="Least score of a find of that model, 0-1; 0.25 unless given.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of damage that you see in the picture; repeatable. It has no others then. With dirt, specks "
            "and hairs of a few pixels are looked for at full size, too."
        ),
    ] = None,
    cover: Annotated[
        bool, typer.Option("--cover", help="Grow the masks by what the rim of the damage needs, measured across it.")
    ] = False,
    overlay: Annotated[
        Path | None, path_option("PNG to write the picture into, with the finds in colour; of a folder: a folder.")
    ] = None,
    page: PageNumber = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Propose masks of damage, one for each class and all.png for their union; look at them before they are used.

    Of a folder, each picture's masks lie in a folder of its name, as tratto repair --mask takes them. With --overwrite
    the masks of kinds that are not found this time are removed from the folder.
    """
    from tratto.core.capability import Use
    from tratto.jobs import Job

    if model is None and classes is not None:
        raise typer.BadParameter("--classes names the classes of --model")
    if model is None and score is not None:
        raise typer.BadParameter("--score is for the finds of --model; the network that ships has --threshold")
    if model is not None and kind:
        raise typer.BadParameter("--kind is for the network that ships, not for --model")
    for flag, number in (("--threshold", threshold), ("--score", 0.25 if score is None else score)):
        if not 0 < number < 1:
            raise OptionError(f"{flag} takes a number between 0 and 1, got {number}")
    use: Use[Any] = Use("damage")
    if model is not None:
        params = {"model": str(model), "score": 0.25 if score is None else score}
        use = Use("damage", "yolo", params | ({"classes": classes} if classes else {}))
    with ProgressLine() as line:
        detector = Job().services().open(use)
        asked = _Asked(detector, threshold, tuple(kind or ()), model is not None, cover, overwrite, page)
        if not picture.is_dir():
            return _tell([_one(asked, picture, out, overlay, line)], as_json, line)
        return _folder(asked, picture, (out, overlay), as_json, line)


def _folder(asked: _Asked, folder: Path, targets: tuple[Path, Path | None], as_json: bool, line: ProgressLine) -> int:
    """Look at each picture of a folder; one that cannot be read stops no other."""
    from tratto.jobs.gather import gather

    out, overlay = targets
    gathered = gather([str(folder)], out, bundles=False)
    if gathered.passed_over:
        line.note(f"note: {gathered.note()}")
    answers, codes = [], []
    for number, (source, name) in enumerate(_named(gathered.sources)):
        line("find", number, len(gathered.sources))
        shown = None if overlay is None else overlay / source.relative.parent / f"{name}.png"
        try:
            answers.append(_one(asked, source.path, out / source.relative.parent / name, shown, line))
        except TrattoError as e:
            line.note(f"tratto: {about(source.path, str(e))}")
            codes.append(e.exit_code)
        else:
            codes.append(0)
    _tell(answers, as_json, line)
    return overall(codes)


def _named(sources: list[Source]) -> list[tuple[Source, str]]:
    """Return what each picture's folder of masks is called: its name without the extension, unless two share that."""
    stems = [(s.relative.parent, s.relative.stem.casefold()) for s in sources]
    return [
        (s, s.relative.name if stems.count(stem) > 1 else s.relative.stem)
        for s, stem in zip(sources, stems, strict=True)
    ]


def _one(asked: _Asked, picture: Path, out: Path, overlay: Path | None, line: ProgressLine) -> dict[str, Any]:
    """Look at one picture and write its masks; return what is told of it."""
    import numpy as np

    from tratto.cli.mask import write_mask
    from tratto.imaging import masks
    from tratto.imaging.opening import as_shown

    shown = as_shown(open_page(picture, asked.page))
    kept = _looked(asked, shown)
    grown = None
    if asked.cover and kept:
        kept, grown = _covered(shown, kept)
    found = sorted(kept)
    kept["all"] = np.logical_or.reduce([np.zeros(shown.shape[:2], bool), *kept.values()])
    for name in kept:  # before anything is written or removed
        check_new_png(out / f"{name}.png", [picture], asked.overwrite, "a mask")
    if overlay is not None:
        check_new_png(overlay, [picture], asked.overwrite, "an overlay")
    absent = [out / f"{n}.png" for n in masks.CLASSES if n not in kept]
    stale = [p for p in absent if asked.overwrite and p.is_file() and not (picture.exists() and p.samefile(picture))]
    written = [write_mask(m.astype(np.float32), out / f"{n}.png", [picture], asked.overwrite) for n, m in kept.items()]
    for path in stale:  # repair would take an earlier find's for this one's
        try:
            path.unlink()
        except OSError as e:
            raise OutputError(f"{path} of an earlier find cannot be removed: {e.strerror or e}") from e
        line.note(f"note: {path} is removed: nothing of that kind is found now")
    answer: dict[str, Any] = {"picture": str(picture), "found": found, "masks": written}
    answer["sizes"] = [list(size) for size in asked.detector.sizes(*shown.shape[:2])]
    if grown is not None:
        answer["grown"] = grown
    if overlay is not None:
        answer["overlay"] = str(overlay)
        write_overlay(shown, {n: kept[n] for n in found}, overlay)
    return answer


def _looked(asked: _Asked, shown: NDArray[np.float32]) -> Found:
    """Return a mask for each class that is found in an upright picture."""
    from tratto.providers.damage import masks_of

    probabilities = asked.detector.find(shown, list(asked.kinds))
    if asked.own_model:
        found = {_file_name(n): c >= asked.threshold for n, c in probabilities.items()}
    else:
        found = masks_of(probabilities, asked.threshold)
    return {name: m for name, m in found.items() if m.any()}


def _covered(shown: NDArray[np.float32], found: Found) -> tuple[Found, dict[str, float]]:
    """Return masks grown by what their rims need, and by how much."""
    import numpy as np

    from tratto.imaging.rim import grown_by_rims, measure_rims

    rims = {name: measure_rims(shown, mask) for name, mask in found.items()}
    grown = {name: np.asarray(grown_by_rims(mask, rims[name])) for name, mask in found.items()}
    widest, mean = max(r.widest for r in rims.values()), float(np.mean([r.mean for r in rims.values()]))
    return grown, {"mean": round(mean, 2), "widest": round(widest, 2)}


def write_overlay(shown: NDArray[np.float32], masks: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write an upright picture with masks in colour as PNG; its name was checked before."""
    from tratto.core.image import ColorMode, Image
    from tratto.imaging import io
    from tratto.imaging.overlay import overlay

    make_folder(path.parent)
    io.write_image(Image(overlay(shown, masks), ColorMode.RGB), path, "png")


def _tell(answers: list[dict[str, Any]], as_json: bool, line: ProgressLine) -> int:
    from tratto.imaging.overlay import color_of
    from tratto.tasks.masks import NOTHING

    if as_json:
        about_it = [{k: v for k, v in one.items() if k not in ("masks", "found")} for one in answers]
        emit_json([{**mask, **more} for one, more in zip(answers, about_it, strict=True) for mask in one["masks"]])
        return 0
    for one in answers:
        sizes = ", ".join(f"{w}x{h}" for w, h in one["sizes"])
        typer.echo(printable(f"{one['picture']}: looked at it in {sizes}"))
        if not one["found"]:
            typer.echo(f"  {NOTHING}: all.png is black")
        for mask in one["masks"]:
            typer.echo(
                printable(f"  {mask['mask']}: {mask['width']}x{mask['height']}, {100 * mask['share']:.3g} % may change")
            )
        if "grown" in one:
            mean, widest = one["grown"]["mean"], one["grown"]["widest"]
            typer.echo(f"  grown by what the rims need: {mean:g} pixels on average, up to {widest:g}")
        if "overlay" in one:
            shown = ", ".join(f"{n} #{''.join(f'{v:02x}' for v in color_of(n, k))}" for k, n in enumerate(one["found"]))
            typer.echo(printable(f"  {one['overlay']}: {shown or 'nothing'} over the picture"))
    if any(one["found"] for one in answers):
        line.note("note: a network proposed these masks; look at them, and correct them, before they are used")
    return 0


def _file_name(name: str) -> str:
    """Return a class name that is fit for a file: a model's own names may be anything."""
    kept = "".join(c if c.isalnum() or c in "-_ " else "-" for c in name).strip() or "class"
    return f"{kept}-class" if kept == "all" else kept[:60]
