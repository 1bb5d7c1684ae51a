"""Data sets as WebDataset shards: plain tar files in which the members of one item follow each other.

``shard-000007.tar`` holds ``KEY.json``, ``KEY.restored.png`` and so on; ``shard-000007.json`` beside it says where each
item begins and what the whole file's hash is. A shard without the latter does not count. The tars can be read by
anything that reads the WebDataset layout; with the index they can also be entered anywhere.

The reader gives every item once per epoch, in an order that follows from the seed, the epoch and the split alone, and
can go on exactly where it stopped: the order is replayed without reading, then what was waiting in the shuffle buffer
is fetched again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.files import write_text
from tratto.core.image import Depth
from tratto.core.reading import parse_json, small_text

#: What an index says it is.
FORMAT = "tratto-shard/1"
_BLOCK = 512


@dataclass(frozen=True)
class Place:
    """Where an item lies: bytes ``offset`` to ``offset + length`` of its shard, headers included."""

    key: str
    offset: int
    length: int


@dataclass(frozen=True, eq=False)
class Item:
    """One item, decoded.

    Attributes
    ----------
    key : str
        Name of its members in the shard.
    restored, damaged : (H, W, 3) uint8
        sRGB. Equal where all masks are 0.
    masks : mapping of str to (H, W) uint8
        By class of damage, 255 = wholly covered; classes that do not occur are left out.
    depth : Depth or None
        Of the restored picture; None where no provider was asked.
    caption : str or None
        Of the restored picture; None where no provider was asked.
    meta : dict
        Licence, attribution, source, crop, damage; see ``docs/data.md``.
    """

    key: str
    restored: NDArray[np.uint8]
    damaged: NDArray[np.uint8]
    masks: Mapping[str, NDArray[np.uint8]]
    depth: Depth | None
    caption: str | None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The union of all classes, (H, W) uint8."""
        if not self.masks:
            return np.zeros(self.restored.shape[:2], np.uint8)
        return np.asarray(np.maximum.reduce(list(self.masks.values())), np.uint8)


class ShardWriter:
    """Writes one shard and its index; both appear whole, the index last.

    Parameters
    ----------
    path : Path
        Of the tar file. Until it is finished its data lies in a hidden ``.part`` file beside it.
    """

    def __init__(self, path: Path) -> None:
        # a name of its own: a worker whose parent was killed may still be writing the same shard
        self.path, self._part = path, path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self.places: list[Place] = []
        try:
            self._file: Any = open(self._part, "w+b")  # noqa: SIM115 - closed by finish() or give_up()
        except OSError as e:
            raise OutputError(f"{path}: cannot be written: {e.strerror or e}") from e
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def add(self, key: str, members: Mapping[str, bytes]) -> Place:
        """Write an item.

        Parameters
        ----------
        key : str
            ASCII letters, digits and hyphens.
        members : mapping of str to bytes
            By extension, such as ``"restored.png"``; written in their order.

        Raises
        ------
        OptionError
            For another key.
        OutputError
            If it cannot be written.
        """
        if not key.isascii() or not key.replace("-", "").isalnum():
            raise OptionError(f"the key of an item has ASCII letters, digits and hyphens only, got {key!r}")
        begin = self._tar.offset
        try:
            for extension, data in members.items():
                # nothing of the moment and of the machine: equal items make equal files
                header = tarfile.TarInfo(f"{key}.{extension}")
                header.size, header.mode, header.mtime = len(data), 0o644, 0
                self._tar.addfile(header, io.BytesIO(data))
        except OSError as e:
            raise OutputError(f"{self.path}: cannot be written: {e.strerror or e}") from e
        place = Place(key, begin, self._tar.offset - begin)
        self.places.append(place)
        return place

    def finish(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Close the shard, give it its name, then write its index.

        Parameters
        ----------
        about : mapping
            JSON-able; kept in the index beside what it needs itself. ``about["items"]``, if there, holds one mapping
            for each item in order, to which its place is added.

        Returns
        -------
        dict
            The index.
        """
        extras = list(about.get("items", [{} for _ in self.places]))
        items = [
            {"key": p.key, "offset": p.offset, "length": p.length, **extra}
            for p, extra in zip(self.places, extras, strict=True)
        ]
        try:
            self._tar.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            self._file.seek(0)
            digest = hashlib.file_digest(self._file, "sha256").hexdigest()
            self._file.close()
            os.replace(self._part, self.path)
        except OSError as e:
            self.give_up()
            raise OutputError(f"{self.path}: cannot be written: {e.strerror or e}") from e
        index = {"format": FORMAT, "name": self.path.name, "bytes": size, "sha256": digest, **about, "items": items}
        write_text(self.path.with_suffix(".json"), json.dumps(index, ensure_ascii=False, indent=0) + "\n")
        return index

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        with suppress(OSError):
            self._part.unlink()


def read_index(path: Path) -> dict[str, Any]:
    """Read the index of a shard.

    Raises
    ------
    InputError
        If it cannot be read, is none, or its shard is missing or of another size.
    """
    try:
        index = parse_json(small_text(path, 1 << 30), path.name)
    except InputError as e:
        raise InputError(f"{path}: cannot be read as the index of a shard: {e}") from e
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise InputError(f"{path}: is not the index of a shard ({FORMAT})")
    try:
        size = path.with_suffix(".tar").stat().st_size
    except OSError as e:
        raise InputError(f"{path.with_suffix('.tar')}: the shard of this index cannot be read: {e.strerror}") from e
    if size != index["bytes"]:
        raise InputError(
            f"{path.with_suffix('.tar')}: has {size} bytes, its index says {index['bytes']}; build or copy it again"
        )
    return index


def read_tar(stream: BinaryIO) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Go through a shard from front to back, without an index; a pipe will do.

    Parameters
    ----------
    stream : binary stream
        Read once, forward only.

    Yields
    ------
    (str, dict of str to bytes)
        Key, and members by extension. An item that the end cuts off is left out.

    Raises
    ------
    InputError
        If it is no tar file, or broken.
    """
    key, members = "", dict[str, bytes]()
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for entry in tar:
                if not entry.isfile():
                    continue
                folder, _, name = entry.name.rpartition("/")
                stem, _, extension = name.partition(".")
                here = f"{folder}/{stem}" if folder else stem
                if here != key:
                    if members:
                        yield key, members
                    key, members = here, {}
                file = tar.extractfile(entry)
                data = file.read() if file is not None else b""
                if len(data) != entry.size:
                    raise InputError(f"{entry.name}: the shard is cut off")
                members[extension] = data
    except tarfile.TarError as e:
        raise InputError(f"the shard is broken: {e}") from e
    if members:
        yield key, members


def decode(key: str, members: Mapping[str, bytes]) -> Item:
    """Turn the members of an item into arrays.

    Raises
    ------
    InputError
        If one is missing or cannot be decoded.
    """
    try:
        meta = parse_json(members["json"], f"{key}: the item is broken")
        restored, damaged = _picture(members["restored.png"]), _picture(members["damaged.png"])
        masks = {
            e.removeprefix("mask.").removesuffix(".png"): _picture(data, color=False)
            for e, data in members.items()
            if e.startswith("mask.")
        }
    except KeyError as e:
        raise InputError(f"{key}: the item has no {e.args[0]}") from e
    except ValueError as e:
        raise InputError(f"{key}: the item is broken: {e}") from e
    depth = None
    if "depth.png" in members:
        stated = meta["depth"]
        levels = _picture(members["depth.png"], color=False).astype(np.float32) / np.float32(65535)
        values = np.float32(stated["low"]) + levels * np.float32(stated["high"] - stated["low"])
        depth = Depth(values.astype(np.float32), stated["unit"], stated["nearer_is"])
    caption = members["txt"].decode("utf-8") if "txt" in members else None
    return Item(key, restored, damaged, masks, depth, caption, meta)


def _picture(data: bytes, color: bool = True) -> NDArray[Any]:
    import cv2

    got = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR if color else cv2.IMREAD_UNCHANGED)
    if got is None:
        raise ValueError("a picture cannot be decoded")
    return np.ascontiguousarray(got[..., ::-1]) if color else got


def encode_png(array: NDArray[Any]) -> bytes:
    """Return a grey (H, W) or RGB (H, W, 3) array, uint8 or uint16, as PNG."""
    import cv2

    # little compression, quickly: what takes time here is paid 40 000 times
    flags = [cv2.IMWRITE_PNG_COMPRESSION, 2]
    ok, data = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array, flags)
    if not ok:
        raise OutputError("a picture cannot be encoded as PNG")
    return bytes(data)


@dataclass(frozen=True)
class Reading:
    """How to read.

    Attributes
    ----------
    seed, epoch : int
        Of the order; each epoch has another.
    buffer : int
        Items that wait encoded, to be drawn from at random; 1: in the order of the shards.
    rank, world : int
        Number of this process, and of all.
    worker, workers : int
        Number of this loader within the process, and of all.
    """

    seed: int = 0
    epoch: int = 0
    buffer: int = 256
    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world and 0 <= self.worker < self.workers):
            raise OptionError(
                f"rank {self.rank} of {self.world} and worker {self.worker} of {self.workers}: counted from 0, and "
                "fewer than there are"
            )
        if self.buffer < 1 or self.epoch < 0 or self.seed < 0:
            raise OptionError("the buffer holds one item or more; seed and epoch are 0 or more")


class Shards:
    """A data set opened for reading; iterate over it to get each item of this reader's share once.

    The share of a reader are all items whose number in the epoch's order of shards leaves its own number when divided
    by the number of readers: shares differ by at most one item, however many shards there are.

    Parameters
    ----------
    folder : Path
        With ``shard-*.tar`` and an index beside each.
    reading : Reading
        Order and share; None: all items, in one process.
    position : int
        Items of this epoch and share to leave out at the beginning: what :attr:`position` said before.

    Raises
    ------
    InputError
        If there are no shards, or an index does not fit its shard.
    """

    def __init__(self, folder: Path, reading: Reading | None = None, position: int = 0) -> None:
        self.reading = reading or Reading()
        names = sorted(p for p in folder.glob("shard-*.json") if p.is_file()) if folder.is_dir() else []
        if not names:
            raise InputError(f"{folder} holds no shards; make them with: tratto data build")
        self._tars: list[Path] = []
        self._places: list[list[Place]] = []
        combined = hashlib.sha256()
        for name in names:
            index = read_index(name)
            self._tars.append(name.with_suffix(".tar"))
            self._places.append([Place(i["key"], i["offset"], i["length"]) for i in index["items"]])
            combined.update(index["sha256"].encode())
        #: Of all shards' hashes: names exactly this data set.
        self.digest = combined.hexdigest()
        #: Items of this epoch and share that were given.
        self.position = position
        if not 0 <= position <= len(self):
            raise OptionError(f"a position lies between 0 and {len(self)}, got {position}")

    @property
    def items(self) -> int:
        """Items of all shares together."""
        return sum(map(len, self._places))

    def __len__(self) -> int:
        """Items of this share."""
        r = self.reading
        return len(range(r.rank * r.workers + r.worker, self.items, r.world * r.workers))

    def state(self) -> dict[str, Any]:
        """Return what :meth:`resumed` needs, JSON-able."""
        r = self.reading
        return {"digest": self.digest, "position": self.position, **{k: getattr(r, k) for k in r.__dataclass_fields__}}

    @classmethod
    def resumed(cls, folder: Path, state: Mapping[str, Any]) -> Shards:
        """Open a data set where another reader stopped.

        Raises
        ------
        OptionError
            If the shards are not those that the state was taken from.
        """
        reading = Reading(**{k: int(state[k]) for k in Reading.__dataclass_fields__})
        one = cls(folder, reading, int(state["position"]))
        if one.digest != state["digest"]:
            raise OptionError(f"{folder}: these are not the shards that the position belongs to")
        return one

    def _share(self) -> Iterator[tuple[int, int]]:
        """Yield (shard, item) of this share, shards in the epoch's order."""
        r = self.reading
        order = np.random.default_rng([r.seed, r.epoch]).permutation(len(self._places))
        number, mine, readers = 0, r.rank * r.workers + r.worker, r.world * r.workers
        for shard in order:
            for item in range(len(self._places[shard])):
                if number % readers == mine:
                    yield int(shard), item
                number += 1

    def order(self) -> Iterator[tuple[int, int]]:
        """Yield (shard, item) of this share as they will be given, from the beginning of the epoch; nothing is read."""
        r = self.reading
        rng = np.random.default_rng([r.seed, r.epoch, 1, r.rank, r.worker])
        waiting: list[tuple[int, int]] = []
        for one in self._share():
            waiting.append(one)
            if len(waiting) == r.buffer:
                yield _drawn(waiting, rng)
        while waiting:
            yield _drawn(waiting, rng)

    def raw(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield key and members of each item, not decoded; :attr:`position` counts along.

        Each shard is read forward, piece by piece; what waits in the buffer is in memory, encoded.
        """
        from_here, share = self.position, self._share()
        held: dict[tuple[int, int], bytes] = {}
        given = set[tuple[int, int]]()
        # a file of its own for each pass, closed when the pass ends or is dropped
        with ExitStack() as stack:
            opened: dict[int, BinaryIO] = {}
            for number, one in enumerate(self.order()):
                if number < from_here:
                    given.add(one)
                    continue
                while one not in held:  # the order never runs ahead of the share by more than the buffer
                    following = next(share)
                    if following in given:
                        given.discard(following)
                    else:
                        held[following] = self._read(*following, opened, stack)
                members = _members(held.pop(one))
                self.position = number + 1
                yield self._places[one[0]][one[1]].key, members

    def __iter__(self) -> Iterator[Item]:
        for key, members in self.raw():
            yield decode(key, members)

    def _read(self, shard: int, item: int, opened: dict[int, BinaryIO], stack: ExitStack) -> bytes:
        place, path = self._places[shard][item], self._tars[shard]
        try:
            if shard not in opened:
                stack.close()
                opened.clear()
                opened[shard] = stack.enter_context(open(path, "rb"))  # noqa: SIM115 - the stack closes it
            opened[shard].seek(place.offset)
            data = opened[shard].read(place.length)
        except OSError as e:
            raise InputError(f"{path}: cannot be read: {e.strerror or e}") from e
        if len(data) != place.length:
            raise InputError(f"{path}: is cut off at {place.key}; build or copy it again")
        return data


def _drawn(waiting: list[tuple[int, int]], rng: np.random.Generator) -> tuple[int, int]:
    """Take one at random; the last fills its place, so that no list is shifted."""
    k = int(rng.integers(len(waiting)))
    waiting[k], waiting[-1] = waiting[-1], waiting[k]
    return waiting.pop()


def _members(data: bytes) -> dict[str, bytes]:
    """Take apart the bytes of one item."""
    # a tar ends with two blocks of zeros, which a piece from the middle lacks
    found = list(read_tar(io.BytesIO(data + bytes(2 * _BLOCK))))
    if len(found) != 1:
        raise InputError("a shard does not fit its index; build or copy it again")
    return found[0][1]


def verify(folder: Path) -> tuple[int, tuple[str, ...]]:
    """Compare every shard with the hash in its index, and all shards with those that the data card names.

    Parameters
    ----------
    folder : Path
        With shards, their indexes and the data card.

    Returns
    -------
    (int, tuple of str)
        How many shards there are, and what is wrong with some of them.
    """
    wrong, names = [], sorted(folder.glob("shard-*.json"))
    if not names:
        raise InputError(f"{folder} holds no shards")
    for name in names:
        try:
            index = read_index(name)
        except InputError as e:
            wrong.append(str(e))
            continue
        with open(name.with_suffix(".tar"), "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != index["sha256"]:
                wrong.append(f"{name.with_suffix('.tar')}: its bytes are not those that were written")
    return len(names), (*wrong, *_not_on_card(folder, {n.with_suffix(".tar").name for n in names}))


def _not_on_card(folder: Path, there: set[str]) -> list[str]:
    """Return which shards the data card names that are not there; without a plan, such as of a part, there is none."""
    card = folder / "card.json"
    if not card.exists():
        plan = folder / "plan.json"
        return [f"{folder}: the build has not ended; give its command again"] if plan.exists() else []
    try:
        named = [str(f["name"]) for f in parse_json(small_text(card, 1 << 30), card.name)["files"]]
    except (InputError, KeyError, TypeError) as e:
        return [f"{card}: cannot be read as a data card: {e}; build again, which writes it anew"]
    return [
        f"{folder / n}: is named in card.json, but not there; build or copy it again" for n in named if n not in there
    ]
