"""Does the unsupported-attribute score tell planted inventions from faithful restorations?

``python benchmarks/unsupported.py PICTURES [--crops 3] [--side 160] [--clip FOLDER] [--out FILE.json]``

Each crop is degraded (noise of sigma 8 to 25, or JPEG of quality 30 to 70, or both, by turns), restored by the embedded
network, and scored. Then something that was never there is planted into the same restoration: a piece of another
picture (``object``), other characters over a line of text that the source shows (``text``), or the fine structure of
another picture in place of the own (``texture``). Reported are the area under the ROC curve over all pairs and by kind,
and the rates at the stated limit. With ``--clip``, a full-size CLIP from a local folder scores the same pairs.
"""

from __future__ import annotations

import argparse
import io as bytes_io
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pil

import tratto
from tratto.provenance.unsupported import LIMIT, unsupported, unsupported_in_meaning
from tratto.tasks.restore import RestoreOptions

KINDS = ("object", "text", "texture")
WORDS = ("MAIN ST", "NO 1847", "HOTEL", "LONDON", "A 52", "J. SMITH", "1912", "CAFE")


def degrade(clean: np.ndarray, how: int, rng: np.random.Generator) -> np.ndarray:
    picture = clean.astype(np.float64)
    if how != 1:
        picture = picture + rng.normal(0, rng.uniform(8, 25), picture.shape)
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if how != 0:
        stream = bytes_io.BytesIO()
        Pil.fromarray(picture).save(stream, "jpeg", quality=int(rng.integers(30, 71)))
        picture = np.asarray(Pil.open(stream))
    return picture


def written(picture: np.ndarray, word: str, at: tuple[int, int], height: int) -> np.ndarray:
    """Return the picture with a word on a plate."""
    out = np.ascontiguousarray(picture.copy())
    scale = height / 30
    (w, h), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    x, y = at
    cv2.rectangle(out, (x - 4, y - h - 6), (x + w + 4, y + 6), (225, 222, 210), -1)
    cv2.putText(out, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 38, 45), 2, cv2.LINE_AA)
    return out


def soft(side: int, box: tuple[int, int, int]) -> np.ndarray:
    x, y, size = box
    mask = np.zeros((side, side), np.float32)
    cv2.circle(mask, (x + size // 2, y + size // 2), size // 2, 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None]


def plant(kind: str, restored: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return float pictures in [0, 1] with something invented in a disc of 24 to 48 pixels."""
    side, size = restored.shape[0], int(rng.integers(24, 49))
    box = (int(rng.integers(4, side - size - 4)), int(rng.integers(4, side - size - 4)), size)
    mask = soft(side, box)
    if kind == "object":
        planted = np.roll(other, (int(rng.integers(side)), int(rng.integers(side))), (0, 1))
    else:  # the own light, another fine structure of at least its strength
        low = cv2.GaussianBlur(restored, (0, 0), 4)
        fine = other - cv2.GaussianBlur(other, (0, 0), 4)
        strength = max(float((restored - low).std()), 0.04) / max(float(fine.std()), 1e-3)
        planted = low + min(strength, 4.0) * fine
    return np.clip(restored * (1 - mask) + planted * mask, 0, 1).astype(np.float32)


def auc(low: list[float], high: list[float]) -> float:
    """Return the chance that one of ``high`` exceeds one of ``low`` (Mann-Whitney; ties count half)."""
    a, b = np.asarray(low), np.asarray(high)
    return float((b[:, None] > a[None]).mean() + 0.5 * (b[:, None] == a[None]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--crops", type=int, default=3)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--limit", type=int, default=10**6, help="at most this many pictures")
    parser.add_argument("--clip", type=Path, help="folder of a CLIP network, to be measured beside")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    endings = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
    files = sorted(p for p in options.pictures.rglob("*") if p.suffix.lower() in endings)
    files = files[: options.limit]
    rng, side = np.random.default_rng(0), options.side
    crops = []
    for path in files:
        picture = np.asarray(Pil.open(path).convert("RGB"))
        for _ in range(options.crops):
            if min(picture.shape[:2]) >= side:
                y, x = (int(rng.integers(n - side + 1)) for n in picture.shape[:2])
                crops.append(picture[y : y + side, x : x + side])
    session = tratto.Session()
    faithful: dict[str, list[float]] = {k: [] for k in KINDS}
    invented: dict[str, list[float]] = {k: [] for k in KINDS}
    rates: dict[str, list[float]] = {"faithful": [], "invented": []}
    meaning: dict[str, list[float]] = {"faithful": [], **{k: [] for k in KINDS}}
    network = None
    if options.clip is not None:
        from tratto.backends.clip import open_clip

        network = open_clip(options.clip)
    for i, crop in enumerate(crops):
        kind = KINDS[i % 3]
        other = crops[(i + len(crops) // 2) % len(crops)].astype(np.float32) / 255
        at, height = (12, int(rng.integers(40, side - 12))), int(rng.integers(14, 27))
        words = rng.choice(WORDS, 2, replace=False)
        clean = written(crop, str(words[0]), at, height) if kind == "text" else crop
        source = degrade(clean, (i // 3) % 3, rng)
        result = session.restore(source, RestoreOptions(force=True))
        restored = np.asarray(result.image.pixels).astype(np.float32) / 255
        if kind == "text":
            hallucinated = written(np.rint(255 * restored).astype(np.uint8), str(words[1]), at, height) / np.float32(
                255
            )
        else:
            hallucinated = plant(kind, restored, other, rng)
        noise = result.inspection.noise_sigma.value
        before = source.astype(np.float32) / 255
        good, bad = unsupported(before, restored, noise), unsupported(before, hallucinated, noise)
        faithful[kind].append(good.score)
        invented[kind].append(bad.score)
        if network is not None:
            meaning["faithful"].append(unsupported_in_meaning(before, restored, network).score)
            meaning[kind].append(unsupported_in_meaning(before, hallucinated, network).score)
        rates["faithful"].append(good.rate)
        rates["invented"].append(bad.rate)
    every = [s for k in KINDS for s in faithful[k]], [s for k in KINDS for s in invented[k]]
    out: dict[str, Any] = {
        "pairs": len(crops),
        "auc": round(auc(*every), 4),
        "auc_by_kind": {k: round(auc(every[0], invented[k]), 4) for k in KINDS},
        "mean_rate": {k: round(float(np.mean(v)), 5) for k, v in rates.items()},
        "share_with_rate_above_0.001": {k: round(float(np.mean(np.asarray(v) > 1e-3)), 4) for k, v in rates.items()},
        "limit": LIMIT,
    }
    if network is not None:
        found = [s for k in KINDS for s in meaning[k]]
        out["clip"] = {
            "network": network.name,
            "auc": round(auc(meaning["faithful"], found), 4),
            "auc_by_kind": {k: round(auc(meaning["faithful"], meaning[k]), 4) for k in KINDS},
        }
    text = json.dumps(out, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
