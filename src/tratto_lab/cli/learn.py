"""Commands for people who train and measure: ``tratto train``, ``tratto eval``, ``tratto data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

eval_app = typer.Typer(help="Measure beside what people would use instead.", no_args_is_help=True)
data_app = typer.Typer(help="Pictures for training: collect, build, pack, look.", no_args_is_help=True)


def train(
    run: Annotated[Path, typer.Argument(help="Run file, such as training_runs/restore_noise.py.")],
    photos: Annotated[Path, typer.Option(help="Folder of training photographs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints and logs.")] = Path("runs"),
    stop_after: Annotated[int | None, typer.Option(min=1, help="Stop with a checkpoint after this many steps.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE in a run that fine-tunes a diffusion model; repeatable."),
    ] = None,
) -> None:
    """Train as a run file says; continues from its checkpoint if there is one."""
    from tratto.cli.guard import guarded

    guarded(_train, run, photos, out, stop_after, change)


def _train(run: Path, photos: Path, out: Path, stop_after: int | None, change: list[str] | None = None) -> int:
    import importlib.util
    import logging

    from tratto.core.errors import InputError, MissingExtra

    for path, what in ((run, "run file"), (photos, "folder of photographs")):
        if not path.exists():
            raise InputError(f"the {what} {path} does not exist")
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("accelerate") is None:
        raise MissingExtra("training", "train")
    from tratto_lab.training.start import start

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start(run, photos, out, stop_after, change)
    return 0


def ablate(
    runs: Annotated[list[Path], typer.Argument(help="A file of variants, or run files; see training_runs/ablations.")],
    photos: Annotated[Path, typer.Option(help="Folder of the training data.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the runs and the table.")] = Path("runs"),
    stop_after: Annotated[
        int | None, typer.Option(min=1, help="Stop each with a checkpoint after this many steps.")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE in every run; repeatable.")] = None,
) -> None:
    """Train several variants alike and lay them in one table: one file of VARIANTS, or several run files."""
    from tratto.cli.guard import guarded

    guarded(_ablate, runs, photos, out, stop_after, change)


def _ablate(runs: list[Path], photos: Path, out: Path, stop_after: int | None, change: list[str] | None) -> int:
    import importlib.util
    import logging

    from tratto.core.errors import MissingExtra, OptionError

    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("accelerate") is None:
        raise MissingExtra("training", "train")
    from tratto_lab.training.ablate import ablate, compare, sets_variants, table

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if len(runs) == 1 and sets_variants(runs[0]):
        if change or stop_after is not None:
            raise OptionError(f"{runs[0].name} sets its variants itself: --set and --stop-after do not go with it")
        typer.echo(table(ablate(runs[0], photos, out)))
        return 0
    from tratto_lab.training.config import Run
    from tratto_lab.training.lora_config import load_any

    given = {path.stem: load_any(path) for path in runs}
    if all(isinstance(one, Run) for one in given.values()):
        if change or stop_after is not None:
            raise OptionError("--set and --stop-after go with runs that fine-tune diffusion models only")
        if len(given) != len(runs) or len({one.name for one in given.values()}) != len(given):
            raise OptionError("each run file, and each run, needs a name of its own")
        typer.echo(table(compare(given, (photos, out, None), "ablations")))
        return 0
    from tratto_lab.training.ablate_lora import ablate_runs

    typer.echo(ablate_runs(runs, photos, out, change, stop_after))
    return 0


@eval_app.command(name="restore")
def eval_restore(
    folder: Annotated[Path, typer.Argument(help="Folder of clean pictures.")],
    provider: Annotated[
        list[str] | None, typer.Option(help="Provider to measure, or auto: what tratto restore does; repeatable.")
    ] = None,
    sigma: Annotated[list[float] | None, typer.Option(help="Noise level of 255; repeatable.")] = None,
    quality: Annotated[list[int] | None, typer.Option(help="JPEG quality; repeatable.")] = None,
    scale: Annotated[list[int] | None, typer.Option(help="Enlargement; repeatable.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many pictures; 0 = all.")] = 0,
    bm3d: Annotated[bool, typer.Option("--bm3d", help="BM3D told the true sigma too (package bm3d, slow).")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for report.md, .json and sheet.png.")] = None,
) -> None:
    """Degrade clean pictures, restore them, and say how close each method comes."""
    from tratto.cli.guard import guarded

    guarded(_eval_restore, folder, provider or ["auto", "nlm"], (sigma, quality, scale), limit, bm3d, out)


def _eval_restore(
    folder: Path,
    providers: list[str],
    cases: tuple[list[float] | None, list[int] | None, list[int] | None],
    limit: int,
    bm3d: bool,
    out: Path | None,
) -> int:
    from dataclasses import replace

    from tratto.core.errors import InputError, OptionError
    from tratto.core.files import write_text
    from tratto.providers.catalogue import CATALOGUE, open_provider
    from tratto.steps.denoise import OWN
    from tratto_lab.evaluation.features import FeatureDistance, features_available
    from tratto_lab.evaluation.restore import (
        Case,
        Method,
        RestorePlan,
        Sheet,
        as_the_command,
        bicubic,
        bm3d_told,
        evaluate_restore,
        restorer_method,
        to_markdown,
        untouched,
    )

    RESTORERS = CATALOGUE["restorer"]
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    sigmas, qualities, scales = cases
    if all(c is None for c in cases):
        sigmas, qualities, scales = [15.0, 25.0, 50.0], [10, 40], [2, 4]
    if "auto" in providers and 3 in (scales or ()):
        raise OptionError("tratto restore enlarges by 2 or 4; name the provider that is to enlarge by 3 (--provider)")
    if out is not None:
        from tratto.cli.show import make_folder

        make_folder(out)  # now: what cannot be written should not be measured for hours first
    plan = RestorePlan(
        sigmas=tuple(sigmas or ()), qualities=tuple(qualities or ()), scales=tuple(scales or ()), limit=limit
    )
    methods: dict[str, Method] = {"as it is": untouched, "bicubic": bicubic}
    fits: dict[str, int] = {"as it is": 1, "bicubic": 0}
    for name in providers:
        if name == "auto":
            methods["tratto restore"], fits["tratto restore"] = as_the_command(), -2
            continue
        if name not in RESTORERS:
            raise OptionError(f"no provider is called {name!r}; choose from {', '.join(RESTORERS)}")
        if not {1, *plan.scales} & set(RESTORERS[name].scales):
            able = " or ".join(f"--scale {s}" for s in RESTORERS[name].scales)
            raise OptionError(f"{name} only enlarges; give {able}, too")
        for s in (1, *plan.scales):
            if s in RESTORERS[name].scales and f"{name} x{s}" not in methods:
                methods[f"{name} x{s}"] = restorer_method(open_provider("restorer", name, scale=s), told=name == "nlm")
                fits[f"{name} x{s}"] = s
        if name in OWN and 1 in RESTORERS[name].scales:
            label = f"{name} x1, network=jpeg"
            methods[label] = restorer_method(open_provider("restorer", name, {"network": "jpeg"}))
            fits[label] = -3
    if bm3d:
        methods["BM3D (told)"], fits["BM3D (told)"] = bm3d_told, -1

    def suits(method: str, case: Case) -> bool:
        want = fits[method]
        if want == -2:
            return True
        if want == 0:
            return case.scale > 1
        if want == -1:
            return case.sigma is not None
        if want == -3:
            return case.label.startswith("jpeg")
        if method.startswith("nlm") and case.sigma is None:
            return False
        return case.scale == want

    sheet = Sheet()
    distance = FeatureDistance() if features_available() else None
    report = evaluate_restore(folder, methods, plan, suits, lambda name: typer.echo(name, err=True), sheet, distance)
    kept_size = [1] if plan.sigmas or plan.qualities else []
    asked = {name: [*kept_size, *plan.scales] for name in dict.fromkeys(providers) if name != "auto"}
    report = replace(
        report,
        notes=tuple(
            f"{name} has no rows at x{scale}: it "
            + ("only enlarges." if scale == 1 else f"does not enlarge by {scale}.")
            for name, scales in asked.items()
            for scale in scales
            if scale not in RESTORERS[name].scales
        ),
    )
    text = to_markdown(report)
    typer.echo(text)
    if out is not None:
        write_text(out / "report.md", text + "\n")
        sheet.write(out / "sheet.png")
        write_text(out / "report.json", report.to_json() + "\n")
    return 0


@eval_app.command(name="recolor")
def eval_recolor(
    rooms: Annotated[Path, typer.Argument(help="Folder of rendered rooms; what is missing is rendered (Mitsuba).")],
    checkpoint: Annotated[
        str, typer.Option(help="none = the embedded method, or the folder of a fine-tuned run.")
    ] = "none",
    samples: Annotated[int, typer.Option(help="How many pairs of room and paint; 0 = all.")] = 50,
    baselines: Annotated[bool, typer.Option("--baselines", help="Other methods in the same table.")] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for step-N_metrics.json, table.md and the grids.")
    ] = Path("recolor"),
) -> None:
    """Repaint rooms whose true repainted picture is known, and say how exactly."""
    from tratto.cli.guard import guarded

    guarded(_eval_recolor, rooms, checkpoint, samples, baselines, out)


def _eval_recolor(rooms: Path, checkpoint: str, samples: int, baselines: bool, out: Path) -> int:
    from tratto.core.errors import OptionError
    from tratto.core.files import write_text
    from tratto_lab.evaluation import recolor as ev

    if samples < 0:
        raise OptionError(f"--samples takes 0 or more, got {samples}")
    step = 0
    if checkpoint == "none":
        methods = {"Tratto, seen": ev.METHODS["Tratto, seen"]}
    else:
        step, method = ev.checkpoint_method(Path(checkpoint))
        methods = {f"{Path(checkpoint).name}, step {step}": method}
    if baselines:
        methods |= ev.METHODS
    chosen = ev.room_samples(rooms, samples)
    scores = ev.evaluate(chosen, methods, lambda name: typer.echo(name, err=True))
    rows = ev.rows_of(scores)
    table = ev.to_markdown(rows)
    typer.echo(table)
    for warning in ev.warnings_of(scores, chosen):
        typer.echo(f"warning: {warning}", err=True)
    ev.write_metrics(out, step, scores)
    write_text(out / "table.md", table + "\n")
    ev.write_grid(out, chosen, next(iter(methods.values())))
    return 0


@eval_app.command(name="compare")
def eval_compare(
    files: Annotated[list[Path], typer.Argument(help="step-N_metrics.json files, or folders that hold them.")],
) -> None:
    """Lay the figures of several evaluations side by side."""
    from tratto.cli.guard import guarded

    guarded(_eval_compare, files)


def _eval_compare(files: list[Path]) -> int:
    from tratto_lab.evaluation.recolor import compare

    typer.echo(compare(files))
    return 0


@data_app.command()
def pack(
    photos: Annotated[Path, typer.Argument(help="Folder of photographs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pack.")],
    text_pages: Annotated[int, typer.Option(min=0, help="How many rendered text pages to add.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the text pages.")] = 0,
) -> None:
    """Decode photographs once into one file that training reads at random."""
    from tratto.cli.guard import guarded

    guarded(_pack, photos, out, text_pages, seed)


def _pack(photos: Path, out: Path, text_pages: int, seed: int) -> int:
    from tratto.core.errors import InputError
    from tratto_lab.corpus.pack import build_pack

    if not photos.is_dir():
        raise InputError(f"{photos} is not a folder")
    count = build_pack(photos, out, text_pages=text_pages, seed=seed)
    typer.echo(f"{out}: {count} pictures")
    return 0


@data_app.command()
def preview(
    picture: Annotated[Path, typer.Argument(help="Clean picture to degrade.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG to write.")] = Path("degradations.png"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists (never the input).")] = False,
) -> None:
    """Draw a contact sheet of every degradation, mild to severe."""
    from tratto.cli.guard import guarded

    guarded(_preview, picture, out, seed, overwrite)


def _preview(picture: Path, out: Path, seed: int, overwrite: bool) -> int:
    from tratto.cli.show import check_new_png, make_folder
    from tratto.imaging import io
    from tratto_lab.corpus.preview import contact_sheet

    check_new_png(out, [picture], overwrite, "a sheet")
    sheet = contact_sheet(io.read_image(picture), seed)
    make_folder(out.parent)
    io.write_image(sheet, out, "png")
    typer.echo(f"{out}: {sheet.width}x{sheet.height}")
    return 0
