"""``tratto lift``: a scene from several photographs, an object from one, and a look at either."""

from __future__ import annotations

import sys
from functools import cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import GuardedGroup, guarded
from tratto.cli.show import ProgressLine, emit_json, path_argument, path_option, printable


class OrPath(GuardedGroup):
    """A group whose first word, where it is no command, is what ``photo`` or ``make`` takes; built when asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command before its photograph or folder."""
        if args and args[0] not in (*MADE, *self.commands, "--help"):
            named = next((a for a in args if not a.startswith("-") and Path(a).exists()), args[0])
            args = ["photo" if Path(named).is_file() else "make", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return [*MADE, *self.commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, or None."""
        return _made(cmd_name) if cmd_name in MADE else super().get_command(ctx, cmd_name)


MADE = ("make", "photo")
lift_app = typer.Typer(
    cls=OrPath,
    help="Make a scene of Gaussians from photographs with known cameras (tratto lift FOLDER -o OUT) or from one "
    "photograph (tratto lift PHOTO -o OUT), and view one. Their options: tratto help lift make, and tratto help lift "
    "photo.",
    no_args_is_help=True,
)
#: Options of all jobs that make sense for a scene.
SHARED = ("out", "forensic", "dry_run", "overwrite", "ledger", "sign", "device", "as_json")


@cache
def _made(name: str) -> Any:
    """Build the command ``make`` or ``photo`` from the models of its options."""
    from typer.main import get_command

    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    work = {"make": make, "photo": photo}[name]
    parameters = _parameters(name)
    work.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    work.__annotations__ = {p.name: p.annotation for p in parameters}
    command.command(name)(work)
    built = get_command(command)
    built.hidden = True  # the first word says which of the two is meant
    return built


def _model(name: str) -> Any:
    """Return the model of a command's options."""
    if name == "photo":
        from tratto.tasks.lift_photo import LiftPhotoOptions

        return LiftPhotoOptions
    from tratto.tasks.lift import LiftOptions

    return LiftOptions


def _parameters(name: str) -> list[Parameter]:
    from tratto.cli.derive import _option
    from tratto.core.options import CLI, JobLimits, RunOptions, entries

    shared = [e for e in entries(RunOptions, CLI) if e.name in SHARED]
    listed = [*entries(_model(name), CLI), *shared, *(e for e in entries(JobLimits, CLI) if e.name == "minutes")]
    flags = {e.name: e.flag for e in listed}
    if name == "photo":
        about = path_argument("A photograph of one thing.", "PHOTO")
        drawn = path_option("Grey picture, white where the object is; else its transparency, or it is found.")
        first = [
            Parameter("photo", Parameter.KEYWORD_ONLY, annotation=Annotated[Path, about]),
            Parameter("object", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, drawn]),
        ]
    else:
        about = path_argument("With transforms.json, or COLMAP's files, and the photographs.", "FOLDER")
        first = [Parameter("folder", Parameter.KEYWORD_ONLY, annotation=Annotated[Path, about])]
    needed = [_option(e, flags) for e in listed if e.info.is_required()]
    rest = [_option(e, flags) for e in listed if not e.info.is_required()]
    return [first[0], *needed, *first[1:], *rest]


def make(**given: Any) -> None:
    """Make OUT/NAME.ply of a folder of photographs with cameras, with its bundle and report."""
    guarded(_make, given, as_json=given["as_json"])


def photo(**given: Any) -> None:
    """Make OUT/NAME.ply of one photograph of a thing, with its bundle and report: what it does not show is invented."""
    guarded(_photo, given, as_json=given["as_json"])


def _options(name: str, given: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the options of a task, of the run, and its limits."""
    from tratto.cli.derive import _fields
    from tratto.core.errors import OptionError
    from tratto.core.options import CLI, BadOptions, JobLimits, RunOptions, entries, with_names

    models = (_model(name), RunOptions, JobLimits)
    flags = {e.name: e.flag for m in models for e in entries(m, CLI)}
    whole = {**{e.name: None for m in (RunOptions, JobLimits) for e in entries(m, CLI)}, **given}
    try:
        task, run, limits = (m(**_fields(m, whole)) for m in models)
        task.check({})
    except BadOptions as e:
        raise OptionError("; ".join(with_names(p, lambda name: flags.get(name, name)) for p in e.problems)) from e
    return task, run, limits


def _photo(given: dict[str, Any]) -> int:
    from tratto.jobs import Session
    from tratto.jobs.lifting import lift_photo
    from tratto.jobs.signing import notary_of

    options, run, limits = _options("photo", given)
    notary = notary_of(run.ledger, run.sign)
    with ProgressLine() as line:
        session = Session(job_limits=limits, forensic=run.forensic, progress=line, notary=notary, device=run.device)
        session.check_options(options)
        if run.dry_run:
            return _dry_photo(session, given["photo"], options, run.as_json)
        if notary is not None:
            notary.check()
        made = lift_photo(session, given["photo"], run.out, options, given["object"], run.overwrite)
    return _tell(given["photo"], made, run.as_json)


def _dry_photo(session: Any, photo: Path, options: Any, as_json: bool) -> int:
    from tratto.jobs.lifting import check_single

    check_single(photo)
    estimated, _ = session.job().plan(options, session.open(photo))
    seconds = round(estimated.seconds, 1)
    if as_json:
        emit_json({"photo": str(photo), "seconds": seconds, "reasons": list(estimated.recipe.reasons)})
        return 0
    typer.echo(printable(f"{photo}: about {seconds:g} s on two cores"))
    for reason in estimated.recipe.reasons:
        typer.echo(printable(f"  {reason}"))
    return 0


def _make(given: dict[str, Any]) -> int:
    from tratto.jobs import Session
    from tratto.jobs.lifting import gathered, lift_folder
    from tratto.jobs.signing import notary_of

    options, run, limits = _options("make", given)
    notary = notary_of(run.ledger, run.sign)
    with ProgressLine() as line:
        session = Session(job_limits=limits, forensic=run.forensic, progress=line, notary=notary, device=run.device)
        session.check_options(options)
        if run.dry_run:
            chosen, _, notes = gathered(given["folder"], options)
            text = f"{given['folder']}: {len(chosen.cameras)} photographs with cameras, {len(chosen.points)} points"
            if run.as_json:
                emit_json({"folder": str(given["folder"]), "photographs": len(chosen.cameras), "notes": list(notes)})
            else:
                typer.echo(printable(text))
            return 0
        if notary is not None:
            notary.check()
        made = lift_folder(session, given["folder"], run.out, options, run.overwrite)
    return _tell(given["folder"], made, run.as_json)


def _tell(source: Path, made: Any, as_json: bool) -> int:
    record = made.result.records[-1]
    facts = made.result.main.facts()["scene"]
    warnings = [*made.notes, *made.result.warnings, *made.saved.warnings]
    if as_json:
        emit_json({
            "output": str(made.saved.output), "bundle": str(made.saved.bundle),
            "exports": [str(p) for p in made.exports], "scene": facts, "scores": dict(record.scores),
            "warnings": warnings,
        })  # fmt: skip
        return 0
    typer.echo(printable(f"{source} -> {made.saved.output}"))
    typer.echo(
        f"  {facts['gaussians']} Gaussians, {100 * facts['seen'] / facts['gaussians']:.1f} % seen in photographs"
    )
    if "held_out_psnr" in record.scores:
        views = int(record.scores["held_out_views"])
        typer.echo(
            f"  {views} photographs held out: PSNR {record.scores['held_out_psnr']:.2f} dB, "
            f"SSIM {record.scores['held_out_ssim']:.4f}"
        )
    if "views" in record.scores:
        typer.echo(f"  fitted to {record.scores['views']:.0f} views that {record.provider} made")
    if "photograph_psnr" in record.scores:
        typer.echo(
            f"  the photograph again, rendered: PSNR {record.scores['photograph_psnr']:.2f} dB; camera "
            f"{record.scores['elevation']:.0f} degrees above the object"
        )
    for path in made.exports:
        typer.echo(printable(f"  {path}"))
    for warning in warnings:
        typer.echo(printable(f"  note: {warning}"))
    return 0


@lift_app.command("view")
def view(
    file: Annotated[Path, path_argument("A .ply, .splat, .spz or .glb.", metavar="FILE")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: one that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the browser.")] = True,
) -> None:
    """Look at a scene in the browser, served to this machine alone; ends with Ctrl+C."""
    guarded(_view, file, port, browser)


def _view(file: Path, port: int, browser: bool) -> int:
    import webbrowser

    from tratto.jobs.viewing import Viewer

    with Viewer(file, port) as viewer:
        typer.echo(f"{viewer.url} shows {printable(file.name)}; Ctrl+C ends it")
        sys.stdout.flush()
        if browser:
            webbrowser.open(viewer.url)
        try:
            viewer.wait()
        except KeyboardInterrupt:
            return 0
    return 0
