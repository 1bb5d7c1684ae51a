"""Samples for fine-tuning diffusion models: pictures that are damaged here, shards of ready ones, walls with paints.

Whatever a data set is, it has a length and gives the sample of a number with a generator that draws what is random in
it, so that equal seeds give equal samples and a killed run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError

Float = NDArray[np.float32]

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
#: How often another drawing of damage is tried when one marks nothing or nearly all.
TRIES = 8


@runtime_checkable
class Samples(Protocol):
    """A data set.

    A sample is a mapping: ``pixel_values`` (side, side, 3) float32 in [-1, 1], what is to be painted; ``source``
    likewise, what is seen; ``mask`` (side, side) float32 in [0, 1]; ``caption`` and ``name``, texts; and for walls
    ``reference_image`` (512, 512, 3) in [-1, 1] and ``dominant_color`` (3,) in [0, 1].
    """

    def __len__(self) -> int:
        """How many there are."""
        ...

    def sample(self, index: int, rng: np.random.Generator) -> Mapping[str, Any]:
        """Return one."""
        ...


def crop_square(picture: Float, side: int, rng: np.random.Generator | None) -> Float:
    """Return a square of a picture, brought to a side: its shorter side is covered fully.

    Parameters
    ----------
    picture : (H, W, C) float32
        Any channels.
    side : int
        Of the square that is returned, in pixels.
    rng : numpy.random.Generator or None
        Draws the place along the longer side; None: the middle.
    """
    import cv2

    h, w = picture.shape[:2]
    edge = min(h, w)
    y = (h - edge) // 2 if rng is None else int(rng.integers(h - edge + 1))
    x = (w - edge) // 2 if rng is None else int(rng.integers(w - edge + 1))
    square = np.ascontiguousarray(picture[y : y + edge, x : x + edge])
    if edge == side:
        return square
    how = cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC
    out = cv2.resize(square, (side, side), interpolation=how)
    return np.clip(out if out.ndim == picture.ndim else out[..., None], 0, 1).astype(np.float32)


class DamagedPictures:
    """Clean pictures of a folder, damaged anew each time.

    The caption of ``wall.jpg`` is in ``wall.txt`` beside it; without one it is empty.

    Parameters
    ----------
    folder : Path
        Searched with its sub-folders.
    side : int
        Of the crops.
    severity : (float, float)
        Between which the severity of damage is drawn, 0-1.

    Raises
    ------
    InputError
        If the folder holds no picture.
    """

    def __init__(self, folder: Path, side: int, severity: tuple[float, float] = (0.2, 0.9)) -> None:
        self.side, self.severity = side, severity
        try:
            self.paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
        except OSError as e:
            raise InputError(f"{folder}: cannot be listed: {e}") from e
        if not self.paths:
            raise InputError(f"{folder} holds no picture to train on ({', '.join(PICTURES)})")

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.paths)

    def sample(self, index: int, rng: np.random.Generator) -> Mapping[str, Any]:
        """Return a picture, damaged; see :class:`Samples`."""
        from tratto_lab.simulate.damage import CLASSES, damage_all

        path = self.paths[index]
        clean = crop_square(_read(path), self.side, rng)
        for _ in range(TRIES):
            kinds = [
                (str(CLASSES[int(rng.integers(len(CLASSES)))]), float(rng.uniform(*self.severity)))
                for _ in range(int(rng.integers(1, 4)))
            ]
            done = damage_all(clean, kinds, rng)
            mask = (done.mask > 0).astype(np.float32)
            if 0 < mask.mean() < 0.9:
                break
        else:
            raise InputError(f"{path}: no damage could be drawn that marks a part of it; is the picture uniform?")
        return {
            "pixel_values": 2 * clean - 1,
            "source": 2 * done.picture - 1,
            "mask": mask,
            "caption": caption_beside(path),
            "name": path.name,
        }


class ShardPictures:
    """Items of shards as ``tratto data build`` writes them: damaged and restored pictures, masks and captions.

    Parameters
    ----------
    folder : Path
        With ``shard-*.json`` beside ``shard-*.tar``.
    side : int
        Of the crops, in pixels.

    Raises
    ------
    InputError
        If there are no shards, or an index cannot be read.
    """

    def __init__(self, folder: Path, side: int) -> None:
        from tratto_lab.corpus.shards import read_index

        self.side = side
        self.places: list[tuple[Path, str, int, int]] = []
        for name in sorted(folder.glob("shard-*.json")):
            for item in read_index(name)["items"]:
                self.places.append((name.with_suffix(".tar"), item["key"], item["offset"], item["length"]))
        if not self.places:
            raise InputError(f"{folder} holds no shards; make them with: tratto data build")

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.places)

    def sample(self, index: int, rng: np.random.Generator) -> Mapping[str, Any]:
        """Return an item; see :class:`Samples`."""
        import io

        from tratto_lab.corpus.shards import decode, read_tar

        path, key, offset, length = self.places[index]
        try:
            with path.open("rb") as f:
                f.seek(offset)
                data = f.read(length)
        except OSError as e:
            raise InputError(f"{path}: cannot be read: {e}") from e
        found = list(read_tar(io.BytesIO(data + bytes(1024))))
        if len(found) != 1 or found[0][0] != key:
            raise InputError(f"{path}: the item {key} is not where the index says; build or copy the shard again")
        item = decode(*found[0])
        planes = [item.restored, item.damaged, item.mask[..., None]]
        both = np.concatenate([p.astype(np.float32) / np.float32(255) for p in planes], axis=2)
        both = crop_square(both, self.side, rng)
        return {
            "pixel_values": 2 * both[..., :3] - 1,
            "source": 2 * both[..., 3:6] - 1,
            "mask": (both[..., 6] > 0).astype(np.float32),
            "caption": item.caption or "",
            "name": key,
        }


def caption_beside(path: Path) -> str:
    """Return what the text file beside a picture says, on one line; empty if there is none."""
    try:
        return " ".join(path.with_suffix(".txt").read_text("utf-8", errors="replace").split())[:1000]
    except OSError:
        return ""


def _read(path: Path) -> Float:
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    image = io.read_image(path)
    return np.asarray(io.oriented(view_rgb(image), image.meta.orientation), np.float32)


def open_samples(task: str, folder: Path, side: int, data: Mapping[str, Any] | None) -> Samples:
    """Open the data set of a task.

    Parameters
    ----------
    task : str
        ``repair`` or ``recolor``.
    folder : Path
        Pictures, shards, or pictures of walls with masks.
    side : int
        Of the crops, in pixels.
    data : mapping or None
        Options of the data set.

    Raises
    ------
    InputError, OptionError
        If the folder does not hold what the task needs.
    """
    options = dict(data or {})
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    if task == "recolor":
        from tratto_lab.corpus.wall_pairs import WallPairs, options_of

        return WallPairs(folder, options_of(options, side))
    if any(folder.glob("shard-*.json")):
        if options:
            raise OptionError(
                f"data: shards are damaged already and take no options, got {', '.join(map(str, options))}"
            )
        return ShardPictures(folder, side)
    severity = options.pop("severity", [0.2, 0.9])
    ok = isinstance(severity, list | tuple) and len(severity) == 2
    if not ok or not all(isinstance(v, int | float) for v in severity) or not 0 <= severity[0] <= severity[1] <= 1:
        raise OptionError(f"data: severity takes two numbers, 0 <= low <= high <= 1, got {severity!r}")
    if options:
        raise OptionError(f"data: repair has no option {', '.join(map(str, options))}; there is severity")
    return DamagedPictures(folder, side, (float(severity[0]), float(severity[1])))
