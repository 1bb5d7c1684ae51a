"""``tratto``: one command per job. Errors become one line and an exit code; see ``tratto.core.errors``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tratto._version import __version__
from tratto.cli.describe import describe
from tratto.cli.guard import guarded
from tratto.cli.keys import keys_app
from tratto.cli.ledger import ledger_app
from tratto.cli.mask import mask_app
from tratto.cli.models import models_app
from tratto.cli.plugins import RootGroup
from tratto.cli.report import report
from tratto.cli.show import argument_path
from tratto.cli.wall import wall
from tratto.cli.witness import witness_app

app = typer.Typer(
    name="tratto",
    cls=RootGroup,
    help="Restore pictures and prove what was done.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"tratto {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Restore pictures and prove what was done."""


@app.command()
def restore(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders (with sub-folders) or globs.", metavar="PATH")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="Folder for the results.")
    ],
    scale: Annotated[int, typer.Option("--scale", "-s", help="Enlarge 1, 2 or 4 times.")] = 1,
    mask: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path,
            metavar="PATH",
            help="Grey picture, white where the input may change; or a folder with one for each input.",
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="0 leaves the picture as it is, 1 is the full effect.")] = 1.0,
    sigma: Annotated[str, typer.Option(help="Noise level of 255, or auto to estimate it.")] = "auto",
    provider: Annotated[str, typer.Option(help="Who does it; see tratto models.")] = "auto",
    param: Annotated[list[str] | None, typer.Option(help="Provider parameter NAME=VALUE; repeatable.")] = None,
    fmt: Annotated[
        str, typer.Option("--format", help="auto (PNG; TIFF for TIFF and CMYK), keep, png, tiff, webp, jpeg or bmp.")
    ] = "auto",
    quality: Annotated[int, typer.Option(help="Quality of lossy formats, 1-100.")] = 95,
    kernel: Annotated[
        str, typer.Option(help="How what may not change is enlarged: nearest, bilinear, bicubic or lanczos.")
    ] = "bicubic",
    page: Annotated[str | None, typer.Option(help="Page of files with several: a number from 1, or all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Restore even what looks clean.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Allow lower precision where it is faster.")] = False,
    forensic: Annotated[bool, typer.Option("--forensic", help="Refuse every step that could invent detail.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long it may take.")
    ] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave results that exist.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist (never an input).")
    ] = False,
    keep_ending: Annotated[
        bool, typer.Option("--keep-ending", help="Make photo.jpg.png of photo.jpg, beside photo.tif.tif of photo.tif.")
    ] = False,
    no_original: Annotated[
        bool, typer.Option("--no-original", help="Keep no copy of the input in the bundle.")
    ] = False,
    strip_metadata: Annotated[
        bool, typer.Option("--strip-metadata", help="Drop EXIF, XMP, IPTC and text; implies --no-original.")
    ] = False,
    max_output_megapixels: Annotated[
        float, typer.Option(help="Refuse results larger than this; inf = no limit.")
    ] = 400.0,
    max_minutes: Annotated[
        float, typer.Option(help="Refuse jobs estimated to take longer than this; inf = no limit.")
    ] = 60.0,
    ledger: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="Record each result in this ledger; see tratto ledger."),
    ] = None,
    sign: Annotated[
        str, typer.Option(help="Identity that signs the results; auto: the one called default, if there is; none.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Remove noise, JPEG artefacts and mild blur; enlarge 2 or 4 times."""
    from tratto.cli.restore import RestoreCommand, run_restore

    fields: dict[str, Any] = {k: v for k, v in locals().items() if k in RestoreCommand.__dataclass_fields__}
    guarded(run_restore, RestoreCommand(**fields), as_json=as_json)


@app.command()
def repair(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders (with sub-folders) or globs.", metavar="PATH")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="Folder for the results.")
    ],
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Grey picture, white where the input is damaged; a folder with one for each class of damage or for "
            "each input; or auto: a network proposes it. Repeatable: a pass with each.",
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Least chance that counts for --mask auto, 0-1.")] = 0.5,
    method: Annotated[
        str,
        typer.Option(
            help="auto (chosen for each part), tratto, patch, plate, navier-stokes, telea, biharmonic, sdxl or sd15."
        ),
    ] = "auto",
    param: Annotated[
        list[str] | None, typer.Option(help="Parameter NAME=VALUE of sdxl or sd15, such as model=FOLDER; repeatable.")
    ] = None,
    caption: Annotated[
        str, typer.Option(help="What the picture shows: for the receipt, and the prompt of sdxl or sd15; auto: say it.")
    ] = "",
    captioner: Annotated[str, typer.Option(help="Who says it for --caption auto; see tratto describe.")] = "auto",
    grow: Annotated[float, typer.Option(help="Grow the mask by this many pixels, against a rim of damage.")] = 0.0,
    blend: Annotated[
        float, typer.Option(help="Feather the mask's edge over this many pixels, half of them outside it.")
    ] = 0.0,
    fmt: Annotated[
        str, typer.Option("--format", help="auto (PNG; TIFF for TIFF and CMYK), keep, png, tiff, webp, jpeg or bmp.")
    ] = "auto",
    quality: Annotated[int, typer.Option(help="Quality of lossy formats, 1-100.")] = 95,
    page: Annotated[str | None, typer.Option(help="Page of files with several: a number from 1, or all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search for texture, or of a diffusion model's noise.")] = 0,
    forensic: Annotated[bool, typer.Option("--forensic", help="Refuse: what fills a hole is no evidence.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long it may take.")
    ] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave results that exist.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist (never an input).")
    ] = False,
    keep_ending: Annotated[
        bool, typer.Option("--keep-ending", help="Make photo.jpg.png of photo.jpg, beside photo.tif.tif of photo.tif.")
    ] = False,
    no_original: Annotated[
        bool, typer.Option("--no-original", help="Keep no copy of the input in the bundle.")
    ] = False,
    strip_metadata: Annotated[
        bool, typer.Option("--strip-metadata", help="Drop EXIF, XMP, IPTC and text; implies --no-original.")
    ] = False,
    max_output_megapixels: Annotated[
        float, typer.Option(help="Refuse results larger than this; inf = no limit.")
    ] = 400.0,
    max_minutes: Annotated[
        float, typer.Option(help="Refuse jobs estimated to take longer than this; inf = no limit.")
    ] = 60.0,
    ledger: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="Record each result in this ledger; see tratto ledger."),
    ] = None,
    sign: Annotated[
        str, typer.Option(help="Identity that signs the results; auto: the one called default, if there is; none.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Fill cracks, scratches, stains and missing parts; pixels outside the mask stay bit-identical."""
    from tratto.cli.repair import RepairCommand, run_repair

    fields: dict[str, Any] = {k: v for k, v in locals().items() if k in RepairCommand.__dataclass_fields__}
    guarded(run_repair, RepairCommand(**fields), as_json=as_json)


@app.command()
def recolor(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders (with sub-folders) or globs.", metavar="PATH")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="Folder for the results.")
    ],
    color: Annotated[
        str | None, typer.Option(help="New paint: #c8d4e0, rgb(200, 212, 224) or lab(84, -2, -7).")
    ] = None,
    swatch: Annotated[
        Path | None, typer.Option(parser=argument_path, metavar="PATH", help="Picture of the paint: its median counts.")
    ] = None,
    texture: Annotated[
        Path | None, typer.Option(parser=argument_path, metavar="PATH", help="Wallpaper sample, laid in tiles.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path,
            metavar="PATH",
            help="Grey picture, white where the wall is; or a folder with one for each input.",
        ),
    ] = None,
    click: Annotated[
        list[str] | None, typer.Option(help="A point x,y on the wall to search it from; repeatable.")
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option("--not", help="A point x,y on something else, to help --click; repeatable.")
    ] = None,
    corners: Annotated[
        str | None,
        typer.Option(help="Four points x,y of a rectangle on the wall, from top left clockwise, for --texture."),
    ] = None,
    repeat: Annotated[str | None, typer.Option(help="Tiles ACROSS,DOWN over that rectangle.")] = None,
    match: Annotated[
        str, typer.Option(help="seen: the wall's mean becomes the color; paint: under its light the paint is.")
    ] = "seen",
    was: Annotated[str | None, typer.Option(help="The old paint where it is known; makes --match paint exact.")] = None,
    bounce: Annotated[
        float | None, typer.Option(help="How much of its light the wall gives itself: 0.15 one wall, 0.5 a whole room.")
    ] = None,
    pattern: Annotated[str, typer.Option(help="Of the old wall: auto, keep or remove.")] = "auto",
    stains: Annotated[str, typer.Option(help="Brown stains: keep or remove.")] = "keep",
    glossy: Annotated[
        bool, typer.Option("--glossy", help="The old paint is glossy: mirror images of lamps stay white.")
    ] = False,
    grow: Annotated[float, typer.Option(help="Grow the mask by this many pixels; negative shrinks it.")] = 0.0,
    feather: Annotated[float, typer.Option(help="Soften the mask's edge over this many pixels.")] = 0.0,
    edge: Annotated[
        int, typer.Option(help="Let the matte reach this many pixels beyond the mask, against a rim of old color.")
    ] = 0,
    strength: Annotated[float, typer.Option(help="0 leaves the picture as it is, 1 is the full effect.")] = 1.0,
    provider: Annotated[str, typer.Option(help="tratto (calculated), or sd15 (a diffusion model).")] = "tratto",
    param: Annotated[
        list[str] | None, typer.Option(help="Parameter NAME=VALUE of sd15, such as model=FOLDER; repeatable.")
    ] = None,
    fmt: Annotated[
        str, typer.Option("--format", help="auto (PNG; TIFF for TIFF), keep, png, tiff, webp, jpeg or bmp.")
    ] = "auto",
    quality: Annotated[int, typer.Option(help="Quality of lossy formats, 1-100.")] = 95,
    page: Annotated[str | None, typer.Option(help="Page of files with several: a number from 1, or all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of a diffusion model's noise; the calculated way draws none.")] = 0,
    forensic: Annotated[bool, typer.Option("--forensic", help="Refuse: another paint is no evidence.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long it may take.")
    ] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave results that exist.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist (never an input).")
    ] = False,
    keep_ending: Annotated[
        bool, typer.Option("--keep-ending", help="Make photo.jpg.png of photo.jpg, beside photo.tif.tif of photo.tif.")
    ] = False,
    no_original: Annotated[
        bool, typer.Option("--no-original", help="Keep no copy of the input in the bundle.")
    ] = False,
    strip_metadata: Annotated[
        bool, typer.Option("--strip-metadata", help="Drop EXIF, XMP, IPTC and text; implies --no-original.")
    ] = False,
    max_output_megapixels: Annotated[
        float, typer.Option(help="Refuse results larger than this; inf = no limit.")
    ] = 400.0,
    max_minutes: Annotated[
        float, typer.Option(help="Refuse jobs estimated to take longer than this; inf = no limit.")
    ] = 60.0,
    ledger: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="Record each result in this ledger; see tratto ledger."),
    ] = None,
    sign: Annotated[
        str, typer.Option(help="Identity that signs the results; auto: the one called default, if there is; none.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Repaint a wall in exactly one color or with a wallpaper, under its own light."""
    from tratto.cli.recolor import RecolorCommand, run_recolor

    fields: dict[str, Any] = {k: v for k, v in locals().items() if k in RecolorCommand.__dataclass_fields__}
    guarded(run_recolor, RecolorCommand(**fields), as_json=as_json)


@app.command()
def inspect(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders or globs.", metavar="PATH")],
    page: Annotated[int, typer.Option(help="Page of files with several, from 1.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Say what is wrong with a picture: noise, compression, blur, earlier enlargement, clipping."""
    from tratto.cli.inspect import run_inspect

    guarded(run_inspect, paths, page, as_json, as_json=as_json)


@app.command()
def replay(
    receipt: Annotated[
        Path,
        typer.Argument(parser=argument_path, metavar="RECEIPT", help="A receipt, its bundle or the picture beside it."),
    ],
    source: Annotated[
        Path | None,
        typer.Option("--input", parser=argument_path, metavar="PATH", help="The original, when the bundle holds none."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Do it again from the receipt and say how exactly the result agrees (tier A, B or C)."""
    from tratto.cli.account import run_replay

    guarded(run_replay, receipt, source, as_json, as_json=as_json)


@app.command()
def verify(
    path: Annotated[
        Path, typer.Argument(parser=argument_path, metavar="PATH", help="A result, its bundle or a receipt.")
    ],
    ledger: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="A ledger, or a copy of one, to compare with."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Public key of a ledger or witness you trust, or its file; repeatable.")
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path, metavar="PATH", help="Root certificates (PEM) whose content credentials you trust."
        ),
    ] = None,
    stamp_anchors: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="PATH", help="Root certificates (PEM) of time-stamp authorities."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="The picture's bundle, if it is not beside it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether a result and its account are unchanged: authentic, altered or unknown. Works offline."""
    from tratto.cli.account import run_verify, trust_of

    def run() -> int:
        return run_verify(path, as_json, trust_of(ledger, key, anchors, stamp_anchors), bundle)

    guarded(run, as_json=as_json)


@app.command()
def audit(
    folder: Annotated[
        Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Everything below it is verified.")
    ],
    ledger: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="DIR", help="A ledger, or a copy of one, to compare with."),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Public key of a ledger or witness you trust, or its file; repeatable.")
    ] = None,
    anchors: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path, metavar="PATH", help="Root certificates (PEM) whose content credentials you trust."
        ),
    ] = None,
    stamp_anchors: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="PATH", help="Root certificates (PEM) of time-stamp authorities."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="Write the audit as JSON.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--html", parser=argument_path, metavar="PATH", help="Write the audit as a page.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            parser=argument_path, metavar="PATH", help="Remember verdicts here, and go on from it after a stop."
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="PATH", help="An earlier audit (JSON): say what changed since."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compare hashes and signatures only.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only authentic, altered, unknown, stamped (not for examination), forensic or examinable; repeatable."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--replay", help="Do every job again and say which tier it reaches.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Verify everything below a folder: table, JSON and HTML. Works offline."""
    from tratto.cli.account import trust_of
    from tratto.cli.audit import AuditCommand, run_audit

    def run() -> int:
        trust = trust_of(ledger, key, anchors, stamp_anchors)
        return run_audit(AuditCommand(folder, trust, out, page, state, since, quick, again, as_json, tuple(only or ())))

    guarded(run, as_json=as_json)


@app.command()
def revert(
    path: Annotated[Path, typer.Argument(parser=argument_path, metavar="PATH", help="A result or its bundle.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="File to write the original to.")
    ],
) -> None:
    """Give back the exact bytes of the original."""
    from tratto.cli.account import run_revert

    guarded(run_revert, path, out)


mask_app.command(name="wall")(wall)
app.add_typer(mask_app, name="mask")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(ledger_app, name="ledger")
app.add_typer(witness_app, name="witness")
app.command()(report)
app.command(name="describe")(describe)


def main() -> None:
    """Run the command line."""
    app(prog_name="tratto")


if __name__ == "__main__":
    main()
