"""The catalogue: every capability, and who can do it. Nothing of a provider is imported before it is asked for.

To add a provider: write a module with ``missing(request)`` and ``open(request)`` (and ``settle(request)`` where its
parameters need more than a look at the row), and add a row here. To add a capability: a protocol in
:mod:`tratto.core.capability` and a row of rows here. ``tests/contracts`` say what each must keep.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, cast

from tratto.core.capability import Use
from tratto.core.errors import OptionError, UnavailableError
from tratto.models.card import ModelCard
from tratto.models.store import get_card

T = TypeVar("T")
AUTO = "auto"


@dataclass(frozen=True)
class Param:
    """A parameter that a provider takes.

    Attributes
    ----------
    choices : tuple
        The values allowed; empty: any of its kind.
    kind : str
        ``"number"``, ``"text"``, or ``"path"``: of a file or folder on this machine, never taken from a network.
    low, high : float
        Of a number.
    about : str
        One line.
    """

    choices: tuple[Any, ...] = ()
    kind: str = "number"
    low: float = 0.0
    high: float = 255.0
    about: str = ""

    def check(self, provider: str, name: str, value: Any) -> None:
        """Raise OptionError unless a value is one that is taken."""
        if self.choices:
            if isinstance(value, bool) or value not in self.choices:
                raise OptionError(
                    f"{provider}: {name} must be one of {', '.join(map(str, self.choices))}; got {value!r}"
                )
        elif self.kind == "number":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not self.low <= value <= self.high:
                raise OptionError(
                    f"{provider}: {name} must be a number from {self.low:g} to {self.high:g}, got {value!r}"
                )
        elif not isinstance(value, str) or not value:
            raise OptionError(f"{provider}: {name} must be a {self.kind}, got {value!r}")


@dataclass(frozen=True)
class Row:
    """One provider of a capability.

    Attributes
    ----------
    module : str
        Where ``missing`` and ``open`` are.
    about : str
        One line for lists.
    params : mapping of str to Param
        What it takes.
    scales : tuple of int
        Output side / input side that it offers.
    auto : bool
        Whether ``auto`` tries it, in the order of the rows. Never one that invents detail or sends a picture away.
    variant : str
        Handed to the module where one serves several rows; empty: the row's name.
    generative : bool
        True if it may invent detail.
    stand_in : str
        For what it stands in, where it does.
    settles : bool
        True if its module checks and completes the parameters itself (``settle``), such as folders of weights.
    drawings : bool
        True if it was made for drawings: it makes photographs into what drawings look like, so that forensic mode
        refuses it.
    sends : bool
        True if it sends pictures to another machine: named by the user, never tried by ``auto``, and offered over HTTP
        only by a server whose owner named it.
    weight : int
        How much of the pool's bound it takes, opened: 1 for small networks, more for those of gigabytes.
    twin : str
        The provider whose networks it runs in another way: where the fastest is asked for, ``auto`` measures both.
    """

    module: str
    about: str
    params: Mapping[str, Param] = field(default_factory=dict)
    scales: tuple[int, ...] = (1,)
    auto: bool = False
    variant: str = ""
    generative: bool = False
    stand_in: str = ""
    settles: bool = False
    drawings: bool = False
    sends: bool = False
    weight: int = 1
    twin: str = ""


@dataclass(frozen=True)
class Request:
    """What a provider's module is asked for.

    Attributes
    ----------
    use : Use
        Its provider is named.
    variant : str
        Of the row, or its name.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    pins : mapping of str to str
        Ids of models to the SHA-256 that they must have: weights that were superseded are opened by it.
    """

    use: Use[Any]
    variant: str = ""
    device: str = "auto"
    pins: Mapping[str, str] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        """Its name in the catalogue."""
        return self.use.provider

    @property
    def params(self) -> Mapping[str, Any]:
        """Parameters of the provider."""
        return self.use.params

    @property
    def scale(self) -> int:
        """Output side / input side."""
        return self.use.scale

    @property
    def fast(self) -> bool:
        """Whether lower precision is allowed."""
        return self.use.fast

    def card(self, card_id: str) -> ModelCard:
        """Return a model's card: the present one, or the one with the weights that are asked for."""
        return get_card(card_id, self.pins.get(card_id, ""))


class _Module(Protocol):
    def missing(self, request: Request) -> UnavailableError | None: ...

    def open(self, request: Request) -> Any: ...

    def settle(self, request: Request) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Availability:
    """Whether a provider can be used here.

    Attributes
    ----------
    capability, name : str
        Key of the catalogue, and name of the row.
    scales : tuple of int
        All that it offers.
    available : bool
        True if at least one of them is ready.
    ready : tuple of int
        Scales that are ready.
    auto : bool
        Whether ``auto`` tries it.
    generative : bool
        Whether it may invent detail.
    about, stand_in, why_not, fix : str
        One line; for what it stands in; why some scale is not ready and the command that would change that, both empty
        when all are.
    """

    capability: str
    name: str
    scales: tuple[int, ...]
    available: bool
    ready: tuple[int, ...]
    auto: bool
    generative: bool
    about: str
    stand_in: str
    why_not: str
    fix: str


#: What one provider of each capability is called in messages; also the list of capabilities.
NOUNS = {
    "restorer": "restorer",
    "inpainter": "inpainter",
    "captioner": "captioner",
    "depth": "depth estimator",
    "enhancer": "enhancer",
    "views": "maker of views",
    "rasterizer": "rasterizer",
    "structure": "detector of edges and lines",
    "damage": "damage detector",
    "estimator": "degradation estimator",
    "wall": "wall detector",
    "scorer": "scorer",
    "face": "face detector",
    "landmarks": "detector of a face's points",
    "identity": "teller of faces",
    "face-swap": "face engine",
    "face-refiner": "refiner of faces",
    "face-judge": "judge of faces",
    "shell": "teller of shapes",
    "background": "background remover",
}

_P = "tratto.providers."
_R = _P + "restorer."
_I = _P + "inpainter."
#: At x1: the network for noise or the one for JPEG artefacts; ``restore`` chooses by what the inspection found.
_OWN = {"network": Param(("noise", "real", "jpeg"))}
_BY_OCTAVE = {f"noise{n}": Param(about=f"noise at {n} pixels, of 255") for n in (1, 2, 4, 8)}
#: Parameters for the noise by octave.
NOISE = tuple(_BY_OCTAVE)
_FOLDER = Param(kind="path", about="folder in the published layout")
#: Of what makes views by taking noise away.
_DIFFUSES = {
    "model": _FOLDER,
    "steps": Param(low=1, high=1000, about="steps in which noise is taken away"),
    "guidance": Param(low=1, high=50, about="weight of the picture; 1 is none"),
}
_DIFFUSION = {"model": _FOLDER}  # and many more: settle() of its module knows them
_FILE = Param(kind="path", about="the .onnx file, or the folder that holds it")
_OTHER = Param(("yes", "no"), about="yes: another file than the published one may have its name")
_REMOTE = {
    "models": Param(kind="text", about="names of models, the first that is there is asked: one,other"),
    "url": Param(kind="text", about="of the service; https, or http on this machine"),
    "timeout": Param(low=0.1, high=600, about="seconds for one answer"),
}


def _insightface(about: str) -> Row:
    return Row(_P + "insightface", about, {"model": _FILE, "other": _OTHER}, settles=True)


CATALOGUE: dict[str, dict[str, Row]] = {
    "restorer": {
        "span": Row(_R + "span", "SPAN, enlarges without inventing; ONNX Runtime, fp32", scales=(2, 4), auto=True),
        "tratto": Row(
            _R + "tratto", "our own networks, ONNX Runtime, fp32", _OWN, (1, 2, 4), auto=True, variant="onnx"
        ),
        "tratto-openvino": Row(
            _R + "tratto",
            "our own networks, OpenVINO, fp32 (bf16 with --fast)",
            _OWN,
            (1, 2, 4),
            variant="openvino",
            twin="tratto",
        ),
        "span-sharp": Row(
            _R + "span",
            "SPAN trained on for likeness and against a critic: sharper, invents detail",
            scales=(4,),
            generative=True,
        ),
        "nlm": Row(_R + "nlm", "non-local means of OpenCV, 8 bit", {"sigma": Param()}, auto=True),
        "dct": Row(
            _R + "dct",
            "takes noise off brightness in the frequencies it has, coarse grain too",
            _BY_OCTAVE,
        ),
        "wiener": Row(_R + "wiener", "one linear filter that takes back mild blur", {"blur": Param(), **_BY_OCTAVE}),
        "bicubic": Row(_R + "kernel", "interpolation, Keys' cubic", scales=(2, 4), auto=True),
        "lanczos": Row(_R + "kernel", "interpolation, Lanczos with three lobes", scales=(2, 4)),
        "waifu2x": Row(
            _R + "waifu2x",
            "waifu2x through ncnn, made for drawings: noise level 0-3 at x1, 'none' too at x2",
            {"noise": Param(("none", 0, 1, 2, 3)), "model": Param(("photo", "cunet", "anime"))},
            (1, 2),
            drawings=True,
        ),
        "realesrgan": Row(
            _R + "realesrgan",
            "Real-ESRGAN through ncnn; invents detail",
            {"model": Param(("x4plus", "x4plus-anime", "animevideo"))},
            (2, 3, 4),
            generative=True,
        ),
        "maxim": Row(
            _R + "maxim",
            "MAXIM, takes back motion and defocus blur in crops; from a folder of yours; may invent",
            generative=True,
        ),
    },
    "inpainter": {
        "tratto": Row(
            _I + "network", "our own network for thin and medium losses, ONNX Runtime, fp32", auto=True, generative=True
        ),
        "patch": Row(_I + "classical", "copies texture from elsewhere in the picture, coarse to fine", generative=True),
        "mixed": Row(
            _I + "classical",
            "as patch, with the broad light and colour of the smoothest continuation",
            generative=True,
        ),
        "texture": Row(
            _I + "classical",
            "as patch, searched at a smaller scale and copied at the picture's own, for large scans",
            generative=True,
        ),
        "plate": Row(_I + "classical", "the smoothest continuation (thin plate)", auto=True, generative=True),
        "navier-stokes": Row(_I + "classical", "continues lines of equal brightness (OpenCV)", generative=True),
        "telea": Row(_I + "classical", "fast marching (OpenCV), 8 bit", generative=True),
        "biharmonic": Row(_I + "classical", "biharmonic equation (scikit-image)", generative=True),
        "sdxl": Row(
            _I + "diffusion",
            "a diffusion model, SDXL: invents what fits",
            _DIFFUSION,
            generative=True,
            settles=True,
            weight=6,
        ),
        "sd15": Row(
            _I + "diffusion",
            "a diffusion model, Stable Diffusion 1.5: invents what fits",
            _DIFFUSION,
            generative=True,
            settles=True,
            weight=6,
        ),
    },
    "captioner": {
        "joycaption": Row(
            _P + "caption",
            "a LLaVA network from a folder, such as JoyCaption: says what it believes to see",
            {"model": _FOLDER},
            settles=True,
            weight=6,
        ),
        "measured": Row(
            _P + "caption",
            "recognises nothing: size, colours, brightness, sharpness, share of damage",
            auto=True,
            stand_in="a captioning network",
        ),
    },
    "depth": {
        "dpt": Row(
            _P + "depth",
            "DPT (MiDaS 3), Depth Anything or ZoeDepth from a folder, through transformers",
            {"model": _FOLDER},
            auto=True,
            settles=True,
            weight=3,
        ),
        "midas": Row(
            _P + "depth", "MiDaS 2.1 from its ONNX file, ONNX Runtime, fp32", {"model": _FILE}, auto=True, settles=True
        ),
        "geometric": Row(
            _P + "depth",
            "looks at no pixel: the middle is far, floor and ceiling are near",
            auto=True,
            stand_in="a depth network",
        ),
    },
    "enhancer": {
        "sdxl-lightning": Row(
            _P + "enhancer",
            "SDXL-Lightning in four steps with a ControlNet for depth, from folders",
            _DIFFUSION,
            generative=True,
            settles=True,
            weight=8,
        )
    },
    "views": {
        "syncdreamer": Row(
            _P + "views",
            "SyncDreamer from a converted folder: 16 views at an elevation of 30 degrees",
            _DIFFUSES,
            generative=True,
            settles=True,
            weight=6,
        ),
        "zero123plus": Row(
            _P + "views",
            "Zero123++ v1.2 from a folder: 6 views; its weights are for non-commercial use",
            _DIFFUSES,
            generative=True,
            settles=True,
            weight=6,
        ),
        "triposr": Row(
            _P + "views",
            "TripoSR from a converted folder: a field of density and colour, seen from 16 sides",
            {"model": _FOLDER},
            generative=True,
            settles=True,
            weight=4,
        ),
    },
    "rasterizer": {
        "cpu": Row(_P + "rasterizer", "our own, numba, on all cores", auto=True),
        "gsplat": Row(_P + "rasterizer", "gsplat 1.5 or later on an NVIDIA GPU, through torch"),
    },
    "structure": {"canny": Row(_P + "structure", "edges (Canny) and straight lines (LSD), by OpenCV", auto=True)},
    "damage": {
        "tratto": Row(_P + "damage", "our own network, ONNX Runtime, fp32", auto=True),
        "yolo": Row(
            _P + "damage",
            "a segmentation model of the YOLO family that you trained, ONNX",
            {
                "model": Param(kind="path", about="the .onnx file"),
                "classes": Param(kind="text", about="names of its classes, if it does not say: crack,stain,..."),
                "score": Param(low=0.0, high=1.0, about="least score of a find"),
            },
        ),
    },
    "estimator": {
        "tratto": Row(_P + "estimator", "our own network reads noise, grain and blur, ONNX Runtime", auto=True)
    },
    "wall": {
        "grow": Row(
            _P + "wall",
            "region growing and GrabCut (OpenCV)",
            {"tolerance": Param(low=0.01, high=10.0, about="above 1, less alike parts are taken in too")},
            auto=True,
        ),
        "sam": Row(
            _P + "wall",
            "Segment Anything from a folder, through transformers",
            {"model": _FOLDER},
            settles=True,
            weight=3,
        ),
    },
    "scorer": {
        "clip": Row(
            _P + "scorer",
            "CLIP from a folder, through transformers: likeness of pictures and words",
            {"model": _FOLDER},
            settles=True,
            weight=2,
        )
    },
    "face": {
        "blazeface": Row(_P + "faces", "finds faces of every size (BlazeFace), ONNX Runtime", auto=True),
        "scrfd": _insightface("InsightFace's detector from your det_10g.onnx; non-commercial"),
    },
    "landmarks": {
        "facemesh": Row(_P + "faces", "468 points of a face (MediaPipe), ONNX Runtime", auto=True),
        "2d106": _insightface("106 points in the plane from your 2d106det.onnx; non-commercial"),
    },
    "identity": {
        "dlib": Row(_P + "faces", "how alike two faces are (dlib), ONNX Runtime", auto=True),
        "arcface": _insightface("ArcFace from your w600k_r50.onnx; non-commercial"),
    },
    "face-swap": {
        "warp": Row(_P + "faceswap", "lays the character's own pixels over the mesh, in triangles", generative=True),
        "inswapper": Row(
            _P + "faceswap_network",
            "InsightFace's inswapper from your inswapper_128.onnx; non-commercial",
            {"model": _FILE, "recognizer": _FILE, "other": _OTHER, "side": Param((128, 256, 512, 768, 1024))},
            generative=True,
            settles=True,
            weight=4,
        ),
        "ghost": Row(
            _P + "faceswap_network",
            "Ghost from your ghost_1_256.onnx, Apache-2.0; its recogniser is non-commercial",
            {"model": _FILE, "recognizer": _FILE, "converter": _FILE, "other": _OTHER, "side": Param((256, 512, 1024))},
            generative=True,
            settles=True,
            weight=4,
        ),
    },
    "face-refiner": {
        "qwen": Row(
            _P + "refiner",
            "Qwen-Image-Edit from a folder, through diffusers: repaints light and seams, and invents what it paints",
            {"model": _FOLDER},
            generative=True,
            settles=True,
            weight=10,
        )
    },
    "face-judge": {
        "likeness": Row(_P + "judge", "identity: how far from the character (dlib), ONNX Runtime"),
        "skin": Row(_P + "judge", "realism: texture, blotches and clipping against the scene's skin"),
        "seam": Row(_P + "judge", "consistency: edge, colour, light and noise against the scene"),
        "gemini": Row(
            _P + "remote_judge",
            "realism: asks Gemini over HTTPS, which sends each candidate's face to Google",
            _REMOTE,
            settles=True,
            sends=True,
        ),
        "moondream": Row(
            _P + "remote_judge",
            "identity: asks Moondream over HTTPS, which sends each candidate's and the character's face there",
            _REMOTE,
            settles=True,
            sends=True,
        ),
    },
    "shell": {
        "tratto": Row(_P + "shell", "our own network tells front and back, ONNX Runtime, fp32", auto=True),
        "mirror": Row(
            _P + "shell",
            "inflates the outline, alike behind and before",
            auto=True,
            stand_in="a network that tells shapes",
        ),
    },
    "background": {
        "u2netp": Row(_P + "background", "what stands out (U2-Net-p), ONNX Runtime", auto=True),
        "grabcut": Row(_P + "background", "what differs from the rim (GrabCut, OpenCV)", auto=True),
    },
}


def module_of(row: Row) -> _Module:
    """Return the module of a row."""
    return cast(_Module, importlib.import_module(row.module))


def rows_of(capability: str) -> dict[str, Row]:
    """Return the providers of a capability.

    Raises
    ------
    OptionError
        If there is no such capability.
    """
    if capability not in CATALOGUE:
        raise OptionError(f"no capability is called {capability!r}; there are {', '.join(CATALOGUE)}")
    return CATALOGUE[capability]


def _request(row: Row, use: Use[Any], device: str = AUTO, pins: Mapping[str, str] | None = None) -> Request:
    return Request(use, row.variant or use.provider, device, pins or {})


def row_of(use: Use[Any]) -> Row:
    """Return the row of a use whose provider is named.

    Raises
    ------
    OptionError
        If there is no such provider, or it does not offer this scale.
    """
    rows = rows_of(use.capability)
    if use.provider not in rows:
        raise OptionError(f"no {NOUNS[use.capability]} is called {use.provider!r}; choose auto, {', '.join(rows)}")
    row = rows[use.provider]
    if use.scale not in row.scales:
        offered = ", ".join(f"x{s}" for s in row.scales)
        raise OptionError(
            f"{use.provider} works at {offered}, not at x{use.scale}; x{use.scale} is offered by: "
            f"{_able(rows, use.scale)}"
        )
    return row


def _able(rows: Mapping[str, Row], scale: int) -> str:
    return ", ".join(n for n, row in rows.items() if scale in row.scales) or "none"


def settle(use: Use[T], device: str = AUTO, pins: Mapping[str, str] | None = None) -> Use[T]:
    """Return a use with ``auto`` turned into a name, its parameters checked and completed, and ready to be opened.

    Parameters
    ----------
    use : Use
        As asked for; ``provider`` may be ``auto``.
    device : str
        See :class:`Request`.
    pins : mapping or None
        Likewise.

    Raises
    ------
    OptionError
        If there is no such provider, or it does not offer this scale or these parameters.
    UnavailableError
        If it is not ready here; the message names the command that would change that.

    Examples
    --------
    >>> settle(Use("structure")).provider
    'canny'
    """
    if use.provider == AUTO:
        return _first_ready(use, device, pins or {})
    row = row_of(use)
    request = _request(row, use, device, pins)
    if row.settles:
        return replace(use, params=module_of(row).settle(request))
    for name, value in use.params.items():
        if name not in row.params:
            known = ", ".join(row.params) or "none"
            raise OptionError(f"{use.provider} has no parameter {name!r}; its parameters: {known}")
        row.params[name].check(use.provider, name, value)
    error = module_of(row).missing(request)
    if error is not None:
        raise error
    return use


def _first_ready(use: Use[T], device: str, pins: Mapping[str, str]) -> Use[T]:
    rows = rows_of(use.capability)
    if use.params:
        raise OptionError(f"parameters ({', '.join(use.params)}) need a provider by name, not 'auto'")
    tried = [name for name, row in rows.items() if row.auto and use.scale in row.scales]
    if not tried:
        scales = sorted({s for row in rows.values() if row.auto for s in row.scales})
        raise OptionError(
            f"'auto' works at {', '.join(f'x{s}' for s in scales)}, not at x{use.scale}; x{use.scale} is offered by: "
            f"{_able(rows, use.scale)}"
            if scales
            else f"a {NOUNS[use.capability]} has to be named: {', '.join(rows)}"
        )
    error = None
    for name in tried:
        one = replace(use, provider=name)
        row = rows[name]
        error = module_of(row).missing(_request(row, one, device, pins))
        if error is None:
            return settle(_faster(one, device, pins) if use.fast else one, device, pins)
    if error is not None and len(tried) == 1:
        raise error
    raise UnavailableError(f"no {NOUNS[use.capability]} is ready for x{use.scale}; run: tratto models list")


def _faster(use: Use[T], device: str, pins: Mapping[str, str]) -> Use[T]:
    """Return a use with its provider, or a twin of it that is faster on this machine."""
    rows = rows_of(use.capability)
    uses = {use.provider: use}
    for name, row in rows.items():
        one = replace(use, provider=name)
        if row.twin == use.provider and use.scale in row.scales:
            if module_of(row).missing(_request(row, one, device, pins)) is None:
                uses[name] = one
    if len(uses) == 1 or device.startswith("cuda"):  # the twins run on the processor
        return use
    from tratto.providers.fastest import fastest

    def opened(name: str) -> Any:
        return open_settled(uses[name], device, pins)

    return uses[fastest(opened, tuple(uses), f"x{use.scale} on {device}")]


def open_settled(use: Use[T], device: str = AUTO, pins: Mapping[str, str] | None = None) -> T:
    """Open a provider that :func:`settle` gave; nothing is kept (see :class:`tratto.providers.pool.Pool`)."""
    row = row_of(use)
    opened: T = module_of(row).open(_request(row, use, device, pins))
    return opened


def open_provider(
    capability: str,
    provider: str = AUTO,
    params: Mapping[str, Any] | None = None,
    *,
    scale: int = 1,
    fast: bool = False,
) -> Any:
    """Settle and open a provider in one call.

    Examples
    --------
    >>> open_provider("restorer", "bicubic", scale=2).info.scale
    2
    """
    return open_settled(settle(Use(capability, provider, params or {}, scale, fast)))


def availability(capability: str = "") -> list[Availability]:
    """Say for every provider (of one capability, or of all) whether it is ready here, and what would change that."""
    out = []
    for kind, rows in CATALOGUE.items():
        if capability not in ("", kind):
            continue
        for name, row in rows.items():
            module = module_of(row)
            errors = {s: module.missing(_request(row, Use(kind, name, {}, s))) for s in row.scales}
            ready = tuple(s for s, e in errors.items() if e is None)
            first = next((e for e in errors.values() if e is not None), None)
            why, _, fix = str(first).partition("; run: ") if first is not None else ("", "", "")
            if first is not None and ready:
                why = f"x{next(s for s, e in errors.items() if e is not None)}: {why}"
            facts = (row.auto, row.generative, row.about, row.stand_in)
            out.append(Availability(kind, name, row.scales, bool(ready), ready, *facts, why, fix))
    return out
