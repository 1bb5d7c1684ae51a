"""Measure how well inspection tells noise, grain, JPEG quality, enlargement and blur on a folder of pictures.

Usage: python benchmarks/inspect_accuracy.py FOLDER [--limit N] [--json FILE]

Every picture of the folder is taken as clean, native and never compressed, degraded in a known way and inspected as
8-bit samples without any file facts, as if it had been saved as PNG. Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Inspection
from tratto.imaging.estimate import inspect_image

Picture = NDArray[np.uint8]
SIGMAS = (5, 10, 15, 25, 35, 50)
QUALITIES = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
BLURS = (0.5, 1.0, 1.5, 2.0, 3.0)
KERNELS = {
    "nearest": PilImage.Resampling.NEAREST,
    "bilinear": PilImage.Resampling.BILINEAR,
    "bicubic": PilImage.Resampling.BICUBIC,
    "lanczos": PilImage.Resampling.LANCZOS,
}
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass
class Table:
    """Rows of (what, measure, value, target)."""

    rows: list[dict[str, object]] = field(default_factory=list)

    def add(self, what: str, measure: str, value: float, target: str = "", n: int = 0) -> None:
        """Append one row; ``n`` is the number of pictures behind it."""
        self.rows.append({"what": what, "measure": measure, "value": round(float(value), 3), "target": target, "n": n})

    def markdown(self) -> str:
        """Return the rows as a Markdown table."""
        lines = ["| what | measure | value | target | pictures |", "| --- | --- | ---: | --- | ---: |"]
        lines += [f"| {r['what']} | {r['measure']} | {r['value']} | {r['target']} | {r['n']} |" for r in self.rows]
        return "\n".join(lines)


def look(picture: Picture) -> Inspection:
    return inspect_image(Image(np.ascontiguousarray(picture), ColorMode.RGB))


def jpeg(picture: Picture, quality: int, subsampling: int = 2) -> Picture:
    buffer = io.BytesIO()
    PilImage.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(PilImage.open(buffer))


def enlarge(picture: Picture, factor: int, kernel: PilImage.Resampling) -> Picture:
    """Enlarge the middle of a picture so that the result is as large as the picture was."""
    h, w = picture.shape[0] // factor, picture.shape[1] // factor
    y, x = (picture.shape[0] - h) // 2, (picture.shape[1] - w) // 2
    crop = PilImage.fromarray(np.ascontiguousarray(picture[y : y + h, x : x + w]))
    return np.asarray(crop.resize((w * factor, h * factor), kernel))


def noisy(picture: Picture, sigma: float, seed: int) -> Picture:
    noise = np.random.RandomState(seed).standard_normal(picture.shape)
    return np.clip(np.rint(picture + sigma * noise), 0, 255).astype(np.uint8)


def measure_noise(pictures: list[Picture], table: Table) -> None:
    clean = [look(p).noise_sigma.value for p in pictures]
    known = [v for v in clean if v is not None]
    table.add("noise, nothing added", "share read below 1.5/255", np.mean([v < 1.5 for v in known]), "", len(known))
    table.add("noise, nothing added", "median sigma, 1/255", np.median(known), "", len(known))
    pooled = []
    for sigma in SIGMAS:
        got = [look(noisy(p, sigma, k)).noise_sigma.value for k, p in enumerate(pictures)]
        errors = [v - sigma for v in got if v is not None]
        pooled += [abs(e) for e in errors]
        table.add(f"noise, sigma {sigma}", "mean absolute error, 1/255", np.mean(np.abs(errors)), "", len(errors))
        table.add(f"noise, sigma {sigma}", "mean error, 1/255", np.mean(errors), "", len(errors))
    table.add("noise, sigma 5-50", "mean absolute error, 1/255", np.mean(pooled), "<= 1", len(pooled))


def measure_opinion(pictures: list[Picture], table: Table) -> None:
    """What the network reads beside what single pixels show, where both are asked for the noise that was drawn."""
    from tratto.core.errors import UnavailableError
    from tratto.providers.catalogue import open_provider
    from tratto.tasks.restore import make_options, plan
    from tratto_lab.simulate.degrade import grain_noise

    def grainy(picture: Picture, sigma: float, size: float, seed: int) -> Picture:
        grain = grain_noise(picture.astype(np.float32) / 255, sigma, size, np.random.default_rng(seed), seed % 2 == 0)
        return np.clip(np.rint(255 * grain), 0, 255).astype(np.uint8)

    cases: list[tuple[str, float, float | None, Callable[[Picture, int], Picture]]] = [
        ("nothing added", 0, None, lambda p, k: p),
        ("white noise, sigma 5", 5, 0, lambda p, k: noisy(p, 5, k)),
        ("white noise, sigma 15", 15, 0, lambda p, k: noisy(p, 15, k)),
        ("white noise, sigma 35", 35, 0, lambda p, k: noisy(p, 35, k)),
        ("grain of 0.7 pixels, sigma 12", 12, 0.7, lambda p, k: grainy(p, 12, 0.7, k)),
        ("grain of 1.2 pixels, sigma 8", 8, 1.2, lambda p, k: grainy(p, 8, 1.2, k)),
        ("grain of 1.2 pixels, sigma 16", 16, 1.2, lambda p, k: grainy(p, 16, 1.2, k)),
        ("JPEG 40", 0, None, lambda p, k: jpeg(p, 40)),
        ("sigma 8, then JPEG 90", 8, 0, lambda p, k: jpeg(noisy(p, 8, k), 90)),
        ("sigma 15, then JPEG 80", 15, 0, lambda p, k: jpeg(noisy(p, 15, k), 80)),
        ("sigma 25, then JPEG 60", 25, 0, lambda p, k: jpeg(noisy(p, 25, k), 60)),
    ]
    for what, sigma, size, degrade in cases:
        by_pixels, by_network, grain, inside, grains = [], [], [], [], []
        for k, p in enumerate(pictures):
            image = Image(np.ascontiguousarray(degrade(p, k)), ColorMode.RGB)
            seen = inspect_image(image)
            try:
                said = open_provider("estimator").opinion(image, seen)
            except UnavailableError as e:
                print(f"no second opinion: {e}", file=sys.stderr)
                return
            by_pixels.append(abs((seen.noise_sigma.value or 0.0) - sigma))
            by_network.append(abs(said.noise.value - sigma))
            inside.append(by_network[-1] <= said.noise.error)
            grains.append(any("grain:" in r for r in plan(make_options(), replace(seen, opinion=said)).reasons))
            if size is not None and said.grain is not None:
                grain.append(abs(said.grain.value - size))
        n = len(pictures)
        table.add(what, "noise by single pixels, mean absolute error", np.mean(by_pixels), "", n)
        table.add(what, "noise by the network, mean absolute error", np.mean(by_network), "", n)
        table.add(what, "its errors within the stated one", np.mean(inside), "0.6-0.76", n)
        if grain:
            table.add(what, "grain by the network, mean absolute error, pixels", np.mean(grain), "", len(grain))
        if sigma == 0 or size:
            table.add(what, "share where grain is spoken of", np.mean(grains), "0" if sigma == 0 else "", n)


def measure_treatment(pictures: list[Picture], table: Table) -> None:
    """How many pictures ``restore`` would clean of noise, by single pixels alone and with the network's opinion."""
    from tratto.providers.catalogue import open_provider
    from tratto.providers.estimator import with_opinion
    from tratto.tasks.restore import make_options, plan

    for sigma in (0, 3, 5):
        alone, both = [], []
        for k, p in enumerate(pictures):
            image = Image(noisy(p, sigma, k), ColorMode.RGB)
            seen = inspect_image(image)
            alone.append(bool(plan(make_options(), seen).steps))
            both.append(bool(plan(make_options(), with_opinion(image, seen, lambda: open_provider("estimator"))).steps))
        what, target = f"white noise, sigma {sigma}", "0" if sigma == 0 else "1"
        table.add(what, "share that is treated, by single pixels", np.mean(alone), target, len(alone))
        table.add(what, "share that is treated, with the network", np.mean(both), target, len(both))


def measure_jpeg(pictures: list[Picture], table: Table) -> None:
    pooled, grids = [], []
    for quality in QUALITIES:
        hits = []
        for k, p in enumerate(pictures):
            oy, ox = (0, 0) if k % 2 else ((3 * k) % 8, (5 * k + 1) % 8)  # half of them cropped off the grid
            r = look(jpeg(p, quality, 0 if k % 3 else 2)[oy:, ox:])
            v = r.jpeg_quality.value
            hits.append(v is not None and abs(v - quality) <= 5)
        pooled += hits
        table.add(f"JPEG quality {quality}, saved as PNG", "share within 5", np.mean(hits), "", len(hits))
    table.add("JPEG quality 10-95, saved as PNG", "share within 5", np.mean(pooled), ">= 0.9", len(pooled))
    none = [look(p).jpeg_quality.value is None for p in pictures]
    table.add("JPEG, nothing done", "share without a trace", np.mean(none), "", len(none))
    small = [look(halve(p)).jpeg_quality.value is None for p in pictures]
    table.add("JPEG, picture reduced to half", "share without a trace", np.mean(small), ">= 0.9", len(small))
    noise = [look(noisy(p, 10, k)).jpeg_quality.value is None for k, p in enumerate(pictures)]
    table.add("JPEG, noise of sigma 10 added", "share without a trace", np.mean(noise), ">= 0.9", len(noise))
    for first, second in ((60, 90), (75, 90), (80, 95)):
        for k, p in enumerate(pictures):
            again = jpeg(jpeg(p, first)[3 + k % 4 :, 1 + k % 6 :], second)
            grids.append(look(again).jpeg_generations == 2)
    table.add("JPEG 60-80, cropped, JPEG 90-95", "share told as two generations", np.mean(grids), "", len(grids))
    once = [look(jpeg(halve(p), q)).jpeg_generations == 2 for p in pictures for q in (60, 90)]
    table.add("reduced to half, JPEG 60 or 90", "share told as two generations", np.mean(once), "low", len(once))


def halve(picture: Picture) -> Picture:
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return np.asarray(PilImage.fromarray(picture).resize(size, PilImage.Resampling.LANCZOS))


def measure_enlargement(pictures: list[Picture], table: Table) -> None:
    def share(make: Callable[[Picture], Picture], factor: int) -> list[bool]:
        return [look(make(p)).upscale.value == factor for p in pictures]

    native = share(lambda p: p, 1)
    table.add("native", "share told as native", np.mean(native), ">= 0.9", len(native))
    for quality in (50, 80, 95):
        compressed = share(lambda p, q=quality: jpeg(p, q), 1)  # type: ignore[misc]
        table.add(f"native, JPEG {quality}", "share told as native", np.mean(compressed), "", len(compressed))
    for factor in (2, 3, 4):
        pooled = []
        for name, kernel in KERNELS.items():
            hits = share(lambda p, f=factor, k=kernel: enlarge(p, f, k), factor)  # type: ignore[misc]
            pooled += hits
            table.add(f"enlarged x{factor}, {name}", f"share told as x{factor}", np.mean(hits), "", len(hits))
        target = ">= 0.9" if factor == 2 else ""
        table.add(f"enlarged x{factor}, all kernels", f"share told as x{factor}", np.mean(pooled), target, len(pooled))


def measure_blur(pictures: list[Picture], table: Table) -> None:
    native = [look(p).blur_sigma.value for p in pictures]
    table.add("blur, nothing done", "median sigma, pixels", np.median([v for v in native if v is not None]))
    for sigma in BLURS:
        errors = []
        for p, own in zip(pictures, native, strict=True):
            v = look(cv2.GaussianBlur(p, (0, 0), sigma)).blur_sigma.value
            if v is not None and own is not None:
                errors.append(abs(v - float(np.hypot(sigma, own))))
        what = f"blur, sigma {sigma} on top of the picture's own"
        table.add(what, "median absolute error, pixels", np.median(errors), "", len(errors))


def measure_time(pictures: list[Picture], table: Table) -> None:
    """Four megapixels made of the pictures side by side; the best of three runs."""
    side = int(np.ceil(np.sqrt(4e6 / (pictures[0].shape[0] * pictures[0].shape[1]))))
    h, w = (min(p.shape[k] for p in pictures) for k in (0, 1))
    rows = [
        np.concatenate([pictures[(i * side + j) % len(pictures)][:h, :w] for j in range(side)], axis=1)
        for i in range(side)
    ]
    wall = np.concatenate(rows)
    best = min(_timed(wall) for _ in range(3))
    table.add(f"time, {wall.shape[0] * wall.shape[1] / 1e6:.1f} megapixels", "seconds", best, "<= 1.5", 1)


def _timed(picture: Picture) -> float:
    start = time.perf_counter()
    look(picture)
    return time.perf_counter() - start


def load(folder: Path, limit: int) -> Iterator[Picture]:
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
    for f in files[:limit] if limit else files:
        with PilImage.open(f) as picture:
            yield np.asarray(picture.convert("RGB"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="pictures to degrade and inspect")
    parser.add_argument("--limit", type=int, default=0, help="take only the first N pictures")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    args = parser.parse_args()
    pictures = list(load(args.folder, args.limit))
    if not pictures:
        print(f"no pictures in {args.folder}", file=sys.stderr)
        return 2
    table = Table()
    parts = (
        measure_noise,
        measure_opinion,
        measure_treatment,
        measure_jpeg,
        measure_enlargement,
        measure_blur,
        measure_time,
    )
    for part in parts:
        part(pictures, table)
    print(table.markdown())
    if args.json:
        args.json.write_text(json.dumps({"folder": args.folder.name, "rows": table.rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
