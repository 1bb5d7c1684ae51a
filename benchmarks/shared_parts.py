"""How many changed copies ``tratto data dedupe --parts`` finds, and how its index grows with the number of pictures.

    python benchmarks/shared_parts.py PICTURES

Every fourth picture of a folder is cropped, re-lit, turned and so on; beside each change, how many of these copies were
found to show the same as the picture they were made of. Whatever is found between different pictures is printed: either
it is wrong, or the folder holds a picture twice.

The second table cuts the pictures into squares of 300 pixels, which show nothing in common, and counts how many pairs
of them are compared nevertheless.

The third is about the time and memory of the index alone. It stands for so many pictures by taking the corners of those
in the folder again and again, each time with every seventh bit flipped at random, which leaves them as unevenly spread
as real ones are, but makes every one new. Processor seconds of one core; without finding corners, which takes the same
time for each picture (below the tables).
"""

import argparse
import io
import resource
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tratto_lab.corpus.shared_parts import candidates, corners, shared_parts, shown

COUNTS = (5_000, 10_000, 20_000, 40_000)
SIDE, SQUARE = 1200, 300


def crop(picture, share, rng):
    w, h = (round(share * side) for side in picture.size)
    x, y = (int(rng.integers(side - part + 1)) for side, part in zip(picture.size, (w, h), strict=True))
    return picture.crop((x, y, x + w, y + h))


def small(picture, rng):
    part = crop(picture, 0.6, rng)
    return part.resize((part.width // 4, part.height // 4), Image.Resampling.LANCZOS)


def compressed(picture, _):
    packed = io.BytesIO()
    picture.convert("L").convert("RGB").save(packed, "JPEG", quality=40)
    return Image.open(packed)


def levels(change):
    return lambda picture, _: Image.fromarray(change(np.asarray(picture)))


def squares(path):
    """Return the corners of each square of a picture."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    h, w = picture.shape[:2]
    for y in range(0, h - SQUARE + 1, SQUARE):
        for x in range(0, w - SQUARE + 1, SQUARE):
            yield corners(shown(picture[y : y + SQUARE, x : x + SQUARE].astype(np.float32) / np.float32(255)))


CHANGES = {
    "cut to 0.8 of each side": lambda p, rng: crop(p, 0.8, rng),
    "to 0.5": lambda p, rng: crop(p, 0.5, rng),
    "to 0.35": lambda p, rng: crop(p, 0.35, rng),
    "to 0.6, then four times smaller": small,
    "grey, JPEG quality 40": compressed,
    "gamma 1.8": levels(lambda p: (255 * (p / 255) ** 1.8).astype(np.uint8)),
    "red, green and blue exchanged": levels(lambda p: np.ascontiguousarray(p[..., [2, 0, 1]])),
    "turned by 7 degrees": lambda p, _: p.rotate(7, Image.Resampling.BICUBIC),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    given = parser.parse_args()
    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
    files = sorted(p for p in given.pictures.iterdir() if p.suffix.lower() in suffixes)
    rng = np.random.default_rng(0)
    grays, labels = [], []
    for number, path in enumerate(files):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        shots = {"": picture}
        if number % 4 == 0:
            shots |= {name: change(picture, rng).convert("RGB") for name, change in CHANGES.items()}
        for name, shot in shots.items():
            grays.append(shown(np.asarray(shot, np.float32) / np.float32(255)))
            labels.append((number, name))
    began = time.process_time()
    marks = [corners(gray) for gray in grays]
    each = 1000 * (time.process_time() - began) / len(marks)
    began = time.process_time()
    found, compared = shared_parts(marks, lambda k: grays[k])
    apiece = 1000 * (time.process_time() - began) / max(compared, 1)
    hits = dict.fromkeys(CHANGES, 0)
    wrong: dict[tuple[str, str], str] = {}
    for pair in found:
        (one, first), (two, second) = labels[pair.one], labels[pair.two]
        if one != two:
            wrong.setdefault((files[one].stem, files[two].stem), pair.reason)
        elif "" in (first, second):
            hits[first or second] += 1
    copies = len(files[::4])
    print(f"{len(files)} pictures and {len(marks) - len(files)} changed copies; ", end="")
    print(f"{compared} of {len(marks) * (len(marks) - 1) // 2} pairs compared\n")
    print("| change | found |\n| --- | --- |")
    for name, count in hits.items():
        print(f"| {name} | {count} of {copies} |")
    print(f"\nBetween different pictures: {len(wrong)}")
    for both, reason in wrong.items():
        print(f"- {' and '.join(both)}: {reason}")
    print("\n| squares | pairs compared | for each square |\n| --- | --- | --- |")
    tiles = [mark for path in files for mark in squares(path)]
    order = rng.permutation(len(tiles))
    for count in (300, 600, 1200, 2400, 4800):
        if count > len(tiles):
            break
        some = [tiles[k] for k in order[:count]]
        owners = np.repeat(np.arange(count, dtype=np.int64), [len(m.places) for m in some])
        pairs = candidates(np.concatenate([m.descriptors for m in some]), owners)
        print(f"| {count} | {len(pairs)} | {len(pairs) / count:.1f} |", flush=True)
    real = np.concatenate([m.descriptors for m, (_, name) in zip(marks, labels, strict=True) if not name])
    per = round(len(real) / len(files))
    print("\n| pictures | index, seconds | pairs to compare | peak memory MiB |\n| --- | --- | --- | --- |")
    for count in COUNTS:
        drawn = real[rng.integers(len(real), size=count * per)]
        for start in range(0, len(drawn), 100_000):
            part = drawn[start : start + 100_000]
            part ^= np.packbits(rng.random((len(part), 256), np.float32) < 1 / 7, axis=1)
        owners = np.repeat(np.arange(count, dtype=np.int64), per)
        began = time.process_time()
        pairs = candidates(drawn, owners)
        took = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {count} | {took:.1f} | {len(pairs)} | {peak:.0f} |", flush=True)
    print(f"\n{per} corners a picture; finding them takes {each:.1f} ms, a comparison {apiece:.1f} ms.")


if __name__ == "__main__":
    main()
