"""A training pack: decoded pictures as raw 8-bit samples in one memory-mapped file, ready for fast random crops.

A pack is a folder with ``samples.u8`` (all pictures one after the other, row-major RGB) and ``index.json`` (where each
begins, its size, where it came from, its licence). Each photograph is stored at full size and, area-averaged, at 1/2
and 1/3, because benchmark photographs are far smaller than what cameras make. The packed file is a cache: it is built
from a folder of photographs in seconds and need not travel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.reading import parse_json, small_text

HELD_OUT = (
    "budgie_casa-mila",
    "budgie_dragonfly-on-lavender",
    "budgie_kitten-on-lawn",
    "budgie_taipei-city",
    "budgie_tea-gardens",
)
"""Five photographs that are never trained on: they choose between weights and calibrate the standard error."""

TWICE = ("popos_tony-webster-97532",)
"""Left out, too: once the sixth of these, until it was found to be budgie_high-trestle-trail, which is trained on."""

LICENCES = {
    "budgie_": "CC0-1.0 (Budgie Backgrounds collection)",
    "popos_": "public domain as stated (Pop!_OS wallpapers collection)",
    "text_": "rendered by this project; glyphs from fonts of the licence named in the data card",
}


@dataclass(frozen=True)
class Entry:
    """One picture of a pack.

    Attributes
    ----------
    name : str
        File name without suffix; rendered text pages begin with ``text_``.
    shrink : int
        1, 2 or 3: by how much it was area-averaged.
    height, width : int
        Size in pixels.
    offset : int
        First byte in ``samples.u8``.
    licence : str
        Licence of the source.
    sha256 : str
        Of the source file; empty for rendered pages.
    """

    name: str
    shrink: int
    height: int
    width: int
    offset: int
    licence: str
    sha256: str


#: Suffixes of photographs that a pack is built from.
SUFFIXES = (".webp", ".png", ".jpg", ".jpeg")


def is_held_out(stem: str) -> bool:
    """Return whether a file of this name is one of :data:`HELD_OUT` or :data:`TWICE`, whatever collection it is from.

    What stands before the first underscore is the collection's name.
    """
    return _own_name(stem) in {_own_name(name) for name in (*HELD_OUT, *TWICE)}


def _own_name(stem: str) -> str:
    return stem.partition("_")[2] or stem


def photographs_in(folder: Path) -> list[Path]:
    """Return the photographs of a folder that may be trained on, by name.

    Raises
    ------
    InputError
        If there are none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of training photographs")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    files = [p for p in files if not is_held_out(p.stem)]
    if not files:
        raise InputError(f"{folder} holds no .webp, .png or .jpg photograph; name the folder of training photographs")
    return files


def is_pack(folder: Path) -> bool:
    """Return whether a folder holds what :func:`build_pack` writes."""
    return (folder / "index.json").is_file() and (folder / "samples.u8").is_file()


def pack_for(photos: Path, pack: Path, build: bool = True) -> Path:
    """Return the pack to train on: `photos` if it is one itself, else `pack`, built if it is missing.

    Parameters
    ----------
    photos : Path
        Folder of photographs, or a pack.
    pack : Path
        Where a pack of these photographs is kept.
    build : bool
        Whether to build it; else it is built by another process.

    Raises
    ------
    InputError
        If `photos` holds no photograph, or the pack cannot be read.
    OptionError
        If `pack` is there, but of other photographs.
    """
    if is_pack(photos):
        return photos
    if not (pack / "index.json").is_file():
        if build:
            build_pack(photos, pack)
        return pack
    files = photographs_in(photos)
    there = {e.name: e.sha256 for e in _entries(pack) if e.sha256}
    if there != {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}:
        raise OptionError(
            f"{pack} was built from other photographs than {photos} holds now; name another --out, or delete the pack "
            "to have it built anew"
        )
    return pack


def _entries(folder: Path) -> tuple[Entry, ...]:
    path = folder / "index.json"
    try:
        return tuple(Entry(**row) for row in parse_json(small_text(path, 1 << 30), path.name))
    except (InputError, TypeError) as e:
        raise InputError(f"{path} cannot be read: {e}; delete the pack to have it built anew") from e


def _shrunk(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    h, w = picture.shape[0] // factor * factor, picture.shape[1] // factor * factor
    blocks = picture[:h, :w].reshape(h // factor, factor, w // factor, factor, 3)
    return np.round(blocks.mean((1, 3), dtype=np.float32)).astype(np.uint8)


def build_pack(
    photos: Path, out: Path, text_pages: int = 24, seed: int = 0, shrinks: tuple[int, ...] = (1, 2, 3)
) -> int:
    """Decode a folder of photographs (and render text pages) into a pack.

    Parameters
    ----------
    photos : Path
        Folder with WebP, PNG or JPEG photographs, as ``tratto data packages`` fills one: what its list of sources says
        goes into the data card. Those of :data:`HELD_OUT` and :data:`TWICE` are left out.
    out : Path
        Folder to write; made if missing, overwritten if there.
    text_pages : int
        Rendered pages to add.
    seed : int
        Seeds the pages.
    shrinks : tuple of int
        Area-averaging factors to store.

    Returns
    -------
    int
        Number of entries.

    Raises
    ------
    InputError
        If the folder holds no photograph.
    TrattoError
        If a photograph cannot be read.
    OutputError
        If the pack cannot be written.
    """
    from tratto.core.files import write_text
    from tratto.imaging.io import atomic_file
    from tratto_lab.corpus.packages import sources_in

    if text_pages < 0 or seed < 0:
        raise OptionError(f"text pages and seed are 0 or more; got {text_pages} and {seed}")
    stated = {Path(s.name).stem: f"{s.licence} ({s.holder}; {s.package})" for s in sources_in(photos)}
    files = photographs_in(photos)
    names = [p.stem for p in files]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"{photos} holds several photographs called {', '.join(twice)}; keep one of each")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{out}: no pack can be written there: {e.strerror or e}") from e
    entries: list[Entry] = []
    with atomic_file(out / "samples.u8") as sink:
        _write_samples(sink, files, stated, entries, (text_pages, seed, shrinks))
    write_text(out / "DATA_CARD.md", data_card(tuple(entries)))
    write_text(out / "index.json", json.dumps([asdict(e) for e in entries], indent=1))  # last: now the pack is whole
    return len(entries)


def _write_samples(
    sink: BinaryIO,
    files: list[Path],
    stated: Mapping[str, str],
    entries: list[Entry],
    how: tuple[int, int, tuple[int, ...]],
) -> None:
    """Decode, shrink and render into `sink`; add to `entries`. ``how`` is text pages, seed and shrinks."""
    from tratto_lab.corpus.plain import encoded_rgb
    from tratto_lab.corpus.text_pages import render_page

    text_pages, seed, shrinks = how
    offset = 0
    for path in files:
        full = np.rint(encoded_rgb(path)[0] * 255).astype(np.uint8)
        by_name = next((v for k, v in LICENCES.items() if path.stem.startswith(k)), "not stated")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for shrink in shrinks:
            picture = full if shrink == 1 else _shrunk(full, shrink)
            if 0 in picture.shape:
                continue
            licence = stated.get(path.stem, by_name)
            entries.append(Entry(path.stem, shrink, *picture.shape[:2], offset, licence, digest))
            sink.write(np.ascontiguousarray(picture).tobytes())
            offset += picture.size
    for number in range(text_pages):
        picture = render_page(seed, number)
        name = f"text_{number:03d}"
        entries.append(Entry(name, 1, *picture.shape[:2], offset, LICENCES["text_"], ""))
        sink.write(picture.tobytes())
        offset += picture.size


def data_card(entries: tuple[Entry, ...]) -> str:
    """Describe a pack: what is in it, under which licences, what is left out and what is missing."""
    sources: dict[str, list[str]] = {}
    for entry in entries:
        if entry.shrink == 1:
            sources.setdefault(entry.licence, []).append(entry.name)
    megapixels = sum(e.height * e.width for e in entries if e.shrink == 1) / 1e6
    lines = [
        "# Data card of this training pack",
        "",
        f"{sum(map(len, sources.values()))} pictures, {megapixels:.0f} megapixels at full size; photographs are also "
        "stored area-averaged at 1/2 and 1/3.",
        "",
        "| licence | pictures |",
        "| --- | --- |",
        *[f"| {licence} | {', '.join(names)} |" for licence, names in sources.items()],
        "",
        "Text pages, if there are any, are invented words drawn with the fonts URW base 35 (AGPL with font exception: "
        "drawn glyphs carry no terms) and Liberation (SIL Open Font Licence 1.1), or Pillow's own font where neither "
        "is installed.",
        "",
        f"Left out wherever they are found, to choose between weights and to calibrate: {', '.join(HELD_OUT)}. Left "
        f"out, too, since it is budgie_high-trestle-trail under another name: {', '.join(TWICE)}.",
        "",
        "What is in the photographs nobody has looked at here. Those that the shipped weights were trained on show "
        "hardly any faces, interiors or night, and no screenshots, line art, handwriting or scanned film.",
    ]
    return "\n".join(lines) + "\n"


class Pack:
    """A pack opened for reading.

    Parameters
    ----------
    folder : Path
        What :func:`build_pack` wrote.
    text_share : float
        Share of crops from rendered text pages.
    shrink_weights : tuple of float
        Relative weights of the photographs at 1, 1/2 and 1/3 size.
    collections : mapping of str to float
        Factors for the weights of photographs whose names begin so.

    Raises
    ------
    InputError
        If it is no pack, or cannot be read.
    OptionError
        If no photograph can be drawn, or none is of a collection that is named.
    """

    def __init__(
        self,
        folder: Path,
        text_share: float = 0.05,
        shrink_weights: tuple[float, ...] = (0.3, 0.45, 0.25),
        collections: Mapping[str, float] | None = None,
    ) -> None:
        if not (folder / "index.json").is_file():
            raise InputError(f"{folder} is not a training pack (no index.json); tratto data pack makes one")
        self.entries = _entries(folder)
        try:
            self.samples: NDArray[np.uint8] = np.memmap(folder / "samples.u8", np.uint8, mode="r")
        except (OSError, ValueError) as e:
            raise InputError(
                f"{folder / 'samples.u8'} cannot be read: {e}; delete the pack to have it built anew"
            ) from e
        if self.samples.size != sum(e.height * e.width * 3 for e in self.entries):
            raise InputError(f"{folder / 'samples.u8'} does not fit its index; delete the pack to have it built anew")
        weights = []
        for e in self.entries:
            area = e.height * e.width * e.shrink**2  # of the full-size picture: big pictures are drawn more often
            weights.append(0.0 if e.name.startswith("text_") else area**0.5 * shrink_weights[e.shrink - 1])
        text = np.array([e.name.startswith("text_") for e in self.entries], float)
        p = np.array(weights)
        for begin, factor in (collections or {}).items():
            of_it = np.array([e.name.startswith(begin) for e in self.entries])
            if not of_it.any():
                raise OptionError(f"{folder} holds no photograph whose name begins with {begin!r}")
            p[of_it] *= factor
        if p.sum() <= 0:
            raise OptionError("the pack holds no photograph at a size with a positive weight")
        self._text_share, self._text, self._weights = text_share, text, p
        self._cumulative: dict[int, NDArray[np.float64]] = {}

    def _drawn(self, size: int) -> NDArray[np.float64]:
        """Return the cumulative probability of each entry, of which those that hold no crop of this size have none."""
        if size not in self._cumulative:
            fits = np.array([min(e.height, e.width) >= size for e in self.entries])
            p, text = self._weights * fits, self._text * fits
            if p.sum() <= 0:
                raise OptionError(f"the pack holds no photograph of {size} x {size} pixels at a size that is drawn")
            p = p / p.sum()
            if text.sum():
                p = (1 - self._text_share) * p + self._text_share * text / text.sum()
            self._cumulative[size] = np.cumsum(p)
        return self._cumulative[size]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return entry `number` as a view, uint8 (H, W, 3)."""
        e = self.entries[number]
        flat = self.samples[e.offset : e.offset + e.height * e.width * 3]
        return flat.reshape(e.height, e.width, 3)

    def crop(self, size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], str]:
        """Draw a random crop, turned and mirrored at random.

        Two places are drawn; in seven of ten cases the busier one is taken, since sky teaches little.

        Returns
        -------
        (ndarray, str)
            float32 (size, size, 3) in [0, 1] and a name that finds the place again: ``entry@row,column``.

        Raises
        ------
        OptionError
            If no photograph is as large.
        """
        best: tuple[float, NDArray[np.uint8], str] | None = None
        cumulative = self._drawn(size)
        pick = rng.uniform() < 0.7
        for _ in range(2 if pick else 1):
            number = min(int(np.searchsorted(cumulative, rng.uniform())), len(self.entries) - 1)
            picture = self.picture(number)
            y = int(rng.integers(picture.shape[0] - size + 1))
            x = int(rng.integers(picture.shape[1] - size + 1))
            patch = picture[y : y + size, x : x + size]
            green = patch[::2, ::2, 1].astype(np.float32)
            busy = float(np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green, axis=1)).mean())
            if best is None or busy > best[0]:
                e = self.entries[number]
                best = (busy, patch, f"{e.name}/{e.shrink}@{y},{x}")
        patch, name = best[1], best[2]  # type: ignore[index]
        turned = np.rot90(patch, int(rng.integers(4)))
        if rng.uniform() < 0.5:
            turned = turned[:, ::-1]
        return np.ascontiguousarray(turned).astype(np.float32) / np.float32(255), name
