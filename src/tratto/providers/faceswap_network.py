"""One face in the place of another by published networks, from files of the user's own: inswapper and Ghost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.onnx import OnnxFile, library
from tratto.core.capability import DescriberInfo, FaceMesh
from tratto.core.errors import MissingWeights, OptionError, TrattoError, UnavailableError
from tratto.faces import align
from tratto.faces.points import five, on_template
from tratto.models.files import find_file
from tratto.models.initializers import last_initializer
from tratto.providers.catalogue import Request
from tratto.providers.insightface import FILES, ArcFace, settle_files

Picture = NDArray[np.float32]
#: Pixels of ArcFace's 112 by which inswapper's picture is wider at each side, and nothing above.
BESIDE = 8.0
#: Ghost's five points, as shares of its picture.
GHOST = ((0.35473, 0.45659), (0.64527, 0.45659), (0.5, 0.61154), (0.37913, 0.77688), (0.62087, 0.77688))
#: Share of the network's picture at its edge that is not used.
RIM = 0.02


def _usual(request: Request) -> dict[str, str]:
    usual = {"model": "inswapper_128.onnx" if request.variant == "inswapper" else "ghost_1_256.onnx"}
    usual["recognizer"] = FILES["arcface"]
    if request.variant == "ghost" and request.params.get("converter"):
        usual["converter"] = "arcface_converter_ghost.onnx"
    return usual


def missing(request: Request) -> UnavailableError | None:
    """Return why an engine cannot be used here, or None."""
    other = request.params.get("other") == "yes"
    try:
        for name, file in _usual(request).items():
            find_file(str(request.params.get(name, "")), file, other)
    except TrattoError as e:
        return e if isinstance(e, UnavailableError) else MissingWeights(str(e))
    return None


def settle(request: Request) -> dict[str, Any]:
    """Check the files; they become references that a recipe may keep."""
    return settle_files(request, _usual(request))


def open(request: Request) -> Any:
    """Open an engine."""
    other = request.params.get("other") == "yes"
    files = {n: find_file(str(request.params.get(n, "")), file, other) for n, file in _usual(request).items()}
    kind: Any = Inswapper if request.variant == "inswapper" else Ghost
    return kind(files, int(request.params.get("side", kind.side)))


class _Engine:
    """A network that takes the picture of a face and what tells another one, and gives the picture with that face."""

    side = 0
    provider = ""
    #: The pixels are the network's.
    lays_pixels = False

    def __init__(self, files: dict[str, Any], side: int) -> None:
        self._file = OnnxFile(files["model"].path)
        self._recognizer = ArcFace(files["recognizer"])
        pictures = [name for name, shape in self._file.inputs if len(shape) == 4]
        vectors = [name for name, shape in self._file.inputs if len(shape) == 2]
        if len(pictures) != 1 or len(vectors) != 1 or len(self._file.outputs) != 1:
            tensors = "; ".join(f"{name} {shape}" for name, shape in (*self._file.inputs, *self._file.outputs))
            raise OptionError(f"{files['model'].name} is no {self.provider}: it has {tensors}")
        self._picture, self._vector = pictures[0], vectors[0]
        self._boost = max(1, side // self.side)
        models = tuple(f.model for f in files.values())
        #: Facts about it.
        self.info = DescriberInfo(self.provider, library=library(), models=models, generative=True)

    def swap(self, character: Picture, source: FaceMesh, scene: Picture, target: FaceMesh, stiffness: float) -> Picture:
        """Return the character's face as it would lie in the scene; the network decides about its shape."""
        import cv2

        identity = self._embedding(self._recognizer.raw(character[..., :3], source))
        side = self.side * self._boost
        matrix = align.similarity(five(target.points), self._template(side))
        tile = align.cut(scene, matrix, side)
        made = self._boosted(tile, identity)
        shape = (scene.shape[1], scene.shape[0])
        back = align.inverse(matrix)
        inside = np.zeros((side, side), np.float32)
        rim = max(1, round(RIM * side))
        inside[rim:-rim, rim:-rim] = 1
        out = [
            cv2.warpAffine(
                v, back, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE if wide else cv2.BORDER_CONSTANT
            )
            for v, wide in ((made, True), (inside, False))
        ]
        return np.concatenate([np.clip(out[0], 0, 1), out[1][..., None]], axis=2).astype(np.float32)

    def _boosted(self, tile: Picture, identity: NDArray[np.float32]) -> Picture:
        """Run the network on interleaved pictures, each a pixel of so many, and put them together (pixel boost)."""
        made = np.empty_like(tile)
        for y in range(self._boost):
            for x in range(self._boost):
                part = np.ascontiguousarray(tile[y :: self._boost, x :: self._boost])
                made[y :: self._boost, x :: self._boost] = self._once(part, identity)
        return made

    def _once(self, tile: Picture, identity: NDArray[np.float32]) -> Picture:
        black, white = self._range
        shown = black + (white - black) * tile.transpose(2, 0, 1)[None]
        name = self._file.outputs[0][0]
        out = self._file.run({self._picture: shown.astype(np.float32), self._vector: identity[None]}, [name])[name]
        if out.shape != shown.shape:
            raise OptionError(f"{self.info.models[0].id} gives {out.shape} for a picture of {shown.shape}")
        return np.asarray((out[0].transpose(1, 2, 0) - black) / (white - black), np.float32)

    _range: tuple[float, float] = (0.0, 1.0)

    def _embedding(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        raise NotImplementedError

    def _template(self, side: int) -> NDArray[np.float64]:
        raise NotImplementedError


class Inswapper(_Engine):
    """InsightFace's ``inswapper_128``; see :class:`tratto.core.capability.FaceSwapper`.

    The last constant of its graph is a matrix of 512 x 512 by which the recogniser's vector is turned into what the
    network takes.
    """

    side, provider = 128, "inswapper"

    def __init__(self, files: dict[str, Any], side: int) -> None:
        super().__init__(files, side)
        self._emap = last_initializer(files["model"].path)
        if self._emap.shape != (512, 512):
            raise OptionError(
                f"{files['model'].name} is no inswapper: the last constant of its graph is of {self._emap.shape}, not "
                "of 512 x 512"
            )

    def _embedding(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        latent = (vector / max(float(np.linalg.norm(vector)), 1e-12)) @ self._emap
        return np.asarray(latent / max(float(np.linalg.norm(latent)), 1e-12), np.float32)

    def _template(self, side: int) -> NDArray[np.float64]:
        return on_template(side, BESIDE)


class Ghost(_Engine):
    """Ghost (Groshev et al. 2022, "GHOST — A New Face Swap Approach for Image and Video Domains"), exported to ONNX.

    The vector goes through a converter where one is given, as the exported files want it.
    """

    side, provider = 256, "ghost"
    _range = (-1.0, 1.0)

    def __init__(self, files: dict[str, Any], side: int) -> None:
        super().__init__(files, side)
        self._converter = OnnxFile(files["converter"].path) if "converter" in files else None

    def _embedding(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._converter is None:
            return vector
        name, out = self._converter.inputs[0][0], self._converter.outputs[0][0]
        return self._converter.run({name: vector[None]}, [out])[out].reshape(-1)

    def _template(self, side: int) -> NDArray[np.float64]:
        return (np.array(GHOST) * self.side + 0.5) * (side / self.side) - 0.5
