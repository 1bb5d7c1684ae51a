"""Faces on photographs with hand-marked ones: how many are found, how far off the points are, how long it takes.

``python benchmarks/faces.py DLIB [--pictures FOLDER]``

DLIB is the folder ``examples/faces`` of dlib: photographs (from PASCAL VOC) and two XML files with 68 points for each
face. A face counts as found if one of ours has its middle within half the distance of the outer corners of the eyes.
The error is the mean distance of seven points over that distance. With ``--pictures``, whatever is found in the
pictures of a folder is listed, for looking at, and the nearest faces of different pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps

from tratto.faces.mesh import SEVEN
from tratto.jobs import Job
from tratto.jobs.faces import distance, faces_of

#: The same seven among dlib's 68.
MARKED = (36, 39, 42, 45, 30, 48, 54)


def read(path: Path) -> np.ndarray:
    """Read sRGB, upright, float32 (H, W, 3)."""
    with PilImage.open(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), np.float32) / np.float32(255)


def marked_faces(path: Path) -> list[tuple[str, list[np.ndarray]]]:
    """Return pictures and, of each, the seven points of its faces."""
    out = []
    for image in ET.parse(path).getroot().iter("image"):
        faces = []
        for box in image.iter("box"):
            points = {int(p.get("name", "")): (float(p.get("x", "")), float(p.get("y", ""))) for p in box.iter("part")}
            faces.append(np.array([points[i] for i in MARKED]))
        out.append((Path(image.get("file", "")).name, faces))
    return out


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dlib", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    services = Job().services()
    lines = ["| faces of | marked | found | others found | points, mean | worst | s a megapixel |", "| --- " * 7 + "|"]
    for name in ("testing", "training"):
        errors, marked, others, seconds, pixels = [], 0, 0, 0.0, 0
        for file, faces in marked_faces(given.dlib / f"{name}_with_face_landmarks.xml"):
            picture = read(given.dlib / file)
            start = time.process_time()
            found = faces_of(picture, services)
            seconds, pixels = seconds + time.process_time() - start, pixels + picture.shape[0] * picture.shape[1]
            marked += len(faces)
            met = set()
            for points in faces:
                eyes = float(np.linalg.norm(points[0] - points[3]))
                off = [float(np.linalg.norm(f.mesh.points[list(SEVEN), :2].mean(0) - points.mean(0))) for f in found]
                if off and min(off) < eyes / 2:
                    best = int(np.argmin(off))
                    met.add(best)
                    own = found[best].mesh.points[list(SEVEN), :2]
                    errors.append(float(np.linalg.norm(own - points, axis=1).mean()) / eyes)
            others += len(found) - len(met)
        lines.append(
            f"| {name} | {marked} | {len(errors)} | {others} | {100 * np.mean(errors):.2f} % | "
            f"{100 * max(errors):.1f} % | {1e6 * seconds / pixels:.2f} |"
        )
    if given.pictures is not None:
        lines.append("")
        seen = []
        for path in sorted(p for p in given.pictures.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg")):
            found = faces_of(read(path), services)
            seen += [(f"{path.name} {n}", f) for n, f in enumerate(found, 1)]
            lines.append(f"{path.name}: {', '.join(f'{f.found.score:.2f}' for f in found) or 'none'}")
        for name, face in seen:
            near = sorted((distance(face, f), n) for n, f in seen if n.rsplit(" ", 1)[0] != name.rsplit(" ", 1)[0])
            if near:
                lines.append(f"{name}: nearest {near[0][0]:.2f}, {near[0][1]}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
