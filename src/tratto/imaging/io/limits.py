"""How much a file may ask of this machine before it is refused."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field

from tratto.core.errors import CorruptPicture, OptionError, PictureTooLarge

#: The option of every command that raises the limit, wherever it stands on the line.
OPTION = "--max-input-megapixels"
#: Environment variable by which every command takes larger pictures; see :func:`usual_pixels`.
MAX_MEGAPIXELS = "TRATTO_MAX_MEGAPIXELS"


def usual_pixels() -> int:
    """Return how many pixels a picture may have where nobody says otherwise: 250 million, or what the user set.

    Raises
    ------
    OptionError
        If the environment variable ``TRATTO_MAX_MEGAPIXELS`` is no number above 0.
    """
    given = os.environ.get(MAX_MEGAPIXELS, "").strip()
    return pixels_of(given, MAX_MEGAPIXELS) if given else 250_000_000


def pixels_of(given: str, what: str) -> int:
    """Return how many pixels so many megapixels are.

    Parameters
    ----------
    given : str
        A number above 0.
    what : str
        What it was given by, for the message.

    Raises
    ------
    OptionError
        If it is none.

    Examples
    --------
    >>> pixels_of("0.5", "--max-input-megapixels")
    500000
    """
    try:
        megapixels = float(given)
    except ValueError:
        megapixels = math.nan
    if not 0 < megapixels <= 1e6:
        raise OptionError(f"{what} must be a number of megapixels above 0, got {given[:40]!r}")
    return int(megapixels * 1e6)


@dataclass(frozen=True)
class Limits:
    """Upper bounds that are checked from the header, before anything large is allocated.

    Attributes
    ----------
    max_pixels : int
        Width x height of one page; :func:`usual_pixels`.
    max_bytes : int
        File size.
    max_side : int
        Width or height.
    max_metadata : int
        Bytes of all metadata blocks of one file together, after inflation.
    max_pages : int
        Pages of a TIFF, frames of an animation.

    Examples
    --------
    >>> Limits(max_pages=3).max_pages
    3
    """

    max_pixels: int = field(default_factory=usual_pixels)
    max_bytes: int = 2 * 1024**3
    max_side: int = 100_000
    max_metadata: int = 32 * 1024**2
    max_pages: int = 1000

    def check_size(self, width: int, height: int, name: str) -> None:
        """Check the dimensions a header claims.

        Parameters
        ----------
        width, height : int
            As claimed.
        name : str
            Of the file, for the message.

        Raises
        ------
        CorruptPicture
            If a side is zero or negative.
        PictureTooLarge
            If a side or the number of pixels is over the limit.
        """
        if width < 1 or height < 1:
            raise CorruptPicture(f"{name}: a picture needs at least one pixel, the header says {width}x{height}")
        if max(width, height) > self.max_side:
            raise PictureTooLarge(
                f"{name}: {width}x{height} pixels is over the limit of {self.max_side} per side; cut the picture into "
                "parts"
            )
        if width * height > self.max_pixels:
            raise PictureTooLarge(
                f"{name}: {width}x{height} is {width * height / 1e6:.1f} megapixels, the limit is "
                f"{self.max_pixels / 1e6:.1f}; if you trust this file, raise {OPTION} to "
                f"{math.ceil(width * height / 1e6)}"
            )

    def check_pages(self, pages: int, name: str) -> None:
        """Check a number of pages or frames.

        Parameters
        ----------
        pages : int
            As counted, or as far as counting went.
        name : str
            Of the file, for the message.

        Raises
        ------
        PictureTooLarge
            If there are more than ``max_pages``.
        """
        if pages > self.max_pages:
            raise PictureTooLarge(f"{name}: has {pages} or more pages or frames, the limit is {self.max_pages}")

    def check_composing(self, frames: int, width: int, height: int, name: str) -> None:
        """Check the work of drawing that many frames of an animation over each other.

        Parameters
        ----------
        frames, width, height : int
            Of the frame that is asked for, counted from 1, and of the canvas in pixels.
        name : str
            Of the file, for the message.

        Raises
        ------
        PictureTooLarge
            If it is more than 40 pictures of ``max_pixels``.
        """
        if frames * width * height > 40 * self.max_pixels:
            raise PictureTooLarge(f"{name}: frame {frames} of {width}x{height} pixels is too much work to reach")

    def check_metadata(self, size: int, name: str) -> None:
        """Check the bytes of metadata seen so far.

        Parameters
        ----------
        size : int
            In bytes, of all blocks together.
        name : str
            Of the file, for the message.

        Raises
        ------
        PictureTooLarge
            If they are over ``max_metadata``.
        """
        if size > self.max_metadata:
            raise PictureTooLarge(
                f"{name}: its metadata (profiles, EXIF, XMP, text) is over the limit of {self.max_metadata} bytes; "
                "remove the oversized block"
            )
