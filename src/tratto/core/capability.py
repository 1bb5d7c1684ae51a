"""Small protocols of what providers can do, so that steps and engine know them without knowing the providers.

What a step needs it states as a :class:`Use`; who can do it stands in ``tratto.providers.catalogue``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Depth, Image

if TYPE_CHECKING:
    from tratto.core.inspection import Inspection, Opinion

T = TypeVar("T")


@dataclass(frozen=True)
class Use(Generic[T]):
    """What a step needs of somebody else: a capability, by whom, and how. ``T`` is the capability's protocol.

    Attributes
    ----------
    capability : str
        A key of ``tratto.providers.catalogue.CATALOGUE``, such as ``"restorer"``.
    provider : str
        A name there, or ``"auto"``: the first that is ready here and invents nothing.
    params : mapping
        Parameters of the provider, JSON-able.
    scale : int
        Output side / input side.
    fast : bool
        Lower precision allowed.

    Examples
    --------
    >>> Use("restorer", "nlm", {"sigma": 12}).key()
    '["restorer","nlm",{"sigma":12},1,false]'
    """

    capability: str
    provider: str = "auto"
    params: Mapping[str, Any] = field(default_factory=dict)
    scale: int = 1
    fast: bool = False

    def key(self) -> str:
        """Return a text that is equal for equal uses."""
        parts = [self.capability, self.provider, dict(self.params), self.scale, self.fast]
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)


@dataclass(frozen=True)
class ModelRef:
    """Which weights were used: the part of a model card that a receipt keeps."""

    id: str
    sha256: str
    licence: str
    commercial_use: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {"id": self.id, "sha256": self.sha256, "licence": self.licence, "commercial_use": self.commercial_use}


@dataclass(frozen=True)
class ProviderInfo:
    """What is known of every opened provider, whatever its capability.

    Attributes
    ----------
    provider : str
        Name in the catalogue.
    precision : str
        ``"fp32"``, ``"bf16"``, ``"fp16"``, ``"fp64"``, ``"uint8"``.
    library : str
        Name and version of what runs it, such as ``"onnxruntime 1.20.0"``.
    models : tuple of ModelRef
        Weights in use; empty for classical methods.
    stand_in : str
        Not empty when it is a modest stand-in for a full-size provider: says for what.
    generative : bool
        True if it may invent detail (GAN, diffusion); refused by forensic mode.
    megapixels_per_second : float
        Input megapixels per second on two cores; for estimates of time only.
    """

    provider: str
    _: KW_ONLY
    precision: str = "fp32"
    library: str = ""
    models: tuple[ModelRef, ...] = ()
    stand_in: str = ""
    generative: bool = False
    megapixels_per_second: float = 1.0


@dataclass(frozen=True)
class RestorerInfo(ProviderInfo):
    """What a caller must know to run a restorer on tiles.

    Attributes
    ----------
    scale : int
        Output side / input side: 1, 2, 3 or 4.
    tile : int
        Preferred tile side at the input, in pixels, overlap included.
    overlap : int
        Input pixels on each side of a tile that must be discarded or blended: at least the receptive field radius for
        seams to vanish exactly.
    multiple : int
        Tile sides must be multiples of this.
    border : int or None
        Reflected input pixels wanted around the picture itself; None = as many as ``overlap``.
    has_sigma : bool
        True if it predicts its own error.
    params : dict
        As asked for.
    """

    scale: int
    tile: int
    overlap: int
    multiple: int = 1
    border: int | None = None
    has_sigma: bool = False
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RestoredTile:
    """What a restorer returns for one tile.

    Attributes
    ----------
    image : (h * scale, w * scale, 3) float32
        RGB, nominally [0, 1], not clipped.
    sigma : (h * scale, w * scale) float32 or None
        Expected one-sigma error per pixel (RMS over the channels), same unit as ``image``.
    """

    image: NDArray[np.float32]
    sigma: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class InpainterInfo(ProviderInfo):
    """What a caller must know to run an inpainter.

    Attributes
    ----------
    context : int
        Known pixels around a hole that can matter; 0 = all that it is shown (it looks for texture to copy).
    channels : int
        How many channels it takes at once; 0 = any number.
    has_sigma : bool
        True if it predicts its own error.
    generative : bool
        True: whoever fills a hole puts in what was not there.
    """

    context: int
    channels: int = 0
    has_sigma: bool = False
    generative: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, eq=False)
class Filled:
    """What an inpainter returns.

    Attributes
    ----------
    image : (h, w, C) float32
        Equal to what came in outside the holes; not clipped inside.
    sigma : (h, w) float32 or None
        Expected one-sigma error in the holes (RMS over the channels), same unit as ``image``.
    """

    image: NDArray[np.float32]
    sigma: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class DescriberInfo(ProviderInfo):
    """Facts about a provider that looks at a picture and says something of it, but changes no pixel."""

    megapixels_per_second: float = field(default=4.0, kw_only=True)


class Describer(Protocol):
    """Whoever looks at a picture and says something of it."""

    @property
    def info(self) -> DescriberInfo:
        """Facts about it."""


@runtime_checkable
class ViewMaker(Describer, Protocol):
    """Makes views of an object from around out of one picture of it; they show what never was seen."""

    def make(
        self, picture: NDArray[np.float32], elevation: float, seed: int, progress: Callable[[int, int], None]
    ) -> tuple[Any, ...]:
        """Make views.

        Parameters
        ----------
        picture : (H, W, 4) float32 in [0, 1]
            Encoded sRGB, upright; alpha says where the object is.
        elevation : float
            Degrees that its camera stands above the horizon.
        seed : int
            Equal seeds give equal views on one machine.
        progress : callable
            ``progress(done, total)``; raising stops.

        Returns
        -------
        tuple of tratto.scene.views.View
            With alpha; the camera of the picture itself stands at -z of their world, at its elevation.
        """


@runtime_checkable
class Enhancer(Describer, Protocol):
    """Goes over a picture by its depth and puts in detail that was not there."""

    def enhance(
        self, picture: NDArray[np.float32], depth: NDArray[np.float32], strength: float, seed: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Enhance a picture.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB.
        depth : (H, W) float32 in [0, 1]
            1 is near.
        strength : float
            Share of the way to noise, (0, 1].
        seed : int
            Equal seeds give equal pictures on one machine.
        progress : callable or None
            ``progress(done, total)``; raising stops.

        Returns
        -------
        (H, W, 3) float32 in [0, 1]
            Encoded sRGB, of the same size.
        """


@runtime_checkable
class Rasterizer(Protocol):
    """Renders Gaussians and carries gradients back; the contract is :class:`tratto.scene.rasterize.Draws`."""

    @property
    def info(self) -> DescriberInfo:
        """Facts about it."""

    def render(self, scene: Any, camera: Any, background: Any, constants: Any) -> Any:
        """Render a scene; see :func:`tratto.scene.rasterize.render`."""

    def backward(self, rendered: Any, color: Any, depth: Any = None, alpha: Any = None) -> Any:
        """Carry a gradient back; see :func:`tratto.scene.rasterize.backward`."""


@runtime_checkable
class Captioner(Describer, Protocol):
    """Says in words what a picture shows."""

    def caption(self, picture: NDArray[np.float32], damaged: float | None = None) -> str:
        """Describe a picture.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB.
        damaged : float or None
            Share of it that is marked as damaged; None: not known.
        """


@runtime_checkable
class DepthEstimator(Describer, Protocol):
    """Estimates how far away what a picture shows is."""

    def estimate(self, picture: NDArray[np.float32]) -> Depth:
        """Estimate the depth of a picture.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB.

        Returns
        -------
        Depth
            Of the picture's size, with unit and direction stated.
        """


@dataclass(frozen=True, eq=False)
class Structure:
    """Edges and straight lines of a picture.

    Attributes
    ----------
    edges : (H, W) bool
        Where brightness or colour changes from one thing to the next.
    lines : (N, 4) float32
        x, y of both ends, in pixels, the centre of the first pixel at 0; longest first.
    """

    edges: NDArray[np.bool_]
    lines: NDArray[np.float32]


@runtime_checkable
class StructureDetector(Describer, Protocol):
    """Finds edges and straight lines."""

    def find(self, picture: NDArray[np.float32]) -> Structure:
        """Find the structure of a picture.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB.
        """


@runtime_checkable
class DamageDetector(Describer, Protocol):
    """Says where a picture is damaged: a probability for each class and pixel."""

    def find(self, picture: NDArray[np.float32], kinds: Sequence[str] = ()) -> Mapping[str, NDArray[np.float32]]:
        """Look for damage.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB, upright.
        kinds : sequence of str
            Classes that the picture is known to have; it has no others then. Empty: not known.

        Returns
        -------
        mapping of str to (H, W) float32 in [0, 1]
            By class.
        """

    def sizes(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """Return the sizes (width, height) at which a picture of that size is looked at."""


@runtime_checkable
class DegradationEstimator(Describer, Protocol):
    """Reads how much noise, grain and blur a picture has."""

    def opinion(self, image: Image, inspection: Inspection) -> Opinion:
        """Judge a picture, knowing its classical estimates.

        Raises
        ------
        UnavailableError
            If it is no picture that can be judged.
        """


@runtime_checkable
class WallDetector(Describer, Protocol):
    """Finds the wall that points lie on."""

    def find(self, picture: NDArray[np.float32], prompt: WallPrompt) -> NDArray[np.float32]:
        """Find a wall.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB.
        prompt : WallPrompt
            In pixels of ``picture``.

        Returns
        -------
        (H, W) float32 in [0, 1]
            How much of each pixel is wall.
        """


@runtime_checkable
class BackgroundRemover(Describer, Protocol):
    """Tells an object from what it stands before."""

    def cover(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Find the object.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB, upright.

        Returns
        -------
        (H, W) float32 in [0, 1]
            Probability that a pixel shows the object; its edge may be rough.
        """


@runtime_checkable
class ShellTeller(Describer, Protocol):
    """Tells the two-layer shell of an object from one picture of it."""

    def tell(self, square: NDArray[np.float32]) -> Any:
        """Tell a :class:`tratto.scene.shell.Shell`.

        Parameters
        ----------
        square : (128, 128, 4) float32
            See :func:`tratto.scene.shell.network_input`.
        """


@dataclass(frozen=True, eq=False)
class WallPrompt:
    """Where a wall is and is not.

    Attributes
    ----------
    points, others : tuple of (x, y)
        On the wall; on other things.
    box : (x0, y0, x1, y1) or None
        Around the wall; not every detector takes one.
    drawn, drawn_others : (H, W) bool or None
        Strokes on the wall, on other things; likewise.
    """

    points: tuple[tuple[float, float], ...] = ()
    others: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None
    drawn: NDArray[np.bool_] | None = None
    drawn_others: NDArray[np.bool_] | None = None


@runtime_checkable
class Scorer(Describer, Protocol):
    """Says what pictures and words mean, as vectors of length 1 whose product is their likeness."""

    def embed(self, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the meaning of pictures ((H, W, 3) float32 in [0, 1]) as (N, D) float32."""

    def embed_words(self, words: str) -> NDArray[np.float32]:
        """Return the meaning of words as (D,) float32."""


@dataclass(frozen=True, eq=False)
class FaceBox:
    """Where a face is.

    Attributes
    ----------
    box : (x0, y0, x1, y1)
        Around eyes, nose and mouth, in pixels, the first pixel's centre at 0.
    score : float
        Probability that it is a face.
    eyes : ((x, y), (x, y))
        The one at the left of the upright face in the picture, and the other.
    """

    box: tuple[float, float, float, float]
    score: float
    eyes: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """Points of a face.

    Attributes
    ----------
    points : (468, 3) float64
        x, y and depth in pixels of the picture; see :mod:`tratto.faces.mesh`.
    presence : float
        Probability that there is a face at all.
    """

    points: NDArray[np.float64]
    presence: float


@runtime_checkable
class FaceDetector(Describer, Protocol):
    """Finds faces."""

    def find(self, picture: NDArray[np.float32]) -> tuple[FaceBox, ...]:
        """Find the faces of a picture, the largest first.

        Parameters
        ----------
        picture : (H, W, 3) float32 in [0, 1]
            Encoded sRGB, upright.
        """


@runtime_checkable
class FaceLandmarker(Describer, Protocol):
    """Finds the points of a face."""

    def find(self, picture: NDArray[np.float32], face: FaceBox) -> FaceMesh:
        """Find the points of one face of a picture ((H, W, 3) float32 in [0, 1], encoded sRGB)."""


@runtime_checkable
class FaceIdentity(Describer, Protocol):
    """Tells faces apart. What it says of one face alone is never written anywhere; only distances are."""

    def embed(self, picture: NDArray[np.float32], mesh: FaceMesh) -> NDArray[np.float32]:
        """Return a vector whose Euclidean distance to another's is small where both show the same person."""


#: What stands in a sum for a score that is missing.
NEUTRAL = 5.0


@dataclass(frozen=True)
class Score:
    """What a judge says, from 0 to 10.

    Attributes
    ----------
    value : float or None
        More is better; None: it is *missing*, the judge could not say.
    numbers : mapping of str to float
        What it was made of.
    why : str
        Why it is missing.
    """

    value: float | None
    numbers: Mapping[str, float] = field(default_factory=dict)
    why: str = ""

    @property
    def missing(self) -> bool:
        """Whether the judge could not say."""
        return self.value is None

    @property
    def counted(self) -> float:
        """What goes into a sum."""
        return NEUTRAL if self.value is None else self.value


@dataclass(frozen=True, eq=False)
class FaceTrial:
    """A face in a scene for which candidates are judged.

    Attributes
    ----------
    scene : (H, W, 3) float32 in [0, 1]
        The face that is there, cut out with its surroundings, encoded sRGB.
    points : (468, 3) array
        Its points.
    may : (H, W) float32
        Where it may change: 1, or 0.
    somebody : bool
        False where there was no face, and the points are only where one is laid.
    characters : sequence of (picture, FaceMesh)
        Whose face it is to be.
    """

    scene: NDArray[np.float32]
    points: NDArray[np.float64]
    may: NDArray[np.float32]
    somebody: bool
    characters: Sequence[tuple[NDArray[np.float32], FaceMesh]]


@runtime_checkable
class FaceJudge(Describer, Protocol):
    """Says how good a face in the place of another is, in one respect.

    What it says counts as *missing* where it cannot say, for whatever reason: it never raises for a single picture.
    """

    @property
    def scores(self) -> str:
        """Which respect: ``"identity"``, ``"realism"`` or ``"consistency"``."""

    def about(self, trial: FaceTrial) -> Callable[[NDArray[np.float32], NDArray[np.float32]], Score]:
        """Return what judges candidates of one trial; safe in several threads.

        Its arguments are a picture ((H, W, 3) float32, of the scene's size) and how much of each pixel is the new face
        ((H, W) float32).
        """


@runtime_checkable
class FaceRefiner(Describer, Protocol):
    """Paints a face that was put in anew from noise of less than all, so that it fits; it invents what it paints."""

    @property
    def strength(self) -> float:
        """Share of the way to noise at which a first refinement starts."""

    def refine(
        self, picture: NDArray[np.float32], mask: NDArray[np.float32], strength: float, seed: int
    ) -> NDArray[np.float32]:
        """Refine a picture ((H, W, 3) float32 in [0, 1]) where a mask ((H, W) float32) is above 0; equal elsewhere."""


@runtime_checkable
class FaceSwapper(Describer, Protocol):
    """Puts one face in the place of another; colour, light and edge are fitted by who asks for it."""

    @property
    def lays_pixels(self) -> bool:
        """Whether the character's own pixels are laid on the scene, so that what is beside the face may not come along.

        Else the picture is only looked at, and wanted as it is.
        """

    def swap(
        self,
        character: NDArray[np.float32],
        source: FaceMesh,
        scene: NDArray[np.float32],
        target: FaceMesh,
        stiffness: float,
    ) -> NDArray[np.float32]:
        """Return the character's face as it would lie in the scene.

        Parameters
        ----------
        character : (H, W, 4) float32 in [0, 1]
            Encoded sRGB, turned and scaled to lie about where the scene's face is; last, whether a pixel shows the
            character's face (1) or what lies in front of it (0).
        source : FaceMesh
            Its points.
        scene : (H, W, 3) float32 in [0, 1]
            The face that is there, cut out.
        target : FaceMesh
            Its points.
        stiffness : float
            From 0, the scene's shape, to 1, the character's own; who knows no shape leaves it aside.

        Returns
        -------
        (H, W, 4) float32 in [0, 1]
            Of the scene's size.
        """


@runtime_checkable
class Inpainter(Protocol):
    """Fills holes. What it puts there was never in the picture. Deterministic for equal input on one machine."""

    @property
    def info(self) -> InpainterInfo:
        """Facts about this inpainter."""

    def fill(self, picture: NDArray[np.float32], hole: NDArray[np.bool_], seed: int = 0) -> Filled:
        """Fill the holes of a window.

        Parameters
        ----------
        picture : (h, w, C) float32 in [0, 1]
            What the holes hold must not matter.
        hole : (h, w) bool
            True where unknown.
        seed : int
            Of everything random.
        """


@runtime_checkable
class Restorer(Protocol):
    """Removes degradation and / or enlarges, tile by tile. Deterministic for equal input on one machine."""

    @property
    def info(self) -> RestorerInfo:
        """Facts about this restorer."""

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Restore one tile.

        Parameters
        ----------
        tile : (h, w, 3) float32 in [0, 1]
            h and w are multiples of ``info.multiple``.
        noise_sigma : float or None
            Noise level in 1/255 for providers that take one; None = blind.
        """
