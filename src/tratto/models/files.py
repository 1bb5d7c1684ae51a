"""Single files of weights that a user names: found, checked against what was published, hashed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tratto.core.errors import MissingWeights, UnsupportedFormat, WeightMismatch
from tratto.models.folders import PICKLES, ModelFolder
from tratto.models.store import all_cards, file_sha256, fix_for, locate, user_folder

_REFERENCE = re.compile(r"(?P<name>[^/\\@]{1,100})@(?P<sha>[0-9a-f]{64})")
#: Where InsightFace keeps its packs.
INSIGHTFACE = Path("~/.insightface/models")
PACKS = ("buffalo_l", "")
_places: dict[str, Path] = {}


@dataclass(frozen=True)
class Published:
    """What is known of a file as its authors publish it: it stands in a model card.

    Attributes
    ----------
    licence : str
        As its authors state it; SPDX where there is one.
    commercial : bool
        False if that forbids use in commerce.
    sha256 : str
        Empty: not known here.
    """

    licence: str
    commercial: bool
    sha256: str


def published(name: str) -> Published | None:
    """Return what a model card says of a file of this name, or None.

    Examples
    --------
    >>> published("inswapper_128.onnx").commercial
    False
    """
    for card in all_cards().values():
        for file, digest in card.files.items():
            if PurePosixPath(file).name == name:
                return Published(card.licence, card.commercial_use, digest)
    return None


def find_file(text: str, usual: str = "", other: bool = False) -> ModelFolder:
    """Find one file of weights.

    Parameters
    ----------
    text : str
        A path, a folder that holds `usual`, a name in ``TRATTO_MODELS``, or a reference ``name@SHA-256``. Empty: the
        usual places are looked at.
    usual : str
        The name under which it is published.
    other : bool
        True: a file under a published name may be another than the published one; its licence is not known then.

    Raises
    ------
    OptionError, MissingWeights, WeightMismatch, UnsupportedFormat
        If the name makes no sense, the file is missing or another, or it is a pickle.
    """
    named = _REFERENCE.fullmatch(text)
    if named is not None and not Path(text).exists():
        for place in (_places.get(text), *_usual(named["name"])):
            if place is not None and place.is_file() and file_sha256(place) == named["sha"]:
                return _described(place, named["sha"], other)
        raise MissingWeights(
            f"the weights {named['name']} (SHA-256 {named['sha'][:12]}...) are not found: put the file into the folder "
            "that TRATTO_MODELS names, or into the current one"
        )
    given = [Path(text).expanduser(), *_usual(text)] if text else list(_usual(usual))
    path = next((p / usual if p.is_dir() and usual else p for p in given if p.exists()), None)
    if path is None or not path.is_file():
        what = f"got {text!r}, which is not here" if text else f"and {usual} is in none of the usual places"
        raise MissingWeights(f"expected a file of weights, {what}; {_remedy(usual or text)}")
    if path.suffix in PICKLES or path.suffix != ".onnx":
        raise UnsupportedFormat(
            f"{path.name} is no ONNX file; weights in {', '.join(PICKLES)} can run any program and are not opened"
        )
    found = _described(path, file_sha256(path), other)
    _places[found.reference] = path
    return found


def _remedy(name: str) -> str:
    card = next((c for c in all_cards().values() if any(PurePosixPath(f).name == name for f in c.files)), None)
    return "docs/full-size.md says where it is published" if card is None else f"run: {fix_for(card)}"


def _usual(name: str) -> Iterator[Path]:
    """Yield where a file of that name may lie; a name that leads elsewhere lies nowhere."""
    if not name or Path(name).name != name:
        return
    if (folder := user_folder()) is not None:
        yield folder / name
    for pack in PACKS:
        yield INSIGHTFACE.expanduser() / pack / name
    for card in all_cards().values():  # what tratto models pull brought
        if any(PurePosixPath(file).name == name for file in card.files):
            with contextlib.suppress(MissingWeights):
                yield next(path for file, path in locate(card).items() if PurePosixPath(file).name == name)
    yield Path(name)


def _described(path: Path, digest: str, other: bool) -> ModelFolder:
    known = published(path.name)
    licence = known.licence if known is not None else "unknown"
    if known is not None and known.sha256 not in ("", digest):
        if not other:
            raise WeightMismatch(
                f"{path} is not the file that is published as {path.name} (SHA-256 {known.sha256[:12]}...): it has "
                f"{digest[:12]}.... Fetch it again; another network of the same form needs another name, or other=yes "
                "where that is offered"
            )
        licence = "unknown"
    return ModelFolder(path, path.name, digest, licence, (path.name,))
