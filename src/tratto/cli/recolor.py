"""The recolor command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratto.cli.restore import limits_of, notary_of, page_of, params_of, report_outcomes
from tratto.core.errors import OptionError

if TYPE_CHECKING:
    from tratto.tasks.recolor import RecolorOptions


@dataclass(frozen=True)
class RecolorCommand:
    """The command's options as given; see ``tratto recolor --help``."""

    paths: list[str]
    out: Path
    color: str | None
    swatch: Path | None
    texture: Path | None
    mask: Path | None
    click: list[str] | None
    other: list[str] | None
    corners: str | None
    repeat: str | None
    match: str
    was: str | None
    bounce: float | None
    pattern: str
    stains: str
    glossy: bool
    grow: float
    feather: float
    edge: int
    strength: float
    provider: str
    param: list[str] | None
    fmt: str
    quality: int
    page: str | None
    seed: int
    forensic: bool
    dry_run: bool
    skip_existing: bool
    overwrite: bool
    keep_ending: bool
    no_original: bool
    strip_metadata: bool
    max_output_megapixels: float
    max_minutes: float
    ledger: Path | None
    sign: str
    as_json: bool


def numbers_of(text: str, count: int, told: str) -> tuple[float, ...]:
    """Return so many numbers written with commas or spaces between them; ``told`` says what was expected."""
    try:
        values = tuple(float(v) for v in text.replace(";", ",").replace(" ", ",").split(",") if v)
    except ValueError:
        raise OptionError(f"{told}, got {text!r}") from None
    if len(values) != count:
        raise OptionError(f"{told}, got {text!r}")
    return values


def picture_of(path: Path) -> Any:
    """Return a picture as a viewer shows it, (H, W, 3) float32 encoded sRGB."""
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    image = io.read_image(path)
    return io.oriented(view_rgb(image), image.meta.orientation)


def opaque_of(path: Path) -> Any:
    """Return the pixels of a picture of paint that are not transparent, (N, 3) float32 encoded sRGB.

    What lies under full transparency is no colour that anyone has seen.
    """
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    image = io.read_image(path)
    rgb = view_rgb(image).reshape(-1, 3)
    shown = rgb if image.alpha is None else rgb[2 * image.alpha.ravel().astype(int) > image.max_value]
    if len(shown) == 0:
        raise OptionError(f"{path.name} is transparent all over and shows no colour; save the swatch without alpha")
    return shown


def _options(command: RecolorCommand) -> RecolorOptions:
    from tratto.imaging.paint import dominant_color, parse_color
    from tratto.tasks.recolor import TEXTURE, make_options

    given = [o for o in (command.color, command.swatch, command.texture) if o is not None]
    if len(given) != 1:
        raise OptionError("name the new paint by exactly one of --color, --swatch and --texture")
    color: Any = None
    if command.color is not None:
        color = parse_color(command.color)
    elif command.swatch is not None:
        color = dominant_color(opaque_of(command.swatch))
    corners = None
    if command.corners is not None:
        flat = numbers_of(
            command.corners, 8, "--corners takes four points x,y: top left, top right, bottom right, bottom left"
        )
        corners = tuple(zip(flat[::2], flat[1::2], strict=True))
    if command.mask is None and not command.click:
        raise OptionError("recolor needs to know the wall: give --mask, or --click x,y on it")
    if command.mask is not None and command.click:
        raise OptionError("--mask and --click contradict each other")
    return make_options(
        color=color,
        texture="" if command.texture is None else TEXTURE,
        corners=corners,
        repeat=None if command.repeat is None else numbers_of(command.repeat, 2, "--repeat takes ACROSS,DOWN"),
        match=command.match,
        was=None if command.was is None else parse_color(command.was),
        others=tuple(numbers_of(c, 2, "--not takes x,y") for c in command.other or ()),
        clicks=tuple(numbers_of(c, 2, "--click takes x,y") for c in command.click or ()),
        bounce=command.bounce,
        pattern=command.pattern,
        stains=command.stains,
        glossy=command.glossy,
        grow=command.grow,
        feather=command.feather,
        edge=command.edge,
        strength=command.strength,
        provider=command.provider,
        params=params_of(command.param),
        seed=command.seed,
    )


def run_recolor(command: RecolorCommand) -> int:
    """Repaint; return the exit code."""
    from tratto.jobs import SaveOptions
    from tratto.jobs.folder import FolderJob
    from tratto.tasks.recolor import TEXTURE

    if command.skip_existing and command.overwrite:
        raise OptionError("--skip-existing and --overwrite contradict each other")
    job = FolderJob(
        paths=tuple(command.paths),
        out=command.out,
        options=_options(command),
        save=SaveOptions(
            format=command.fmt,
            quality=command.quality,
            keep_original=not (command.no_original or command.strip_metadata),
            strip_metadata=command.strip_metadata,
        ),
        mask=command.mask,
        inputs={} if command.texture is None else {TEXTURE: command.texture},
        page=page_of(command.page),
        skip_existing=command.skip_existing,
        overwrite=command.overwrite,
        keep_ending=command.keep_ending,
    )
    limits = limits_of(command.max_output_megapixels, command.max_minutes)
    notary = notary_of(command.ledger, command.sign)
    return report_outcomes(job, limits, command.forensic, command.dry_run, command.as_json, notary)
