"""Single files of weights that a user names: found, checked against what was published, hashed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tratto.core.errors import MissingWeights, UnsupportedFormat, WeightMismatch
from tratto.models.folders import PICKLES, ModelFolder
from tratto.models.store import file_sha256, user_folder

_REFERENCE = re.compile(r"(?P<name>[^/\\@]{1,100})@(?P<sha>[0-9a-f]{64})")
#: Where InsightFace keeps its packs.
INSIGHTFACE = Path("~/.insightface/models")
PACKS = ("buffalo_l", "")
_places: dict[str, Path] = {}


@dataclass(frozen=True)
class Published:
    """What is known of a file as its authors publish it.

    Attributes
    ----------
    licence : str
    size : int
        Bytes; 0: not known here.
    begins, ends : str
        Of its SHA-256; empty: not known here.
    """

    licence: str
    size: int = 0
    begins: str = ""
    ends: str = ""

    def differs(self, size: int, digest: str) -> bool:
        """Whether a file is certainly another."""
        right = digest.startswith(self.begins) and digest.endswith(self.ends)
        return not right or (self.size > 0 and size != self.size)


_RESEARCH = "non-commercial research only (InsightFace)"
PUBLISHED = {
    "det_10g.onnx": Published(_RESEARCH, 16_923_827, "5838f7fe", "b5b91"),
    "2d106det.onnx": Published(_RESEARCH, 5_030_888, "f001b856", "dbf"),
    "w600k_r50.onnx": Published(_RESEARCH),
    "inswapper_128.onnx": Published(_RESEARCH, 554_253_681, "e4a3f08c", "16af"),
    **{f"ghost_{n}_256.onnx": Published("Apache-2.0") for n in (1, 2, 3)},
}


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
        raise MissingWeights(f"expected a file of weights, {what}; docs/full-size.md says where it is published")
    if path.suffix in PICKLES or path.suffix != ".onnx":
        raise UnsupportedFormat(
            f"{path.name} is no ONNX file; weights in {', '.join(PICKLES)} can run any program and are not opened"
        )
    found = _described(path, file_sha256(path), other)
    _places[found.reference] = path
    return found


def _usual(name: str) -> Iterator[Path]:
    """Yield where a file of that name may lie; a name that leads elsewhere lies nowhere."""
    if not name or Path(name).name != name:
        return
    if (folder := user_folder()) is not None:
        yield folder / name
    for pack in PACKS:
        yield INSIGHTFACE.expanduser() / pack / name
    yield Path(name)


def _described(path: Path, digest: str, other: bool) -> ModelFolder:
    known = PUBLISHED.get(path.name)
    licence = known.licence if known is not None else "unknown"
    if known is not None and known.differs(path.stat().st_size, digest):
        if not other:
            raise WeightMismatch(
                f"{path} is not the file that is published as {path.name} (SHA-256 {known.begins}...{known.ends}, "
                f"{known.size} bytes): it has {digest[:8]}...{digest[-4:]} and {path.stat().st_size}. Fetch it again, "
                "or say other=yes if it is meant to be another network of the same form"
            )
        licence = "unknown"
    return ModelFolder(path, path.name, digest, licence, (path.name,))
