"""Faces by networks that ship: where they are, their points, and whose they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import Backend, open_backend
from tratto.core.capability import FaceBox, FaceMesh
from tratto.core.errors import UnavailableError
from tratto.faces import align, mesh
from tratto.faces.windows import best_of, windows
from tratto.models.card import ModelCard
from tratto.providers.catalogue import Request
from tratto.providers.described import NetworkDescriber
from tratto.providers.restorer.network import missing_network

Picture = NDArray[np.float32]
CARDS = {"face": "blazeface-full", "landmarks": "facemesh", "identity": "dlib-face"}
#: Least probability of a face.
LEAST = 0.5
#: Faces of this many pixels are still found: one is at least SEEN pixels wide in the smallest windows.
SMALLEST, SEEN = 20, 12
#: The square that the mesh looks at, as a multiple of the face in it, and how often it looks: the second time at where
#: the first found the face.
AROUND, LOOKS = 1.5, 2
#: Where the seven points (:data:`tratto.faces.mesh.SEVEN`) lie in the picture that tells faces apart: the mean face of
#: dlib, a quarter of its side added all around.
MEAN = (
    *((0.121737, 0.216423), (0.334606, 0.231733), (0.645647, 0.231733), (0.858516, 0.216423)),
    *((0.490127, 0.515625), (0.254149, 0.780233), (0.726104, 0.780233)),
)


def missing(request: Request) -> UnavailableError | None:
    """Return why a network cannot be used here, or None."""
    return missing_network(request, CARDS[request.use.capability])


def open(request: Request) -> Any:
    """Open the network for a capability: ``face``, ``landmarks`` or ``identity``."""
    capability = request.use.capability
    card = request.card(CARDS[capability])
    makers: dict[str, Callable[[ModelCard, Backend], Any]] = {"face": Detector, "landmarks": Mesh, "identity": Identity}
    return makers[capability](card, open_backend(card, request.device, runtime="onnx"))


class _Network(NetworkDescriber):
    """One network that looks at a tile."""

    def _run(self, tile: Picture) -> dict[str, NDArray[Any]]:
        black, white = self._card.value_range
        shown = np.float32(black) + np.float32(white - black) * tile.transpose(2, 0, 1)[None]
        return self._backend.run({self._card.input: np.ascontiguousarray(shown, np.float32)})


class Detector(_Network):
    """Finds faces in windows of 192 pixels; see :class:`tratto.core.capability.FaceDetector`.

    Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", arXiv 1907.05047: for
    each cell of a grid a score, a box and six points, as offsets from the cell's middle.
    """

    provider = "blazeface"

    def find(self, picture: Picture) -> tuple[FaceBox, ...]:
        """Find the faces of a picture, the largest first."""
        import cv2

        side = self._card.tile
        height, width = picture.shape[:2]
        rows = []
        # halved step by step, so that each window is cut from a picture hardly larger than what it shows
        levels = {1: picture}
        for left, top, span in windows(width, height, SMALLEST * side / SEEN):
            down = 1
            while span / (2 * down) >= side:
                down *= 2
                if down not in levels:
                    above = levels[down // 2]
                    size = (max(1, above.shape[1] // 2), max(1, above.shape[0] // 2))
                    levels[down] = np.asarray(cv2.resize(above, size, interpolation=cv2.INTER_AREA), np.float32)
            part = levels[down]
            to_part = np.array([part.shape[1] / width, part.shape[0] / height])
            middle = (np.array([left, top]) + span / 2) * to_part - 0.5
            matrix = align.upright(middle, span * float(to_part.mean()), 0.0, side)
            rows.append(self._seen(align.cut(part, matrix, side, 0.0), (left, top, span)))
        found = np.concatenate(rows)
        inside = (found[:, 0] < width) & (found[:, 1] < height) & (found[:, 2] > 0) & (found[:, 3] > 0)
        found = found[inside]
        kept = found[best_of(found[:, :4], found[:, 8])]
        order = np.argsort(-(kept[:, 2] - kept[:, 0]), kind="stable")
        return tuple(
            FaceBox((r[0], r[1], r[2], r[3]), round(r[8], 4), ((r[4], r[5]), (r[6], r[7])))
            for r in kept[order].tolist()
        )

    def _seen(self, tile: Picture, place: tuple[float, float, float]) -> NDArray[np.float64]:
        """Return what one window shows as rows of box (4), eyes (4) and score, in pixels of the picture."""
        out = self._run(tile)
        logits = np.asarray(out["scores"], np.float64).reshape(-1)
        score = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        cells = round(len(score) ** 0.5)
        at = np.flatnonzero(score >= LEAST)
        values = np.asarray(out[self._card.output], np.float64).reshape(len(score), -1)[at] / self._card.tile
        cell = (np.column_stack([at % cells, at // cells]) + 0.5) / cells
        middle, half = values[:, :2] + cell, values[:, 2:4] / 2
        shares = np.column_stack([middle - half, middle + half, values[:, 4:6] + cell, values[:, 6:8] + cell])
        left, top, span = place
        points = shares * span + np.array([left, top] * 4) - 0.5
        return np.column_stack([points, score[at]])


class Mesh(_Network):
    """Finds the points of a face; see :class:`tratto.core.capability.FaceLandmarker`."""

    provider = "facemesh"

    def find(self, picture: Picture, face: FaceBox) -> FaceMesh:
        """Find the 468 points of one face."""
        side = self._card.tile
        one, other = np.array(face.eyes)
        x0, y0, x1, y1 = face.box
        centre, span = np.array([x0 + x1, y0 + y1]) / 2, max(x1 - x0, y1 - y0)
        points, presence = np.zeros((mesh.POINTS, 3)), 0.0
        for _ in range(LOOKS):
            angle = float(np.arctan2(other[1] - one[1], other[0] - one[0]))
            matrix = align.upright(centre, AROUND * span, angle, side)
            out = self._run(align.cut(picture, matrix, side))
            seen = np.asarray(out[self._card.output], np.float64).reshape(mesh.POINTS, 3)
            # counted from the middle of the first pixel: so a mirrored face has its points mirrored
            points[:, :2] = align.moved(seen[:, :2], align.inverse(matrix))
            points[:, 2] = seen[:, 2] * AROUND * span / side
            presence = float(1 / (1 + np.exp(-np.asarray(out["presence"], np.float64).reshape(-1)[0])))
            low, high = seen[:, :2].min(0), seen[:, :2].max(0)
            centre = align.moved((low + high)[None] / 2, align.inverse(matrix))[0]
            span = float((high - low).max()) * AROUND * span / side
            one, other = points[list(mesh.LEFT_EYE), :2].mean(0), points[list(mesh.RIGHT_EYE), :2].mean(0)
        return FaceMesh(points, round(presence, 4))


class Identity(_Network):
    """Tells faces apart; see :class:`tratto.core.capability.FaceIdentity`.

    The network of dlib (Davis King, 2017): a residual network (He et al. 2016) with 29 layers. Two pictures of one
    person are mostly less than 0.6 apart.
    """

    provider = "dlib"

    def embed(self, picture: Picture, mesh: FaceMesh) -> NDArray[np.float32]:
        """Return a vector of 128 numbers."""
        from tratto.faces.mesh import SEVEN

        side = self._card.tile
        onto = (np.array(MEAN) + 0.25) / 1.5 * side
        chip = align.cut(picture, align.similarity(mesh.points[list(SEVEN), :2], onto), side)
        return np.asarray(self._run(chip)[self._card.output], np.float32).reshape(-1)
