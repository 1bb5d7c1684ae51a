"""Evaluation of repainting: how exactly the wall gets its colour, what of the wall stays, how near the truth it comes.

Three questions that must not be mixed up:

* *to the reference*: the mean CIELAB over the mask (above 0.5) against the reference colour, as the usual metrics have
  it. A method that brings the mean to the reference by construction scores near zero whatever it does to the wall;
* *to the render*: the same and PSNR against the same room truly rendered with the new paint, where light and shadow
  make the mean differ from the paint. Only rendered rooms have this;
* *to the source*: correlation of lightness gradients (Sobel, inside the mask), which says whether shading and texture
  stayed, and the number of pixels outside the mask that changed.

An empty mask or a value that is not finite is not measurable: it is left out of every mean and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError
from tratto.imaging.color import lab_to_srgb, linear_to_srgb, srgb_to_lab, srgb_to_linear
from tratto.imaging.paint import parse_color
from tratto_lab.evaluation.depth import depth_picture
from tratto_lab.evaluation.metrics import psnr
from tratto_lab.evaluation.paint import ColourScore, Summary, mean_lab, score_color, summarise

Bytes = NDArray[np.uint8]
#: ``method(sample)`` returns the repainted picture, (H, W, 3) uint8.
Method = Callable[["Sample"], Bytes]

#: What counts as good and as excellent, mean and 95th percentile alike.
GOOD = {"lab_distance": 15.0, "hue_error": 10.0, "delta_e_2000": 10.0}
EXCELLENT = {"lab_distance": 5.0, "hue_error": 3.0, "delta_e_2000": 3.0}


@dataclass(frozen=True, eq=False)
class Sample:
    """One wall to repaint.

    Attributes
    ----------
    name : str
        Of the sample, in tables and file names.
    before : (H, W, 3) uint8
        Encoded sRGB, as the wall is.
    mask : (H, W) uint8
        255 = wall.
    reference : (r, g, b)
        Encoded sRGB in [0, 1].
    was : (r, g, b) or None
        The old paint, where it is known.
    after : (H, W, 3) uint8 or None
        The truth.
    texture_stays : bool
        False where the old wall has a pattern that must go, so that gradients say nothing.
    depth : (H, W) float32 or None
        For the validation grid.
    """

    name: str
    before: Bytes
    mask: Bytes
    reference: tuple[float, float, float]
    was: tuple[float, float, float] | None = None
    after: Bytes | None = None
    texture_stays: bool = True
    depth: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Scores:
    """What was measured of one sample and one method; None = not measurable.

    Attributes
    ----------
    method, sample : str
        Names of both.
    color : ColourScore
        To the reference.
    render_lab, render_delta_e, render_psnr : float or None
        To the true render: distance of the means, mean CIEDE2000 of the pixels, and PSNR inside the mask.
    gradient : float or None
        Correlation with the source.
    render_gradient : float or None
        The same with the true render: where the paint is to look as it would, its own light and shadow are the measure,
        and patterned walls can be measured, too.
    outside : int
        Changed pixels where the mask is 0.
    """

    method: str
    sample: str
    color: ColourScore
    render_lab: float | None
    render_delta_e: float | None
    render_psnr: float | None
    gradient: float | None
    render_gradient: float | None
    outside: int


def gradient_correlation(before: Bytes, after: Bytes, mask: Bytes) -> float | None:
    """Return the correlation of lightness gradients inside a mask.

    Sobel derivatives of L*, both directions together, where the mask is full and so are its neighbours two pixels away.

    Parameters
    ----------
    before, after : (H, W, 3) uint8
        Encoded sRGB, of one size.
    mask : (H, W) uint8
        255 = full; less is left out.

    Returns
    -------
    float or None
        None if fewer than 32 pixels remain or one of the pictures is flat there.
    """
    import cv2

    inside = cv2.erode((mask >= 253).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    if np.count_nonzero(inside) < 32:
        return None
    sides = []
    for picture in (before, after):
        light = np.ascontiguousarray(srgb_to_lab(picture.astype(np.float32) / 255)[..., 0])
        parts = [cv2.Sobel(light, cv2.CV_32F, *d, ksize=3)[inside] for d in ((1, 0), (0, 1))]
        sides.append(np.concatenate(parts).astype(np.float64))
    if min(float(s.std()) for s in sides) < 1e-6:
        return None
    return float(np.corrcoef(sides[0], sides[1])[0, 1])


def measure(method: str, sample: Sample, output: Bytes) -> Scores:
    """Measure one output; see :class:`Scores`."""
    from tratto.imaging.color import delta_e_2000

    mask = sample.mask.astype(np.float32) / 255
    out = output.astype(np.float32) / 255
    color = score_color(out, mask, np.asarray(sample.reference))
    lab = de = db = truly = None
    wall = mask > 0.5
    if sample.after is not None and wall.any():
        truth = sample.after.astype(np.float32) / 255
        got, want = mean_lab(out, mask), mean_lab(truth, mask)
        if got is not None and want is not None:
            lab = float(np.linalg.norm(got - want))
        de = float(delta_e_2000(srgb_to_lab(out[wall]), srgb_to_lab(truth[wall])).mean())
        db = float(min(100.0, psnr(out[wall][None], truth[wall][None])))
        truly = gradient_correlation(sample.after, output, sample.mask)
    gradient = gradient_correlation(sample.before, output, sample.mask) if sample.texture_stays else None
    outside = int(np.count_nonzero((output != sample.before).any(axis=2) & (sample.mask == 0)))
    return Scores(method, sample.name, color, lab, de, db, gradient, truly, outside)


# -------------------------------------------------------------------------------------------------------- methods


def embedded(match: str = "seen", with_old: bool = False) -> Method:
    """Return the embedded repainting as a method; ``with_old`` gives it the old paint."""

    def run(sample: Sample) -> Bytes:
        from tratto import recolor

        was = sample.was if with_old else None
        result = recolor(sample.before, mask=sample.mask, color=sample.reference, match=match, was=was)
        return np.asarray(result.image.pixels, np.uint8)

    return run


def _composite(sample: Sample, inside: NDArray[Any]) -> Bytes:
    """Blend an encoded picture in [0, 1] into the source by the mask."""
    m = (sample.mask.astype(np.float64) / 255)[..., None]
    mixed = sample.before / 255 * (1 - m) + np.clip(inside, 0, 1) * m
    return np.where(m > 0, np.rint(255 * mixed), sample.before).astype(np.uint8)


def lab_shift(sample: Sample) -> Bytes:
    """Move every masked pixel by the difference of the mean Lab and the reference."""
    picture = sample.before.astype(np.float64) / 255
    lab = srgb_to_lab(picture)
    wall = sample.mask > 127
    if not wall.any():
        return sample.before
    moved = lab + srgb_to_lab(np.asarray(sample.reference, np.float64)) - lab[wall].mean(axis=0)
    return _composite(sample, lab_to_srgb(moved))


def multiply(sample: Sample) -> Bytes:
    """Multiply blend of encoded values: the desaturated wall times the reference, as picture editors do it."""
    picture = sample.before.astype(np.float64) / 255
    gray = picture @ np.array([0.2126, 0.7152, 0.0722])
    return _composite(sample, gray[..., None] * np.asarray(sample.reference))


def color_change(sample: Sample) -> Bytes:
    """OpenCV's ``colorChange``: gradients of each channel multiplied, then a Poisson solution inside the mask."""
    import cv2

    wall = sample.mask > 127
    if not wall.any():
        return sample.before
    mean = sample.before[wall].mean(axis=0) / 255
    factors = np.clip(np.asarray(sample.reference) / np.maximum(mean, 1e-3), 0.5, 2.5)  # the range OpenCV names
    hard = np.where(wall, np.uint8(255), np.uint8(0))
    bgr = np.ascontiguousarray(sample.before[..., ::-1])
    r, g, b = (float(f) for f in factors)
    out = cv2.colorChange(bgr, hard, None, r, g, b)
    return _composite(sample, out[..., ::-1] / 255.0)


def seamless_clone(sample: Sample) -> Bytes:
    """OpenCV's ``seamlessClone`` (mixed gradients) of a plain field of the reference into the wall."""
    import cv2

    wall = sample.mask > 127
    hard = np.where(wall, np.uint8(255), np.uint8(0))
    hard[0], hard[-1], hard[:, 0], hard[:, -1] = 0, 0, 0, 0
    if not hard.any():
        return sample.before
    y, x = np.nonzero(hard)
    centre = ((int(x.min()) + int(x.max()) + 1) // 2, (int(y.min()) + int(y.max()) + 1) // 2)
    field = np.empty_like(sample.before)
    field[:] = np.rint(255 * np.asarray(sample.reference)[::-1]).astype(np.uint8)
    bgr = np.ascontiguousarray(sample.before[..., ::-1])
    out = cv2.seamlessClone(field, bgr, hard, centre, cv2.MIXED_CLONE)
    return _composite(sample, out[..., ::-1] / 255.0)


def linear_ratio(sample: Sample) -> Bytes:
    """The plain physical answer: linear light times reference / mean, per channel, blended by the mask."""
    light = srgb_to_linear(sample.before.astype(np.float64) / 255)
    wall = sample.mask > 127
    if not wall.any():
        return sample.before
    factor = srgb_to_linear(np.asarray(sample.reference, np.float64)) / np.maximum(light[wall].mean(axis=0), 1e-5)
    return _composite(sample, linear_to_srgb(np.clip(light * factor, 0, 1)))


def untouched(sample: Sample) -> Bytes:
    """Leave the wall as it is."""
    return sample.before


def truth(sample: Sample) -> Bytes:
    """The true render, put through the mask: what the figures look like for the right answer."""
    if sample.after is None:
        raise InputError(f"{sample.name} has no true render")
    m = sample.mask > 0
    return np.where(m[..., None], sample.after, sample.before)


METHODS: dict[str, Method] = {
    "Tratto, seen": embedded("seen"),
    "Tratto, paint": embedded("paint"),
    "Tratto, paint, old paint told": embedded("paint", with_old=True),
    "linear ratio": linear_ratio,
    "LAB shift": lab_shift,
    "multiply blend": multiply,
    "OpenCV colorChange": color_change,
    "OpenCV seamlessClone": seamless_clone,
    "as it is": untouched,
    "the true render": truth,
}


# --------------------------------------------------------------------------------------------------------- report


@dataclass(frozen=True)
class Row:
    """One method over all samples."""

    method: str
    lab_distance: Summary
    hue_error: Summary
    delta_e_76: Summary
    delta_e_2000: Summary
    chroma_difference: Summary
    render_lab: Summary
    render_delta_e: Summary
    render_psnr: Summary
    gradient: Summary
    render_gradient: Summary
    gradient_held: float | None
    outside: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)


def summarise_method(scores: list[Scores]) -> Row:
    """Return the summary of one method's scores."""
    held = [s.gradient >= 0.95 for s in scores if s.gradient is not None]
    return Row(
        scores[0].method,
        summarise([s.color.lab_distance for s in scores]),
        summarise([s.color.hue_error for s in scores]),
        summarise([s.color.delta_e_76 for s in scores]),
        summarise([s.color.delta_e_2000 for s in scores]),
        summarise([None if (d := s.color.chroma_difference) is None else abs(d) for s in scores]),
        summarise([s.render_lab for s in scores]),
        summarise([s.render_delta_e for s in scores]),
        summarise([s.render_psnr for s in scores]),
        summarise([s.gradient for s in scores]),
        summarise([s.render_gradient for s in scores]),
        float(np.mean(held)) if held else None,
        sum(s.outside for s in scores),
    )


def evaluate(
    samples: Iterable[Sample], methods: dict[str, Method], progress: Callable[[str], None] | None = None
) -> list[Scores]:
    """Run methods over samples.

    Parameters
    ----------
    samples : iterable of Sample
        Taken one after the other.
    methods : dict
        By name; each repaints a sample.
    progress : callable or None
        Called with the name of each sample when it is done.
    """
    scores = []
    for sample in samples:
        for name, method in methods.items():
            scores.append(measure(name, sample, method(sample)))
        if progress is not None:
            progress(sample.name)
    return scores


def warnings_of(scores: list[Scores], samples: list[Sample]) -> list[str]:
    """Return what could not be measured and why, one sentence each."""
    notes = [f"{s.sample}, {s.method}: not measurable: {s.color.reason}" for s in scores if not s.color.measurable]
    for name in dict.fromkeys(s.name.split()[0] for s in samples):
        depth = next((s.depth for s in samples if s.name.split()[0] == name), None)
        if depth is not None and (note := depth_picture(depth).note):
            notes.append(f"{name}: {note}")
    return notes


def rows_of(scores: list[Scores]) -> list[Row]:
    """Return one row for each method, in the order of their first score."""
    names = list(dict.fromkeys(s.method for s in scores))
    return [summarise_method([s for s in scores if s.method == n]) for n in names]


def aggregated(row: Row) -> dict[str, float | int | None]:
    """Return the flat figures of one method under their usual names."""
    names = {
        "lab_distance": row.lab_distance,
        "hue_error": row.hue_error,
        "delta_e": row.delta_e_76,
        "delta_e_2000": row.delta_e_2000,
        "chroma_difference": row.chroma_difference,
    }
    flat: dict[str, float | int | None] = {}
    for name, summary in names.items():
        flat[f"val/{name}_mean"] = summary.mean
        flat[f"val/{name}_p95"] = summary.p95
        flat[f"val/{name}_not_measurable"] = summary.left_out
    return flat


def to_markdown(rows: list[Row]) -> str:
    """Return the table of methods."""

    def two(s: Summary, digits: int = 2) -> str:
        return "-" if s.mean is None else f"{s.mean:.{digits}f} / {s.p95:.{digits}f}"

    lines = [
        "| method | LAB distance | hue error | CIEDE2000 | to the render: LAB | CIEDE2000 of pixels | PSNR dB "
        "| gradients: with the source | at least 0.95 | with the render | changed outside |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in rows:
        mean_psnr = "-" if r.render_psnr.mean is None else f"{r.render_psnr.mean:.1f}"
        gradient = "-" if r.gradient.mean is None else f"{r.gradient.mean:.3f}"
        truly = "-" if r.render_gradient.mean is None else f"{r.render_gradient.mean:.3f}"
        held = "-" if r.gradient_held is None else f"{100 * r.gradient_held:.0f} %"
        lines.append(
            f"| {r.method} | {two(r.lab_distance)} | {two(r.hue_error)} | {two(r.delta_e_2000)} "
            f"| {two(r.render_lab, 1)} | {two(r.render_delta_e, 1)} | {mean_psnr} "
            f"| {gradient} | {held} | {truly} | {r.outside} |"
        )
    first = rows[0]
    lines.append("")
    lines.append(
        f"{first.lab_distance.measured} samples measured, {first.lab_distance.left_out} not measurable; hue of "
        f"{first.hue_error.left_out} neutral ones not measurable; gradients of {first.gradient.left_out} patterned"
        " walls not measured. Mean / 95th percentile."
    )
    return "\n".join(lines)


def grid_row(sample: Sample, output: Bytes) -> Bytes:
    """Return one line of a validation grid: source, mask, reference, depth, output and, where there is one, the truth.

    Where there is no depth, or it is flat, its place is grey.
    """
    field = np.empty_like(sample.before)
    field[:] = np.rint(255 * np.asarray(sample.reference)).astype(np.uint8)
    depth = np.full_like(sample.before, 128)
    if sample.depth is not None:
        depth = depth_picture(sample.depth).pixels
    parts = [sample.before, np.repeat(sample.mask[..., None], 3, axis=2), field, depth, output]
    if sample.after is not None:
        parts.append(sample.after)
    return np.concatenate(parts, axis=1)


def checkpoint_method(folder: Path) -> tuple[int, Method]:
    """Return the step of a fine-tuned run, and repainting by it: sd15 with the run's adapter, without a colour lock.

    Parameters
    ----------
    folder : Path
        As ``tratto train`` leaves it: ``run.json``, ``checkpoint.safetensors`` and ``adapter/``.

    Raises
    ------
    InputError
        If it is no such folder, or the run is not one for walls.
    """
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        with (folder / "checkpoint.safetensors").open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            step = int(json.loads(source.read(min(length, 1 << 26)))["__metadata__"]["step"])
        task, model, prompt = str(run["task"]), str(run["model"]), str(run["ip_adapter"])
        steps = int(run["check_steps"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(
            f"{folder} is no folder of a fine-tuned run (run.json, checkpoint.safetensors, adapter/): {e}"
        ) from e
    if task != "recolor" or not (folder / "adapter").is_dir():
        raise InputError(f"{folder} holds a run for {task!r}, or one that did not finish; expected one for 'recolor'")
    params = {"model": model, "ip_adapter": prompt, "lora": str(folder / "adapter"), "lock": "none", "steps": steps}

    def method(sample: Sample) -> Bytes:
        from tratto import recolor

        result = recolor(sample.before, mask=sample.mask, color=sample.reference, provider="sd15", params=params)
        return np.asarray(result.image.pixels, np.uint8)

    return step, method


def room_samples(
    folder: Path, limit: int = 0, rooms: tuple[str, ...] = (), per_pixel: int = 192, held_out: bool = False
) -> list[Sample]:
    """Return rendered rooms as samples, rendering what the folder does not hold.

    Parameters
    ----------
    folder : Path
        Cache of renders; made if missing.
    limit : int
        That many samples, taken evenly from all; 0 = all.
    rooms : tuple of str
        Names of rooms; empty = all.
    per_pixel : int
        Samples per pixel of what must be rendered.
    held_out : bool
        The four rooms by which no constant was chosen, instead of the twelve.
    """
    from tratto_lab.corpus.rooms import HELD_OUT, ROOMS, room_pairs

    chosen = tuple(r for r in (HELD_OUT if held_out else ROOMS) if not rooms or r.name in rooms)
    pairs = [(r, p) for r in chosen for p in r.new]
    if 0 < limit < len(pairs):
        pairs = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, limit)]
    samples = []
    for room in chosen:
        kept = replace(room, new=tuple(p for r, p in pairs if r is room))
        for pair in room_pairs(folder, (kept,), per_pixel) if kept.new else ():
            samples.append(
                Sample(
                    pair.name,
                    pair.before,
                    pair.mask,
                    parse_color(pair.paint),
                    parse_color(pair.room.old),
                    pair.after,
                    texture_stays=pair.room.surface != "wallpaper",
                    depth=pair.depth,
                )
            )
    return samples


def write_grid(folder: Path, samples: list[Sample], method: Method) -> list[Path]:
    """Write one validation grid for each room, a line a sample; see :func:`grid_row`."""
    from tratto.imaging import io

    paths = []
    for name in dict.fromkeys(s.name.split()[0] for s in samples):
        lines = [grid_row(s, method(s)) for s in samples if s.name.split()[0] == name]
        paths.append(folder / f"grid-{name}.png")
        io.write_image(io.image_from_array(np.concatenate(lines)), paths[-1], "png")
    return paths


def write_metrics(folder: Path, step: int, scores: list[Scores]) -> Path:
    """Write ``step-N_metrics.json``: aggregated figures of the first method, rows of all, and every score.

    Returns
    -------
    Path
        The file that was written.
    """
    rows = rows_of(scores)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step}_metrics.json"
    data = {
        "aggregated_metrics": aggregated(rows[0]),
        "rows": [r.to_json() for r in rows],
        "scores": [asdict(s) for s in scores],
    }
    path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _step_of(path: Path) -> int:
    digits = path.stem.removeprefix("step-").partition("_")[0]
    return int(digits) if digits.isdecimal() else -1


def compare(paths: Iterable[Path]) -> str:
    """Return a table of several metric files, one line each; of a folder, every ``step-N_metrics.json`` in it.

    Raises
    ------
    InputError
        If a file is none.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    files: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("step-*_metrics.json"), key=_step_of) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path} holds no step-N_metrics.json")
        files += inside
    for path in files:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found.append((f"{path.parent.name}/{path.stem}", dict(data["aggregated_metrics"])))
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise InputError(f"{path} is no file of metrics: {e}") from e
    names = list(dict.fromkeys(n for _, metrics in found for n in metrics))
    lines = ["| run | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for run, metrics in found:
        cells = ["-" if (v := metrics.get(n)) is None else f"{v:.3g}" for n in names]
        lines.append(f"| {run} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
