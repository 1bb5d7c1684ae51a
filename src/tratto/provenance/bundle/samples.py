"""Decoding the pictures, maps and masks of a bundle, none larger than stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Artifact, Scene
from tratto.core.errors import InputError, ReceiptError
from tratto.core.hashing import open_regular
from tratto.core.image import Image
from tratto.imaging.artifact import Picture
from tratto.imaging.io import Limits, digest, read_image
from tratto.imaging.io.limits import OPTION, usual_pixels
from tratto.imaging.scratch import allocate
from tratto.provenance.bundle.read import Bundle

if TYPE_CHECKING:
    from tratto.imaging.io import Limits


#: Most pixels of a map that is decoded, unless the user lets larger pictures in; its size anybody can state.
MOST_PIXELS = 400_000_000


def mask_values(samples: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return a 16-bit mask as the work saw it: float32 in [0, 1]."""
    return samples.astype(np.float32) / np.float32(65535)


def read_picture(path: Path, width: int, height: int, page: int = 0) -> Image:
    """Read a picture file with limits just large enough for the stated size.

    Raises
    ------
    InputError
        If it cannot be read, or is larger than stated.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image as Pil
    >>> file = Path(tempfile.mkdtemp()) / "small.png"
    >>> Pil.new("L", (3, 2), 7).save(file)
    >>> read_picture(file, 3, 2).pixels.tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    return read_image(path, limits_for(path, width, height), page, allocate)


def read_digest(path: Path, width: int, height: int, page: int = 0) -> str:
    """Return the digest of the samples a picture file holds; raises as :func:`read_picture` does."""
    return digest(read_picture(path, width, height, page))


def limits_for(path: Path, width: int, height: int) -> Limits:
    """Return reading limits that let a picture of the stated size through and nothing larger."""
    usual = Limits()
    size = path.stat().st_size
    return Limits(
        max_pixels=width * height, max_bytes=size, max_side=max(width, height), max_metadata=usual.max_metadata
    )


def read_input(path: Path | bytes, facts: Mapping[str, Any]) -> Image:
    """Read a picture that came along, such as a second input, bounded by what the receipt states and by the usual.

    Parameters
    ----------
    path : Path or bytes
        A file of a bundle, or its content.
    facts : mapping
        What the receipt says of it: ``picture``, and ``page`` of a file of several.

    Raises
    ------
    InputError
        If it cannot be read, or is larger than stated, or than what is read of anybody's files.

    Examples
    --------
    >>> import io
    >>> from PIL import Image as Pil
    >>> file = io.BytesIO()
    >>> Pil.new("L", (3, 2), 7).save(file, "PNG")
    >>> read_input(file.getvalue(), {"picture": {"width": 3, "height": 2}}).pixels.tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    size = facts["picture"]
    limits = Limits()
    limits = replace(
        limits,
        max_pixels=min(limits.max_pixels, size["width"] * size["height"]),
        max_side=min(limits.max_side, max(size["width"], size["height"])),
    )
    return read_image(path, limits, facts.get("page", 0), allocate)


def read_artifact(path: Path, facts: Mapping[str, Any]) -> Artifact:
    """Read a file that holds an output: a scene or a picture, as the receipt states it.

    Parameters
    ----------
    path : Path
        Read only as far as ``facts`` say it goes.
    facts : mapping
        What the receipt says of it.

    Raises
    ------
    InputError
        If it cannot be read, or holds more than stated.

    Examples
    --------
    >>> import tempfile, tratto
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> from tratto.provenance.bundle.read import read_bundle
    >>> read_artifact(saved.output, read_bundle(saved.bundle).receipt["outputs"]["picture"]).role
    'picture'
    """
    if "scene" in facts:
        return Scene.read(path, facts["scene"]["gaussians"], facts["scene"]["degree"])
    return Picture(read_input(path, facts))


def read_map(bundle: Bundle, name: str, size: Mapping[str, Any]) -> NDArray[np.uint16]:
    """Read a 16-bit grey map of a bundle.

    Parameters
    ----------
    bundle : Bundle
        Its files are as they were sealed.
    name : str
        Of the file in the bundle.
    size : mapping
        With the ``width`` and ``height`` it must have.

    Raises
    ------
    ReceiptError
        If it is something else.

    Examples
    --------
    >>> import tempfile, tratto
    >>> from tratto.provenance.bundle.read import read_bundle
    >>> saved = tratto.save(tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png")
    >>> read_map(read_bundle(saved.bundle), "edit-map.png", {"width": 16, "height": 16}).max()
    np.uint16(0)
    """
    path = bundle.folder / name
    most = max(MOST_PIXELS, usual_pixels())
    if size["width"] * size["height"] > most:
        raise ReceiptError(
            f"{name} is said to have {size['width']}x{size['height']} pixels, the limit is {most / 1e6:.0f} million; "
            f"raise {OPTION} if you trust it"
        )
    open_regular(path).close()
    try:
        image = read_image(path, limits_for(path, size["width"], size["height"]), 0, allocate)
    except InputError as e:
        raise ReceiptError(f"{name} cannot be read as a map of {size['width']}x{size['height']} pixels: {e}") from e
    pixels: NDArray[np.uint16] = image.pixels  # type: ignore[assignment]  # checked in the next line
    if image.bits != 16 or pixels.shape != (size["height"], size["width"]):
        raise ReceiptError(
            f"{name} must be a 16-bit grey picture of {size['width']}x{size['height']}, got {image.bits}-bit "
            f"{image.mode.value} of {image.width}x{image.height}"
        )
    return pixels
