"""Faces by InsightFace's published networks, from files of the user's own: detector, 106 points, and whose they are.

The files are for non-commercial research, and receipts say so. They are looked for where InsightFace keeps them
(``~/.insightface/models``), in ``TRATTO_MODELS``, or where the user says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.onnx import OnnxFile, library
from tratto.core.capability import DescriberInfo, FaceBox, FaceMesh
from tratto.core.errors import MissingWeights, OptionError, TrattoError, UnavailableError
from tratto.faces import align
from tratto.faces.points import MANY, five, on_template
from tratto.faces.windows import best_of
from tratto.models.files import find_file
from tratto.models.folders import ModelFolder
from tratto.providers.catalogue import Request

Picture = NDArray[np.float32]
#: The file of each row.
FILES = {"scrfd": "det_10g.onnx", "2d106": "2d106det.onnx", "arcface": "w600k_r50.onnx"}
#: Least probability of a face, and side of the square that the detector looks at.
LEAST, SIDE = 0.5, 640
STRIDES, ANCHORS = (8, 16, 32), 2


def missing(request: Request) -> UnavailableError | None:
    """Return why a network cannot be used here, or None."""
    try:
        _file(request)
    except (OptionError, UnavailableError) as e:
        return e if isinstance(e, UnavailableError) else MissingWeights(str(e))
    except TrattoError as e:
        return MissingWeights(str(e))
    return None


def settle(request: Request) -> dict[str, Any]:
    """Check the file; it becomes a reference that a recipe may keep."""
    return settle_files(request, {"model": FILES[request.variant]})


def open(request: Request) -> Any:
    """Open a network."""
    found = _file(request)
    makers: dict[str, Any] = {"scrfd": Scrfd, "2d106": Points106, "arcface": ArcFace}
    return makers[request.variant](found)


def _file(request: Request) -> ModelFolder:
    return find_file(str(request.params.get("model", "")), FILES[request.variant], request.params.get("other") == "yes")


def settle_files(request: Request, usual: dict[str, str]) -> dict[str, Any]:
    """Check parameters of which some are files.

    Parameters
    ----------
    request : Request
        Its parameters name files, or nothing where they lie in their usual place.
    usual : dict of str to str
        By parameter, the name under which its file is published.

    Raises
    ------
    OptionError, UnavailableError
        If there is no such parameter, or a file is missing.
    """
    from tratto.providers.catalogue import row_of

    row = row_of(request.use)
    for name, value in request.params.items():
        if name not in row.params:
            raise OptionError(f"{request.provider} has no parameter {name!r}; it takes {', '.join(row.params)}")
        row.params[name].check(request.provider, name, value)
    other = request.params.get("other") == "yes"
    files = {name: find_file(str(request.params.get(name, "")), file, other) for name, file in usual.items()}
    return {**request.params, **{name: file.reference for name, file in files.items()}}


class _Network:
    """One network of a user's file."""

    def __init__(self, found: ModelFolder, provider: str) -> None:
        self._file = OnnxFile(found.path)
        self._input, self._shape = self._file.inputs[0]
        self._outputs = [name for name, _ in self._file.outputs]
        #: Facts about it.
        self.info = DescriberInfo(provider, library=library(), models=(found.model,))

    def _wrong(self, wanted: str) -> OptionError:
        tensors = "; ".join(f"{name} {shape}" for name, shape in (*self._file.inputs, *self._file.outputs))
        return OptionError(f"{self.info.models[0].id} is no {wanted}: it has {tensors}")

    def _run(self, tile: Picture, black: float, white: float) -> dict[str, NDArray[np.float32]]:
        """Run it on a picture ((H, W, 3) in [0, 1]); `black` and `white` are what the network calls these."""
        shown = np.float32(black) + np.float32(white - black) * tile.transpose(2, 0, 1)[None]
        return self._file.run({self._input: np.ascontiguousarray(shown, np.float32)}, self._outputs)


class Scrfd(_Network):
    """Finds faces; see :class:`tratto.core.capability.FaceDetector`.

    Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection", arXiv 2105.04714: at each
    place of three grids two anchors with a score, distances to the four sides of a box, and five points, in strides.
    """

    def __init__(self, found: ModelFolder) -> None:
        super().__init__(found, "scrfd")
        if len(self._outputs) != 3 * len(STRIDES):
            raise self._wrong("face detector of nine outputs")

    def find(self, picture: Picture) -> tuple[FaceBox, ...]:
        """Find the faces of a picture, the largest first."""
        height, width = picture.shape[:2]
        scale = SIDE / max(height, width)
        matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
        # below and beside the picture there is nothing, which is black
        out = self._run(align.cut(picture, matrix, SIDE, 0.0), -127.5 / 128, 127.5 / 128)
        values = [np.asarray(out[name], np.float64) for name in self._outputs]
        rows = []
        for k, stride in enumerate(STRIDES):
            cells = SIDE // stride
            score, sides, points = (
                values[k + len(STRIDES) * part].reshape(cells * cells * ANCHORS, -1) for part in range(3)
            )
            if (score.shape[1], sides.shape[1], points.shape[1]) != (1, 4, 10):
                raise self._wrong("face detector with five points")
            at = np.flatnonzero(score[:, 0] >= LEAST)
            place = at // ANCHORS
            middle = np.column_stack([place % cells, place // cells]) * stride
            low, high = middle - sides[at, :2] * stride, middle + sides[at, 2:] * stride
            five_of = (middle[:, None] + points[at].reshape(-1, 5, 2) * stride).reshape(-1, 10)
            rows.append(np.column_stack([low, high, five_of[:, :4], score[at, 0]]))
        found = np.concatenate(rows)
        found[:, :8] = (found[:, :8] - (scale - 1) / 2) / scale
        kept = found[best_of(found[:, :4], found[:, 8], 0.4)]
        order = np.argsort(-(kept[:, 2] - kept[:, 0]), kind="stable")
        return tuple(
            FaceBox((r[0], r[1], r[2], r[3]), round(r[8], 4), ((r[4], r[5]), (r[6], r[7])))
            for r in kept[order].tolist()
        )


class Points106(_Network):
    """Finds 106 points of a face in the plane; see :class:`tratto.core.capability.FaceLandmarker`.

    What it finds has no depth, and is in another scheme than the mesh (:mod:`tratto.faces.points`).
    """

    def __init__(self, found: ModelFolder) -> None:
        super().__init__(found, "2d106")
        self._side = int(self._shape[2]) if isinstance(self._shape[2], int) else 192

    def find(self, picture: Picture, face: FaceBox) -> FaceMesh:
        """Find the points of one face."""
        x0, y0, x1, y1 = face.box
        matrix = align.upright(np.array([x0 + x1, y0 + y1]) / 2, 1.5 * max(x1 - x0, y1 - y0), 0.0, self._side)
        out = np.asarray(
            self._run(align.cut(picture, matrix, self._side, 0.0), 0.0, 255.0)[self._outputs[0]], np.float64
        )
        if out.size != 2 * MANY:
            raise self._wrong(f"network of {MANY} points")
        seen = (out.reshape(MANY, 2) + 1) * (self._side / 2)
        points = align.moved(seen, align.inverse(matrix))
        return FaceMesh(np.column_stack([points, np.zeros(MANY)]), face.score)


class ArcFace(_Network):
    """Tells faces apart by 512 numbers; see :class:`tratto.core.capability.FaceIdentity`."""

    def __init__(self, found: ModelFolder) -> None:
        super().__init__(found, "arcface")

    def embed(self, picture: Picture, mesh: FaceMesh) -> NDArray[np.float32]:
        """Return a vector of length 1."""
        vector = self.raw(picture, mesh)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)

    def raw(self, picture: Picture, mesh: FaceMesh) -> NDArray[np.float32]:
        """Return the vector as the network gives it."""
        chip = align.cut(picture, align.similarity(five(mesh.points), on_template(112)), 112)
        out = np.asarray(self._run(chip, -1.0, 1.0)[self._outputs[0]], np.float32).reshape(-1)
        if out.size != 512:
            raise self._wrong("ArcFace network of 512 numbers")
        return out
