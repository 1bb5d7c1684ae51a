"""Folders of weights that a user names: found, checked for pickles, hashed, with the licence their own page states.

A diffusion model is no single file but a folder in the layout its authors publish. The user says where it lies. What a
recipe keeps is its name and the hash of what is read from it, ``name@<64 hex digits>``, never the path: paths say
something about a machine and nothing about a picture. To find it again, the places named so far in this process are
looked at, then ``TRATTO_MODELS`` and the current folder; the bytes are compared wherever it is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tratto.core.capability import ModelRef
from tratto.core.errors import InputError, MissingWeights, OptionError, UnsupportedFormat, WeightMismatch
from tratto.core.reading import head_of_text, parse_json, small_text
from tratto.models.card import LOCKED, combined_hash
from tratto.models.store import all_cards, file_sha256, locate, open_weights, user_folder

#: ``pipeline``: all parts of a model, named by ``model_index.json``. ``adapter``: LoRA weights. ``part``: one network
#: with its ``config.json``, such as a ControlNet. ``image-prompt``: an IP-Adapter with its image encoder.
Kind = Literal["pipeline", "adapter", "part", "image-prompt"]

#: Files that may hold any program and run it when they are opened.
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_TEXTS = (".json", ".txt", ".model")
#: Parts of a pipeline that are never loaded: they look at a result and blacken it, which would be no account of it.
UNUSED = ("safety_checker",)
_REFERENCE = re.compile(r"(?P<name>[^/\\@]{1,100})@(?P<sha>[0-9a-f]{64})")
#: Licences that allow commercial use, some of them with rules of conduct. What is not here counts as not allowing it.
COMMERCIAL = (
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "openrail", "openrail++",
    "creativeml-openrail-m", "bigscience-openrail-m", "unlicense",
)  # fmt: skip
# folders that were found in this process, by reference
_places: dict[str, ModelFolder] = {}


@dataclass(frozen=True)
class ModelFolder:
    """A folder (or one file) of weights that was found and hashed.

    Attributes
    ----------
    path : Path
        The folder, or the file.
    name : str
        Its own name, without what leads to it.
    sha256 : str
        Of everything that is read from it: weights, configurations, vocabularies. Read-me files and weights that are
        not used do not count, so that a sparse download has the hash of a full one.
    licence : str
        As its ``README.md`` states, or ``"unknown"``.
    files : tuple of str
        What is read, relative to ``path``.
    variant : str
        ``"fp16"`` where only half-precision weights are there.
    """

    path: Path
    name: str
    sha256: str
    licence: str
    files: tuple[str, ...]
    variant: str = ""

    @property
    def reference(self) -> str:
        """What a recipe keeps."""
        return f"{self.name}@{self.sha256}"

    @property
    def model(self) -> ModelRef:
        """What a receipt keeps."""
        return ModelRef(self.name, self.sha256, self.licence, self.licence.lower() in COMMERCIAL)


def find_folder(text: str, kind: Kind) -> ModelFolder:
    """Find the weights that a user or a recipe names.

    Parameters
    ----------
    text : str
        A path, the name of a folder in ``TRATTO_MODELS``, a reference as :attr:`ModelFolder.reference`, or the id of a
        model card with a pulled folder.
    kind : str
        What is expected there.

    Raises
    ------
    OptionError
        If nothing of this name is here, or it is no such folder.
    MissingWeights
        If a recipe names weights that are not found here.
    WeightMismatch
        If the folder of that name holds other weights.
    UnsupportedFormat
        If the weights are pickles.
    """
    named = _REFERENCE.fullmatch(text)
    if named is not None and not Path(text).exists():
        return _find_again(named["name"], text, kind)
    path, shelf = Path(text).expanduser(), user_folder()
    if text and shelf is not None and not path.exists() and (shelf / text).exists():
        path = shelf / text
    if not text or not path.exists():
        pulled = _pulled(text, kind)
        if pulled is None:
            raise OptionError(f"expected a folder of weights, got {text!r}, which is not here; docs/full-size.md says "
                              "where they are published")  # fmt: skip
        return _kept(pulled)
    return _kept(_read(path, kind))


def usual_folder(card_id: str, kind: Kind) -> ModelFolder:
    """Find the weights of a model card where nobody says where they are: in ``TRATTO_MODELS`` under its id, or pulled.

    Parameters
    ----------
    card_id : str
        Of a card whose files make a folder.
    kind : str
        What is expected there.

    Raises
    ------
    MissingWeights
        If they are in neither place.
    OptionError, WeightMismatch, UnsupportedFormat
        As :func:`find_folder`.
    """
    shelf = user_folder()
    if shelf is not None and (shelf / card_id).exists():
        return _kept(_read(shelf / card_id, kind, card_id))
    pulled = _pulled(card_id, kind)
    if pulled is None:
        raise OptionError(f"no model with a folder of weights has the id {card_id!r}")
    return _kept(pulled)


def missing_folder(card_id: str, how: str) -> MissingWeights | None:
    """Return why :func:`usual_folder` finds nothing, or None; nothing is read.

    Parameters
    ----------
    card_id : str
        Of a card whose files make a folder.
    how : str
        How a folder is named instead: ``"--param model=FOLDER"``.
    """
    shelf = user_folder()
    if shelf is not None and (shelf / card_id).exists():
        return None
    try:
        locate(all_cards()[card_id])
    except MissingWeights as e:
        return MissingWeights(f"{e}; or name a folder of them: {how} (docs/full-size.md)")
    return None


def _kept(found: ModelFolder) -> ModelFolder:
    _places[found.reference] = found
    return found


def _find_again(name: str, text: str, kind: Kind) -> ModelFolder:
    kept = _places.get(text)
    places = [Path(name)] if (folder := user_folder()) is None else [folder / name, Path(name)]
    other = None
    for place in places if kept is None else [kept.path, *places]:
        if not place.exists():
            continue
        found = _read(place, kind, name)
        if found.reference == text:
            return _kept(found if kept is None or place != kept.path else replace(found, licence=kept.licence))
        other = found.path
    pulled = _pulled(name, kind) if other is None else None
    if pulled is not None and pulled.reference == text:
        return _kept(pulled)
    other = other or (pulled.path if pulled is not None else None)
    digest = text.rpartition("@")[2][:12]
    if other is not None:
        raise WeightMismatch(f"{other} holds other weights than the ones named ({name}, SHA-256 {digest}...)")
    raise MissingWeights(
        f"the weights {name} (SHA-256 {digest}...) are not found: put the folder {name} into the folder that "
        "TRATTO_MODELS names, or into the current one"
    )


def _pulled(card_id: str, kind: Kind) -> ModelFolder | None:
    """Return the folder of a card whose files were pulled, with the card's licence; None if there is no such card.

    Raises
    ------
    MissingWeights
        If there is one, and its files are not here.
    WeightMismatch
        If they are not the ones that were pulled.
    """
    card = all_cards().get(card_id)
    if card is None or card.source.kind not in LOCKED:
        return None
    marks = ("model_index.json", "config.json")
    mark = next((m for m in marks if m in card.files), None)
    if mark is None and len(card.files) > 1:
        return None
    path = open_weights(card, strict=False).paths[mark or next(iter(card.files))]
    found = _read(path if mark is None else path.parent, kind, card_id)
    return found if found.licence != "unknown" else replace(found, licence=card.licence)


def _read(path: Path, kind: Kind, name: str = "") -> ModelFolder:
    variant = ""
    try:
        if path.is_file():
            if kind != "adapter":
                raise OptionError(f"expected a folder of weights, got the file {path}")
            base, files = path.parent, [path.name]
            _refuse_pickles(base, files)
        elif kind == "pipeline":
            base = path
            variant, files = _pipeline_files(path)
        elif kind == "image-prompt":
            base, files = _image_prompt_files(path)
        else:
            base, files = path, sorted(_files(path))
            _refuse_pickles(base, files)
            files = [f for f in files if f.endswith((".safetensors", ".json"))]
            if kind == "part":
                variant, files = _one_precision(files)
            if kind == "part" and not (path / "config.json").is_file():
                raise OptionError(f"{path} is no folder of one network: it has no config.json")
    except OSError as e:
        raise InputError(f"{path}: cannot look into this folder: {e}") from e
    if not any(f.endswith(".safetensors") for f in files):
        raise OptionError(f"{path} holds no weights: no file in it ends with .safetensors")
    digests = {f: file_sha256(base / f) for f in files}
    if not name:
        name = re.sub(r"[/\\@]", "-", path.stem if path.is_file() else path.resolve().name)[:100] or "model"
    licence = read_licence(base / "README.md")
    if licence == "unknown" and base != path and path.is_dir():
        licence = read_licence(path / "README.md")  # the page lies above the folder of the weights
    path = base if kind == "image-prompt" else path
    return ModelFolder(path, name, combined_hash(digests), licence, tuple(files), variant)


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        where = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in where.parts):
            yield where.as_posix()


def _pipeline_files(folder: Path) -> tuple[str, list[str]]:
    """Return the weight variant and every file that opening a pipeline reads."""
    parts = pipeline_parts(folder)
    by_part: dict[str, list[str]] = {}
    for part in parts:
        sub = folder / part
        if not sub.is_dir():
            raise OptionError(f"{folder}: model_index.json names the part {part}, and there is no folder of this name")
        by_part[part] = sorted(f"{part}/{f}" for f in _files(sub))
    variant = ""
    for part in ("unet", "vae", *parts):
        weights = [f for f in by_part.get(part, ()) if f.endswith(".safetensors")]
        if weights and all(".fp16." in f for f in weights):
            variant = "fp16"
    files = ["model_index.json"]
    for part, own in by_part.items():
        kept = [f for f in own if f.endswith(_TEXTS) and not _is_other_variant(f, variant)]
        weights = [f for f in own if f.endswith(".safetensors")]
        half = [f for f in weights if ".fp16." in f]
        plain = [f for f in weights if f.count(".") == 1 or ("-of-" in f and ".fp16." not in f)]
        chosen = half if variant and half else plain
        if weights and not chosen:
            raise OptionError(f"{folder / part}: expected plain or fp16 weights, got {', '.join(weights)}")
        if not weights:
            _refuse_pickles(folder, own)
        files += kept + chosen
    return variant, sorted(files)


def _one_precision(files: list[str]) -> tuple[str, list[str]]:
    """Return the variant and the files without the weights of the other precision; full precision goes first."""
    weights = [f for f in files if f.endswith(".safetensors")]
    half = [f for f in weights if ".fp16." in f]
    if half and len(half) < len(weights):
        return "", [f for f in files if ".fp16." not in f]
    return ("fp16" if half else ""), files


#: Which adapter is taken where a folder holds several, as the published one does.
IMAGE_PROMPT = "ip-adapter-plus_sd15.safetensors"


def _image_prompt_files(path: Path) -> tuple[Path, list[str]]:
    """Return the folder that an IP-Adapter and its ``image_encoder`` lie in, and what is read."""
    base = next((b for b in (path, path / "models") if (b / "image_encoder").is_dir()), None)
    if base is None:
        raise OptionError(f"{path} is no folder of an IP-Adapter: it has no image_encoder")
    adapters = sorted(f.name for f in base.iterdir() if f.is_file() and not f.name.startswith("."))
    _refuse_pickles(base, adapters)
    weights = [f for f in adapters if f.endswith(".safetensors")]
    if len(weights) > 1 and IMAGE_PROMPT in weights:
        weights = [IMAGE_PROMPT]
    if len(weights) != 1:
        raise OptionError(
            f"{base} must hold one adapter, or {IMAGE_PROMPT} among several; it holds {weights or 'none'}"
        )
    encoder = sorted(f"image_encoder/{f}" for f in _files(base / "image_encoder"))
    _refuse_pickles(base, encoder)
    return base, weights + [f for f in encoder if f.endswith((".safetensors", ".json"))]


def _is_other_variant(name: str, variant: str) -> bool:
    return ".fp16." in name and variant != "fp16"


def pipeline_parts(folder: Path) -> dict[str, str]:
    """Return the parts that ``model_index.json`` names and that are read, with their class names.

    Raises
    ------
    OptionError
        If there is no such file, or it is malformed.
    """
    index = read_json(folder / "model_index.json", "a folder in the published layout has a model_index.json")
    parts = {}
    for name, value in index.items():
        if name.startswith("_") or name in UNUSED or not isinstance(value, list) or len(value) != 2:
            continue
        if value[1] is not None and re.fullmatch(r"[A-Za-z0-9_]+", name):
            parts[name] = str(value[1])
    if not {"unet", "transformer"} & set(parts) or "vae" not in parts:
        raise OptionError(f"{folder}: model_index.json names no unet and vae, so this is no diffusion model we can run")
    return parts


def read_json(path: Path, told: str) -> Mapping[str, Any]:
    """Return a small JSON object; ``told`` says what was expected.

    Raises
    ------
    OptionError
        If it is missing, unreadable or no object.
    """
    try:
        value = parse_json(small_text(path), path.name)
    except InputError as e:
        raise OptionError(f"{path.parent}: {e}; {told}") from e
    if not isinstance(value, dict):
        raise OptionError(f"{path} holds no JSON object; {told}")
    return value


def _refuse_pickles(base: Path, files: list[str]) -> None:
    if any(f.endswith(".safetensors") for f in files):
        return
    bad = [f for f in files if f.endswith(PICKLES)]
    if bad:
        raise UnsupportedFormat(
            f"{base / bad[0]} is a pickle, which can run any program when opened; Tratto reads .safetensors only: "
            "get the same weights in that format, or convert them"
        )


def read_licence(readme: Path) -> str:
    """Return the licence that a model's page states in its front matter, or ``"unknown"``.

    Parameters
    ----------
    readme : Path
        ``README.md`` of the folder; its head, between two lines of ``---``, has ``license: NAME``.
    """
    try:
        text = head_of_text(readme, 20_000)
    except InputError:
        return "unknown"
    head = re.match(r"\s*---\n(.*?)\n---", text, re.DOTALL)
    if head is None:
        return "unknown"
    found = {
        m[1]: m[2].strip().strip("'\"")
        for m in re.finditer(r"^(license|license_name):[ \t]*(\S[^\n]*)$", head[1], re.MULTILINE)
    }
    name = found.get("license", "")
    if name in ("", "other"):
        name = found.get("license_name", name)
    return name[:100] or "unknown"
