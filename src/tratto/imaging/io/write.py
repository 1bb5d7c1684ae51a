"""The one door through which pictures go out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tratto.core.errors import OptionError, OutputError, TrattoError
from tratto.core.files import atomic_file
from tratto.core.image import ColorMode, Image
from tratto.imaging.io.read import without_private
from tratto.imaging.io.sniff import FORMATS

#: Formats that can be written.
WRITABLE = ("png", "tiff", "jpeg", "webp", "bmp")


@dataclass(frozen=True)
class WriteOptions:
    """How to write.

    Attributes
    ----------
    quality : int
        1-100, for lossy kinds (JPEG, WebP when not lossless).
    lossless : bool
        WebP only.
    strip_metadata : bool
        Leave out EXIF, XMP, IPTC, text and comments. ICC profile, orientation and resolution stay.
    keep_tables : bool
        JPEG only: the quantisation tables and subsampling of the source instead of ``quality``.
    level : int
        zlib level 0-9 for PNG and deflate TIFF. On photographs 4 is more than twice as fast as 6 for 2 % more bytes.
        PNG below 7 looks for repeats only where the top of the picture shows that this pays.
    compression : str or None
        TIFF only: ``"none"``, ``"lzw"``, ``"deflate"``, ``"packbits"``, ``"lzma"``, ``"zstd"``; None: as the source, or
        deflate.

    Examples
    --------
    >>> WriteOptions()
    WriteOptions(quality=95, lossless=True, strip_metadata=False, keep_tables=False, level=4, compression=None)
    """

    quality: int = 95
    lossless: bool = True
    strip_metadata: bool = False
    keep_tables: bool = False
    level: int = 4
    compression: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise OptionError(f"quality must be 1-100, got {self.quality}")
        if not 0 <= self.level <= 9:
            raise OptionError(f"the compression level must be 0-9, got {self.level}")


def writable(image: Image, fmt: str) -> str | None:
    """Say why a format cannot carry the colours of a picture; None if it can.

    Only what the format itself loses counts: depth, alpha, CMYK, size, orientation. JPEG and lossy WebP change samples
    by compressing them, and that is not counted. Grey and palette pictures are written as RGB where a format has
    neither (WebP), and samples below 8 bits as 8 bits: every colour stays exactly what it was.

    Parameters
    ----------
    image : Image
        Its mode, depth, alpha and size are looked at, not its samples.
    fmt : str
        A key of :data:`~tratto.imaging.io.FORMATS`.

    Returns
    -------
    str or None
        A clause with what to do about it.

    Examples
    --------
    >>> import numpy as np
    >>> writable(Image(np.zeros((2, 3), np.uint16), ColorMode.GRAY, 16), 'png') is None
    True
    """
    if fmt not in FORMATS:
        return f"{fmt!r} is not a format Tratto knows; it writes {', '.join(WRITABLE)}"
    label = FORMATS[fmt]
    if fmt not in WRITABLE:
        return f"Tratto reads {label} but does not write it"
    if fmt == "tiff":
        return None
    if image.mode is ColorMode.CMYK and fmt != "jpeg":
        return f"{label} cannot store CMYK; use TIFF"
    if image.meta.extra.get("tiff_alpha") == "associated" and image.alpha is not None:
        return f"{label} cannot store premultiplied alpha exactly; use TIFF"
    if image.bits == 16 and fmt != "png":
        return f"{label} cannot store 16 bits per sample; use PNG or TIFF"
    if fmt == "png":
        return None
    clear = image.alpha is not None or (image.palette is not None and bool((image.palette[:, 3] != 255).any()))
    if fmt == "jpeg" and clear:
        return "JPEG cannot store alpha; use PNG, WebP or TIFF"
    if fmt == "bmp" and image.meta.orientation != 1:
        return f"BMP cannot store the orientation {image.meta.orientation}; use PNG or TIFF"
    if fmt == "jpeg" and max(len(image.meta.exif or b""), len(image.meta.xmp or b"")) > 65500:
        return "JPEG cannot store EXIF or XMP of more than 65500 bytes; use PNG or TIFF"
    longest = {"webp": 16383, "jpeg": 65500, "bmp": 2**31 - 1}[fmt]
    if max(image.width, image.height) > longest:
        return f"{label} cannot store more than {longest} pixels on a side; use PNG or TIFF"
    return None


def write_image(image: Image, path: str | os.PathLike[str], fmt: str, options: WriteOptions | None = None) -> None:
    """Write a picture with its metadata, atomically: the file is complete or not there.

    An existing file is replaced; whether that is wanted is for the caller to decide.

    Parameters
    ----------
    image : Image
        With its metadata; what the format has no place for is left out.
    path : path
        The file; its folder must be there.
    fmt : str
        ``"png"``, ``"tiff"``, ``"jpeg"``, ``"webp"`` or ``"bmp"``.
    options : WriteOptions or None
        None: the defaults.

    Raises
    ------
    OutputError
        If the format cannot carry the picture or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from tratto.imaging.io import read_image
    >>> file = Path(tempfile.mkdtemp()) / "deep.tif"
    >>> write_image(Image(np.full((2, 3), 40_000, np.uint16), ColorMode.GRAY, 16), file, "tiff")
    >>> read_image(file).pixels.max()
    np.uint16(40000)
    """
    write_pages([image], path, fmt, options)


def write_pages(
    images: Iterable[Image], path: str | os.PathLike[str], fmt: str = "tiff", options: WriteOptions | None = None
) -> None:
    """Write several pages into one TIFF, or one picture into any format, atomically.

    Parameters
    ----------
    images : iterable of Image
        Taken one after the other. Exactly one unless ``fmt`` is ``"tiff"``.
    path : path
        The file; its folder must be there.
    fmt : str
        As for :func:`write_image`.
    options : WriteOptions or None
        None: the defaults.

    Raises
    ------
    OutputError
        As for :func:`write_image`, or if a format other than TIFF is given several pages.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from tratto.imaging.io import count_pages
    >>> file = Path(tempfile.mkdtemp()) / "two.tif"
    >>> write_pages([Image(np.full((2, 3), v, np.uint8), ColorMode.GRAY) for v in (0, 255)], file)
    >>> count_pages(file)
    2
    """
    options = options or WriteOptions()
    pages = (_ready(image, fmt, options) for image in images)
    with atomic_file(path) as stream:
        try:
            if fmt == "tiff":
                from tratto.imaging.io.tiff_write import write_tiff

                write_tiff(stream, pages, options.compression, options.level)
                return
            image = next(pages, None)
            if image is None or next(pages, None) is not None:
                raise OutputError(f"{fmt} holds exactly one picture; write several pages as TIFF")
            if fmt == "png":
                from tratto.imaging.io.png_write import write_png

                write_png(stream, image, options.level)
            elif fmt == "jpeg":
                from tratto.imaging.io.jpeg import JpegSettings, write_jpeg

                write_jpeg(stream, image, JpegSettings(options.quality, options.keep_tables))
            elif fmt == "webp":
                from tratto.imaging.io.webp import write_webp

                write_webp(stream, image, None if options.lossless else options.quality)
            else:
                from tratto.imaging.io.bmp import write_bmp

                write_bmp(stream, image)
        except (TrattoError, OSError):
            raise
        except MemoryError as error:
            raise OutputError(f"{os.fspath(path)}: there is not enough memory to encode it as {fmt}") from error
        except Exception as error:
            raise OutputError(f"{os.fspath(path)}: cannot be encoded as {fmt}: {error}") from error


def _ready(image: Image, fmt: str, options: WriteOptions) -> Image:
    """Check a page and bring it into the mode its writer takes."""
    from tratto.imaging.io.convert import expand_palette, to_eight_bits

    reason = writable(image, fmt)
    if reason is not None:
        raise OutputError(reason)
    if options.strip_metadata:
        image = without_private(image)
    if image.palette is not None:
        clear = bool((image.palette[:, 3] != 255).any())
        if fmt in ("webp", "jpeg") or (fmt in ("tiff", "bmp") and clear):
            image = expand_palette(image)
        elif fmt == "bmp" and image.bits == 2:
            image = image.replace(bits=4)
    if image.bits < 8 and (fmt in ("webp", "jpeg") or (fmt == "bmp" and image.alpha is not None)):
        image = to_eight_bits(image)
    if fmt == "webp" and image.mode is ColorMode.GRAY:
        image = image.replace(pixels=np.repeat(image.pixels[..., None], 3, axis=2), mode=ColorMode.RGB)
    return image
