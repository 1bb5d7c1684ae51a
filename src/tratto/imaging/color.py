"""Colour: sample scaling, sRGB, CIELAB, CIEDE2000 and views of pictures of any mode as sRGB.

Conventions: RGB in this order, float32 in [0, 1]; Lab with L* in [0, 100]; white point D65 (2 degree observer).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image, Samples

__all__ = [
    "delta_e_2000",
    "from_float",
    "lab_to_srgb",
    "lab_wide",
    "linear_to_lab",
    "linear_to_srgb",
    "profile_is_used",
    "srgb_profile",
    "srgb_to_lab",
    "srgb_to_linear",
    "to_float",
    "view_note",
    "view_rgb",
    "view_wide",
]

_BAND_PIXELS = 1 << 14  # temporaries of one band stay in the second-level cache and on the heap

# IEC 61966-2-1, linear sRGB to CIE XYZ for D65.
_XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
_LAB_EPSILON = 0.008856
_LAB_KAPPA = 7.787


# --------------------------------------------------------------------------------------------------------- samples


def to_float(samples: Samples, bits: int) -> NDArray[np.float32]:
    """Scale integer samples to [0, 1].

    Parameters
    ----------
    samples : uint8 or uint16 array of any shape
        In ``0 .. 2**bits - 1``.
    bits : int
        1, 2, 4, 8 or 16; full scale is ``2**bits - 1``.

    Returns
    -------
    float32 array
        Same shape. :func:`from_float` gives back exactly the same integers.

    Raises
    ------
    OptionError
        If ``bits`` is not one of those.

    Examples
    --------
    >>> to_float(np.array([0, 51, 255], np.uint8), 8).tolist() == [0, np.float32(0.2), 1]
    True
    """
    _check_bits(bits)
    out: NDArray[np.float32] = np.asarray(samples, dtype=np.float32)
    return out / np.float32((1 << bits) - 1)


def from_float(values: NDArray[np.floating[Any]], bits: int) -> Samples:
    """Round values in [0, 1] to integer samples (half up), clipping what lies outside; NaN becomes 0.

    Parameters
    ----------
    values : float array of any shape
        0 is black (or no ink), 1 is full scale.
    bits : int
        1, 2, 4, 8 or 16.

    Returns
    -------
    uint8 or uint16 array
        uint16 exactly when ``bits`` is 16.

    Raises
    ------
    OptionError
        If ``bits`` is not one of those.

    Examples
    --------
    >>> from_float(np.array([0, 0.2, 1], np.float32), 8).tolist()
    [0, 51, 255]
    """
    _check_bits(bits)
    full = (1 << bits) - 1
    v: NDArray[Any] = np.asarray(values)
    if v.dtype not in (np.float32, np.float64):
        v = v.astype(np.float32)
    v = v * v.dtype.type(full)
    v += v.dtype.type(0.5)
    np.fmax(v, 0, out=v)  # fmax, unlike maximum, turns NaN into 0
    np.minimum(v, full, out=v)
    if bits == 16:
        return v.astype(np.uint16)
    return v.astype(np.uint8)


def _check_bits(bits: int) -> None:
    if bits not in (1, 2, 4, 8, 16):
        raise OptionError(f"bit depth must be 1, 2, 4, 8 or 16, got {bits}")


# ------------------------------------------------------------------------------------------------------------ sRGB


def _floats(values: ArrayLike) -> NDArray[Any]:
    v = np.asarray(values)
    return v if v.dtype in (np.float32, np.float64) else v.astype(np.float32)


def srgb_to_linear(values: ArrayLike) -> NDArray[Any]:
    """Undo the sRGB transfer curve (IEC 61966-2-1).

    Parameters
    ----------
    values : array of any shape
        Encoded, nominally [0, 1]; negative values are mirrored.

    Returns
    -------
    float32 or float64 array
        float64 only for float64 input.

    Examples
    --------
    >>> round(float(srgb_to_linear(0.5)), 4)
    0.214
    """
    v = _floats(values)
    t = v.dtype.type
    positive = bool(v.size) and bool(v.min() >= 0)
    a = v if positive else np.abs(v)
    out: NDArray[Any] = np.asarray(np.power((a + t(0.055)) / t(1.055), t(2.4)))
    _put(out, a <= t(0.04045), lambda low: a[low] / t(12.92))
    signed: NDArray[Any] = out[()] if positive else np.copysign(out, v)
    return signed


def _put(out: NDArray[Any], where: NDArray[np.bool_], of: Callable[[NDArray[np.bool_]], Any]) -> None:
    """Fill in another rule's values where it holds. np.where computes both everywhere, and mispredicts in noise."""
    if where.any():
        out[where] = of(where)


def linear_to_srgb(values: ArrayLike) -> NDArray[Any]:
    """Apply the sRGB transfer curve (IEC 61966-2-1); the inverse of :func:`srgb_to_linear`.

    Parameters
    ----------
    values : array of any shape
        Linear light, nominally [0, 1]; negative values are mirrored.

    Returns
    -------
    float32 or float64 array
        float64 only for float64 input.

    Examples
    --------
    >>> round(float(linear_to_srgb(0.2140)), 3)
    0.5
    """
    v = _floats(values)
    t = v.dtype.type
    a = np.abs(v)
    out = np.where(a <= t(0.0031308), a * t(12.92), t(1.055) * np.power(a, t(1 / 2.4)) - t(0.055))
    signed: NDArray[Any] = np.copysign(out, v)
    return signed


# ------------------------------------------------------------------------------------------------------------- Lab


def _check_triples(v: NDArray[Any], what: str) -> None:
    if v.ndim < 1 or v.shape[-1] != 3:
        raise OptionError(f"{what} must have three values on its last axis, got shape {v.shape}")


def _lab_of(xyz: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Fill ``out`` with CIELAB of XYZ relative to white."""
    t = xyz.dtype.type
    f = np.cbrt(xyz)
    # not "<=": of what is no number, nothing is known
    _put(f, ~(xyz > t(_LAB_EPSILON)), lambda low: t(_LAB_KAPPA) * xyz[low] + t(16 / 116))
    out[..., 0] = t(116) * f[..., 1] - t(16)
    out[..., 1] = t(500) * (f[..., 0] - f[..., 1])
    out[..., 2] = t(200) * (f[..., 1] - f[..., 2])
    return out


def srgb_to_lab(rgb: ArrayLike) -> NDArray[Any]:
    """CIELAB of encoded sRGB (CIE 15:2004, white point D65).

    Parameters
    ----------
    rgb : (..., 3) array
        Encoded sRGB, [0, 1].

    Returns
    -------
    (..., 3) float32 or float64 array
        L*, a*, b*; float64 only for float64 input.

    Raises
    ------
    OptionError
        If the last axis is not of length 3.

    Examples
    --------
    >>> srgb_to_lab([1.0, 0.0, 0.0]).round(1).tolist()
    [53.2, 80.1, 67.2]
    """
    v = _floats(rgb)
    _check_triples(v, "rgb")
    return _lab_by_band(v, srgb_to_linear)


def _lab_by_band(samples: NDArray[Any], to_light: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Return CIELAB of samples of which something makes linear light, band by band."""
    flat = samples.reshape(-1, 3)
    dtype = samples.dtype if samples.dtype in (np.float32, np.float64) else np.float32
    m = (_XYZ_FROM_RGB / _WHITE_D65[:, None]).T.astype(dtype)
    out = np.empty(flat.shape, dtype)
    for i in range(0, len(flat), _BAND_PIXELS):
        _lab_of(to_light(flat[i : i + _BAND_PIXELS]) @ m, out[i : i + _BAND_PIXELS])
    return out.reshape(samples.shape)


def linear_to_lab(rgb: ArrayLike) -> NDArray[Any]:
    """CIELAB of linear sRGB light (CIE 15:2004, white point D65).

    Parameters
    ----------
    rgb : (..., 3) array
        Linear, clipped to [0, 1].

    Returns
    -------
    (..., 3) float32 or float64 array
        L*, a*, b*; float64 only for float64 input.

    Raises
    ------
    OptionError
        If the last axis is not of length 3.

    Examples
    --------
    >>> linear_to_lab(np.array([1.0, 0.0, 0.0])).round(1).tolist()
    [53.2, 80.1, 67.2]
    """
    v = np.clip(_floats(rgb), 0, 1)
    _check_triples(v, "rgb")
    xyz = v @ (_XYZ_FROM_RGB / _WHITE_D65[:, None]).T.astype(v.dtype)
    return _lab_of(xyz, np.empty_like(xyz))


def lab_to_srgb(lab: ArrayLike) -> NDArray[Any]:
    """Encoded sRGB of CIELAB (D65); the inverse of :func:`srgb_to_lab`. Not clipped to the gamut.

    Parameters
    ----------
    lab : (..., 3) array
        L* in 0 .. 100, a* and b* about -128 .. 127.

    Returns
    -------
    (..., 3) float32 or float64 array
        Beyond [0, 1] for colours that sRGB cannot hold; float32 stays float32.

    Raises
    ------
    OptionError
        If the last axis is not of length 3.

    Examples
    --------
    >>> lab_to_srgb(srgb_to_lab(np.array([0.2, 0.4, 0.6]))).round(6).tolist()
    [0.2, 0.4, 0.6]
    """
    v = _floats(lab)
    _check_triples(v, "lab")
    t = v.dtype.type
    fy = (v[..., 0] + t(16)) / t(116)
    f = np.stack([fy + v[..., 1] / t(500), fy, fy - v[..., 2] / t(200)], axis=-1)
    knee = t(_LAB_EPSILON ** (1 / 3))
    xyz = np.where(f > knee, f * f * f, (f - t(16 / 116)) / t(_LAB_KAPPA)) * _WHITE_D65.astype(v.dtype)
    return linear_to_srgb(xyz @ np.linalg.inv(_XYZ_FROM_RGB).T.astype(v.dtype))


# ------------------------------------------------------------------------------------------------------- CIEDE2000


def delta_e_2000(lab1: ArrayLike, lab2: ArrayLike) -> NDArray[Any]:
    """CIEDE2000 colour difference with all weights 1 (CIE 142-2001; Sharma, Wu and Dalal 2005).

    The mean hue is formed from unit vectors rather than from angles, so that a single arc tangent is needed; the
    published cases around opposite hues come out the same. Equal pixels are skipped.

    Parameters
    ----------
    lab1, lab2 : (..., 3) array
        L*, a*, b* of one shape.

    Returns
    -------
    (...) float32 or float64 array
        Differences, zero or more; float64 when either input is.

    Raises
    ------
    OptionError
        If the shapes differ or the last axis is not of length 3.

    Examples
    --------
    >>> round(float(delta_e_2000(np.array([50, 2.6772, -79.7751]), np.array([50, 0, -82.7485]))), 4)
    2.0425
    """
    p, q = _floats(lab1), _floats(lab2)
    if p.shape != q.shape:
        raise OptionError(f"both pictures must have the same shape, got {p.shape} and {q.shape}")
    _check_triples(p, "lab")
    dtype = np.result_type(p, q)
    fp, fq = p.reshape(-1, 3), q.reshape(-1, 3)
    out = np.zeros(len(fp), dtype)
    for i in range(0, len(fp), _BAND_PIXELS):
        a = np.ascontiguousarray(fp[i : i + _BAND_PIXELS].T, dtype=dtype)
        b = np.ascontiguousarray(fq[i : i + _BAND_PIXELS].T, dtype=dtype)
        differs = (a != b).any(axis=0)
        share = np.count_nonzero(differs) / differs.size
        if share == 0:
            continue
        if share > 0.9:  # gathering costs more than it saves
            out[i : i + _BAND_PIXELS] = _ciede2000(a, b)
        else:
            out[i : i + _BAND_PIXELS][differs] = _ciede2000(a[:, differs], b[:, differs])
    return out.reshape(p.shape[:-1])


def _pow7(x: NDArray[Any]) -> NDArray[Any]:
    x2 = x * x
    out: NDArray[Any] = x2 * x2 * x2 * x
    return out


def _ciede2000(p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Difference of two (3, N) arrays."""
    t = p.dtype.type
    l1, a1, b1 = p
    l2, a2, b2 = q
    c7 = _pow7((np.sqrt(a1 * a1 + b1 * b1) + np.sqrt(a2 * a2 + b2 * b2)) * t(0.5))
    k = t(1.5) - t(0.5) * np.sqrt(c7 / (c7 + t(25.0**7)))  # 1 + G
    a1 = a1 * k
    a2 = a2 * k
    c1 = np.sqrt(a1 * a1 + b1 * b1)
    c2 = np.sqrt(a2 * a2 + b2 * b2)
    cc = c1 * c2
    dot = a1 * a2 + b1 * b2
    cross = a1 * b2 - b1 * a2  # positive when the second hue is anticlockwise of the first
    tiny = t(1e-30)
    # Unit hue vectors; a neutral colour has none and lets the other decide, as the standard says.
    i1, i2 = t(1) / np.maximum(c1, tiny), t(1) / np.maximum(c2, tiny)
    u1, v1, u2, v2 = a1 * i1, b1 * i1, a2 * i2, b2 * i2
    # Twice the product of the chroma roots and the sine of half the hue difference. Each form is used where it does
    # not cancel. For exactly opposite hues the sign is that of the difference of the angles in [0, 360).
    dh = cross / np.sqrt(np.maximum((cc + dot) * t(0.5), tiny))
    # Direction of the mean hue: the sum of the unit vectors, or the normal of their difference where that cancels.
    hx, hy = u1 + u2, v1 + v2
    # gathered, where np.where would compute both forms everywhere, and mispredict in noise around grey
    wide = np.flatnonzero(dot < 0)
    if wide.size:
        a, b, turn = a1[wide], b1[wide], cross[wide]
        first_upper = (b > 0) | ((b == 0) & (a > 0))  # its angle is the smaller of the two opposite ones
        sign = t(1) - t(2) * ((turn < 0) | ((turn == 0) & ~first_upper))
        dh[wide] = sign * np.sqrt(t(2) * np.maximum(cc[wide] - dot[wide], t(0)))
        hx[wide], hy[wide] = sign * (v2[wide] - v1[wide]), sign * (u1[wide] - u2[wide])
    r = np.sqrt(hx * hx + hy * hy)
    neutral = r < tiny
    _put(r, neutral, lambda _: t(1))
    r = t(1) / r
    cx = hx * r
    _put(cx, neutral, lambda _: t(1))
    sx = hy * r
    cos2 = cx * cx - sx * sx
    sin2 = t(2) * cx * sx
    cos3 = cos2 * cx - sin2 * sx
    sin3 = sin2 * cx + cos2 * sx
    cos4 = cos2 * cos2 - sin2 * sin2
    sin4 = t(2) * cos2 * sin2

    def turned(c: NDArray[Any], s: NDArray[Any], degrees: float) -> NDArray[Any]:
        out: NDArray[Any] = c * t(np.cos(np.radians(degrees))) + s * t(np.sin(np.radians(degrees)))
        return out

    weight = (
        t(1)
        - t(0.17) * turned(cx, sx, 30)
        + t(0.24) * cos2
        + t(0.32) * turned(cos3, sin3, -6)
        - t(0.20) * turned(cos4, sin4, 63)
    )
    cm = (c1 + c2) * t(0.5)
    lm = (l1 + l2) * t(0.5) - t(50)
    lm *= lm
    dl = (l2 - l1) / (t(1) + t(0.015) * lm / np.sqrt(t(20) + lm))
    dc = (c2 - c1) / (t(1) + t(0.045) * cm)
    dh = dh / (t(1) + t(0.015) * cm * weight)
    # Angle from 275 degrees, in units of 25 degrees, of a hue in [0, 360): it reaches from -275 to 85 degrees.
    away = np.arctan2(turned(sx, -cx, 275), turned(cx, sx, 275)) * t(180 / np.pi / 25)
    away -= (away >= t(85 / 25)) * t(360 / 25)
    # e^-40 is nothing beside the rest; sines of what is smaller still cost twenty times as much in float32
    twist = np.sin(t(np.radians(60)) * np.exp(np.maximum(-away * away, t(-40))))
    cm7 = _pow7(cm)
    rotation = t(-2) * np.sqrt(cm7 / (cm7 + t(25.0**7))) * twist
    square: NDArray[Any] = np.maximum(dl * dl + dc * dc + dh * dh + rotation * dc * dh, t(0))
    out: NDArray[Any] = np.sqrt(square)
    return out


# ----------------------------------------------------------------------------------------------------------- views

_ICC_SPACE = {ColorMode.GRAY: "GRAY", ColorMode.RGB: "RGB", ColorMode.CMYK: "CMYK", ColorMode.PALETTE: "RGB"}
_PIL_MODE = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


#: How far a profile may take a sample from sRGB and still count as sRGB: one step of 8 bit, which is how much the
#: published sRGB profiles differ among each other (curves of 1024 points, rounded primaries, black point).
_SRGB_TOLERANCE = 1.01 / 255


@lru_cache(maxsize=8)
def _profile_kind(icc: bytes, space: str) -> str:
    """Say what an embedded profile is good for: ``"srgb"``, ``"convert"``, or a sentence on why it is not used.

    Whether it is sRGB is judged by what it does to samples. A name is anybody's: editors keep it when they change the
    curves, and profiles of linear light are called "sRGB linear".
    """
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        found = str(profile.profile.xcolor_space).strip()
        if found != space:
            return f"the embedded profile is for {found} samples, the picture has {space}; profile ignored"
        _transform(icc, space)
        if space == "RGB" and _acts_as_srgb(icc):
            return "srgb"
    except Exception as error:  # Pillow raises bare OSError, ValueError, TypeError and its own type for broken profiles
        return f"the embedded profile cannot be used ({type(error).__name__}); profile ignored"
    return "convert"


def _acts_as_srgb(icc: bytes) -> bool:
    """Return whether a profile leaves samples where sRGB has them, to the tolerance, all over the cube."""
    steps = np.linspace(0, 65535, 17).astype(np.uint16)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    moved = _deep(cube, icc, _srgb_profile(), "RGB", "rgb", "uint16").astype(np.float64) - cube
    return bool(np.abs(moved).max() <= _SRGB_TOLERANCE * 65535)


@lru_cache(maxsize=8)
def _transform(icc: bytes, space: str) -> Any:
    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        _PIL_MODE[space],
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )


@lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    from PIL import ImageCms

    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def srgb_profile() -> bytes:
    """Return an ICC profile of sRGB.

    Examples
    --------
    >>> srgb_profile()[36:40]
    b'acsp'
    """
    return _srgb_profile()


def profile_is_used(image: Image) -> bool:
    """Return whether a picture's embedded profile is sound and of a space other than sRGB.

    Examples
    --------
    >>> from tratto.core.image import ColorMode, Image
    >>> picture = Image(np.full((2, 3, 3), 200, np.uint8), ColorMode.RGB)
    >>> profile_is_used(picture)  # it has none
    False
    """
    icc = image.meta.icc
    return icc is not None and _profile_kind(icc, _ICC_SPACE[image.mode]) == "convert"


def view_note(image: Image) -> str:
    """Say in one sentence how :func:`view_rgb` gets from the picture's samples to sRGB.

    Parameters
    ----------
    image : Image
        Its profile and mode are looked at, not its samples.

    Returns
    -------
    str
        Without a full stop, for a report.

    Examples
    --------
    >>> from tratto.core.image import ColorMode, Image
    >>> picture = Image(np.full((2, 3, 3), 200, np.uint8), ColorMode.RGB)
    >>> view_note(picture)
    'no embedded profile; samples taken as sRGB'
    """
    icc = image.meta.icc
    if icc:
        kind = _profile_kind(icc, _ICC_SPACE[image.mode])
        if kind == "srgb":
            return "the embedded profile is sRGB; samples shown as they are"
        if kind == "convert":
            return "shown through the embedded profile, relative colorimetric"
        reason = f"{kind}; "
    else:
        reason = "no embedded profile; "
    if image.mode is ColorMode.CMYK:
        return reason + "inks shown as (1 - ink)(1 - K)"
    return reason + "samples taken as sRGB"


def view_rgb(image: Image, y0: int = 0, y1: int | None = None) -> NDArray[np.float32]:
    """Show rows of a picture as sRGB, for display and for perceptual maps; never for editing.

    Embedded profiles are honoured (relative colorimetric). 8-bit samples then pass through an 8-bit transform; 16-bit
    samples keep 16 bits. A profile that cannot be used is ignored: :func:`view_note` says so. Alpha is not applied.

    Parameters
    ----------
    image : Image
        Of any mode.
    y0, y1 : int
        First row and the row after the last; the whole height by default.

    Returns
    -------
    (y1 - y0, W, 3) float32 array
        Encoded sRGB in [0, 1].

    Raises
    ------
    OptionError
        If the rows do not lie inside the picture.

    Examples
    --------
    >>> from tratto.core.image import ColorMode, Image
    >>> picture = Image(np.full((2, 3, 3), 200, np.uint8), ColorMode.RGB)
    >>> view_rgb(picture).shape, round(float(view_rgb(picture)[0, 0, 0]), 3)
    ((2, 3, 3), 0.784)
    """
    end = image.height if y1 is None else y1
    if not 0 <= y0 < end <= image.height:
        raise OptionError(f"rows {y0} to {end} do not lie inside a picture of {image.height} rows")
    part: NDArray[Any] = np.asarray(image.pixels[y0:end])
    bits = image.bits
    if image.mode is ColorMode.PALETTE and image.palette is not None:
        part = image.palette[np.minimum(part, len(image.palette) - 1), :3]
        bits = 8
    icc = image.meta.icc
    if icc and _profile_kind(icc, _ICC_SPACE[image.mode]) == "convert":
        return _through_profile(part, bits, icc, _ICC_SPACE[image.mode])
    v = to_float(part, bits)
    if v.ndim == 2:
        return np.repeat(v[..., None], 3, axis=2)
    if image.mode is ColorMode.CMYK:
        light: NDArray[np.float32] = (np.float32(1) - v[..., :3]) * (np.float32(1) - v[..., 3:])
        return light
    return v


def view_wide(image: Image, y0: int = 0, y1: int | None = None) -> NDArray[np.float32]:
    """Show rows of a picture as sRGB without a bound, for figures: colours that sRGB cannot hold keep their place.

    Values below 0 and above 1 stand for such colours (the curve is mirrored at 0, as :func:`srgb_to_linear` undoes it).
    Where no profile is used, or it is sRGB, this is :func:`view_rgb`.

    Parameters
    ----------
    image : Image
        Of any mode.
    y0, y1 : int
        First row and the row after the last; the whole height by default.

    Returns
    -------
    (y1 - y0, W, 3) float32 array
        Encoded sRGB, nominally in [0, 1].

    Raises
    ------
    OptionError
        If the rows do not lie inside the picture.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode, Image
    >>> view_wide(Image(np.full((1, 1, 3), 51, np.uint8), ColorMode.RGB)).tolist()
    [[[0.20000000298023224, 0.20000000298023224, 0.20000000298023224]]]
    """
    icc = image.meta.icc
    if not icc or _profile_kind(icc, _ICC_SPACE[image.mode]) != "convert":
        return view_rgb(image, y0, y1)
    end = image.height if y1 is None else y1
    if not 0 <= y0 < end <= image.height:
        raise OptionError(f"rows {y0} to {end} do not lie inside a picture of {image.height} rows")
    part: NDArray[Any] = np.asarray(image.pixels[y0:end])
    bits = image.bits
    if image.mode is ColorMode.PALETTE and image.palette is not None:
        part, bits = image.palette[np.minimum(part, len(image.palette) - 1), :3], 8
    elif bits < 8:
        part, bits = from_float(to_float(part, bits), 8), 8
    space = _ICC_SPACE[image.mode]
    tables = _light_tables(icc, space, bits)
    if tables is None:
        light = _light_by_lab(part, icc, space)
    elif part.ndim == 2:
        light = tables[0][part]
    else:
        light = tables[0][part[..., 0]] + tables[1][part[..., 1]] + tables[2][part[..., 2]]
    return np.asarray(linear_to_srgb(light), np.float32)


@lru_cache(maxsize=1)
def _light_of_bytes() -> NDArray[np.float32]:
    return np.asarray(srgb_to_linear(to_float(np.arange(256, dtype=np.uint8), 8)), np.float32)


def lab_wide(image: Image, y0: int, y1: int, where: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return CIELAB of rows of a picture as :func:`view_wide` shows them, colours beyond sRGB, too.

    Parameters
    ----------
    image : Image
        Of any mode.
    y0, y1 : int
        First row and the row after the last.
    where : (y1 - y0, W) bool array or None
        Only of these pixels, one after the other; None: of all.

    Returns
    -------
    (y1 - y0, W, 3) or (N, 3) float32 array
        L*, a*, b*.

    Examples
    --------
    >>> from tratto.core.image import ColorMode, Image
    >>> round(float(lab_wide(Image(np.full((1, 1, 3), 255, np.uint8), ColorMode.RGB), 0, 1)[0, 0, 0]))
    100
    """
    if image.mode is ColorMode.RGB and image.bits == 8 and not profile_is_used(image) and 0 <= y0 < y1 <= image.height:
        part: NDArray[Any] = np.asarray(image.pixels[y0:y1])
        table = _light_of_bytes()  # the same numbers, without the power of every sample
        return np.asarray(_lab_by_band(part if where is None else part[where], table.take), np.float32)
    view = view_wide(image, y0, y1)
    return np.asarray(srgb_to_lab(view if where is None else view[where]), np.float32)


# ICC.1:2022, 7.2.16: the light of the profile connection space, as its headers state it
_WHITE_D50 = np.array([0.9642, 1.0, 0.8249])


@lru_cache(maxsize=1)
def _rgb_from_pcs() -> NDArray[np.float64]:
    """Return the matrix from XYZ of the profile connection space to linear sRGB, by the sRGB profile itself."""
    ends = _deep(np.eye(3, dtype=np.uint16)[None] * np.uint16(65535), _srgb_profile(), _pcs("xyz"), "RGB", "xyz")
    return np.asarray(np.linalg.inv(ends.reshape(3, 3).astype(np.float64).T))


@lru_cache(maxsize=8)
def _light_tables(icc: bytes, space: str, bits: int) -> tuple[NDArray[np.float32], ...] | None:
    """Return linear sRGB light for each value of each channel, whose sum is that of a colour; None if it is not one.

    So it is with every profile of three curves and a matrix (Display P3, Adobe RGB, linear ones) and of one grey
    curve. Light is then exact, without bounds, and a matter of looking up.
    """
    if space not in ("RGB", "GRAY"):
        return None
    count = 1 << bits
    ramp = np.arange(count, dtype=np.uint8 if bits == 8 else np.uint16)
    channels = 3 if space == "RGB" else 1
    probe = np.random.default_rng(0).integers(0, count, (1, 512, channels)).astype(ramp.dtype)
    alone = np.zeros((channels, count, channels), ramp.dtype)
    for c in range(channels):
        alone[c, :, c] = ramp
    if channels == 1:
        alone, probe = alone[..., 0], probe[..., 0]
    xyz = _deep(alone, icc, _pcs("xyz"), space, "xyz").astype(np.float64)
    xyz[1:] -= xyz[0, 0]  # black counts once
    seen = _deep(probe, icc, _pcs("xyz"), space, "xyz").astype(np.float64)
    added = sum(xyz[c][probe[..., c]] for c in range(3)) if channels == 3 else xyz[0][probe]
    if float(np.abs(added - seen).max()) > 2e-4:
        return None
    light = xyz @ _rgb_from_pcs().T
    return tuple(np.ascontiguousarray(t, np.float32) for t in light)


def _light_by_lab(part: NDArray[Any], icc: bytes, space: str) -> NDArray[np.float32]:
    """Return linear sRGB light by way of the profile's own CIELAB, 16 bit."""
    lab = _deep(part, icc, _pcs("lab4"), space, "lab", "uint16").astype(np.float32)
    fy = (lab[..., 0] * np.float32(100 / 65535) + np.float32(16)) / np.float32(116)
    fx = fy + (lab[..., 1] / np.float32(257) - np.float32(128)) / np.float32(500)
    fz = fy - (lab[..., 2] / np.float32(257) - np.float32(128)) / np.float32(200)
    f = np.stack([fx, fy, fz], axis=-1)
    knee = np.float32(6 / 29)
    xyz = np.where(f > knee, f * f * f, (f - np.float32(16 / 116)) * np.float32(3 * (6 / 29) ** 2))
    return np.asarray(xyz @ (_rgb_from_pcs() * _WHITE_D50).T.astype(np.float32), np.float32)


@lru_cache(maxsize=4)
def _pcs(name: str) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.cms_profile(name))


def _deep(part: NDArray[Any], icc: bytes, target: bytes, space: str, out: str, dtype: str = "float32") -> NDArray[Any]:
    """Transform samples by Little CMS, relative colorimetric, in more than 8 bits."""
    import imagecodecs

    return np.asarray(
        imagecodecs.cms_transform(
            np.ascontiguousarray(part),
            icc,
            target,
            colorspace={"GRAY": "gray", "RGB": "rgb", "CMYK": "cmyk"}[space],
            outcolorspace=out,
            outdtype=dtype,
            intent=1,
        )
    )


def _through_profile(part: NDArray[Any], bits: int, icc: bytes, space: str) -> NDArray[np.float32]:
    from PIL import Image as PilImage
    from PIL import ImageCms

    if bits == 16:
        import imagecodecs

        # Little CMS counts 16-bit ink upwards too, so that no inversion is needed.
        deep = imagecodecs.cms_transform(
            np.ascontiguousarray(part),
            icc,
            _srgb_profile(),
            colorspace={"GRAY": "gray", "RGB": "rgb", "CMYK": "cmyk"}[space],
            outcolorspace="rgb",
            outdtype="uint16",
            intent=int(ImageCms.Intent.RELATIVE_COLORIMETRIC),
        )
        return to_float(np.asarray(deep), 16)
    eight = part if bits == 8 else from_float(to_float(part, bits), 8)
    shown = ImageCms.applyTransform(
        PilImage.fromarray(np.ascontiguousarray(eight), _PIL_MODE[space]), _transform(icc, space)
    )
    return to_float(np.asarray(shown), 8)
