"""``tratto lift views``: a scene out of views that a full-size model makes of one photograph."""

from __future__ import annotations

from functools import cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import guarded
from tratto.cli.show import ProgressLine, emit_json, path_argument, path_option, printable

#: Options of all jobs that make sense here.
SHARED = ("out", "forensic", "dry_run", "overwrite", "ledger", "sign", "device", "as_json")


@cache
def command() -> Any:
    """Build the command from the models of its options."""
    from typer.main import get_command

    from tratto.cli.derive import _option
    from tratto.core.options import CLI, JobLimits, RunOptions, entries
    from tratto.tasks.lift_views import LiftViewsOptions

    shared = [e for e in entries(RunOptions, CLI) if e.name in SHARED]
    listed = [*entries(LiftViewsOptions, CLI), *shared, *(e for e in entries(JobLimits, CLI) if e.name == "minutes")]
    flags = {e.name: e.flag for e in listed}
    about = path_argument("A photograph of one thing, with transparency unless --object is given.", "PHOTO")
    drawn = path_option("Grey picture, white where the object is.")
    parameters = [
        Parameter("photo", Parameter.KEYWORD_ONLY, annotation=Annotated[Path, about]),
        *(_option(e, flags) for e in listed if e.info.is_required()),
        Parameter("object", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Path | None, drawn]),
        *(_option(e, flags) for e in listed if not e.info.is_required()),
    ]
    made = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    views.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    views.__annotations__ = {p.name: p.annotation for p in parameters}
    made.command("views")(views)
    return get_command(made)


def views(**given: Any) -> None:
    """Make OUT/NAME.ply of views that a model makes of one photograph, with its bundle and report: all is invented."""
    guarded(_views, given, as_json=given["as_json"])


def _views(given: dict[str, Any]) -> int:
    from tratto.cli.derive import _fields
    from tratto.core.errors import OptionError
    from tratto.core.options import CLI, BadOptions, JobLimits, RunOptions, entries, with_names
    from tratto.jobs import Session
    from tratto.jobs.lift_views import lift_views_to
    from tratto.jobs.lifting import check_single
    from tratto.jobs.signing import notary_of
    from tratto.tasks.lift_views import LiftViewsOptions

    models = (LiftViewsOptions, RunOptions, JobLimits)
    flags = {e.name: e.flag for m in models for e in entries(m, CLI)}
    whole = {**{e.name: None for m in (RunOptions, JobLimits) for e in entries(m, CLI)}, **given}
    try:
        options, run, limits = (m(**_fields(m, whole)) for m in models)
    except BadOptions as e:
        raise OptionError("; ".join(with_names(p, lambda name: flags.get(name, name)) for p in e.problems)) from e
    notary = notary_of(run.ledger, run.sign)
    with ProgressLine() as line:
        session = Session(job_limits=limits, forensic=run.forensic, progress=line, notary=notary, device=run.device)
        session.check_options(options)
        if run.dry_run:
            check_single(given["photo"])
            estimated, _ = session.job().plan(options, session.open(given["photo"]))
            told = {"photo": str(given["photo"]), "reasons": list(estimated.recipe.reasons)}
            emit_json(told) if run.as_json else typer.echo(printable("; ".join(told["reasons"])))
            return 0
        if notary is not None:
            notary.check()
        made = lift_views_to(session, given["photo"], run.out, options, given["object"], run.overwrite)
    facts = made.result.main.facts()["scene"]
    warnings = [*made.notes, *made.result.warnings, *made.saved.warnings]
    if run.as_json:
        emit_json({
            "output": str(made.saved.output), "bundle": str(made.saved.bundle), "scene": facts,
            "exports": [str(p) for p in made.exports], "warnings": warnings,
        })  # fmt: skip
        return 0
    typer.echo(printable(f"{given['photo']} -> {made.saved.output}"))
    views_made = int(made.result.records[-1].scores["views"])
    typer.echo(f"  {facts['gaussians']} Gaussians from {views_made} views that {options.provider} made; all invented")
    for path in made.exports:
        typer.echo(printable(f"  {path}"))
    for warning in warnings:
        typer.echo(printable(f"  note: {warning}"))
    return 0
