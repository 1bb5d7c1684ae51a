"""Evaluation on real pictures: pairs of a noisy photograph and the truth, and pictures without any truth.

What is measured is the product: each file goes through the same code as ``tratto restore``, with the quantisation
tables, the depth and the profile it has. Besides means a table of pairs says how many came out worse than they went in
and by how much, since a mean hides them. PSNR and SSIM are over RGB of 8 bit, no border left out.
"""

from __future__ import annotations

import fnmatch
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError
from tratto_lab.corpus.plain import encoded_rgb
from tratto_lab.evaluation.metrics import psnr, ssim
from tratto_lab.evaluation.restore import SUFFIXES, Measure, Picture, measured
from tratto_lab.evaluation.restore_methods import AUTO, COMMAND, known

#: Words in names of files or folders for the noisy one of a pair, and for its truth.
WORDS = (("real", "mean"), ("noisy", "clean"), ("noisy", "gt"), ("input", "target"))
NAMINGS = (
    "NAME_real / NAME_mean, noisy / clean, noisy / gt, input / target, as a word in the files' or two folders' names"
)
#: A result that lost more than this (dB) counts as worse; less is rounding to 8 bit.
ROUNDING = 0.005
#: A loss (dB) of more than this is counted apart: what does so must not ship.
HARM = 0.1


@dataclass(frozen=True)
class Pair:
    """A noisy picture and its truth.

    Attributes
    ----------
    name : str
        What the two names have in common.
    noisy, clean : Path
        The two files, of one size.
    """

    name: str
    noisy: Path
    clean: Path


@dataclass(frozen=True)
class Outcome:
    """What a method made of a file.

    Attributes
    ----------
    picture : (H, W, 3) float32 array
        In [0, 1].
    sigma : (H, W) array or None
        Its stated one-sigma error.
    steps : tuple of str
        What was done; empty: it was left alone.
    """

    picture: Picture
    sigma: NDArray[np.float32] | None = None
    steps: tuple[str, ...] = ()


FileMethod = Callable[[Path], Outcome]


@dataclass(frozen=True)
class PairRow:
    """One pair and one method.

    Attributes
    ----------
    pair, method : str
        Names of both.
    psnr, ssim : float
        Against the truth; at most 100 dB.
    gain : float
        dB above the picture as it is.
    steps : tuple of str
        Names of the steps that worked; empty: the method left the picture alone.
    within_one_sigma : float or None
        Share of pixels whose error lies within the stated one.
    seconds : float
        Wall time of the method.
    measures : mapping of str to float
        Further distances by name.
    """

    pair: str
    method: str
    psnr: float
    ssim: float
    gain: float
    steps: tuple[str, ...] = ()
    within_one_sigma: float | None = None
    seconds: float = 0.0
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PairMean:
    """All pairs of one method.

    Attributes
    ----------
    method : str
        Its name.
    psnr, ssim, gain : float
        Means.
    pairs, left_alone, worse, harmed : int
        How many there are, were left alone, lost more than :data:`ROUNDING`, lost more than :data:`HARM`.
    worst_gain : float
        The least gain, and
    worst_pair : str
        whose it is.
    within_one_sigma : float or None
        Mean share over the pairs whose errors were stated.
    measures : mapping of str to float
        Means of the further distances, by name.
    """

    method: str
    psnr: float
    ssim: float
    gain: float
    pairs: int
    left_alone: int
    worse: int
    harmed: int
    worst_gain: float
    worst_pair: str
    within_one_sigma: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PairReport:
    """What was measured on a folder of pairs."""

    folder: str
    rows: tuple[PairRow, ...]
    means: tuple[PairMean, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=1)

    def mean(self, method: str) -> PairMean:
        """Return the means of one method.

        Raises
        ------
        OptionError
            If there is none of that name.
        """
        for mean in self.means:
            if mean.method == method:
                return mean
        raise OptionError(f"no method {method!r} was measured; there are {', '.join(m.method for m in self.means)}")


def find_pairs(folder: Path, without: Sequence[str] = (), limit: int = 0) -> list[Pair]:
    """Find the pairs in a folder.

    Parameters
    ----------
    folder : Path
        With both pictures side by side, named alike but for one word (:data:`WORDS`, in capitals or not, between other
        characters than letters), or with two folders so named that hold pictures of equal names.
    without : sequence of str
        Leave out pairs whose name fits one of these, with ``*`` for any characters.
    limit : int
        Only the first so many; 0 = all.

    Returns
    -------
    list of Pair
        By name.

    Raises
    ------
    InputError
        If it is no folder, or holds no pair.

    Examples
    --------
    >>> find_pairs(Path("/nowhere"))
    Traceback (most recent call last):
    ...
    tratto.core.errors.InputError: /nowhere is not a folder
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found: dict[str, Pair] = {}
    for noisy, clean in WORDS:
        for pair in (*_beside(folder, noisy, clean), *_apart(folder, noisy, clean)):
            found.setdefault(pair.name, pair)
        if found:
            break
    chosen = [found[k] for k in sorted(found) if not any(fnmatch.fnmatchcase(k, pattern) for pattern in without)]
    if not chosen:
        left = " but those left out" if found else ""
        raise InputError(f"{folder} holds no pairs{left}; named are they {NAMINGS} ({', '.join(sorted(SUFFIXES))})")
    return chosen[: limit or None]


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)


def _beside(folder: Path, noisy: str, clean: str) -> Iterable[Pair]:
    word = re.compile(rf"(?<![a-z]){noisy}(?![a-z])", re.IGNORECASE)
    truths = {p.stem.lower(): p for p in _pictures(folder)}
    for path in _pictures(folder):
        partner = word.sub(clean, path.stem, count=1).lower()
        if word.search(path.stem) and partner in truths:
            name = word.sub("", path.stem, count=1)
            yield Pair(re.sub(r"^[_\-. ]+|[_\-. ]+$", "", name) or path.stem, path, truths[partner])


def _apart(folder: Path, noisy: str, clean: str) -> Iterable[Pair]:
    inside = {p.name.lower(): p for p in folder.iterdir() if p.is_dir()}
    if noisy not in inside or clean not in inside:
        return
    truths = {p.stem.lower(): p for p in _pictures(inside[clean])}
    for path in _pictures(inside[noisy]):
        if path.stem.lower() in truths:
            yield Pair(path.stem, path, truths[path.stem.lower()])


def untouched(path: Path) -> Outcome:
    """Return the picture as it is."""
    return Outcome(encoded_rgb(path)[0])


def by_command(provider: str = AUTO) -> FileMethod:
    """Return what ``tratto restore`` does; a provider that is named is forced, as with ``--provider NAME --force``."""
    from tratto.jobs import Session
    from tratto.provenance.confidence import sigma_from_confidence
    from tratto.tasks.restore import RestoreOptions

    session = Session()
    options = RestoreOptions() if provider == AUTO else RestoreOptions(provider=provider, force=True)

    def run(path: Path) -> Outcome:
        result = session.restore(path, options)
        pixels = np.asarray(result.image.pixels, np.float32) / np.float32(result.image.max_value)
        picture = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
        steps = tuple(record.step for record in result.records)
        return Outcome(picture, sigma_from_confidence(result.confidence) if steps else None, steps)

    return run


def file_methods(providers: Sequence[str]) -> dict[str, FileMethod]:
    """Return what is measured on files: as they are, what the command does, and each provider that was named.

    Raises
    ------
    OptionError
        If a provider is not known, or only enlarges.
    """
    methods: dict[str, FileMethod] = {"as it is": untouched}
    for name in providers:
        if name != AUTO and 1 not in known(name):
            raise OptionError(f"{name} only enlarges; real pairs are of one size")
        methods[COMMAND if name == AUTO else name] = by_command(name)
    return methods


def evaluate_pairs(
    pairs: Sequence[Pair],
    methods: Mapping[str, FileMethod],
    folder: str = "",
    measures: Mapping[str, Measure] | None = None,
    progress: Callable[[str], None] | None = None,
) -> PairReport:
    """Run methods over pairs.

    Parameters
    ----------
    pairs : sequence of Pair
        Files that are read one after the other.
    methods : mapping of str to callable
        By name. What they return is compared with the truth.
    folder : str
        What the report is called after.
    measures : mapping of str to callable, optional
        Further distances by name.
    progress : callable, optional
        Told each pair's name.

    Returns
    -------
    PairReport
        A row for each pair and method.

    Raises
    ------
    InputError
        If the two pictures of a pair differ in size.
    """
    rows: list[PairRow] = []
    for pair in pairs:
        if progress is not None:
            progress(pair.name)
        source, target = encoded_rgb(pair.noisy)[0], encoded_rgb(pair.clean)[0]
        if source.shape != target.shape:
            raise InputError(f"{pair.noisy} and {pair.clean} differ in size: {source.shape[:2]} and {target.shape[:2]}")
        before = min(psnr(_levels(source), target), 100.0)
        for name, run in methods.items():
            start = time.perf_counter()
            done = run(pair.noisy)
            seconds = time.perf_counter() - start
            if done.picture.shape != target.shape:
                raise InputError(f"{name} made {done.picture.shape[:2]} of {pair.noisy}, which is {target.shape[:2]}")
            final = _levels(done.picture)
            after = min(psnr(final, target), 100.0)
            inside = None
            if done.sigma is not None:
                inside = float((np.sqrt(np.square(final - target).mean(-1)) <= done.sigma).mean())
            more = measured(measures or {}, final, target)
            rows.append(
                PairRow(pair.name, name, after, ssim(final, target), after - before, done.steps, inside, seconds, more)
            )
    return PairReport(folder, tuple(rows), tuple(_mean(name, rows) for name in methods))


def _levels(picture: Picture) -> Picture:
    return np.asarray(np.round(np.clip(picture, 0, 1) * 255) / 255, np.float32)


def _mean(method: str, rows: Sequence[PairRow]) -> PairMean:
    own = [r for r in rows if r.method == method]
    worst = min(own, key=lambda r: r.gain)
    inside = [r.within_one_sigma for r in own if r.within_one_sigma is not None]
    names = dict.fromkeys(name for r in own for name in r.measures)
    return PairMean(
        method,
        float(np.mean([r.psnr for r in own])),
        float(np.mean([r.ssim for r in own])),
        float(np.mean([r.gain for r in own])),
        len(own),
        sum(not r.steps for r in own),
        sum(r.gain < -ROUNDING for r in own),
        sum(r.gain < -HARM for r in own),
        worst.gain,
        worst.pair,
        float(np.mean(inside)) if inside else None,
        {name: float(np.mean([r.measures[name] for r in own if name in r.measures])) for name in names},
    )


def pairs_markdown(report: PairReport) -> str:
    """Return a report as two Markdown tables: means, then every pair."""
    names = list(dict.fromkeys(name for m in report.means for name in m.measures))
    lines = [
        f"Real pairs: {report.folder}, {report.means[0].pairs if report.means else 0} of them. PSNR in dB over RGB of "
        "8 bit against the truth.",
        "",
        _line(
            "method",
            "PSNR",
            "gain",
            "SSIM",
            *names,
            "left alone",
            "worse",
            f"by more than {HARM:g} dB",
            "worst",
            "within one sigma",
        ),
        f"|{' --- |' * (9 + len(names))}",
    ]
    for m in report.means:
        further = [f"{m.measures[name]:.4f}" if name in m.measures else "" for name in names]
        inside = "" if m.within_one_sigma is None else f"{100 * m.within_one_sigma:.0f} %"
        worst = f"{m.worst_gain:+.2f} ({m.worst_pair})" if m.worst_gain < -ROUNDING else ""
        counts = [str(m.left_alone), str(m.worse), str(m.harmed)]
        lines.append(
            _line(m.method, f"{m.psnr:.2f}", f"{m.gain:+.2f}", f"{m.ssim:.4f}", *further, *counts, worst, inside)
        )
    methods = [m.method for m in report.means]
    lines += ["", _line("pair", *methods, "done"), f"|{' --- |' * (2 + len(methods))}"]
    for name in dict.fromkeys(r.pair for r in report.rows):
        own = {r.method: r for r in report.rows if r.pair == name}
        done = "; ".join(dict.fromkeys(" + ".join(r.steps) for r in own.values() if r.steps))
        cells = [f"{r.psnr:.2f}" + (f" ({r.gain:+.2f})" if r.gain else "") for r in own.values()]
        lines.append(_line(name, *cells, done or "left alone"))
    if report.notes:
        lines += ["", *report.notes]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class ScoreReport:
    """What measures without truth say of a folder.

    Attributes
    ----------
    folder : str
        Its name, for the heading.
    rows : mapping
        Method, then picture, then measure: the score. A picture that is too small for a measure lacks it.
    notes : tuple of str
        Which measures were left out, and why.
    """

    folder: str
    rows: Mapping[str, Mapping[str, Mapping[str, float]]]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=1)

    def mean(self, method: str, measure: str) -> float:
        """Return a mean over the pictures that have it; NaN if none has."""
        values = [row[measure] for row in self.rows[method].values() if measure in row]
        return float(np.mean(values)) if values else float("nan")


def evaluate_without_truth(
    folder: Path,
    methods: Mapping[str, FileMethod],
    scores: Mapping[str, Callable[[Picture], float]],
    limit: int = 0,
    progress: Callable[[str], None] | None = None,
) -> ScoreReport:
    """Measure pictures that have no truth.

    Parameters
    ----------
    folder : Path
        Pictures of any format that is read.
    methods : mapping of str to callable
        By name; each gets a file and gives a picture.
    scores : mapping of str to callable
        Such as :func:`tratto_lab.evaluation.measures.scores`.
    limit : int
        Only the first so many; 0 = all.
    progress : callable, optional
        Told each picture's name.

    Raises
    ------
    InputError
        If it is no folder, or holds no pictures.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    files = _pictures(folder)[: limit or None]
    if not files:
        raise InputError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    rows: dict[str, dict[str, dict[str, float]]] = {name: {} for name in methods}
    for path in files:
        if progress is not None:
            progress(path.name)
        for name, run in methods.items():
            picture = _levels(run(path).picture)
            rows[name][path.name] = row = {}
            for measure, score in scores.items():
                try:
                    row[measure] = score(picture)
                except OptionError:
                    continue  # too small for this measure
    return ScoreReport(folder.name, rows, (NO_TRUTH,))


NO_TRUTH = (
    "BRISQUE: about 0 (good) to 100 (bad); NIQE: less is better. Neither knows what was in the picture: what is smooth "
    "or sharp in a usual way may look natural to them and be wrong."
)


def scores_markdown(report: ScoreReport) -> str:
    """Return means, then every picture, as Markdown."""
    methods = list(report.rows)
    names = list(dict.fromkeys(n for rows in report.rows.values() for row in rows.values() for n in row))
    lines = [
        f"Pictures without truth: {report.folder}.",
        "",
        _line("method", *names),
        f"|{' --- |' * (1 + len(names))}",
    ]
    lines += [_line(method, *(f"{report.mean(method, name):.2f}" for name in names)) for method in methods]
    for name in names:
        lines += ["", _line(name, *methods), f"|{' --- |' * (1 + len(methods))}"]
        for picture in report.rows[methods[0]]:
            cells = [report.rows[method][picture].get(name) for method in methods]
            lines.append(_line(picture, *("" if c is None else f"{c:.2f}" for c in cells)))
    return "\n".join([*lines, "", *report.notes]) + "\n"
