"""The inspect command."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import typer

from tratto.cli.show import ProgressLine, emit_json, printable
from tratto.core.errors import OptionError, TrattoError
from tratto.core.inspection import Estimate, Inspection


def _lines(name: str, e: Estimate, unit: str) -> list[str]:
    value = "-" if e.value is None else f"{e.value:.2f}{unit}"
    note = textwrap.wrap(e.note, 84, initial_indent=" " * 18, subsequent_indent=" " * 18)
    return [f"  {name:<16}{value:<14}{e.basis}", *note]


def describe(inspection: Inspection) -> list[str]:
    """Return the lines of the table for one picture."""
    i = inspection
    channels = " ".join(f"{c:.2f}" for c in i.noise_channels)
    curve = "  ".join(f"{b:.2f}:{s:.1f}" for b, s in i.noise_curve)
    return [
        f"  {'size':<16}{i.width}x{i.height}, {i.mode}, {i.bits} bit, {i.format or 'array'}",
        *_lines("noise sigma", i.noise_sigma, " /255"),
        f"  {'  by channel':<16}{channels or '-'}",
        f"  {'  by brightness':<16}{curve or '-'}",
        *_lines("JPEG quality", i.jpeg_quality, ""),
        f"  {'  generations':<16}{i.jpeg_generations}",
        *_lines("edge blur", i.blur_sigma, " px"),
        *_lines("enlarged", i.upscale, " x"),
        f"  {'clipped':<16}{100 * i.clipped_low:.2f} % at black, {100 * i.clipped_high:.2f} % at white",
    ]


def run_inspect(paths: list[str], page: int, as_json: bool) -> int:
    """Inspect; return the exit code."""
    from tratto.batch.gather import gather
    from tratto.session import Session

    if page < 1:
        raise OptionError(f"--page counts from 1, got {page}")
    session = Session()
    answers: list[dict[str, Any]] = []
    codes: list[int] = []
    with ProgressLine(enabled=False) as line:
        for source in gather(paths, None):
            try:
                found = session.inspect(Path(source.path), page - 1)
            except TrattoError as e:
                codes.append(e.exit_code)
                answers.append({"source": str(source.path), "error": str(e)})
                line.note(f"tratto: {source.path}: {e}")
                continue
            codes.append(0)
            answers.append({"source": str(source.path), **found.to_json()})
            if not as_json:
                typer.echo(printable(source.path))
                for text in describe(found):
                    typer.echo(printable(text))
    if as_json:
        emit_json(answers)
    if not any(codes):
        return 0
    return codes[0] if len(codes) == 1 else 8
