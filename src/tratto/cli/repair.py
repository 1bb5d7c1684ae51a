"""The repair command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tratto.cli.restore import limits_of, notary_of, page_of, params_of, report_outcomes
from tratto.core.errors import OptionError


@dataclass(frozen=True)
class RepairCommand:
    """The command's options as given; see ``tratto repair --help``."""

    paths: list[str]
    out: Path
    mask: list[str] | None
    threshold: float
    method: str
    param: list[str] | None
    caption: str
    captioner: str
    grow: float
    blend: float
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


def run_repair(command: RepairCommand) -> int:
    """Repair; return the exit code."""
    from tratto.jobs import SaveOptions
    from tratto.jobs.folder import FolderJob
    from tratto.tasks.repair import make_options

    if command.skip_existing and command.overwrite:
        raise OptionError("--skip-existing and --overwrite contradict each other")
    if not command.mask:
        raise OptionError(
            "repair needs to know what is damaged: give --mask, a grey picture, white where it is; "
            "tratto mask draw makes one, tratto mask find proposes one"
        )
    if not all(command.mask):
        raise OptionError("--mask is empty; name a picture or a folder of masks, or auto")
    if "auto" in command.mask and len(command.mask) > 1:
        raise OptionError(
            "--mask auto proposes one mask for one pass; for more, find masks first (tratto mask find) and name them"
        )
    job = FolderJob(
        paths=tuple(command.paths),
        out=command.out,
        options=make_options(
            method=command.method,
            grow=command.grow,
            blend=command.blend,
            seed=command.seed,
            params=params_of(command.param),
            caption=command.caption,
            captioner=command.captioner,
            threshold=command.threshold,
        ),
        save=SaveOptions(
            format=command.fmt,
            quality=command.quality,
            keep_original=not (command.no_original or command.strip_metadata),
            strip_metadata=command.strip_metadata,
        ),
        mask=tuple(m if m == "auto" else Path(m) for m in command.mask),
        page=page_of(command.page),
        skip_existing=command.skip_existing,
        overwrite=command.overwrite,
        keep_ending=command.keep_ending,
    )
    limits = limits_of(command.max_output_megapixels, command.max_minutes)
    notary = notary_of(command.ledger, command.sign)
    return report_outcomes(job, limits, command.forensic, command.dry_run, command.as_json, notary)
