"""``tratto lift``: a scene from several photographs, and a look at one."""

from __future__ import annotations

import sys
from functools import cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import GuardedGroup, guarded
from tratto.cli.show import ProgressLine, emit_json, path_argument, printable


class OrFolder(GuardedGroup):
    """A group whose first word, where it is no command, is the folder of ``make``; that one is built when asked for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command before its folder."""
        if args and args[0] not in (MAKE, VIEWS, *self.commands, "--help"):
            args = [MAKE, *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return [MAKE, VIEWS, *self.commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, or None."""
        if cmd_name == VIEWS:
            from tratto.cli.lift_views import command

            return command()
        return _made() if cmd_name == MAKE else super().get_command(ctx, cmd_name)


MAKE, VIEWS = "make", "views"
lift_app = typer.Typer(
    cls=OrFolder,
    help="Make a scene of Gaussians from photographs with known cameras (tratto lift FOLDER -o OUT), and view one.",
    no_args_is_help=True,
)
#: Options of all jobs that make sense for a scene.
SHARED = ("out", "forensic", "dry_run", "overwrite", "ledger", "sign", "device", "as_json")


@cache
def _made() -> Any:
    """Build the command ``make`` from the models of its options."""
    from typer.main import get_command

    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    parameters = _parameters()
    make.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    make.__annotations__ = {p.name: p.annotation for p in parameters}
    command.command(MAKE)(make)
    return get_command(command)


def _parameters() -> list[Parameter]:
    from tratto.cli.derive import _option
    from tratto.core.options import CLI, JobLimits, RunOptions, entries
    from tratto.tasks.lift import LiftOptions

    shared = [e for e in entries(RunOptions, CLI) if e.name in SHARED]
    listed = [*entries(LiftOptions, CLI), *shared, *(e for e in entries(JobLimits, CLI) if e.name == "minutes")]
    flags = {e.name: e.flag for e in listed}
    about = path_argument("With transforms.json, or COLMAP's files, and the photographs.", "FOLDER")
    first = Parameter("folder", Parameter.KEYWORD_ONLY, annotation=Annotated[Path, about])
    needed = [_option(e, flags) for e in listed if e.info.is_required()]
    return [first, *needed, *(_option(e, flags) for e in listed if not e.info.is_required())]


def make(**given: Any) -> None:
    """Make OUT/NAME.ply of a folder of photographs with cameras, with its bundle and report."""
    guarded(_make, given, as_json=given["as_json"])


def _make(given: dict[str, Any]) -> int:
    from tratto.cli.derive import _fields
    from tratto.core.errors import OptionError
    from tratto.core.options import CLI, BadOptions, JobLimits, RunOptions, entries, with_names
    from tratto.jobs import Session
    from tratto.jobs.lifting import gathered, lift_folder
    from tratto.jobs.signing import notary_of
    from tratto.tasks.lift import LiftOptions

    flags = {e.name: e.flag for m in (LiftOptions, RunOptions, JobLimits) for e in entries(m, CLI)}
    whole = {**{e.name: None for m in (RunOptions, JobLimits) for e in entries(m, CLI)}, **given}
    try:
        options = LiftOptions(**_fields(LiftOptions, whole))
        run = RunOptions(**_fields(RunOptions, whole))
        limits = JobLimits(**_fields(JobLimits, whole))
    except BadOptions as e:
        raise OptionError("; ".join(with_names(p, lambda name: flags.get(name, name)) for p in e.problems)) from e
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
    record = made.result.records[-1]
    facts = made.result.main.facts()["scene"]
    warnings = [*made.notes, *made.result.warnings, *made.saved.warnings]
    if run.as_json:
        emit_json({
            "output": str(made.saved.output), "bundle": str(made.saved.bundle),
            "exports": [str(p) for p in made.exports], "scene": facts, "scores": dict(record.scores),
            "warnings": warnings,
        })  # fmt: skip
        return 0
    typer.echo(printable(f"{given['folder']} -> {made.saved.output}"))
    typer.echo(
        f"  {facts['gaussians']} Gaussians, {100 * facts['seen'] / facts['gaussians']:.1f} % seen in photographs"
    )
    if "held_out_psnr" in record.scores:
        views = int(record.scores["held_out_views"])
        typer.echo(
            f"  {views} photographs held out: PSNR {record.scores['held_out_psnr']:.2f} dB, "
            f"SSIM {record.scores['held_out_ssim']:.4f}"
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
