"""Dust and hairs of a few pixels in photographs at their own size: how many are found, and what else is marked.

    python benchmarks/dust.py PHOTOGRAPHS [--limit 20] [--save DIR]

Specks of 2 to 6 pixels and hairs of 1.5 to 3 pixels' width are drawn from a seed, light and dark, over each photograph
of 4 megapixels and more. A speck counts as found if half of its pixels are marked. Beside it what the network finds
that is told of dirt, without and with the look at full size, and how much of the intact photograph is marked.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pil

from tratto.core.capability import Use
from tratto.jobs import Job
from tratto.providers.damage import masks_of

#: Least mean difference of a speck from what it lies on, full scale = 1, to count.
VISIBLE = 0.12


def dusty(picture, rng):
    """Return a copy with dust and hairs, and the label of each speck or hair, (H, W) int32."""
    height, width = picture.shape[:2]
    labels = np.zeros((height, width), np.int32)
    cover = np.zeros((height, width), np.float32)
    shade = np.zeros((height, width), np.float32)
    for k in range(1, 1 + int(height * width / 20_000)):
        side = 160 if k % 6 == 0 else 24
        one, size = np.zeros((side, side), np.uint8), np.array([side, side])
        if k % 6:
            at = (size / 2 + rng.uniform(-1, 1, 2)) * 16
            cv2.circle(one, tuple(int(v) for v in at), int(16 * rng.uniform(1, 3)), 255, -1, cv2.LINE_AA, 4)
        else:
            steps = np.cumsum(rng.normal(0, 0.12, 30)) + rng.uniform(0, 2 * np.pi)
            path = np.cumsum(np.stack([np.cos(steps), np.sin(steps)], 1) * rng.uniform(2, 4), axis=0)
            path += size / 2 - path.mean(axis=0)
            cv2.polylines(one, [(path * 16).astype(np.int32)], False, 255, int(rng.integers(2, 4)), cv2.LINE_AA, 4)
        y, x = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        one = cv2.GaussianBlur(one, (0, 0), 0.6)
        part = (slice(y, y + one.shape[0]), slice(x, x + one.shape[1]))
        new = one.astype(np.float32) / 255
        labels[part][new > 0.4] = k
        stronger = new > cover[part]
        cover[part][stronger] = new[stronger]
        shade[part][stronger] = rng.choice([0.05, 0.95], p=[0.35, 0.65])
    strength = 0.75 * cover[..., None]
    done = (picture * (1 - strength) + shade[..., None] * strength).astype(np.float32)
    # dark on dark is not seen
    seen = np.bincount(labels.ravel(), np.abs(done - picture).mean(axis=2).ravel()) / np.bincount(labels.ravel())
    return done, np.where(seen[labels] >= VISIBLE, labels, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--save", type=Path, default=None)
    given = parser.parse_args()
    detector = Job().services().open(Use("damage"))
    ways = ("the network alone", "as it ships")

    def found_by_both(picture):
        """Return what the network marks, and what it marks with the look at full size."""
        found = detector.find(picture, ("dirt",))
        whole = masks_of(found)["dirt"]
        found._dust = None
        return dict(zip(ways, (masks_of(found)["dirt"], whole), strict=True))

    hits, total = {name: np.zeros(2) for name in ways}, np.zeros(2)
    marked, false, intact, pixels = (dict.fromkeys(ways, 0) for _ in range(4))
    shown = 0
    for path in sorted(given.photographs.iterdir()):
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp") or shown == given.limit:
            continue
        clean = np.asarray(Pil.open(path).convert("RGB"), np.float32) / 255
        if clean[..., 0].size < 4_000_000:
            continue
        clean = np.ascontiguousarray(clean[:3000, :3000])
        picture, labels = dusty(clean, np.random.default_rng(shown))
        shown += 1
        sizes = np.bincount(labels.ravel())
        there = np.flatnonzero(sizes)[1:]
        kind = (there % 6 == 0).astype(int)  # every sixth is a hair
        total += np.bincount(kind, minlength=2)
        near = cv2.dilate((labels > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        spotless = found_by_both(clean)
        for name, found in found_by_both(picture).items():
            got = np.bincount(labels[found], minlength=len(sizes))[there] >= 0.5 * sizes[there]
            hits[name] += np.bincount(kind[got], minlength=2)
            marked[name] += int(found.sum())
            false[name] += int((found & ~near).sum())
            intact[name] += int(spotless[name].sum())
            pixels[name] += found.size
        if given.save is not None:
            given.save.mkdir(parents=True, exist_ok=True)
            colours = picture.copy()
            colours[found] = (1, 0, 0)
            both = np.concatenate([picture, colours], axis=1)
            Pil.fromarray(np.rint(np.clip(both, 0, 1) * 255).astype(np.uint8)).save(given.save / f"{path.stem}.png")
    print(f"{shown} photographs of 4 megapixels and more; {int(total[0])} specks, {int(total[1])} hairs\n")
    print("| | specks found | hairs found | of what is marked beside them | marked of intact photographs |")
    print("| --- | --- | --- | --- | --- |")
    for name in ways:
        share = hits[name] / np.maximum(total, 1)
        print(
            f"| {name} | {share[0]:.2f} | {share[1]:.2f} | {false[name] / max(marked[name], 1):.2f} | "
            f"{100 * intact[name] / max(pixels[name], 1):.3f} % |"
        )


if __name__ == "__main__":
    main()
