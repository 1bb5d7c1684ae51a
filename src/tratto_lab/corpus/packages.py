"""Training photographs from Debian packages, by name: each with the licence that its package states for it.

Debian looks at licences file by file before it distributes anything, which makes its packages of wallpapers and
textures a source of pictures whose terms are known. What is taken lies in one folder, beside ``SOURCES.json``, which
:func:`tratto_lab.corpus.pack.build_pack` reads into the data card.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import lzma
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from tratto.core.errors import InputError, OptionError, OutputError, UnavailableError
from tratto.core.files import write_text
from tratto.core.reading import parse_json, small_text
from tratto.imaging.io import atomic_file
from tratto_lab.collect.client import Broken, Client, HostRules, Refused
from tratto_lab.corpus.deb import copyright_of, pictures_of, stanza_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MIRROR, SUITE = "https://deb.debian.org/debian", "bookworm"
#: Families that are taken unless others are named: weights made from share-alike pictures may have to be shared alike.
TAKEN = ("cc0", "pd", "cc-by")
#: Endings of names that textures use for what is no picture: normal, specular, glow and roughness maps and the like.
MAPS = re.compile(r"_(nm|sm|gm|rm|normal|spec|specular|gloss|glow|rough|roughness|height|ao|mask)$", re.IGNORECASE)
#: Short names of licences (the machine-readable format's, and SPDX's) and the family of each. No other is read.
_SHORT = re.compile(
    r"(?P<pd>public-domain)|(?P<cc0>CC0(-1\.0)?)|(?P<by>CC-BY(-SA|-NC|-ND|-NC-SA|-NC-ND)?)(-\d\.\d)?", re.IGNORECASE
)
#: WebP files can be no larger.
_WEBP_SIDE = 16383
#: Bytes that an index of packages may unpack to.
_INDEX_BYTES = 1024**3
#: What is written of each picture, in the folder of the pictures.
SOURCES = "SOURCES.json"


@dataclass(frozen=True)
class PackagePlan:
    """Which pictures are taken.

    Attributes
    ----------
    families : tuple of str
        Families of licences; see :mod:`tratto_lab.collect.licences`.
    min_side, max_side : int
        Pixels. Pictures with a shorter side below the one are left out; with a longer side above the other, shrunk.
    without : tuple of str
        Patterns of names (without extension) that are left out.
    webp : int
        Quality 1-100 of the WebP files that are written; 0: PNG, without loss.
    mirror, suite : str
        Where packages are fetched from.
    """

    families: tuple[str, ...] = TAKEN
    min_side: int = 480
    max_side: int = 2304
    without: tuple[str, ...] = ()
    webp: int = 0
    mirror: str = MIRROR
    suite: str = SUITE

    def __post_init__(self) -> None:
        if not 1 <= self.min_side <= self.max_side:
            raise OptionError(
                f"sides run from 1, the longest at least the shortest; got {self.min_side}, {self.max_side}"
            )
        if not 0 <= self.webp <= 100:
            raise OptionError(f"a quality of WebP is 1 to 100, or 0 for PNG; got {self.webp}")
        if self.webp and self.max_side > _WEBP_SIDE:
            raise OptionError(f"WebP holds sides up to {_WEBP_SIDE}; got {self.max_side}")
        if not re.match(r"https?://[^/\s]", self.mirror):
            raise OptionError(f"a mirror is an address such as {MIRROR}; got {self.mirror!r}")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+/-]*", self.suite):
            raise OptionError(f"a suite is a word such as bookworm; got {self.suite!r}")


@dataclass(frozen=True)
class Source:
    """Where one picture came from.

    Attributes
    ----------
    name : str
        File name here.
    package, path : str
        File name of the package, and the picture's path in it.
    licence, holder : str
        As the package states them.
    sha256 : str
        Of the picture as it lay in the package.
    """

    name: str
    package: str
    path: str
    licence: str
    holder: str
    sha256: str


@dataclass
class Taken:
    """What came of it: the sources, and how often each reason kept a picture out."""

    sources: list[Source] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """Count a picture that is not taken."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


def take_packages(
    packages: Iterable[str],
    out: Path,
    plan: PackagePlan | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Taken:
    """Take the free pictures of packages into a folder.

    Parameters
    ----------
    packages : iterable of str
        Names of packages, which are fetched, or paths of ``.deb`` files.
    out : Path
        Made if missing. What an earlier call took stays, and is listed still.
    plan : PackagePlan, optional
        Licences, sizes and names that are taken; None: the defaults.
    client : Client, optional
        Needed for names.
    say : callable
        Told what is being done.

    Returns
    -------
    Taken
        Of this call.

    Raises
    ------
    InputError
        If a file is no package, or does not say file by file what holds, or is not there; or if a name is no package.
    UnavailableError
        If nothing can be fetched.
    OutputError
        If the folder cannot be written.
    """
    plan, taken = plan or PackagePlan(), Taken()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{out} cannot be made: {e.strerror or e}") from e
    known = {s.name: s for s in sources_in(out)}
    for given in packages:
        if given.endswith(".deb") or "/" in given:
            _take(Path(given), out, plan, (known, taken))
            continue
        if client is None:
            raise OptionError(f"{given} would be fetched, but nothing may be; name a .deb file")
        with tempfile.TemporaryDirectory(prefix="tratto-deb-") as folder:
            say(f"fetching {given}")
            _take(fetch(given, Path(folder), plan, client), out, plan, (known, taken))
    return taken


def sources_in(folder: Path) -> tuple[Source, ...]:
    """Read what :func:`take_packages` wrote; nothing where it did not.

    Raises
    ------
    InputError
        If the list is spoilt.
    """
    path = folder / SOURCES
    if not path.is_file():
        return ()
    try:
        found = tuple(Source(**row) for row in parse_json(small_text(path, 1 << 30), path.name))
    except (InputError, TypeError) as e:
        raise InputError(f"{path} is no list of sources: {e}") from e
    if not all(isinstance(value, str) for source in found for value in asdict(source).values()):
        raise InputError(f"{path} is no list of sources: not all of its values are texts")
    return found


def fetch(name: str, folder: Path, plan: PackagePlan, client: Client) -> Path:
    """Fetch a package that suits every architecture, and check its SHA-256 against the mirror's index.

    The index is believed as the mirror sends it; Debian's signature of it is not checked.

    Raises
    ------
    InputError
        If the suite has no such package.
    UnavailableError
        If the mirror does not answer, or sends something else.
    """
    mirror = plan.mirror.rstrip("/")
    try:
        where = HostRules((urlsplit(mirror).hostname or "",), secure=mirror.startswith("https:"), private=True)
    except ValueError:  # what looks like an IPv6 address and is none
        raise OptionError(f"a mirror is an address such as {MIRROR}; got {plan.mirror!r}") from None
    try:
        with tempfile.TemporaryFile() as sink:
            client.file(f"{mirror}/dists/{plan.suite}/main/binary-all/Packages.xz", where, sink)
            sink.seek(0)
            index = lzma.LZMADecompressor().decompress(sink.read(), _INDEX_BYTES).decode("utf-8", "replace")
        found = re.search(rf"^Package: {re.escape(name)}\n(?:.+\n)*", index, re.MULTILINE)
        if found is None:
            raise InputError(f"{plan.suite} has no package {name!r} for all architectures")
        fields = dict(re.findall(r"^(Filename|SHA256): (\S+)$", found[0], re.MULTILINE))
        path = folder / Path(fields["Filename"]).name
        with path.open("wb") as body:
            came = client.file(f"{mirror}/{fields['Filename']}", where, body)
    except (Refused, Broken, lzma.LZMAError, KeyError) as e:
        raise UnavailableError(f"{name} cannot be fetched from {mirror}: {e}") from e
    if came.sha256 != fields["SHA256"]:
        raise UnavailableError(f"{mirror} sent another {path.name} than its index names")
    return path


def family_of(licence: str) -> str:
    """Return the family of a licence by its short name; empty for all that is not exactly one of them."""
    found = _SHORT.fullmatch(licence.strip())
    if found is None:
        return ""
    return "pd" if found["pd"] else "cc0" if found["cc0"] else found["by"].lower()


def _take(deb: Path, out: Path, plan: PackagePlan, had: tuple[dict[str, Source], Taken]) -> None:
    if not deb.is_file():
        raise InputError(f"there is no package {deb}")
    known, taken = had
    stanzas = copyright_of(deb)
    package = re.split(r"_|\.deb$", deb.name)[0]
    for place, path, raw in pictures_of(deb):
        stem = Path(path).stem
        if MAPS.search(stem) or any(fnmatch.fnmatchcase(stem, pattern) for pattern in plan.without):
            taken.refuse("left out by name")
            continue
        stanza = stanza_of(path, stanzas)
        if stanza is None or family_of(stanza.licence) not in plan.families:
            taken.refuse("licence not clear" if stanza is None else f"licence {stanza.licence}")
            continue
        picture = _opened(raw, plan)
        if isinstance(picture, str):
            taken.refuse(picture)
            continue
        digest = hashlib.sha256(raw).hexdigest()
        name = _free_name(f"{package}_{stem}", "webp" if plan.webp else "png", out, (known, digest))
        shown = place.encode("utf-8", "replace").decode("utf-8")
        known[name] = Source(name, deb.name, shown, stanza.licence, stanza.holder, digest)
        _list(known, out)  # first: no picture lies there without its licence, whatever ends the work
        with atomic_file(out / name) as sink:
            if plan.webp:
                picture.save(sink, "WEBP", quality=plan.webp, method=4)
            else:
                picture.save(sink, "PNG")
        taken.sources.append(known[name])


def _list(known: dict[str, Source], out: Path) -> None:
    """Write whose the pictures are."""
    listed = [asdict(known[name]) for name in sorted(known)]
    write_text(out / SOURCES, json.dumps(listed, indent=1, ensure_ascii=False) + "\n")


def _free_name(wanted: str, extension: str, out: Path, had: tuple[dict[str, Source], str]) -> str:
    """Return a file name that overwrites nothing but the same picture, taken earlier."""
    known, digest = had
    stem = re.sub(r"[^A-Za-z0-9._+-]", "_", wanted)[:100]
    number = 1
    while True:
        name = f"{stem}{'' if number == 1 else f'-{number}'}.{extension}"
        if name in known and known[name].sha256 == digest:
            return name
        if name not in known and not (out / name).exists() and not (out / name).is_symlink():
            return name
        number += 1


def _opened(raw: bytes, plan: PackagePlan) -> Picture | str:
    """Return a picture upright, as RGB, shrunk to the longest side that is wanted; or why it is not taken."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(raw)) as opened:
            if min(opened.size) < plan.min_side:
                return "too small"
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I"):  # 16 bit
                values = np.asarray(upright).astype(np.int64)
                upright = Image.fromarray((np.clip(values, 0, 65535) >> 8).astype(np.uint8))
            if upright.has_transparency_data and upright.convert("RGBA").getchannel("A").getextrema()[0] < 255:
                return "has transparent parts"
            picture = upright.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, MemoryError):
        return "cannot be decoded"
    longest = max(picture.size)
    if longest > plan.max_side:
        size = tuple(max(1, side * plan.max_side // longest) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture
