"""Does `tratto restore`, left to itself, make a picture worse? Beside it the networks that have no say in the matter.

``python benchmarks/no_harm.py PHOTOGRAPHS``

PHOTOGRAPHS is a folder with free photographs, with sub-folders. Of each a crop of 320 pixels is taken from its middle,
after shrinking by two where it is large (so that a crop holds no JPEG traces or noise of its own worth speaking of).
To each crop is done what cameras, film and files do; the gain is the PSNR of what comes back, less that of the damaged
picture, against the truth, in dB. *Alone* is the network for the damage at hand, at full effect whatever is seen
(``--force``); for blur it is the filter at the radius of the blur. A clean picture has no gain: there the PSNR
itself is printed, 100 at most.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from tratto.jobs import Session
from tratto.tasks.restore import RestoreOptions
from tratto_lab.simulate.degrade.octaves import octave_noise, random_octaves
from tratto_lab.simulate.degrade.pipeline import photograph, random_pipeline

Picture = NDArray[np.float32]
SIDE = 320
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def crops(folder: Path) -> Iterator[tuple[str, Picture]]:
    """Yield names and crops, float32 (320, 320, 3) in [0, 1]."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS):
        with PilImage.open(path) as opened:
            whole = np.asarray(opened.convert("RGB"), np.float32) / np.float32(255)
        if min(whole.shape[:2]) >= 2 * SIDE:
            whole = cv2.resize(whole, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        h, w = whole.shape[:2]
        if min(h, w) >= SIDE:
            y, x = (h - SIDE) // 2, (w - SIDE) // 2
            yield path.stem, np.ascontiguousarray(whole[y : y + SIDE, x : x + SIDE])


def file_of(picture: Picture, quality: int | None = None) -> bytes:
    """Return a PNG, or a JPEG of that quality (4:2:0)."""
    stream = io.BytesIO()
    shown = PilImage.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if quality is None:
        shown.save(stream, "PNG", compress_level=1)
    else:
        shown.save(stream, "JPEG", quality=quality, subsampling=2)
    return stream.getvalue()


def damaged(clean: Picture, seed: int) -> Iterator[tuple[str, Picture, bytes, RestoreOptions | None]]:
    """Yield for each damage its name, the truth, the file, and what a user who knows the damage would force."""
    rng = np.random.default_rng(seed)
    noise = RestoreOptions(force=True, noise_sigma=50, provider="tratto", params={"network": "noise"})
    real = RestoreOptions(force=True, noise_sigma=50, provider="tratto", params={"network": "real"})
    jpeg = RestoreOptions(force=True, noise_sigma=50, provider="tratto", params={"network": "jpeg"})
    camera = random_pipeline(rng)
    truth = np.clip(photograph(clean, camera, None), 0, 1)
    taken = photograph(clean, camera, rng)
    yield "camera, PNG", truth, file_of(taken), real
    yield "camera, JPEG 85", truth, file_of(taken, 85), jpeg
    yield "noise of all octaves, 1 to 8", clean, file_of(octave_noise(clean, random_octaves(rng, 1, 8), rng)), real
    for sigma in (4, 15, 50):
        white = rng.normal(0, sigma / 255, clean.shape).astype(np.float32)
        yield f"white noise, sigma {sigma}", clean, file_of(clean + white), noise
    for quality in (40, 75, 90):
        yield f"JPEG {quality}", clean, file_of(clean, quality), jpeg
    soft = cv2.GaussianBlur(clean, (0, 0), 1.5)
    yield "blur, 1.5 pixels", clean, file_of(soft), RestoreOptions(provider="wiener", params={"blur": 1.5})
    yield "clean", clean, file_of(clean), None


def psnr(picture: Picture, truth: Picture) -> float:
    """Over all samples, dB, of what was rounded to 8 bit; at most 100."""
    return float(min(100, -10 * np.log10(max(float(np.square(picture - truth).mean(dtype=np.float64)), 1e-10))))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--limit", type=int, default=24, help="take at most so many photographs, evenly")
    given = parser.parse_args()
    every = list(crops(given.photographs))
    if not every:
        sys.exit(f"{given.photographs} holds no picture with {SIDE} pixels each way")
    chosen = every[:: -(-len(every) // given.limit)]
    session = Session()
    rows: dict[str, list[tuple[float, float, str]]] = {}
    for seed, (name, clean) in enumerate(chosen):
        for kind, truth, data, forced in damaged(np.round(clean * 255) / np.float32(255), seed):
            came = np.asarray(PilImage.open(io.BytesIO(data)).convert("RGB"), np.float32) / np.float32(255)

            def after(options: RestoreOptions, data: bytes = data, truth: Picture = truth) -> float:
                image = session.restore(data, options).image
                assert image is not None
                return psnr(image.pixels.astype(np.float32) / np.float32(255), truth)

            before = psnr(came, truth) if forced else 0.0
            alone = after(forced) - before if forced else float("nan")
            rows.setdefault(kind, []).append((alone, after(RestoreOptions()) - before, name))
        print(".", end="", file=sys.stderr, flush=True)
    print(f"\n{len(chosen)} crops\n")
    print("| done to it | the network alone: mean, worst | `restore`: mean, worst | left alone | worst picture |")
    print("| --- | --- | --- | --- | --- |")
    for kind, found in rows.items():
        alone, auto = (np.array([f[i] for f in found]) for i in (0, 1))
        untouched = int((auto == (100 if kind == "clean" else 0)).sum())
        beside = "" if kind == "clean" else f"{alone.mean():+.2f}, {alone.min():+.2f}"
        print(
            f"| {kind} | {beside} | {auto.mean():+.2f}, {auto.min():+.2f} | {untouched} | {found[auto.argmin()][2]} |"
        )


if __name__ == "__main__":
    main()
