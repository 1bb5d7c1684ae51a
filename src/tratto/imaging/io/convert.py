"""Between :class:`~tratto.core.image.Image`, NumPy arrays, Pillow pictures and palettes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io.source import Scratch, rows_per_band

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


def image_from_array(array: NDArray[Any], meta: Metadata | None = None) -> Image:
    """Make a picture from an array.

    Parameters
    ----------
    array : (H, W) or (H, W, 1-4) array
        uint8 or uint16 samples, bool (a 1-bit picture), or float in [0, 1] (becomes 16 bits, rounded). With 2 or 4
        channels the last is alpha, not premultiplied.
    meta : Metadata or None
        What to keep beside it.

    Returns
    -------
    Image
        Of its own memory for float input; otherwise the samples are shared where the layout allows.

    Raises
    ------
    InputError
        If shape, dtype or values do not fit.

    Examples
    --------
    >>> image = image_from_array(np.full((2, 3, 4), 128, np.uint8))
    >>> str(image.mode), image.pixels.shape, image.alpha.shape
    ('rgb', (2, 3, 3), (2, 3))
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f"expected a NumPy array, got {type(array).__name__}")
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise InputError(f"expected an array of (H, W) or (H, W, 1 to 4), got {array.shape}")
    meta = meta or Metadata()
    samples, bits = _native_samples(array)
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    if samples.ndim == 2:
        return Image(samples, ColorMode.GRAY, bits, meta=meta)
    if bits == 1:
        raise InputError(f"a bool array must be (H, W), got {array.shape}")
    channels = samples.shape[2]
    alpha = samples[..., -1] if channels in (2, 4) else None
    if channels == 2:
        return Image(samples[..., 0], ColorMode.GRAY, bits, alpha, meta=meta)
    return Image(samples[..., :3], ColorMode.RGB, bits, alpha, meta=meta)


def _native_samples(array: NDArray[Any]) -> tuple[NDArray[Any], int]:
    if array.dtype == np.bool_:
        return array.astype(np.uint8), 1
    if array.dtype == np.uint8:
        return array, 8
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return array.astype(np.uint16, copy=False), 16
    if array.dtype.kind != "f":
        raise InputError(f"expected uint8, uint16, bool or float samples, got {array.dtype}")
    out = np.empty(array.shape, np.uint16)
    for start in range(0, array.shape[0], step := rows_per_band(array[:1].nbytes)):
        band = array[start : start + step].astype(np.float64)
        # written so that NaN fails it too
        if not ((band >= 0.0) & (band <= 1.0)).all():
            raise InputError("float samples must be finite and lie in [0, 1]; divide by the largest possible value")
        out[start : start + step] = np.rint(band * 65535.0).astype(np.uint16)
    return out, 16


def image_from_pil(picture: PillowImage) -> Image:
    """Make a picture from a Pillow picture, with the metadata Pillow keeps in ``info``.

    Parameters
    ----------
    picture : PIL.Image.Image
        Mode 1, L, LA, P, PA, RGB, RGBA, RGBX, CMYK, I;16, or I with values of 16 bits.

    Returns
    -------
    Image
        Samples in their own depth; alpha, palette, profile and EXIF beside them.

    Raises
    ------
    UnsupportedFormat
        For other modes.
    InputError
        If the picture cannot be loaded.

    Examples
    --------
    >>> from PIL import Image as Pil
    >>> image_from_pil(Pil.new('L', (3, 2), 7)).pixels.tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    from tratto.imaging.io.source import mapped_errors

    with mapped_errors("<PIL picture>"):
        picture.load()
        meta = _pillow_metadata(picture)
        return _pillow_samples(picture, meta)


def _pillow_samples(picture: PillowImage, meta: Metadata) -> Image:
    mode = picture.mode
    key = picture.info.get("transparency")
    if mode == "1":
        return Image(np.array(picture, np.uint8), ColorMode.GRAY, 1, meta=meta)
    if mode == "P":
        return _pillow_palette(picture, key, meta)
    if mode == "PA":
        return image_from_array(np.array(picture.convert("RGBA")), meta)
    if mode in ("L", "LA", "RGB", "RGBA"):
        samples = np.array(picture)
        if key is not None and mode in ("L", "RGB"):
            solid = (samples != np.asarray(key, np.int64)).reshape(*samples.shape[:2], -1).any(axis=2)
            samples = np.dstack([samples, np.where(solid, 255, 0).astype(np.uint8)])
        return image_from_array(samples, meta)
    if mode == "RGBX":
        return image_from_array(np.array(picture)[..., :3], meta)
    if mode == "CMYK":
        return Image(np.array(picture), ColorMode.CMYK, 8, meta=meta)
    if mode.startswith("I;16"):
        return image_from_array(np.array(picture).astype(np.uint16), meta)
    if mode == "I":
        wide = np.array(picture)
        if int(wide.min()) < 0 or int(wide.max()) > 65535:
            raise UnsupportedFormat("a PIL picture of mode I must hold values from 0 to 65535; scale it first")
        return image_from_array(wide.astype(np.uint16), meta)
    raise UnsupportedFormat(f"PIL pictures of mode {mode} are not taken; convert it with .convert('RGB') first")


def _pillow_palette(picture: PillowImage, key: Any, meta: Metadata) -> Image:
    indices = np.array(picture, np.uint8)
    colors = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    # Pillow may hold fewer entries than the picture uses; the missing ones are black to it
    entries = max(len(colors), int(indices.max()) + 1)
    palette = np.full((entries, 4), 255, np.uint8)
    palette[:, :3] = 0
    palette[: len(colors), :3] = colors
    if isinstance(key, bytes):
        palette[: len(key), 3] = np.frombuffer(key[:entries], np.uint8)
    elif isinstance(key, int) and key < entries:
        palette[key, 3] = 0
    return Image(indices, ColorMode.PALETTE, 8, palette=palette, meta=meta)


def _pillow_metadata(picture: PillowImage) -> Metadata:
    from tratto.imaging.io.source import quiet

    info = picture.info
    exif = info.get("exif")
    if not isinstance(exif, bytes):
        with quiet():
            fields = picture.getexif()
            exif = fields.tobytes() if len(fields) else None
    exif = exif.removeprefix(b"Exif\0\0") if exif else None
    notes: list[str] = []
    orientation, _ = exif_blocks.facts_of(exif, notes)
    dpi = info.get("dpi")
    if not (isinstance(dpi, tuple) and len(dpi) == 2 and all(float(d) > 0 for d in dpi)):
        dpi = None
    xmp = info.get("xmp")
    icc = info.get("icc_profile")
    return Metadata(
        icc=icc if isinstance(icc, bytes) and icc else None,
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) and xmp else None,
        orientation=orientation,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        text=tuple(
            (str(k), str(v)) for k, v in (getattr(picture, "text", None) or {}).items() if k != "XML:com.adobe.xmp"
        ),
        extra={"notes": notes} if notes else {},
    )


def to_eight_bits(image: Image) -> Image:
    """Return the picture with 8 bits per sample: exact from 1, 2 and 4 bits, rounded from 16.

    Parameters
    ----------
    image : Image
        Not a palette picture of fewer bits: its indices are returned as they are.

    Returns
    -------
    Image
        Of the same size and mode, with the same metadata.

    Examples
    --------
    >>> deep = image_from_array(np.array([[0, 257, 65535]], np.uint16))
    >>> to_eight_bits(deep).pixels.tolist()
    [[0, 1, 255]]
    """
    if image.bits == 8:
        return image
    if image.mode is ColorMode.PALETTE:
        return image.replace(bits=8)
    top = image.max_value

    def scale(plane: NDArray[Any]) -> NDArray[Any]:
        out = np.empty(plane.shape, np.uint8)
        for start in range(0, plane.shape[0], step := rows_per_band(plane[:1].nbytes * 4)):
            band = plane[start : start + step].astype(np.uint32)
            out[start : start + step] = (band * 255 + top // 2) // top
        return out

    return image.replace(pixels=scale(image.pixels), alpha=None if image.alpha is None else scale(image.alpha), bits=8)


def expand_palette(image: Image, scratch: Scratch | None = None) -> Image:
    """Turn a palette picture into 8-bit RGB; other pictures are returned as they are.

    Parameters
    ----------
    image : Image
        Of any mode.
    scratch : callable or None
        Makes large arrays.

    Returns
    -------
    Image
        With an alpha plane if any palette entry is not solid.

    Raises
    ------
    InputError
        If an index is out of range of the palette.

    Examples
    --------
    >>> palette = np.array([[255, 0, 0, 255], [0, 0, 255, 255]], np.uint8)
    >>> indexed = Image(np.array([[0, 1]], np.uint8), ColorMode.PALETTE, palette=palette)
    >>> expand_palette(indexed).pixels.tolist()
    [[[255, 0, 0], [0, 0, 255]]]
    """
    if image.palette is None:
        return image
    if int(image.pixels.max()) >= len(image.palette):
        raise InputError(
            f"a palette index of {int(image.pixels.max())} is out of range of {len(image.palette)} entries"
        )
    make = scratch or np.empty
    pixels: NDArray[Any] = make((image.height, image.width, 3), np.uint8)
    clear = bool((image.palette[:, 3] != 255).any())
    alpha: NDArray[Any] | None = make((image.height, image.width), np.uint8) if clear else None
    for start in range(0, image.height, step := rows_per_band(image.width * 4)):
        band = image.pixels[start : start + step]
        pixels[start : start + step] = image.palette[:, :3][band]
        if alpha is not None:
            alpha[start : start + step] = image.palette[:, 3][band]
    extra = {k: v for k, v in image.meta.extra.items() if k not in ("tiff_colormap", "png_header")}
    return Image(pixels, ColorMode.RGB, 8, alpha, meta=replace(image.meta, extra=extra))


def to_palette(image: Image, source: Image, changed: NDArray[np.bool_]) -> Image:
    """Turn an edited RGB picture back into the palette picture it came from.

    Pixels that did not change keep their exact index. The colours of the others are reduced by median cut (Heckbert
    1982) into the palette slots the unchanged pixels do not use, and each takes the nearest entry of the result.

    Parameters
    ----------
    image : Image
        8-bit RGB, as :func:`expand_palette` made it and edited since.
    source : Image
        The palette picture.
    changed : (H, W) bool array
        True where the picture may differ.

    Returns
    -------
    Image
        A palette picture of the same depth with the metadata of ``image``.

    Raises
    ------
    InputError
        If the pictures do not fit together.

    Examples
    --------
    >>> palette = np.array([[255, 0, 0, 255], [0, 0, 255, 255]], np.uint8)
    >>> indexed = Image(np.array([[0, 1]], np.uint8), ColorMode.PALETTE, palette=palette)
    >>> edited = expand_palette(indexed)
    >>> edited.pixels[0, 1] = (0, 255, 0)
    >>> back = to_palette(edited, indexed, np.array([[False, True]]))
    >>> back.pixels[0, 0], back.palette[back.pixels[0, 1]].tolist()
    (np.uint8(0), [0, 255, 0, 255])
    """
    if source.palette is None or image.mode is not ColorMode.RGB or image.bits != 8:
        raise InputError("to_palette needs an 8-bit RGB picture and its palette source")
    if image.pixels.shape[:2] != source.pixels.shape or changed.shape != source.pixels.shape:
        raise InputError(f"sizes differ: {image.pixels.shape}, {source.pixels.shape} and {changed.shape}")
    indices = source.pixels.copy()
    entries = 1 << source.bits
    palette = np.zeros((entries, 4), np.uint8)
    palette[:, 3] = 255
    palette[: len(source.palette)] = source.palette
    alpha = image.alpha[changed] if image.alpha is not None else np.full(int(changed.sum()), 255, np.uint8)
    colors = np.column_stack([image.pixels[changed], alpha])
    if not len(colors):
        return Image(indices, ColorMode.PALETTE, source.bits, palette=source.palette, meta=image.meta)
    used = np.zeros(entries, bool)
    used[np.unique(source.pixels[~changed])] = True
    distinct, inverse, counts = np.unique(colors, axis=0, return_inverse=True, return_counts=True)
    # colours that are in the palette already keep their slot and cost nothing
    kept = palette[: len(source.palette)]
    codes, palette_codes = _codes(distinct), _codes(kept)
    known = np.isin(codes, palette_codes)
    used[: len(kept)] |= np.isin(palette_codes, codes[known])
    free = np.flatnonzero(~used)
    length = len(source.palette)
    if free.size and not known.all():
        fresh = _median_cut(distinct[~known], counts[~known], free.size)
        slots = free[: len(fresh)]
        palette[slots] = fresh
        used[slots] = True
        length = max(length, int(slots.max()) + 1)
    live = np.flatnonzero(used)
    nearest = live[_nearest(distinct, palette[live])]
    indices[changed] = nearest[inverse.reshape(-1)].astype(np.uint8)
    return Image(indices, ColorMode.PALETTE, source.bits, palette=palette[:length], meta=image.meta)


def _codes(colors: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(colors).view(np.uint32).reshape(-1)


def _median_cut(colors: NDArray[np.uint8], counts: NDArray[Any], slots: int) -> NDArray[np.uint8]:
    """Reduce distinct RGBA colours, each seen ``counts`` times, to at most ``slots``."""
    if len(colors) <= slots:
        return colors
    boxes = [np.arange(len(colors))]
    values = colors.astype(np.int32)
    spans = [np.ptp(values, axis=0)]
    while len(boxes) < slots:
        # the box in which most pixels are spread furthest is cut next
        weights = [int(s.max()) * int(counts[b].sum()) if len(b) > 1 else 0 for b, s in zip(boxes, spans, strict=True)]
        best = int(np.argmax(weights))
        if weights[best] == 0:
            break
        box, axis = boxes[best], int(np.argmax(spans[best]))
        ordered = box[np.argsort(values[box, axis], kind="stable")]
        mass = np.cumsum(counts[ordered])
        cut = int(np.clip(np.searchsorted(mass, mass[-1] / 2) + 1, 1, len(ordered) - 1))
        for part in (ordered[:cut], ordered[cut:]):
            boxes.append(part)
            spans.append(np.ptp(values[part], axis=0))
        del boxes[best], spans[best]
    means = np.array([np.average(values[b], axis=0, weights=counts[b]) for b in boxes])
    out: NDArray[np.uint8] = np.rint(means).astype(np.uint8)
    return out


def _nearest(colors: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Index of the nearest entry for each colour (squared distance of R, G, B and alpha)."""
    out = np.empty(len(colors), np.intp)
    entries = palette.astype(np.float32)
    norms = (entries**2).sum(axis=1)
    for start in range(0, len(colors), 16384):
        part = colors[start : start + 16384].astype(np.float32)
        # |c - p|^2 without |c|^2, which is the same for all p; exact below 2**24
        out[start : start + 16384] = np.argmin(norms - 2.0 * part @ entries.T, axis=1)
    return out
