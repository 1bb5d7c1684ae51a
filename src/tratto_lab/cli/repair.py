"""``tratto eval repair``, ``tratto eval damage`` and ``tratto data damage``: damage, simulated and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import argument_path, make_folder


@exits
def eval_repair(
    folder: Annotated[Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Folder of clean pictures.")],
    method: Annotated[
        list[str] | None, typer.Option(help="Inpainter to measure, or auto: what tratto repair does; repeatable.")
    ] = None,
    holes: Annotated[list[str] | None, typer.Option(help="thin, medium or large; repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the holes.")] = 0,
    limit: Annotated[int, typer.Option(help="Only the first so many pictures; 0 = all.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="For report.md and .json.")
    ] = None,
) -> int:
    """Cut holes into clean pictures, fill them, and say how close each method comes."""
    from tratto.core.errors import InputError
    from tratto.core.files import write_text
    from tratto_lab.evaluation.features import FeatureDistance, features_available
    from tratto_lab.evaluation.measures.choice import FEATURES, distances
    from tratto_lab.evaluation.repair import (
        Method,
        RepairPlan,
        as_the_command,
        evaluate_repair,
        inpainter_method,
        to_markdown,
    )
    from tratto_lab.simulate.holes import SIZES

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    plan = RepairPlan(tuple(holes or SIZES), seed, limit)
    if out is not None:
        make_folder(out)  # now: what cannot be written should not be measured for hours first
    methods: dict[str, Method] = {}
    for name in method or ["auto", "telea", "navier-stokes", "biharmonic", "patch"]:
        methods["tratto repair" if name == "auto" else name] = (
            as_the_command() if name == "auto" else inpainter_method(name)
        )
    distance = FeatureDistance() if features_available() else None
    measures, lacking = distances()
    measures.pop(FEATURES, None)  # it has its own column
    report = evaluate_repair(folder, methods, plan, lambda name: typer.echo(name, err=True), distance, measures)
    text = to_markdown(report) + (f"\n{lacking}\n" if lacking else "")
    typer.echo(text)
    if out is not None:
        write_text(out / "report.md", text + "\n")
        write_text(out / "report.json", report.to_json() + "\n")
    return 0


@exits
def eval_damage(
    folder: Annotated[Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="Folder of clean pictures.")],
    threshold: Annotated[
        float, typer.Option(help="Minimum probability that counts, 0-1; somewhere each find is surer by far.")
    ] = 0.5,
    model: Annotated[
        Path | None,
        typer.Option(parser=argument_path, metavar="FILE", help="A YOLO segmentation model of your own, ONNX."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the damage.")] = 0,
    limit: Annotated[int, typer.Option(help="Only the first so many pictures; 0 = all.")] = 0,
    kinds: Annotated[int, typer.Option(help="Kinds of damage in each picture, 1-8.")] = 1,
    kinds_known: Annotated[
        bool, typer.Option("--kinds-known", help="Tell the network which kinds there are (tratto mask find --kind).")
    ] = False,
    enlarge: Annotated[
        int, typer.Option(min=1, max=8, help="Enlarge the pictures so many times before they are damaged, as scans.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="For report.md and .json.")
    ] = None,
) -> int:
    """Damage clean pictures, have the damage found, and say how much of it was: F1 for each class."""
    from tratto.core.errors import InputError
    from tratto.core.files import write_text
    from tratto_lab.evaluation.damage import DamagePlan, evaluate_damage, network_detector, to_markdown, yolo_detector

    if model is not None and kinds_known:
        raise typer.BadParameter("--kinds-known is for the network that ships, not for --model")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    plan = DamagePlan(seed=seed, limit=limit, kinds=kinds, kinds_known=kinds_known, enlarge=enlarge)
    detector = network_detector(threshold) if model is None else yolo_detector(model, threshold)
    if out is not None:
        make_folder(out)  # now: what cannot be written should not be measured for hours first
    report = evaluate_damage(folder, detector, plan, lambda name: typer.echo(name, err=True))
    text = to_markdown(report)
    typer.echo(text)
    if out is not None:
        write_text(out / "report.md", text + "\n")
        write_text(out / "report.json", report.to_json() + "\n")
    return 0


@exits
def damage_preview(
    picture: Annotated[Path, typer.Argument(parser=argument_path, metavar="PICTURE", help="Clean picture to damage.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", parser=argument_path, metavar="PATH", help="PNG to write.")
    ] = Path("damage.png"),
    severity: Annotated[float, typer.Option(help="0 (lightest) to 1.")] = 0.6,
    toned: Annotated[bool, typer.Option("--toned", help="Tone the picture like an old print first.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never the input).")] = False,
) -> int:
    """Draw a contact sheet of every kind of simulated damage."""
    from tratto.cli.show import check_new_png, make_folder
    from tratto.imaging import io
    from tratto_lab.simulate.damage_sheet import damage_sheet

    check_new_png(out, [picture], overwrite, "a sheet")
    sheet = damage_sheet(io.read_image(picture), severity, seed, toned=toned)
    make_folder(out.parent)
    io.write_image(sheet, out, "png")
    typer.echo(f"{out}: {sheet.width}x{sheet.height}")
    return 0
