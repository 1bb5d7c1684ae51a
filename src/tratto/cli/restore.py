"""The restore command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tratto.cli.show import ProgressLine, about, emit_json, overall, printable
from tratto.core.errors import OptionError

if TYPE_CHECKING:
    from tratto.tasks.restore import RestoreOptions


@dataclass(frozen=True)
class RestoreCommand:
    """The command's options as given; see ``tratto restore --help``."""

    paths: list[str]
    out: Path
    scale: int
    mask: Path | None
    strength: float
    sigma: str
    provider: str
    param: list[str] | None
    fmt: str
    quality: int
    kernel: str
    page: str | None
    seed: int
    force: bool
    fast: bool
    forensic: bool
    dry_run: bool
    skip_existing: bool
    overwrite: bool
    keep_ending: bool
    no_original: bool
    strip_metadata: bool
    max_output_megapixels: float
    max_minutes: float
    as_json: bool


def _sigma(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--sigma takes a number from 0 to 255 or auto, got {text!r}") from None


def _page(text: str | None) -> int | str | None:
    if text is None:
        return None
    if text == "all":
        return "all"
    if text.isdecimal() and int(text) >= 1:
        return int(text) - 1
    raise OptionError(f"--page takes a number from 1 or all, got {text!r}")


def _params(pairs: list[str] | None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in pairs or []:
        name, eq, value = pair.partition("=")
        if not eq or not name:
            raise OptionError(f"--param takes NAME=VALUE, got {pair!r}")
        out[name] = _number(value)
    return out


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


#: Options that the command line calls otherwise.
_FLAGS = {"noise_sigma must": "--sigma must"} | {
    f"{name} must": f"--{name} must" for name in ("scale", "strength", "provider", "kernel", "seed")
}


def _options(command: RestoreCommand) -> RestoreOptions:
    """Return the validated options; what is wrong is told with the names of the command line."""
    from tratto.tasks.restore import make_options

    try:
        return make_options(
            scale=command.scale,
            strength=command.strength,
            noise_sigma=_sigma(command.sigma),
            provider=command.provider,
            kernel=command.kernel,
            fast=command.fast,
            force=command.force,
            seed=command.seed,
            params=_params(command.param),
        )
    except OptionError as e:
        message = str(e)
        for ours, theirs in _FLAGS.items():
            message = message.replace(ours, theirs)
        raise OptionError(message.replace("----", "--")) from e


def run_restore(command: RestoreCommand) -> int:
    """Restore; return the exit code."""
    from tratto.batch.folder import FolderJob, run_folder
    from tratto.session import JobLimits, SaveOptions, Session

    for name in ("max_output_megapixels", "max_minutes"):
        value = getattr(command, name)
        if not value > 0:
            raise OptionError(f"--{name.replace('_', '-')} must be a number above 0 (inf = no limit), got {value}")
    if command.skip_existing and command.overwrite:
        raise OptionError("--skip-existing and --overwrite contradict each other")
    options = _options(command)
    save = SaveOptions(
        format=command.fmt,
        quality=command.quality,
        keep_original=not (command.no_original or command.strip_metadata),
        strip_metadata=command.strip_metadata,
    )
    job = FolderJob(
        paths=tuple(command.paths),
        out=command.out,
        options=options,
        save=save,
        mask=command.mask,
        page=_page(command.page),
        skip_existing=command.skip_existing,
        overwrite=command.overwrite,
        keep_ending=command.keep_ending,
    )
    pixels = int(min(command.max_output_megapixels * 1e6, 2.0**62))
    outcomes = []
    with ProgressLine() as line:
        session = Session(
            job_limits=JobLimits(pixels, command.max_minutes),
            forensic=command.forensic,
            progress=line,
        )
        for outcome in run_folder(job, session, command.dry_run, lambda text: line.note(f"note: {text}")):
            outcomes.append(outcome)
            if outcome.status == "failed":
                line.note(f"tratto: {about(outcome.source, outcome.message)}")
            elif not command.as_json:
                _say(outcome, line)
    if command.as_json:
        emit_json([o.to_json() for o in outcomes])
    return overall([o.exit_code for o in outcomes])


def _say(outcome: Any, line: ProgressLine) -> None:
    head = f"{outcome.source} -> {outcome.output}"
    if outcome.status == "skipped":
        head = f"{outcome.source}: skipped, {outcome.output}: {outcome.message}"
    typer.echo(printable(head))
    if outcome.message and outcome.status != "skipped":
        typer.echo(printable(f"  {outcome.message}"))
    if "mask_share" in outcome.details:
        typer.echo(f"  mask: {100 * outcome.details['mask_share']:.3g} % of the picture may change")
    for record in outcome.details.get("steps", []):
        model = ", ".join(m["id"] for m in record["models"])
        typer.echo(printable(f"  {record['step']} by {record['provider']}" + (f" ({model})" if model else "")))
    for warning in outcome.details.get("warnings", []):
        line.note(f"  note: {warning}")
