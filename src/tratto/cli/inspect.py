"""The inspect command."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import ProgressLine, about, emit_json, overall, printable
from tratto.core.errors import InputError, OptionError, TrattoError
from tratto.core.hashing import hold
from tratto.core.inspection import Estimate, Inspection, OctaveNoise, Opinion, Trait

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.jobs.job import Job


@exits
def inspect(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders or globs.", metavar="PATH")],
    page: Annotated[int, typer.Option(help="Page of files with several, from 1.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> int:
    """Say what is wrong with a picture, what restore would do about it, and what was measured."""
    from tratto.imaging.io import notes_of
    from tratto.jobs import Session
    from tratto.jobs.gather import Gathered, gather, real
    from tratto.tasks.findings import findings

    if page < 1:
        raise OptionError(f"--page counts from 1, got {page}")
    session = Session()
    answers: list[dict[str, Any]] = []
    codes: list[int] = []
    with ProgressLine(enabled=False) as line:
        sources, passed_over = {}, []
        for path in paths:
            try:
                gathered = gather([path], None)
            except TrattoError as e:
                if len(paths) == 1:
                    raise
                codes.append(e.exit_code)
                answers.append({"source": path, "error": str(e), "exit_code": e.exit_code})
                line.note(f"tratto: {e}")
                continue
            sources |= {real(s.path): s for s in gathered.sources if real(s.path) not in sources}
            passed_over += gathered.passed_over
        if passed_over:
            line.note(f"note: {Gathered([], list(dict.fromkeys(passed_over))).note()}")
        for source in sources.values():
            try:
                file = hold(source.path)
                pages = session.count_pages(file)
                if page > pages:
                    raise InputError(f"it has {pages} page{'s' * (pages > 1)}, page {page} was asked for")
                image = session.open(file, page - 1)
                would, found = _would(session.job(), image)
                notes = notes_of(image)
            except TrattoError as e:
                codes.append(e.exit_code)
                answers.append({"source": str(source.path), "error": str(e), "exit_code": e.exit_code})
                line.note(f"tratto: {about(source.path, str(e))}")
                continue
            codes.append(0)
            said = {"findings": findings(found), "restore": would}
            answers.append(
                {"source": str(source.path), "page": page, "pages": pages, **said, **found.to_json(), "notes": notes}
            )
            if not as_json:
                typer.echo(printable(source.path))
                for text in (*said["findings"], would["would"]):
                    typer.echo(textwrap.fill(printable(text), 100, initial_indent="  ", subsequent_indent="    "))
                typer.echo("")
                for text in describe(found, page, pages):
                    typer.echo(printable(text))
            for note in notes:
                line.note(f"  note: {note}")
    if as_json:
        emit_json(answers)
    return overall(codes)


def _would(job: Job, image: Image) -> tuple[dict[str, Any], Inspection]:
    """Return what ``restore`` would do with a picture, without doing it, and what the picture is like."""
    from tratto.tasks.findings import intention
    from tratto.tasks.restore import RestoreOptions

    estimated, inspection = job.plan(RestoreOptions(), image)
    recipe = estimated.recipe
    would = {
        "would": intention(recipe, estimated.seconds),
        "steps": [step.name for step in recipe.steps],
        "reasons": list(recipe.reasons),
        "seconds": round(estimated.seconds, 1) if recipe.steps else 0.0,
    }
    return would, inspection


def _lines(name: str, e: Estimate, unit: str) -> list[str]:
    value = "-" if e.value is None else f"{e.value:.2f}{unit}"
    note = textwrap.wrap(e.note, 84, initial_indent=" " * 18, subsequent_indent=" " * 18)
    return [f"  {name:<16}{value:<14}{e.basis}", *note]


def _opinion(opinion: Opinion | None) -> list[str]:
    """Return what the network reads: noise, how far it is spread, blur."""
    if opinion is None:
        return [
            f"  {'by a network':<16}-             no opinion: the network or its runtime is missing, or cannot judge it"
        ]

    def said(trait: Trait, digits: int, unit: str) -> str:
        return f"{trait.value:.{digits}f} +- {trait.error:.{digits}f}{unit}"

    grain = "" if opinion.grain is None else f", grain {said(opinion.grain, 1, ' px')}"
    noise = said(opinion.noise, 1, " /255")
    return [
        f"  {'by a network':<16}noise {noise}{grain}, blur {said(opinion.blur, 1, ' px')}",
        f"{'':<18}{opinion.model}; compression's loss of noise and coarse grain are allowed for",
    ]


def _octaves(octaves: OctaveNoise | None) -> list[str]:
    """Return noise by octave and channel, how far it is spread, and a print screen."""
    if octaves is None:
        return [f"  {'noise by octave':<16}-"]
    names = ("R", "G", "B") if len(octaves.channels) == 3 else ("gray",)
    rows = [("luma", octaves.luma), *zip(names, octaves.channels, strict=True)]
    if len(octaves.channels) == 1:
        rows = rows[1:]
    head = "     1 px    2 px    4 px    8 px"
    lines = [f"  {'noise by octave':<16}{head}   (calmest parts; * unlike each other there: texture)"]
    for name, values in rows:
        marks = [" " if even else "*" for even in octaves.even]
        shown = "".join(f"{v:>8.2f}{m}"[-8:] for v, m in zip(values, marks, strict=True))
        lines.append(f"  {'  ' + name:<16}{shown}")
    if octaves.sigma:
        kind = f"sigma {octaves.sigma:.2f} /255, spread over some {octaves.size:.1f} px"
    else:
        kind = "none that can be told from texture"
    lines.append(f"  {'  noise, grain':<16}{kind}")
    if octaves.screen is not None:
        lines.append(f"  {'print screen':<16}period {octaves.screen:.1f} px")
    if octaves.specks >= 0.0005 and octaves.screen is None:
        lines.append(f"  {'single specks':<16}{100 * octaves.specks:.2f} % of the pixels")
    return lines


def describe(inspection: Inspection, page: int = 1, pages: int = 1) -> list[str]:
    """Return the lines of the table for one picture, which is one page (from 1) of so many."""
    i = inspection
    channels = " ".join(f"{c:.2f}" for c in i.noise_channels)
    curve = "  ".join(f"{b:.2f}:{s:.1f}" for b, s in i.noise_curve)
    several = [f"  {'pages':<16}{pages}; this is page {page} (--page N for another)"] if pages > 1 else []
    return [
        f"  {'size':<16}{i.width}x{i.height}, {i.mode}, {i.bits} bit, {i.format or 'array'}",
        *several,
        *_lines("noise sigma", i.noise_sigma, " /255"),
        f"  {'  by channel':<16}{channels or '-'}",
        f"  {'  by brightness':<16}{curve or '-'}",
        *_octaves(i.octaves),
        *_lines("JPEG quality", i.jpeg_quality, ""),
        f"  {'  generations':<16}{i.jpeg_generations}",
        *_lines("edge blur", i.blur_sigma, " px"),
        *_lines("enlarged", i.upscale, " x"),
        *_opinion(i.opinion),
        f"  {'clipped':<16}{100 * i.clipped_low:.2f} % at black, {100 * i.clipped_high:.2f} % at white",
    ]
