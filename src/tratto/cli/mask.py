"""``tratto mask``: draw, grow, shrink, feather and combine masks; each works on one mask or on a folder of them.

A folder holds one mask for each class of damage (``crack.png``, ``stain.png`` ...); what is done is done to each, and
two folders are combined name by name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.background import background
from tratto.cli.find import find
from tratto.cli.guard import exits
from tratto.cli.mask_edit import edit
from tratto.cli.show import (
    PageNumber,
    argument_path,
    check_new_png,
    emit_json,
    make_folder,
    open_page,
    path_argument,
    path_option,
    printable,
)
from tratto.cli.wall import wall
from tratto.core.errors import InputError, OptionError
from tratto.core.reading import parse_json, small_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float32]

mask_app = typer.Typer(
    help="Draw, grow, shrink, feather and combine masks of damage: white may change, black must stay.",
    no_args_is_help=True,
)

#: What each kind of shape is written as.
FORMS = {"line": "x,y x,y ...:width", "polygon": "x,y x,y x,y ...", "box": "x,y x,y", "disc": "x,y:radius"}

Out = Annotated[Path, path_option("PNG (or folder) to write.", "--out", "-o")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never an input).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MaskPath = Annotated[Path, path_argument("A mask, or a folder of them.", metavar="MASK")]


def read_mask(path: Path) -> Values:
    """Return a mask as a viewer shows it."""
    from tratto.imaging import io
    from tratto.imaging.masks import mask_from_picture

    image = open_page(path, what="a mask")
    upright: Values = io.oriented(mask_from_picture(image), image.meta.orientation)
    return upright


def write_mask(values: Values, path: Path, inputs: list[Path], overwrite: bool) -> dict[str, Any]:
    """Write a mask as an 8-bit grey PNG; return what is told of it.

    Raises
    ------
    OutputError
        If it exists already, or is an input.
    """
    import numpy as np

    from tratto.core.image import ColorMode, Image
    from tratto.imaging import io
    from tratto.imaging.masks import to_samples

    check_new_png(path, inputs, overwrite, "a mask")
    make_folder(path.parent)
    io.write_image(Image(np.ascontiguousarray(to_samples(values)), ColorMode.GRAY), path, "png")
    share = float(values.mean(dtype=np.float64))
    return {"mask": str(path), "width": values.shape[1], "height": values.shape[0], "share": round(share, 6)}


def _tell(written: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        emit_json(written)
        return 0
    for one in written:
        line = f"{one['mask']}: {one['width']}x{one['height']}, {100 * one['share']:.3g} % may change"
        typer.echo(printable(line))
    return 0


def _members(folder: Path) -> dict[str, Path]:
    files = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    found = {p.stem: p for p in files if p.suffix.lower() == ".png"}
    if not found:
        raise InputError(f"{folder} holds no .png masks")
    return found


def _each(mask: Path, out: Path, overwrite: bool, as_json: bool, change: Callable[[Values], Values]) -> int:
    """Change one mask, or every mask of a folder."""
    if not mask.is_dir():
        return _tell([write_mask(change(read_mask(mask)), out, [mask], overwrite)], as_json)
    written = [
        write_mask(change(read_mask(path)), out / f"{name}.png", [path], overwrite)
        for name, path in _members(mask).items()
    ]
    return _tell(written, as_json)


def _combined(
    masks: list[Path], out: Path, overwrite: bool, as_json: bool, combine: Callable[[list[Values]], Values]
) -> int:
    """Combine masks; folders name by name where all are folders, else each folder stands for all its masks."""
    if len(masks) > 1 and all(m.is_dir() for m in masks):
        members = [_members(m) for m in masks]
        names = sorted(set().union(*members))
        written = []
        for name in names:
            if name not in members[0]:
                raise InputError(f"{masks[0]} holds no {name}.png, the other folder does")
            there = [m[name] for m in members if name in m]
            values = combine([read_mask(p) for p in there])
            written.append(write_mask(values, out / f"{name}.png", there, overwrite))
        return _tell(written, as_json)
    paths = [p for m in masks for p in (_members(m).values() if m.is_dir() else [m])]
    return _tell([write_mask(combine([read_mask(p) for p in paths]), out, paths, overwrite)], as_json)


@mask_app.command()
@exits
def draw(
    picture: Annotated[Path, path_argument("Picture it is for.", metavar="PICTURE")],
    out: Out,
    shapes: Annotated[Path | None, path_option("JSON list of shapes to draw.")] = None,
    line: Annotated[list[str] | None, typer.Option(help='A stroke "x,y x,y ...:width"; repeatable.')] = None,
    polygon: Annotated[list[str] | None, typer.Option(help='A filled outline "x,y x,y x,y ..."; repeatable.')] = None,
    box: Annotated[list[str] | None, typer.Option(help='Two corners "x,y x,y"; repeatable.')] = None,
    disc: Annotated[list[str] | None, typer.Option(help='A disc "x,y:radius"; repeatable.')] = None,
    marked: Annotated[Path | None, path_option("Copy of the picture, painted over in any program.")] = None,
    page: PageNumber = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> int:
    """Draw a mask: from shapes, or from a copy of the picture that was painted over where it is damaged."""
    from tratto.imaging import masks
    from tratto.imaging.opening import as_shown

    image = open_page(picture, page)
    turned = image.meta.orientation >= 5
    size = (image.width, image.height) if turned else (image.height, image.width)
    drawn = [] if shapes is None else _shapes_of(shapes)
    for kind, texts in (("line", line), ("polygon", polygon), ("box", box), ("disc", disc)):
        drawn += [_shape(kind, text) for text in texts or []]
    if not drawn and marked is None:
        raise OptionError("nothing to draw: give --shapes, --line, --polygon, --box, --disc or --marked")
    values = masks.draw(*size, [s for s in drawn if not s.erase] if marked else drawn)
    if marked is not None:
        other = open_page(marked, what="a copy that was painted over")
        found = masks.marked(as_shown(image), as_shown(other))
        erased = [masks.Shape(s.kind, s.points, s.width) for s in drawn if s.erase]
        values = masks.subtract(masks.union([values, found]), [masks.draw(*size, erased)])
    if not values.any():
        what_is_empty = "the painted copy does not differ from the picture" if marked else "nothing that is drawn"
        where = "" if marked else f" lies in the picture, which is {size[1]}x{size[0]}"
        raise OptionError(f"{what_is_empty}{where}: the mask would be empty")
    inputs = [p for p in (picture, shapes, marked) if p is not None]
    return _tell([write_mask(values, out, inputs, overwrite)], as_json)


def _shapes_of(path: Path) -> list[Any]:
    from tratto.imaging.masks import Shape

    data = parse_json(small_text(path, 16 << 20), f"the shapes in {path.name}")
    if not isinstance(data, list):
        raise InputError(
            f'{path}: expected a JSON list of shapes such as {{"kind": "box", "points": [[1, 2], [3, 4]]}}'
        )
    return [Shape.from_json(item) for item in data]


def _shape(kind: str, text: str) -> Any:
    from tratto.imaging.masks import Shape

    places, colon, width = text.partition(":")
    try:
        points = tuple((float(x), float(y)) for x, y in (p.split(",") for p in places.split()))
        return Shape(kind, points, float(width) if colon else 1.0)
    except ValueError:
        raise OptionError(f'--{kind} takes "{FORMS[kind]}" in pixels, got {text!r}') from None


def _one(name: str, about: str, default: float, help_text: str, flag: str = "--by") -> None:
    """Add a command that changes one mask, or each of a folder, by so many pixels."""
    pixels: Any = typer.Option(default, flag, help=help_text)

    def command(
        mask: MaskPath, out: Out, by: float = pixels, overwrite: Overwrite = False, as_json: AsJson = False
    ) -> int:
        from tratto.imaging import masks

        return _each(mask, out, overwrite, as_json, lambda m: getattr(masks, name)(m, by))

    mask_app.command(name, help=about)(exits(command))


_one("grow", "Grow a mask by a distance.", 2.0, "Pixels.")
_one("shrink", "Shrink a mask by a distance.", 2.0, "Pixels.")
_one("feather", "Soften a mask's edge.", 4.0, "Pixels from black to white, half of them outside the mask.", "--width")


@mask_app.command()
@exits
def invert(mask: MaskPath, out: Out, overwrite: Overwrite = False, as_json: AsJson = False) -> int:
    """Exchange white and black."""
    from tratto.imaging import masks

    return _each(mask, out, overwrite, as_json, masks.invert)


MaskPaths = Annotated[
    list[Path], typer.Argument(parser=argument_path, metavar="MASK...", help="Masks, or folders of them.")
]


def _several(name: str, about: str, combine: Callable[[Any, list[Values]], Values]) -> None:
    """Add a command that makes one mask of several."""

    def command(masks: MaskPaths, out: Out, overwrite: Overwrite = False, as_json: AsJson = False) -> int:
        from tratto.imaging import masks as m

        return _combined(masks, out, overwrite, as_json, lambda values: combine(m, values))

    mask_app.command(name, help=about)(exits(command))


_several("union", "Join masks: white where any of them is.", lambda m, v: m.union(v))
_several("subtract", "Take the other masks away from the first one.", lambda m, v: m.subtract(v[0], v[1:]))
_several("intersect", "Keep what all masks have in common.", lambda m, v: m.intersection(v))


mask_app.command(name="find")(find)
mask_app.command(name="wall")(wall)
mask_app.command(name="background")(background)
mask_app.command(name="edit")(edit)
