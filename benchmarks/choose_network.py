"""Which of the two networks at x1 should run? Noise, then JPEG, on photographs that were kept out of training.

``python benchmarks/choose_network.py PHOTOS``

PHOTOS is the folder of training photographs; only the held-out ones are read (half size, central 256 x 256). Per
noise level and quality: PSNR of the picture as it is, of either network, of the one that ``tratto restore`` chooses for
each picture and of the better one for each; what single pixels and the estimator's network read. The rule in
``tratto.tasks.restore.prevailing`` was drawn from such a table. What the filter for mild blur
gains on the same photographs is printed, too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from tratto.jobs import Session
from tratto.providers.catalogue import open_provider
from tratto.tasks.restore import RestoreOptions, prevailing
from tratto_lab.simulate.degrade import jpeg
from tratto_lab.training.held_out import held_out_crops

SIGMAS, QUALITIES, BLURS, FAINT = (0, 5, 8, 12, 15, 25), (20, 40, 60, 75, 90), (1.6, 2.0), (0, 1, 2)


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """Return the PSNR of float pictures in [0, 1], ``a`` clipped."""
    return float(-10 * np.log10(np.square(np.clip(a, 0, 1) - b).mean()))


def noisy(clean: np.ndarray, sigma: float) -> np.ndarray:
    """Return the picture with Gaussian noise, clipped and rounded to 8 bit."""
    noise = np.random.default_rng(0).normal(0, sigma / 255, clean.shape)
    return (np.round(np.clip(clean + noise, 0, 1) * 255) / 255).astype(np.float32)


def main() -> int:
    """Print both tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    clean = [crop for _, crop in held_out_crops(parser.parse_args().photos)]
    session = Session()
    networks = [open_provider("restorer", "tratto", scale=1, params={"network": n}) for n in ("noise", "jpeg")]
    out = [
        "| sigma | quality | as it is | noise network | JPEG network | chosen | better | single pixels | network |",
        "| --- " * 9 + "|",
    ]
    total = []
    for sigma in SIGMAS:
        for quality in QUALITIES:
            rows, read, said = [], [], []
            for picture in clean:
                seen = jpeg(noisy(picture, sigma), quality)
                both = [decibels(n.restore(seen).image, picture) for n in networks]
                found = session.inspect(np.round(seen * 255).astype(np.uint8))
                chosen = both[0 if prevailing(RestoreOptions(), found) == "noise" else 1]
                rows.append([decibels(seen, picture), *both, chosen, max(both)])
                read.append(found.noise_sigma.value or 0.0)
                said.append(found.opinion.noise.value if found.opinion else float("nan"))
            total.append(np.mean(rows, axis=0))
            figures = " | ".join(f"{v:.2f}" for v in total[-1])
            ranges = " | ".join(f"{min(r):.1f} to {max(r):.1f}" for r in (read, said))
            out.append(f"| {sigma} | {quality} | {figures} | {ranges} |")
    out.append("| all | all | " + " | ".join(f"{v:.2f}" for v in np.mean(total, axis=0)) + " | | |")
    out += ["", "| blur | noise | blur read | gain, mean | least | pictures |", "| --- " * 6 + "|"]
    for blur in BLURS:
        for sigma in FAINT:
            gains, found = [], []
            for picture in clean:
                gain, soft = deblurred(session, picture, blur, sigma)
                if gain is not None:
                    gains.append(gain)
                    found.append(soft)
            out.append(
                f"| {blur} | {sigma} | {np.mean(found):.2f} | {np.mean(gains):+.2f} dB | {min(gains):+.2f} dB "
                f"| {len(gains)} |"
            )
    sys.stdout.write("\n".join(out) + "\n")
    return 0


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
