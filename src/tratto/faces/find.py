"""Faces of a picture: where, how turned, and how far from each other in what tells people apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import FaceBox, FaceDetector, FaceIdentity, FaceLandmarker, FaceMesh, Use
from tratto.core.services import Services
from tratto.faces import mesh
from tratto.faces.points import five

#: Where the detector's score is below CONFIDENT, the mesh has to see a face, too: with at least this probability.
CONFIDENT, PRESENT = 0.85, 0.5
#: Names of the angles of a pose, and of five points.
POSE, FIVE = ("yaw", "pitch", "roll"), ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")


@dataclass(frozen=True)
class Networks:
    """Who finds faces, their points, and tells them apart.

    Attributes
    ----------
    face, landmarks, identity : Use
        Provider of each of the three, ``auto`` by default.

    Examples
    --------
    >>> Networks().face.provider, Networks.insightface("buffalo_l").face.provider
    ('auto', 'scrfd')
    """

    face: Use[FaceDetector] = field(default_factory=lambda: Use("face"))
    landmarks: Use[FaceLandmarker] = field(default_factory=lambda: Use("landmarks"))
    identity: Use[FaceIdentity] = field(default_factory=lambda: Use("identity"))

    @classmethod
    def insightface(cls, folder: str = "", other: bool = False) -> Networks:
        """Return InsightFace's, from a folder of buffalo_l or from where it keeps them."""
        params = ({"model": folder} if folder else {}) | ({"other": "yes"} if other else {})
        return cls(Use("face", "scrfd", params), Use("landmarks", "2d106", params), Use("identity", "arcface", params))


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a picture.

    Attributes
    ----------
    found : FaceBox
        Where it is.
    mesh : FaceMesh
        Its points.
    identity : (128,) or (512,) float32
        For :func:`distance` only; it is not shown, printed or written.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [9.0, 9.0]]).repeat(53, axis=0)
    >>> face = Face(FaceBox((0, 0, 9, 9), 0.9, ((2, 3), (7, 3))), FaceMesh(points, 1.0), np.zeros(128, np.float32))
    >>> face
    Face(box=(0, 0, 9, 9), score=0.9)
    """

    found: FaceBox
    mesh: FaceMesh
    identity: NDArray[np.float32]

    def __repr__(self) -> str:
        """Without what tells the person."""
        return f"Face(box={tuple(round(v, 1) for v in self.found.box)}, score={self.found.score})"

    def to_json(self, points: bool = False) -> dict[str, Any]:
        """Return what may be told of it: box, score, pose, seven points, or with `points` all of them."""
        x0, y0, x1, y1 = (round(v, 1) for v in self.found.box)
        rounded = self.mesh.points.round(1)
        pose: tuple[float | None, ...]
        if len(rounded) == mesh.POINTS:
            pose, few = mesh.pose(self.mesh.points), {str(i): rounded[i, :2].tolist() for i in mesh.SEVEN}
        else:  # points without depth tell only how it leans
            seen = five(self.mesh.points)
            pose = (None, None, float(np.degrees(np.arctan2(*(seen[1] - seen[0])[::-1]))))
            few = dict(zip(FIVE, seen.round(1).tolist(), strict=True))
        return {
            "box": [x0, y0, x1, y1],
            "score": self.found.score,
            "presence": self.mesh.presence,
            "pose": {n: None if v is None else round(v, 1) for n, v in zip(POSE, pose, strict=True)},
            "points": rounded.tolist() if points else few,
        }


def distance(one: Face, other: Face) -> float:
    """Return how far apart two faces are; of one person mostly below 0.6.

    Examples
    --------
    >>> points = np.zeros((106, 2))
    >>> where = FaceBox((0, 0, 9, 9), 0.9, ((2, 3), (7, 3))), FaceMesh(points, 1.0)
    >>> one, other = (Face(*where, np.float32(v)) for v in ([1, 0], [0.8, 0.6]))
    >>> round(distance(one, other), 3)
    0.632
    """
    return float(np.linalg.norm(one.identity.astype(np.float64) - other.identity))


def faces_of(picture: NDArray[np.float32], services: Services, networks: Networks | None = None) -> tuple[Face, ...]:
    """Find the faces of a picture, the largest first; none is an answer.

    Parameters
    ----------
    picture : (H, W, 3) float32 in [0, 1]
        Encoded sRGB, upright.
    services : Services
        Lends the networks.
    networks : Networks or None
        None: those that ship.

    Examples
    --------
    >>> from tratto.jobs.job import Job
    >>> faces_of(np.full((64, 64, 3), 0.5, np.float32), Job().services())  # a plain wall
    ()
    """
    by = networks or Networks()
    detector = services.open(services.settle(by.face))
    landmarks = services.open(services.settle(by.landmarks))
    identity = services.open(services.settle(by.identity))
    found = []
    for box in detector.find(picture):
        seen = landmarks.find(picture, box)
        if box.score >= CONFIDENT or seen.presence >= PRESENT:
            found.append(Face(box, seen, identity.embed(picture, seen)))
    return tuple(found)


def distances(faces: Sequence[Face], others: Sequence[Face]) -> list[list[float]]:
    """Return a row for each face: its distance to each of the others, rounded.

    Examples
    --------
    >>> points = np.zeros((106, 2))
    >>> where = FaceBox((0, 0, 9, 9), 0.9, ((2, 3), (7, 3))), FaceMesh(points, 1.0)
    >>> one, other = (Face(*where, np.float32(v)) for v in ([1, 0], [0.8, 0.6]))
    >>> distances([one], [one, other])
    [[0.0, 0.632]]
    """
    return [[round(distance(a, b), 3) for b in others] for a in faces]
