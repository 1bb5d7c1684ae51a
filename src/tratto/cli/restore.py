"""The restore command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tratto.cli.show import ProgressLine, about, emit_json, overall, printable
from tratto.core.errors import OptionError

if TYPE_CHECKING:
    from tratto.jobs import JobLimits
    from tratto.jobs.folder import FolderJob
    from tratto.provenance.notary import Notary
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
    ledger: Path | None
    sign: str
    as_json: bool


def _sigma(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--sigma takes a number from 0 to 255 or auto, got {text!r}") from None


def page_of(text: str | None) -> int | str | None:
    """Return the page that ``--page`` names, from 0; ``"all"``; or None."""
    if text is None:
        return None
    if text == "all":
        return "all"
    if text.isdecimal() and int(text) >= 1:
        return int(text) - 1
    raise OptionError(f"--page takes a number from 1 or all, got {text!r}")


def params_of(pairs: list[str] | None) -> dict[str, Any]:
    """Return what ``--param NAME=VALUE`` says; numbers as numbers."""
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
            params=params_of(command.param),
        )
    except OptionError as e:
        message = str(e)
        for ours, theirs in _FLAGS.items():
            message = message.replace(ours, theirs)
        raise OptionError(message.replace("----", "--")) from e


def run_restore(command: RestoreCommand) -> int:
    """Restore; return the exit code."""
    from tratto.jobs import SaveOptions
    from tratto.jobs.folder import FolderJob

    limits = limits_of(command.max_output_megapixels, command.max_minutes)
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
        page=page_of(command.page),
        skip_existing=command.skip_existing,
        overwrite=command.overwrite,
        keep_ending=command.keep_ending,
    )
    notary = notary_of(command.ledger, command.sign)
    return report_outcomes(job, limits, command.forensic, command.dry_run, command.as_json, notary)


def notary_of(ledger: Path | None, sign: str) -> Notary | None:
    """Return who vouches for results, as ``--ledger`` and ``--sign`` say; None if nobody does.

    Raises
    ------
    InputError, MissingExtra
        If an identity was asked for that is not here, or cannot sign here. ``auto`` asks for nothing.
    """
    if sign == "none" and ledger is None:
        return None
    from tratto.provenance.keys import identity, keys_folder
    from tratto.provenance.notary import Notary

    chosen = None
    if sign == "auto":
        from tratto.provenance.credentials import available

        if (keys_folder() / "default").is_dir() and available():
            chosen = identity("default")
    elif sign != "none":
        chosen = identity(sign)
    return None if chosen is None and ledger is None else Notary(chosen, ledger)


def limits_of(megapixels: float, minutes: float) -> JobLimits:
    """Return the limits that the options of these names ask for."""
    from tratto.jobs import JobLimits

    for name, value in (("max-output-megapixels", megapixels), ("max-minutes", minutes)):
        if not value > 0:
            raise OptionError(f"--{name} must be a number above 0 (inf = no limit), got {value}")
    return JobLimits(int(min(megapixels * 1e6, 2.0**62)), minutes)


def report_outcomes(
    job: FolderJob, limits: JobLimits, forensic: bool, dry_run: bool, as_json: bool, notary: Notary | None = None
) -> int:
    """Do a job, say what became of each picture, and return the exit code."""
    from tratto.jobs import Session
    from tratto.jobs.folder import run_folder

    outcomes = []
    with ProgressLine() as line:
        session = Session(job_limits=limits, forensic=forensic, progress=line, notary=notary)
        for outcome in run_folder(job, session, dry_run, lambda text: line.note(f"note: {text}")):
            outcomes.append(outcome)
            if outcome.status == "failed":
                line.note(f"tratto: {about(outcome.source, outcome.message)}")
            elif not as_json:
                _say(outcome, line)
    if as_json:
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
        by = f" by {record['provider']}" if record["provider"] else ""
        typer.echo(printable(f"  {record['step']}{by}" + (f" ({model})" if model else "")))
        seen = record["scores"]
        if "seen_lab_distance" in seen:
            hue = f", hue {seen['seen_hue_error']:.2f} degrees" if "seen_hue_error" in seen else ""
            typer.echo(
                f"  as seen: {seen['seen_lab_distance']:.2f} CIELAB from the reference, "
                f"CIEDE2000 {seen['seen_delta_e_2000']:.2f}{hue}"
            )
    if outcome.status == "done":
        typer.echo(printable(f"  signed by {outcome.details['signed']}" if outcome.details["signed"] else "  unsigned"))
    if outcome.details.get("entry") is not None and outcome.status == "done":
        typer.echo(f"  entry {outcome.details['entry']} of the ledger")
    for warning in outcome.details.get("warnings", []):
        line.note(f"  note: {warning}")
