"""Which network at x1 should run? White noise, noise of cameras and film, JPEG, and both, on held-out photographs.

``python benchmarks/choose_network.py PHOTOS``

PHOTOS is the folder of training photographs; only the held-out ones are read (half size, central 256 x 256). Per
kind: PSNR of the picture as it is, of each network at full effect, of what ``tratto restore`` does to each picture
(or would, were it asked to with ``--force``) and of the best single network for each. The rules in
``tratto.tasks.restore.prevailing`` were drawn from such a table; ``--pictures`` prints a line for each picture with
what they go by. What the filter for mild blur gains on the same photographs is printed, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tratto.core.capability import Restorer
from tratto.core.inspection import Inspection
from tratto.jobs import Session
from tratto.providers.catalogue import open_provider
from tratto.providers.restorer.tratto import NETWORKS
from tratto.steps.denoise import Denoise, Limited
from tratto.tasks.restore import RestoreOptions, plan
from tratto_lab.simulate.degrade import jpeg
from tratto_lab.simulate.degrade.drawing_real import random_film_grain, random_octave_noise, random_photograph
from tratto_lab.training.held_out import held_out_crops

Degrade = Callable[[np.ndarray, np.random.Generator], np.ndarray]
SIGMAS, QUALITIES, BLURS, FAINT = (5, 8, 15, 25, 50), (20, 40, 60, 75, 90), (1.6, 2.0), (0, 1, 2)
MIXED = ((5, 40), (5, 75), (8, 75), (12, 60), (15, 40), (25, 40), (25, 90))
DRAWN = {"photograph": random_photograph, "octaves": random_octave_noise, "film": random_film_grain}


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """Return the PSNR of float pictures in [0, 1], ``a`` clipped."""
    return float(-10 * np.log10(np.square(np.clip(a, 0, 1) - b).mean()))


def noisy(clean: np.ndarray, sigma: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """Return the picture with Gaussian noise, clipped and rounded to 8 bit."""
    noise = (rng or np.random.default_rng(0)).normal(0, sigma / 255, clean.shape)
    return (np.round(np.clip(clean + noise, 0, 1) * 255) / 255).astype(np.float32)


def kinds(draws: int) -> dict[str, list[Degrade]]:
    """Return what is done to the pictures, by name; drawn kinds several times."""
    out: dict[str, list[Degrade]] = {}
    for sigma in SIGMAS:
        out[f"white {sigma}"] = [lambda c, rng, s=sigma: noisy(c, s, rng)]
    for name, draw in DRAWN.items():
        out[name] = [lambda c, rng, d=draw: d(c, rng).picture] * draws
    for quality in QUALITIES:
        out[f"JPEG {quality}"] = [lambda c, rng, q=quality: jpeg(c, q)]
    for sigma, quality in MIXED:
        out[f"white {sigma}, JPEG {quality}"] = [lambda c, rng, s=sigma, q=quality: jpeg(noisy(c, s, rng), q)]
    return out


def restored(networks: dict[str, Restorer], picture: np.ndarray, found: Inspection) -> tuple[np.ndarray, str]:
    """Run what ``restore`` would run, step after step, and say what that is."""
    steps = [s for s in plan(RestoreOptions(force=True), found).steps if isinstance(s, Denoise)]
    asked = [s for s in plan(RestoreOptions(), found).steps if isinstance(s, Denoise)] or steps
    for step in asked:
        network = networks[step.damage]
        held = network if step.limit is None else Limited(network, step.limit)
        out = held.restore(np.clip(picture, 0, 1)).image
        picture = picture + np.float32(step.strength) * (out - picture)
    return picture, " then ".join(f"{s.damage} {s.strength:g}" for s in asked)


def main() -> int:
    """Print both tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--draws", type=int, default=3, help="how many cameras, films and noises are drawn a picture")
    parser.add_argument("--pictures", action="store_true", help="a line for each picture")
    given = parser.parse_args()
    clean = [crop for _, crop in held_out_crops(given.photos)]
    session = Session()
    networks = {n: open_provider("restorer", "tratto", scale=1, params={"network": n}) for n in NETWORKS}
    heads = ("kind", "as it is", *networks, "restore", "best network")
    out = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    total = []
    for kind, ways in kinds(given.draws).items():
        rows = []
        for number, picture in enumerate(clean):
            for draw, way in enumerate(ways):
                seen = np.ascontiguousarray(way(picture, np.random.default_rng((number, draw))), dtype=np.float32)
                found = session.inspect(np.round(np.clip(seen, 0, 1) * 255).astype(np.uint8))
                each = {n: decibels(r.restore(seen).image, picture) for n, r in networks.items()}
                made, choice = restored(networks, seen, found)
                rows.append([decibels(seen, picture), *each.values(), decibels(made, picture), max(each.values())])
                if given.pictures:
                    out.append(_line(kind, choice, rows[-1], found))
        total.append(np.mean(rows, axis=0))
        out.append(f"| {kind} | " + " | ".join(f"{v:.2f}" for v in total[-1]) + " |")
        sys.stderr.write(out[-1] + "\n")
    out.append("| all | " + " | ".join(f"{v:.2f}" for v in np.mean(total, axis=0)) + " |")
    out += ["", "| blur | noise | blur read | gain, mean | least | pictures |", "| --- " * 6 + "|"]
    for blur in BLURS:
        for sigma in FAINT:
            gains, read = [], []
            for picture in clean:
                gain, soft = deblurred(session, picture, blur, sigma)
                if gain is not None:
                    gains.append(gain)
                    read.append(soft)
            if gains:
                figures = f"{np.mean(read):.2f} | {np.mean(gains):+.2f} dB | {min(gains):+.2f} dB"
                out.append(f"| {blur} | {sigma} | {figures} | {len(gains)} |")
    sys.stdout.write("\n".join(out) + "\n")
    return 0


def _line(kind: str, choice: str, row: list[float], found: Inspection) -> str:
    octaves, read = found.octaves, found.noise_sigma.value or 0.0
    seen = ""
    if octaves is not None:
        luma = " ".join(f"{v:.1f}{'+' if e else '-'}" for v, e in zip(octaves.luma, octaves.even, strict=True))
        seen = f"size {octaves.size:.2f} colour {octaves.one_colour:.2f} sigma {octaves.sigma:.1f} luma {luma}"
    said = "" if found.opinion is None else f"network {found.opinion.noise.value:.1f}"
    figures = " ".join(f"{v:.2f}" for v in row)
    return f"  {kind}: {figures} chosen {choice}; pixels {read:.1f} {said} quality {found.jpeg_quality.value} {seen}"


def deblurred(session: Session, picture: np.ndarray, blur: float, sigma: float) -> tuple[float | None, float]:
    """Blur a picture, let the filter take it back as the inspection says; None where it does not count as soft."""
    import cv2

    from tratto.tasks.restore import SHARP_BLUR

    soft = noisy(cv2.GaussianBlur(picture, (0, 0), blur), sigma)
    read = session.inspect(np.round(soft * 255).astype(np.uint8)).blur_sigma.value
    if read is None or read <= SHARP_BLUR:
        return None, 0.0
    out = open_provider("restorer", "wiener", scale=1, params={"blur": float(read)}).restore(soft).image
    return decibels(out, picture) - decibels(soft, picture), float(read)


if __name__ == "__main__":
    raise SystemExit(main())
