"""Pictures and masks, however they are given, as Tratto's own."""

from __future__ import annotations

import filecmp
import operator
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import InputPicture
from tratto.core.errors import OptionError, PictureTooLarge
from tratto.core.hashing import HeldFile
from tratto.core.image import Image, Mask
from tratto.imaging import io
from tratto.imaging.scratch import allocate

if TYPE_CHECKING:
    from tratto.imaging.io import Limits

#: A mask that lets less of the picture than this change is more often a mistake than meant.
SMALL_MASK = 0.01


def as_shown(image: Image) -> NDArray[np.float32]:
    """Return a picture as a viewer shows it, to look at: encoded sRGB, upright.

    Returns
    -------
    (H, W, 3) float32
        In [0, 1], contiguous.

    Examples
    --------
    >>> from tratto.core.image import ColorMode
    >>> as_shown(Image(np.full((2, 3), 255, np.uint8), ColorMode.GRAY)).shape
    (2, 3, 3)
    """
    from tratto.imaging.color import view_rgb

    return np.ascontiguousarray(io.oriented(view_rgb(image), image.meta.orientation), np.float32)


def without_stream(given: Any, limits: Limits | None = None) -> Any:
    """Return the bytes of a file object; anything else as it is.

    Parameters
    ----------
    given : Any
        What has a ``read`` method and is no PIL picture is read from where it stands.
    limits : Limits or None
        No more than they allow is read.

    Raises
    ------
    OptionError
        If it gives text.
    """
    if not hasattr(given, "read") or hasattr(given, "getbands"):
        return given
    data = given.read((limits or io.Limits()).max_bytes + 1)
    if not isinstance(data, bytes):
        raise OptionError(f"a file object must be open for bytes (mode 'rb'), this one gives {type(data).__name__}")
    return data


def open_picture(picture: Any, page: int | None = None, limits: Limits | None = None) -> Image:
    """Return a picture as :class:`Image`; see :meth:`tratto.Session.open`.

    Examples
    --------
    >>> open_picture(np.zeros((2, 3), np.uint8)).width
    3
    """
    page = page_index(page)
    picture = without_stream(picture, limits)
    if isinstance(picture, Image):
        return picture
    if page and (isinstance(picture, np.ndarray) or hasattr(picture, "getbands")):
        what = "a NumPy array" if isinstance(picture, np.ndarray) else "a PIL picture as it stands"
        raise OptionError(f"{what} is one picture without pages, page {page} was asked for; leave page away")
    if isinstance(picture, np.ndarray):
        return io.image_from_array(picture)
    if isinstance(picture, str) and not picture:
        raise OptionError("the path of the picture is empty")
    if isinstance(picture, (str, os.PathLike, bytes, bytearray)):
        source = bytes(picture) if isinstance(picture, (bytes, bytearray)) else picture
        source = source if isinstance(source, (bytes, HeldFile)) else Path(source)
        limits = limits or io.Limits()
        if page is None and (count := io.count_pages(source, limits)) > 1:
            name = "the file" if isinstance(source, bytes) else Path(source).name
            raise OptionError(f"{name} holds {count} pages or frames; choose one with page=0 to page={count - 1}")
        return io.read_image(source, limits, page=page or 0, scratch=allocate)
    if hasattr(picture, "getbands"):
        return io.image_from_pil(picture)
    raise OptionError(
        "a picture may be a path, bytes, a file object, a NumPy array, a PIL picture or a tratto.Image; got "
        f"{type(picture).__name__}"
    )


def open_inputs(
    given: Mapping[str, Any] | None, limits: Limits | None = None, wanted: Collection[str] | None = None
) -> dict[str, InputPicture]:
    """Return what a job is given besides its picture, opened.

    Parameters
    ----------
    given : mapping of str to picture, or None
        By role; each as :func:`open_picture` takes it, or opened already. Of a sequence the first has the role itself,
        the second ``ROLE-2``.
    limits : Limits or None
        Of reading; None: the usual.
    wanted : collection of str or None
        The roles that the job's options name; None: not compared.

    Raises
    ------
    OptionError
        If one of these is missing, or another is given.
    """
    if wanted is not None and set(given or {}) != set(wanted):
        missing = ", ".join(f"--{role}" for role in sorted(set(wanted) - set(given or {})))
        extra = ", ".join(sorted(set(given or {}) - set(wanted)))
        raise OptionError(
            f"the job works with a picture that was not given: {missing}"
            if missing
            else (f"the job's options do not name what was given besides the picture: {extra}")
        )

    opened = {}
    each = [
        (role if not number else f"{role}-{number + 1}", picture)
        for role, pictures in (given or {}).items()
        for number, picture in enumerate(pictures if isinstance(pictures, list | tuple) else [pictures])
    ]
    for role, picture in each:
        if isinstance(picture, InputPicture):
            opened[role] = picture
            continue
        file: Path | bytes | None = picture if isinstance(picture, bytes) else None
        if isinstance(picture, (str, os.PathLike)):
            file = Path(picture)
        opened[role] = InputPicture(open_single(picture, role, limits), file)
    return opened


def open_single(picture: Any, role: str, limits: Limits | None = None) -> Image:
    """Return a picture of which there can be one only: of a file with several pages none is taken in silence.

    Parameters
    ----------
    picture : path, bytes, array, PIL picture or Image
        A path or bytes is opened; anything else is taken for the one picture it is.
    role : str
        What it is, for the message.
    limits : Limits or None
        Sizes above which a file is refused; None: the defaults.

    Raises
    ------
    OptionError
        If it has several pages.
    """
    file = Path(picture) if isinstance(picture, (str, os.PathLike)) else picture if isinstance(picture, bytes) else None
    if file and (count := io.count_pages(file, limits or io.Limits())) > 1:
        name = f"the {role}" if isinstance(file, bytes) else f"the {role} {file.name}"
        raise OptionError(
            f"{name} holds {count} pages or frames; it is one picture: save the page that is meant as a PNG"
        )
    return open_picture(picture, None, limits)


def open_mask(mask: Any, image: Image, limits: Limits | None = None) -> Mask:
    """Return a mask in the stored geometry of ``image``; see :meth:`tratto.Session.open_mask`.

    Examples
    --------
    >>> picture = open_picture(np.zeros((2, 2), np.uint8))
    >>> float(open_mask(np.eye(2, dtype=bool), picture).values.sum())
    2.0
    """
    from tratto.imaging.masks import mask_from_array, mask_from_picture

    if isinstance(mask, Mask):
        return in_16_bits(mask.values)
    mask = without_stream(mask, limits)
    if isinstance(mask, bytes):
        mask = open_single(mask, "mask", limits)
    if isinstance(mask, (str, os.PathLike)):
        mask = _mask_file(Path(mask), image, limits or io.Limits())
    elif hasattr(mask, "getbands"):
        mask = io.image_from_pil(mask)
    if isinstance(mask, Image):
        upright = io.oriented(mask_from_picture(mask), mask.meta.orientation)
    else:
        upright = mask_from_array(np.asarray(mask))
    stored = np.ascontiguousarray(io.unoriented(upright, image.meta.orientation))
    if stored.shape != (image.height, image.width):
        raise OptionError(
            f"the mask is {upright.shape[1]}x{upright.shape[0]}, the picture as shown "
            f"{shown_size(image)}; they must be of one size"
        )
    return in_16_bits(stored)


def _mask_file(path: Path, image: Image, limits: Limits) -> Image:
    """Read a mask, whose size is compared with the picture's before anything is decoded.

    Raises
    ------
    OptionError
        If it is larger than the picture, or has several pages, so that it is not clear which one is meant.
    """
    longest = max(image.width, image.height)
    room = replace(limits, max_pixels=image.width * image.height, max_side=longest)
    try:
        pages = io.count_pages(path, room)
        if pages > 1:
            raise OptionError(
                f"the mask {path.name} has {pages} pages; a mask is one picture: save the page that is meant as a PNG"
            )
        return io.read_image(path, room)
    except PictureTooLarge as e:
        raise OptionError(
            f"the mask {path.name} is larger than the picture, which is {shown_size(image)} as shown; they must be of "
            f"one size ({e})"
        ) from e


def in_16_bits(values: NDArray[Any]) -> Mask:
    """Round a mask to 16 bit, which is how a bundle keeps it, so that a replay sees exactly this mask."""
    whole = np.rint(Mask(values.astype(np.float32, copy=False)).values * np.float32(65535))
    return Mask(whole / np.float32(65535))


def mask_warnings(mask: Mask, task: str = "") -> list[str]:
    """Return what a user should know about a mask: that it lets hardly anything change.

    Of a repair that is no news: scratches and creases are thin.

    Examples
    --------
    >>> mask_warnings(Mask(np.eye(4, dtype=np.float32)))
    []
    """
    share = mask_share(mask)
    if share >= SMALL_MASK or (task == "repair" and share > 0):
        return []
    how = "nothing at all" if share == 0 else f"only {100 * share:.2g} %"
    return [f"the mask lets {how} of the picture change; in a mask white means may change"]


def mask_share(mask: Mask) -> float:
    """Return the share of the picture that a mask opens: the mean of its values.

    Examples
    --------
    >>> mask_share(Mask(np.eye(4, dtype=np.float32)))
    0.25
    """
    return float(mask.values.mean(dtype=np.float64))


def check_mask_is_another(mask: Any, picture: Any) -> None:
    """Refuse a mask, or one among several, that is the picture itself.

    Raises
    ------
    OptionError
        If both are one file, or files of equal bytes.

    Examples
    --------
    >>> import tempfile
    >>> photo, mask = (Path(tempfile.mkdtemp()) / name for name in ("photo.png", "mask.png"))
    >>> photo.write_bytes(b"one"), mask.write_bytes(b"two")
    (3, 3)
    >>> check_mask_is_another(mask, photo)
    >>> try:
    ...     check_mask_is_another(photo, photo)
    ... except OptionError:
    ...     print("refused")
    refused
    """
    if isinstance(mask, Mapping):
        mask = list(mask.values())
    if isinstance(mask, list | tuple):
        for one in mask:
            check_mask_is_another(one, picture)
        return
    if not (isinstance(mask, (str, os.PathLike)) and isinstance(picture, (str, os.PathLike))):
        return
    try:
        same = os.path.samefile(mask, picture) or filecmp.cmp(mask, picture, shallow=False)
    except OSError:
        return  # opening them will say what is wrong
    if same:
        raise OptionError(f"the mask {mask} is the picture itself; name another picture, white where it may change")


def page_index(page: Any) -> int | None:
    """Return a page as a whole number from 0; None stays None."""
    if page is None:
        return None
    try:
        index = -1 if isinstance(page, bool) else operator.index(page)
    except TypeError:
        index = -1
    if index < 0:
        raise OptionError(f"page must be a whole number from 0, one page at a time, got {page!r}")
    return index


def shown_size(image: Image) -> str:
    """Return the size as a viewer shows the picture."""
    w, h = (image.height, image.width) if image.meta.orientation >= 5 else (image.width, image.height)
    return f"{w}x{h}"
