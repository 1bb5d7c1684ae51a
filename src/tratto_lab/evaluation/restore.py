"""Evaluation of restorers: per noise level, per JPEG quality, per scale, with baselines in the same table.

The protocol is the usual one, so that figures can be laid beside published ones:

* noise: Gaussian, float, unclipped, from ``numpy.random.RandomState(seed)`` for each picture anew; the output is
  clipped and rounded to 8 bit; PSNR over RGB, no border left out;
* JPEG: 4:2:0 for colour; a grey picture is encoded as a grey JPEG and measured on grey;
* scale: anti-aliased bicubic shrinking of a crop whose sides are multiples of the scale, rounded to 8 bit; PSNR and
  SSIM on Y' with a border of `scale` pixels left out;
* scale and noise or JPEG: the same, and noise or JPEG as above on the small picture: what real small pictures have;
* clean: the picture as it is, output against input.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import Restorer
from tratto.core.errors import InputError, OptionError
from tratto_lab.evaluation.metrics import psnr, rgb_to_y, ssim

Picture = NDArray[np.float32]
Measure = Callable[[Picture, Picture], float]
#: Perceptual distances leave nothing of pictures with shorter sides.
MIN_SIDE = 32
SUFFIXES = {".png", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Small:
    """A small picture that is noisy or compressed, too.

    Attributes
    ----------
    scale : int
        By how much it is to be enlarged, 2 to 4.
    sigma : float or None
        Gaussian noise after shrinking, 0-255 scale.
    quality : int or None
        JPEG quality after shrinking. Exactly one of both is given.
    """

    scale: int
    sigma: float | None = None
    quality: int | None = None

    def __post_init__(self) -> None:
        good = self.sigma is None or 0 < self.sigma < math.inf
        good = good and (self.quality is None or 1 <= self.quality <= 100)
        if self.scale not in (2, 3, 4) or (self.sigma is None) == (self.quality is None) or not good:
            raise OptionError(
                "a small picture has a scale of 2, 3 or 4 and either noise of a positive sigma or a JPEG quality of "
                f"1-100; got {self.scale}, {self.sigma} and {self.quality}"
            )

    @property
    def label(self) -> str:
        """Name of the case, such as ``"x2 sigma 15"``."""
        return f"x{self.scale} " + (f"jpeg {self.quality}" if self.sigma is None else f"sigma {self.sigma:g}")

    @classmethod
    def parse(cls, text: str) -> Small:
        """Read ``x2+sigma15`` or ``x4+jpeg40``.

        Raises
        ------
        OptionError
            If it is written otherwise.

        Examples
        --------
        >>> Small.parse("x2+sigma15").label
        'x2 sigma 15'
        """
        found = re.fullmatch(r"x([234])\+(?:sigma(\d+(?:\.\d+)?)|jpeg(\d+))", text.strip().lower())
        if found is None:
            raise OptionError(f"a small noisy or compressed picture is x2+sigma15 or x4+jpeg40, say; got {text!r}")
        scale, sigma, quality = found.groups()
        return cls(int(scale), None if sigma is None else float(sigma), None if quality is None else int(quality))


#: What real small pictures are like; in every evaluation unless others are asked for.
SMALL = (Small(2, sigma=15.0), Small(4, quality=40))


@dataclass(frozen=True)
class RestorePlan:
    """What to measure.

    Attributes
    ----------
    sigmas : tuple of float
        Gaussian noise levels, 0-255 scale.
    qualities : tuple of int
        JPEG qualities.
    scales : tuple of int
        Super-resolution factors, 2 to 4.
    clean : bool
        Whether to measure what happens to untouched pictures.
    seed : int
        Of the noise, the same for each picture.
    limit : int
        Use only the first so many pictures in name order; 0 for all.
    small : tuple of Small
        Super-resolution of noisy and compressed pictures.

    Examples
    --------
    >>> RestorePlan(sigmas=(25.0,), qualities=()).clean
    True
    """

    sigmas: tuple[float, ...] = (15.0, 25.0, 50.0)
    qualities: tuple[int, ...] = (10, 40)
    scales: tuple[int, ...] = ()
    clean: bool = True
    seed: int = 0
    limit: int = 0
    small: tuple[Small, ...] = ()

    def __post_init__(self) -> None:
        if any(not 0 < s < math.inf for s in self.sigmas) or any(not 1 <= q <= 100 for q in self.qualities):
            raise OptionError(f"sigmas must be positive, qualities 1-100; got {self.sigmas}, {self.qualities}")
        if any(s not in (2, 3, 4) for s in self.scales):
            raise OptionError(f"scales are 2, 3 or 4; got {self.scales}")

    @property
    def all_scales(self) -> tuple[int, ...]:
        """Every enlargement that is asked for, once."""
        return tuple(dict.fromkeys((*self.scales, *(s.scale for s in self.small))))

    @property
    def keeps_size(self) -> bool:
        """Whether anything but enlarging is asked for."""
        return bool(self.sigmas or self.qualities)


@dataclass(frozen=True)
class Case:
    """One degraded picture with its reference.

    Attributes
    ----------
    label : str
        ``"sigma 25"``, ``"jpeg 10"``, ``"x2"``, ``"x2 sigma 15"``, ``"clean"``.
    source, target : ndarray
        float32 (h, w, 3) and (h * scale, w * scale, 3).
    scale : int
        Output side / input side.
    sigma : float or None
        True noise level, for baselines that are told.
    gray : bool
        Measure on one channel.
    quality : int or None
        JPEG quality it was compressed with.

    Examples
    --------
    >>> grey = np.full((8, 8, 3), 0.5, np.float32)
    >>> Case("sigma 25", grey, grey, sigma=25.0).scale
    1
    """

    label: str
    source: Picture
    target: Picture
    scale: int = 1
    sigma: float | None = None
    gray: bool = False
    quality: int | None = None


@dataclass(frozen=True)
class Row:
    """Mean over the pictures of one method and one case.

    Attributes
    ----------
    method, case : str
        What was run on what.
    psnr, ssim : float
        Means over pictures; infinite PSNR counts as 100 dB.
    interval : float
        Half width of the 95 % confidence interval of the mean PSNR over pictures (Student's t).
    seconds_per_megapixel : float
        Wall time per *output* megapixel, after one picture to warm up.
    within_one_sigma : float or None
        Share of pixels whose RMS error lies within the predicted standard error.
    pictures : int
        How many.
    measures : mapping of str to float
        Means of further measures by their names, such as LPIPS; smaller is closer.

    Examples
    --------
    >>> Row("tratto", "sigma 25", 30.1, 0.91, 0.1, 0.2, 0.68, 5).method
    'tratto'
    """

    method: str
    case: str
    psnr: float
    ssim: float
    interval: float
    seconds_per_megapixel: float
    within_one_sigma: float | None
    pictures: int
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All rows of one evaluation and what was asked.

    Examples
    --------
    >>> Report("photos", RestorePlan(), ()).notes
    ()
    """

    folder: str
    plan: RestorePlan
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), indent=1)

    def value(self, method: str, case: str) -> Row:
        """Return one row.

        Raises
        ------
        OptionError
            If there is none of that name.
        """
        for row in self.rows:
            if (row.method, row.case) == (method, case):
                return row
        raise OptionError(f"no row for method {method!r} and case {case!r}")


Method = Callable[[Case], tuple[Picture, NDArray[np.float32] | None]]


def load_pictures(folder: Path, limit: int = 0) -> list[tuple[str, Picture, bool]]:
    """Read a folder of clean pictures: name, float32 (H, W, 3) in [0, 1], whether it is grey.

    Raises
    ------
    InputError
        If there are none.
    TrattoError
        If one cannot be read.
    """
    from tratto_lab.corpus.plain import encoded_rgb

    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    out = []
    for path in files[: limit or None]:
        out.append((path.stem, *encoded_rgb(path)))
    return out


def half_width(values: NDArray[np.float64]) -> float:
    """Return half the width of the 95 % confidence interval of a mean, by Student's t; NaN for a single value.

    The quantile of t is the expansion of Fisher and Cornish (1960) about the normal one, within 0.1 % from seven
    degrees of freedom on; below that it is tabulated.
    """
    free = values.size - 1
    if free < 1:
        return math.nan
    z = 1.959964
    t = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469}.get(free) or (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )
    return float(t * values.std(ddof=1) / math.sqrt(values.size))


def cases_of(picture: Picture, gray: bool, plan: RestorePlan) -> Iterable[Case]:
    """Make the cases of one picture."""
    from tratto_lab.simulate.degrade import downsample, quantize

    for sigma in plan.sigmas:
        yield Case(f"sigma {sigma:g}", _noisy(picture, sigma, gray, plan.seed), picture, sigma=sigma, gray=gray)
    for quality in plan.qualities:
        yield Case(f"jpeg {quality}", _encode(picture, quality, gray), picture, gray=gray, quality=quality)
    if plan.clean:
        yield Case("clean", picture, picture, gray=gray)
    for scale in plan.scales:
        target = _whole(picture, scale)
        yield Case(f"x{scale}", quantize(downsample(target, scale)), target, scale=scale, gray=gray)
    for small in plan.small:
        target = _whole(picture, small.scale)
        source = quantize(downsample(target, small.scale))
        if small.sigma is not None:
            source = _noisy(source, small.sigma, gray, plan.seed)
        if small.quality is not None:
            source = _encode(source, small.quality, gray)
        yield Case(small.label, source, target, small.scale, small.sigma, gray, small.quality)


def _whole(picture: Picture, scale: int) -> Picture:
    """Cut a picture to sides that are multiples of a scale."""
    h, w = picture.shape[0] // scale * scale, picture.shape[1] // scale * scale
    return np.ascontiguousarray(picture[:h, :w])


def _noisy(picture: Picture, sigma: float, gray: bool, seed: int) -> Picture:
    shape = picture.shape[:2] if gray else picture.shape
    noise = np.random.RandomState(seed).normal(0, sigma / 255.0, shape).astype(np.float32)
    return picture + (noise[..., None] if gray else noise)


def _encode(picture: Picture, quality: int, gray: bool) -> Picture:
    import cv2

    from tratto_lab.simulate.degrade import jpeg

    if not gray:
        return jpeg(picture, quality)
    levels = np.round(picture[..., 0] * 255).astype(np.uint8)
    data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    plane = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) / np.float32(255)
    return np.repeat(plane[..., None], 3, axis=2)


def as_the_command(provider: str = "auto") -> Method:
    """Make a method of what ``tratto restore`` does: inspect, plan, run the networks the plan names.

    The inspection sees the picture rounded to 8 bit, as from a file; the networks get the samples of the case, so that
    the usual protocol of unclipped noise is kept.

    Parameters
    ----------
    provider : str
        As in the command.
    """
    from tratto.core.capability import Use
    from tratto.jobs import Session
    from tratto.providers.catalogue import open_provider, settle
    from tratto.steps.deblur import Deblur
    from tratto.steps.denoise import OWN, Denoise
    from tratto.tasks.restore import RestoreOptions, plan

    session = Session()
    opened: dict[tuple[str, int, str], Restorer] = {}

    def run(case: Case) -> tuple[Picture, NDArray[np.float32] | None]:
        levels = np.round(np.clip(case.source, 0, 1) * 255).astype(np.uint8)
        seen = np.ascontiguousarray(levels[..., 0] if case.gray else levels)
        recipe = plan(RestoreOptions(scale=case.scale, provider=provider), session.inspect(seen))
        picture, sigma = case.source, None
        for step in recipe.steps:
            scale = step.scale
            if isinstance(step, Deblur):
                picture, sigma = restorer_method(open_provider("restorer", step.provider, step.params))(
                    replace(case, source=picture)
                )
                continue
            name = settle(Use("restorer", provider, scale=scale)).provider
            denoise = step if isinstance(step, Denoise) and name in OWN else None
            network = denoise.damage if denoise else ""
            if (name, scale, network) not in opened:
                opened[name, scale, network] = open_provider(
                    "restorer", name, {"network": network} if network else {}, scale=scale
                )
            grid = denoise.grid if denoise else (0, 0)
            method = restorer_method(opened[name, scale, network], grid=grid)
            before = sigma
            picture, sigma = method(replace(case, source=picture))
            if before is not None and sigma is not None and scale > 1:
                # as the engine does it: what cleaning left is enlarged, too
                sigma = np.hypot(sigma, np.repeat(np.repeat(before, scale, 0), scale, 1)).astype(np.float32)
        return picture, sigma

    return run


def restorer_method(restorer: Restorer, with_sigma: bool = False, grid: tuple[int, int] = (0, 0)) -> Method:
    """Make a method of a restorer, cut into tiles and led out at the edges as the product does it.

    Parameters
    ----------
    restorer : Restorer
        What to run; cases of another scale are not for it.
    with_sigma : bool
        Whether it is told the true noise level.
    grid : (int, int)
        Row and column that shall fall on a multiple of ``restorer.info.multiple``.
    """
    from tratto.imaging.tiling import TileJob, TileSpec, on_grid, run_tiled

    info = restorer.info

    def run(case: Case) -> tuple[Picture, NDArray[np.float32] | None]:
        h, w = case.source.shape[:2]
        known = case.sigma if with_sigma else None
        image = np.empty((h * info.scale, w * info.scale, 3), np.float32)
        sigma = np.empty(image.shape[:2], np.float32) if info.has_sigma else None

        def process(tile: Picture) -> NDArray[np.float32]:
            done = restorer.restore(tile, known)
            return done.image if done.sigma is None else np.concatenate([done.image, done.sigma[..., None]], axis=2)

        def write(y0: int, rows: NDArray[np.float32]) -> None:
            image[y0 : y0 + rows.shape[0]] = rows[..., :3]
            if sigma is not None:
                sigma[y0 : y0 + rows.shape[0]] = rows[..., 3]

        spec = TileSpec(
            info.tile, info.overlap, info.multiple, info.scale, 4 if info.has_sigma else 3, border=info.border
        )
        job = TileJob(lambda y0, y1, x0, x1: case.source[y0:y1, x0:x1], process, write, lambda done, total: None)
        grown_h, grown_w, job = on_grid(h, w, spec, job, grid if info.multiple > 1 else (0, 0))
        run_tiled(grown_h, grown_w, spec, job)
        return image, sigma

    return run


def untouched(case: Case) -> tuple[Picture, None]:
    """Return the degraded picture as it is: the floor every method must clear."""
    return case.source, None


def bicubic(case: Case) -> tuple[Picture, None]:
    """Enlarge by bicubic interpolation (Keys 1981, a = -0.5)."""
    from tratto_lab.simulate.degrade import resize

    return resize(case.source, case.target.shape[0], case.target.shape[1], "bicubic"), None


def bm3d_with_sigma(case: Case) -> tuple[Picture, None]:
    """CBM3D told the true sigma (the ``bm3d`` package, whose licence is non-commercial: benchmarks only)."""
    try:
        import bm3d
    except ImportError as error:
        from tratto.core.errors import UnavailableError

        raise UnavailableError("the BM3D baseline needs the package bm3d: pip install bm3d (non-commercial)") from error
    if case.sigma is None:
        raise OptionError(f"BM3D is only run on Gaussian noise; got {case.label}")
    return np.asarray(bm3d.bm3d_rgb(case.source, case.sigma / 255.0), np.float32), None


def measure(case: Case, output: Picture) -> tuple[float, float]:
    """PSNR and SSIM of one output after clipping and rounding to 8 bit, by the protocol above.

    Returns
    -------
    (float, float)
        PSNR in dB (100 for equal pictures) and SSIM.
    """
    final = np.round(np.clip(output, 0, 1) * 255) / 255
    if case.scale > 1:
        a, b, border = rgb_to_y(final), rgb_to_y(case.target), case.scale
    elif case.gray:
        # A colour network may tint grey; the user gets the luma.
        a, b, border = final.mean(-1), case.target[..., 0], 0
        a = np.round(a * 255) / 255
    else:
        a, b, border = final, case.target, 0
    return min(psnr(a, b, border=border), 100.0), ssim(a, b, border=border)


def evaluate_restore(
    folder: Path,
    methods: dict[str, Method],
    plan: RestorePlan | None = None,
    suits: Callable[[str, Case], bool] | None = None,
    progress: Callable[[str], None] | None = None,
    sheet: Sheet | None = None,
    measures: Mapping[str, Measure] | None = None,
) -> Report:
    """Run methods over a folder of clean pictures.

    Parameters
    ----------
    folder : Path
        Clean pictures.
    methods : dict
        Name -> method.
    plan : RestorePlan, optional
        What to measure.
    suits : callable, optional
        ``suits(name, case)`` tells whether a method is run on a case; default: always.
    progress : callable, optional
        Told each picture's name.
    sheet : Sheet, optional
        Collects details of the first picture.
    measures : mapping of str to callable, optional
        Further distances by name, such as :class:`tratto_lab.evaluation.measures.Lpips`; left out where a picture is
        too small for them.

    Returns
    -------
    Report
        One row per method and case.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image as Pil
    >>> folder = Path(tempfile.mkdtemp())
    >>> Pil.effect_noise((64, 64), 30).convert("RGB").save(folder / "a.png")
    >>> plan = RestorePlan(sigmas=(25.0,), qualities=(), clean=False)
    >>> report = evaluate_restore(folder, {"nothing": lambda case: (case.source, None)}, plan)
    >>> [(row.method, row.case, row.pictures) for row in report.rows]
    [('nothing', 'sigma 25', 1)]
    """
    plan = plan or RestorePlan()
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name, picture, gray in load_pictures(folder, plan.limit):
        if progress is not None:
            progress(name)
        for case in cases_of(picture, gray, plan):
            for method, run in methods.items():
                if suits is not None and not suits(method, case):
                    continue
                start = time.perf_counter()
                output, sigma = run(case)
                spent = time.perf_counter() - start
                db, structure = measure(case, output)
                if sheet is not None:
                    sheet.add(name, case, method, output, db)
                inside = None
                if sigma is not None:
                    rms = np.sqrt(np.square(np.clip(output, 0, 1) - case.target).mean(-1))
                    inside = float((rms <= sigma).mean())
                pace = spent / (output.shape[0] * output.shape[1] / 1e6)
                row = {"psnr": db, "ssim": structure, "pace": pace, "inside": inside}
                row["measures"] = measured(measures or {}, output, case.target)
                found.setdefault((method, case.label), []).append(row)
    return Report(str(folder.name), plan, tuple(_row(m, c, rows) for (m, c), rows in found.items()))


def measured(measures: Mapping[str, Measure], output: Picture, target: Picture) -> dict[str, float]:
    """Return what each measure says of a result as a file holds it; nothing of a picture that is too small."""
    if min(target.shape[:2]) < MIN_SIDE:
        return {}
    final = (np.round(np.clip(output, 0, 1) * 255) / 255).astype(np.float32)
    return {name: measure(final, target) for name, measure in measures.items()}


class Sheet:
    """Details of the first picture, case by case: as it came, what each method made of it, as it should be.

    Parameters
    ----------
    side : int
        Of a detail, in pixels of the reference; each is shown twice as large.
    """

    def __init__(self, side: int = 128) -> None:
        self.side = side
        self._first = ""
        self._rows: dict[str, list[tuple[str, NDArray[np.uint8]]]] = {}

    def add(self, name: str, case: Case, method: str, output: Picture, db: float) -> None:
        """Keep a detail; pictures after the first are passed over."""
        self._first = self._first or name
        if name != self._first:
            return
        row = self._rows.setdefault(case.label, [(f"{case.label}: reference", self._detail(case.target))])
        row.append((f"{method} {db:.2f} dB", self._detail(output)))

    def _detail(self, picture: Picture) -> NDArray[np.uint8]:
        h, w = picture.shape[:2]
        side = min(self.side, h, w)
        y, x = (h - side) // 2, (w - side) // 2
        levels: NDArray[np.uint8] = np.round(np.clip(picture[y : y + side, x : x + side], 0, 1) * 255).astype(np.uint8)
        return levels

    def write(self, path: Path) -> None:
        """Draw the sheet as PNG, one row per case.

        Raises
        ------
        OptionError
            If nothing was collected.
        """
        from PIL import Image as PilImage
        from PIL import ImageDraw, ImageFont

        if not self._rows:
            raise OptionError("the sheet is empty: no method was run")
        cell, bar = 2 * self.side, 20
        columns = max(len(r) for r in self._rows.values())
        out = PilImage.new("RGB", (columns * (cell + 4), len(self._rows) * (cell + bar)), "white")
        draw, font = ImageDraw.Draw(out), ImageFont.load_default(13)
        for j, row in enumerate(self._rows.values()):
            for i, (title, detail) in enumerate(row):
                x, y = i * (cell + 4), j * (cell + bar)
                draw.text((x + 2, y + 2), title, "black", font)
                shown = PilImage.fromarray(detail).resize((cell, cell), PilImage.Resampling.NEAREST)
                out.paste(shown, (x, y + bar))
        out.save(path, optimize=True)


def _row(method: str, case: str, rows: list[dict[str, Any]]) -> Row:
    values = np.array([r["psnr"] for r in rows])
    half = half_width(values)
    inside = [r["inside"] for r in rows if r["inside"] is not None]
    names = dict.fromkeys(name for r in rows for name in r["measures"])
    paces = [r["pace"] for r in rows[1:]] or [rows[0]["pace"]]
    return Row(
        method,
        case,
        float(values.mean()),
        float(np.mean([r["ssim"] for r in rows])),
        half,
        float(np.median(paces)),
        float(np.mean(inside)) if inside else None,
        len(rows),
        {name: float(np.mean([r["measures"][name] for r in rows if name in r["measures"]])) for name in names},
    )


def to_markdown(report: Report) -> str:
    """Return the report as one Markdown table, cases in the order they were measured.

    Examples
    --------
    >>> rows = (Row("tratto", "sigma 25", 30.1, 0.91, 0.1, 0.2, 0.68, 5),)
    >>> "30.10" in to_markdown(Report("photos", RestorePlan(), rows))
    True
    """
    names = list(dict.fromkeys(name for r in report.rows for name in r.measures))
    head = ["case", "method", "PSNR", "SSIM", *names, "s / output MP", "within one sigma", "pictures"]
    lines = [
        f"Pictures: {report.folder}. PSNR in dB with the 95 % interval over pictures.",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
    ]
    for case in dict.fromkeys(r.case for r in report.rows):
        for r in (r for r in report.rows if r.case == case):
            inside = "" if r.within_one_sigma is None else f"{100 * r.within_one_sigma:.0f} %"
            interval = "" if math.isnan(r.interval) else f" ± {r.interval:.2f}"
            further = [f"{r.measures[name]:.4f}" if name in r.measures else "" for name in names]
            cells = [case, r.method, f"{r.psnr:.2f}{interval}", f"{r.ssim:.4f}", *further]
            lines.append(f"| {' | '.join([*cells, f'{r.seconds_per_megapixel:.2f}', inside, str(r.pictures)])} |")
    if report.notes:
        lines += ["", *report.notes]
    return "\n".join(lines) + "\n"
