"""Pictures as they were decoded: native samples with everything that must come back beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OptionError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Samples = NDArray[np.uint8] | NDArray[np.uint16]
#: How pixels are enlarged; see :mod:`tratto.imaging.resample`.
Kernel = Literal["nearest", "bilinear", "bicubic", "lanczos"]


class ColorMode(StrEnum):
    """What the colour samples of an :class:`Image` mean (alpha is always kept apart)."""

    GRAY = "gray"  # (H, W), 0 = black
    RGB = "rgb"  # (H, W, 3)
    CMYK = "cmyk"  # (H, W, 4), 0 = no ink
    PALETTE = "palette"  # (H, W) indices into Image.palette


@dataclass(frozen=True)
class JpegFacts:
    """What a JPEG file says about its own compression.

    Attributes
    ----------
    tables : tuple of tuple of int
        Quantisation tables in the order of the file, 64 entries each in natural (row-major) order.
    subsampling : str
        ``"4:4:4"``, ``"4:2:2"``, ``"4:2:0"``, ``"4:4:0"``, ``"4:1:1"``, ``"gray"`` or ``"other"``.
    progressive : bool
        True for a progressive file.
    """

    tables: tuple[tuple[int, ...], ...]
    subsampling: str
    progressive: bool = False


@dataclass(frozen=True)
class Metadata:
    """What lies beside the samples in the file and must come back as it went in.

    Attributes
    ----------
    format : str
        ``"png"``, ``"jpeg"``, ``"tiff"``, ``"webp"``, ``"bmp"``, ``"heif"``, ``"avif"``; ``""`` for arrays.
    icc, exif, xmp, iptc : bytes or None
        Raw blocks. ``exif`` is the TIFF structure without the ``Exif\\0\\0`` prefix; ``xmp`` the packet;
        ``iptc`` the Photoshop resource block (JPEG APP13 / TIFF 34377) without its identifier.
    orientation : int
        EXIF orientation 1-8. The samples stay in stored order; the tag travels with them.
    dpi : (float, float) or None
        Horizontal and vertical resolution, dots per inch.
    text : tuple of (str, str)
        Textual key-value pairs (PNG tEXt / zTXt / iTXt other than XMP).
    jpeg : JpegFacts or None
        Present when the file is a JPEG.
    extra : mapping
        Facts a writer of the same format needs (TIFF compression and predictor, and so on). JSON-able.
    """

    format: str = ""
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    orientation: int = 1
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()
    jpeg: JpegFacts | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


_CHANNELS = {ColorMode.GRAY: 0, ColorMode.RGB: 3, ColorMode.CMYK: 4, ColorMode.PALETTE: 0}


@dataclass(frozen=True, eq=False)
class Image:
    """One picture in its native encoding.

    Attributes
    ----------
    pixels : uint8 or uint16 array
        ``(H, W)`` for gray and palette, ``(H, W, 3)`` for RGB, ``(H, W, 4)`` for CMYK, in stored order (EXIF
        orientation not applied). May be memory-mapped. Values lie in ``0 .. 2**bits - 1``.
    mode : ColorMode
        Which channels ``pixels`` has, and what they mean.
    bits : int
        1, 2, 4, 8 (uint8) or 16 (uint16). Below 8 only for gray and palette.
    alpha : array or None
        ``(H, W)``, same dtype and range as ``pixels``, not premultiplied. None for palette pictures, whose alpha is in
        the palette.
    palette : (N, 4) uint8 array or None
        RGBA entries, only for palette pictures.
    meta : Metadata
        Profile, EXIF, resolution and whatever else came with the file.

    Raises
    ------
    InputError
        If the parts contradict each other or a side is zero.
    """

    pixels: Samples
    mode: ColorMode
    bits: int = 8
    alpha: Samples | None = None
    palette: NDArray[np.uint8] | None = None
    meta: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        want = _CHANNELS[self.mode]
        shape = self.pixels.shape
        ok = len(shape) == 2 if want == 0 else len(shape) == 3 and shape[2] == want
        if not ok:
            raise InputError(f"{self.mode} samples need {'(H, W)' if want == 0 else f'(H, W, {want})'}, got {shape}")
        if shape[0] < 1 or shape[1] < 1:
            raise InputError(f"a picture needs at least one pixel, got {shape[1]}x{shape[0]}")
        if self.bits not in (1, 2, 4, 8, 16):
            raise InputError(f"bit depth must be 1, 2, 4, 8 or 16, got {self.bits}")
        dtype = np.uint16 if self.bits == 16 else np.uint8
        if self.pixels.dtype != dtype:
            raise InputError(f"{self.bits}-bit samples need {np.dtype(dtype)}, got {self.pixels.dtype}")
        if self.alpha is not None:
            if self.mode is ColorMode.PALETTE:
                raise InputError("a palette picture carries its alpha in the palette")
            if self.alpha.shape != shape[:2] or self.alpha.dtype != dtype:
                raise InputError(
                    f"alpha must be {shape[:2]} {np.dtype(dtype)}, got {self.alpha.shape} {self.alpha.dtype}"
                )
        if (self.palette is not None) != (self.mode is ColorMode.PALETTE):
            raise InputError("a palette belongs to palette pictures, and only to them")

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def max_value(self) -> int:
        """The sample value of full scale, ``2**bits - 1``."""
        return int((1 << self.bits) - 1)

    @property
    def megapixels(self) -> float:
        """Pixels / 10**6."""
        return self.height * self.width / 1e6

    def replace(self, **changes: Any) -> Image:
        """Return a copy with some attributes exchanged (checked anew)."""
        return replace(self, **changes)

    def to_pil(self, upright: bool = False) -> PillowImage:
        """Return the picture as Pillow holds such pictures, with profile, EXIF and resolution in its ``info``.

        Parameters
        ----------
        upright : bool
            Turn it as its EXIF orientation says; the tag is then 1. False: as stored, with the tag.

        Returns
        -------
        PIL.Image.Image
            Mode ``1``, ``L``, ``LA``, ``I;16`` (gray of 16 bits), ``P`` with its palette, ``RGB``, ``RGBA`` or
            ``CMYK``. Pillow has no color of 16 bits: it is rounded to 8, and so is alpha.

        Examples
        --------
        >>> Image(np.zeros((2, 3, 4), np.uint8), ColorMode.CMYK).to_pil().mode
        'CMYK'
        """
        from PIL import Image as Pil
        from PIL import ImageOps

        wide = self.bits == 16 and (self.mode is not ColorMode.GRAY or self.alpha is not None)
        if self.mode is ColorMode.PALETTE and self.palette is not None:
            made = Pil.fromarray(np.asarray(self.pixels))
            made.putpalette(np.asarray(self.palette[:, :3]).tobytes(), "RGB")
            if int(self.palette[:, 3].min()) < 255:
                made.info["transparency"] = bytes(self.palette[:, 3].tolist())
        elif self.bits == 1 and self.alpha is None:
            made = Pil.fromarray(np.asarray(self.pixels, np.uint8) > 0)
        elif self.bits == 16 and not wide:
            made = Pil.fromarray(np.asarray(self.pixels))
        else:
            made = Pil.fromarray(self._in_8_bits(self.pixels), "CMYK" if self.mode is ColorMode.CMYK else None)
            if self.alpha is not None and self.mode is not ColorMode.CMYK:
                made.putalpha(Pil.fromarray(self._in_8_bits(self.alpha)))
        made.info |= {k: v for k, v in (("icc_profile", self.meta.icc), ("dpi", self.meta.dpi)) if v is not None}
        exif = made.getexif()
        if self.meta.exif is not None:
            exif.load(self.meta.exif)
        exif[_ORIENTATION] = self.meta.orientation
        made.info["exif"] = exif.tobytes()
        return ImageOps.exif_transpose(made) if upright else made

    def _in_8_bits(self, samples: Samples) -> NDArray[np.uint8]:
        full = self.max_value
        wide = np.asarray(samples, np.uint32)
        return np.asarray(samples if full == 255 else (wide * 510 + full) // (2 * full), np.uint8)


#: The EXIF tag.
_ORIENTATION = 274


@dataclass(frozen=True, eq=False)
class Mask:
    """Where a picture may change.

    Attributes
    ----------
    values : (H, W) float32 array in [0, 1]
        1 = may change, 0 = must stay bit-identical, between = blended.
    """

    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        v = self.values
        if v.ndim != 2 or v.dtype != np.float32:
            raise OptionError(f"a mask must be a float32 (H, W) array, got {v.dtype} {v.shape}")
        if v.size and not (np.isfinite(v).all() and float(v.min()) >= 0.0 and float(v.max()) <= 1.0):
            raise OptionError("mask values must be finite and lie in [0, 1]")


@dataclass(frozen=True, eq=False)
class Depth:
    """A depth map.

    Attributes
    ----------
    values : (H, W) float32 array
        Distance or its inverse, as ``unit`` and ``nearer_is`` say.
    unit : str
        ``"metre"`` or ``"relative"``.
    nearer_is : str
        ``"smaller"`` or ``"larger"``.
    """

    values: NDArray[np.float32]
    unit: str = "relative"
    nearer_is: str = "smaller"
