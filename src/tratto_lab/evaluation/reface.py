"""Faces put into scenes, measured: whose they are by a second network, the seam, and what it takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageOps

from tratto.core.capability import Use
from tratto.core.errors import InputError
from tratto.faces import align, mesh, search
from tratto.faces.find import Face, distance, faces_of
from tratto.faces.judge import Consistency
from tratto.faces.place import place_of
from tratto.faces.swap import Look
from tratto.jobs import Job
from tratto.tasks.reface import RefaceOptions

Picture = NDArray[np.uint8]

#: Faces that are turned or nod further than this, or are smaller, make no portrait.
TURNED, NODS, SMALLEST = 32, 28, 60
#: Words of the warnings that say that the scene's face partly stays.
WARNING = ("hides", "glasses", "turned", "kept as it is", "likeness was not reached")
#: Most degrees by which two faces of a pair are turned otherwise, and nod otherwise.
OTHERWISE = 20


def pictures(
    folders: list[Path], known: dict[str, Picture] | None = None, without: tuple[str, ...] = ()
) -> dict[str, Picture]:
    """Return portraits by name, 8-bit RGB, each cut around one face that looks about into the camera.

    Parameters
    ----------
    folders : list of Path
        With pictures in JPEG or PNG.
    known : dict or None
        Others, by name.
    without : tuple of str
        Faces to leave out, such as those of children: the file's name without its ending, a dot, and the face's number.
    """
    files = [p for folder in folders for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    read = {p.stem: np.asarray(ImageOps.exif_transpose(PilImage.open(p)).convert("RGB")) for p in files}
    read.update(known or {})
    services, out = Job().services(), {}
    for name, picture in read.items():
        for number, face in enumerate(faces_of(picture.astype(np.float32) / 255, services), 1):
            yaw, pitch, _ = mesh.pose(face.mesh.points)
            if f"{name}.{number}" in without:
                continue
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

    def of(self, picture: NDArray[np.float32], face: Face) -> NDArray[np.float32]:
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
    """What was measured of one run.

    ``to`` and ``off`` are distances to the character and to the scene's person by the second embedding, ``own`` both by
    that of the search; ``seam`` is 1 where the edge is as steep as the scene's own; ``same``: nothing outside changed.
    """

    to: float
    off: float
    own: tuple[float, float]
    seam: float
    same: bool
    seconds: float
    potential: float
    warned: bool
    picture: Picture
    look: dict[str, float]


class Bench:
    """The portraits, and what measures them."""

    def __init__(self, shown: dict[str, Picture], second: Second | None) -> None:
        self.shown, self.job, self.second = shown, Job(), second
        self.services = self.job.services()
        self.faces = {n: faces_of(p.astype(np.float32) / 255, self.services)[0] for n, p in shown.items()}
        self.vectors = {n: self.vector(p, self.faces[n]) for n, p in shown.items()}

    def vector(self, picture: Picture, face: Face) -> NDArray[np.float32]:
        """Return what the second embedding says of a face, or, without one, that of the search."""
        return face.identity if self.second is None else self.second.of(picture.astype(np.float32) / 255, face)

    def pairs(self, count: int) -> list[tuple[str, str]]:
        """Return pairs of faces that are turned about alike; every portrait about equally often."""
        names = list(self.shown)
        poses = {n: np.array(mesh.pose(f.mesh.points)[:2]) for n, f in self.faces.items()}
        apart = min(5, len(names) - 1)  # neighbours are often of one photograph
        every = [(names[i], names[(i + d) % len(names)]) for d in range(apart, len(names)) for i in range(len(names))]
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


def interval(hits: int, of: int) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927), 95 %."""
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return float((middle - half) / (1 + z * z / of)), float((middle + half) / (1 + z * z / of))


def evaluate_reface(folder: Path, consent: str, second: Path | None, count: int, seeds: int) -> str:
    """Put faces of a folder on each other and return what was measured, as Markdown.

    Parameters
    ----------
    folder : Path
        Pictures of adults who consent to that.
    consent : str
        Who states so.
    second : Path or None
        A second embedding in ONNX; None: that of the search judges itself, and the table says so.
    count, seeds : int
        Pairs, and seeds of each.

    Raises
    ------
    InputError
        If fewer than two faces look into the camera.
    """
    shown = pictures([folder])
    bench = Bench(shown, None if second is None else Second(second))
    pairs = bench.pairs(count) if len(shown) > 1 else []
    if not pairs:
        raise InputError(f"{folder} holds {len(shown)} faces that look about into the camera and alike; two are needed")
    found: list[Measured] = []
    by = "the search's own embedding, which judges itself" if second is None else second.stem
    lines = [
        f"| scene | character | seed | to character, by {by} | to scene | seam | outside | s |",
        "| --- " * 8 + "|",
    ]
    for scene, character in pairs:
        for seed in range(seeds):
            one = bench.run(scene, character, RefaceOptions(consent=consent, seed=seed))
            found.append(one)
            lines.append(
                f"| {scene} | {character} | {seed} | {one.to:.3f} | {one.off:.3f} | {one.seam:.2f} | "
                f"{'same' if one.same else 'CHANGED'} | {one.seconds:.1f} |"
            )
    hits = sum(m.to < m.off for m in found)
    low, high = interval(hits, len(found))
    lines += ["", f"Nearer to the character: {hits} of {len(found)} (95 % interval {low:.2f} to {high:.2f})."]
    return "\n".join(lines)
