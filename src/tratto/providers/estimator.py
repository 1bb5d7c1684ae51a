"""Noise, JPEG and blur of a picture as a network sees them: a second opinion beside the classical estimates.

The classical estimates of :mod:`tratto.imaging.estimate` decide what ``restore`` does. They count what differs from
pixel to pixel, so coarse grain escapes them, and noise that a compression has smoothed reads too small. The network was
shown both. It answers with a standard error, since on fine texture it can be wrong, too. Its weights do not ship yet:
they are no better than the classical estimates so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import Backend, open_backend
from tratto.core.capability import ModelRef
from tratto.core.errors import UnavailableError
from tratto.core.image import ColorMode, Image
from tratto.imaging.color import to_float
from tratto.imaging.estimate import sample_windows
from tratto.models.store import get_card
from tratto.providers.restorer.network import missing_network

CARD = "tratto-estimator"
TRAITS = ("noise", "jpeg", "blur")
#: Side of the crops the network is shown, and how many at most.
CROP, CROPS = 128, 32
#: Sides of a crop must be multiples of this, which also keeps the grid of a JPEG in step.
MULTIPLE = 8
SMALLEST = 32


@dataclass(frozen=True)
class Trait:
    """One answer.

    Attributes
    ----------
    value : float
        Noise: standard deviation in 1/255. JPEG: 100 - quality, 0 without. Blur: standard deviation in pixels.
    error : float
        One standard error, same unit, as the network states it of a crop.
    """

    value: float
    error: float


@dataclass(frozen=True)
class Opinion:
    """What the network says of a picture.

    Attributes
    ----------
    noise, jpeg, blur : Trait
    crops : int
        How many crops it was shown; each answer is their median.
    model : ModelRef
    """

    noise: Trait
    jpeg: Trait
    blur: Trait
    crops: int
    model: ModelRef

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        answers = {t: {"value": getattr(self, t).value, "error": getattr(self, t).error} for t in TRAITS}
        return {**answers, "crops": self.crops, "model": self.model.to_json()}


def missing() -> UnavailableError | None:
    """Return why the network cannot be used here, or None."""
    return missing_network(CARD)


def unsuited(image: Image) -> str:
    """Return why the network can say nothing of a picture; empty if it can."""
    if image.mode is ColorMode.CMYK:
        return "the network was shown light, not inks"
    if image.bits == 1:
        return "one-bit samples carry no brightness to measure"
    if min(image.height, image.width) < SMALLEST:
        return f"a side of less than {SMALLEST} pixels is too small"
    return ""


def opinion(image: Image, backend: Backend | None = None) -> Opinion:
    """Show the network crops of a picture, spread over it, and return the medians of its answers.

    Parameters
    ----------
    image : Image
        Grey, RGB or palette, any depth; see :func:`unsuited`. Samples count as stored, whatever the profile.
    backend : Backend or None
        An opened network; None: opens the one that ships.

    Returns
    -------
    Opinion

    Raises
    ------
    UnavailableError
        If the network or its runtime is missing, or the picture is not one it can judge.
    """
    reason = unsuited(image)
    if reason:
        raise UnavailableError(f"no second opinion on this picture: {reason}")
    if backend is None:
        error = missing()
        if error is not None:
            raise error
    card = get_card(CARD)
    if backend is None:
        backend = open_backend(card, precision="fp32", runtime="onnx")
    values, errors = [], []
    for crop in crops(image):
        out = backend.run({card.input: np.ascontiguousarray(crop.transpose(2, 0, 1))[None]})
        values.append(out[card.output].reshape(len(TRAITS)))
        errors.append(out[card.sigma_output].reshape(len(TRAITS)))
    value, error_ = np.median(values, axis=0), np.median(errors, axis=0)
    found = {t: Trait(round(float(value[k]), 3), round(float(error_[k]), 3)) for k, t in enumerate(TRAITS)}
    return Opinion(**found, crops=len(values), model=backend.model)


def crops(image: Image) -> list[NDArray[np.float32]]:
    """Cut out what the network is shown: (h, w, 3) float32 in [0, 1], sides multiples of 8, at most :data:`CROPS`."""
    places = []
    for y0, x0, y1, x1 in sample_windows(image.height, image.width):
        h, w = (min(CROP, n // MULTIPLE * MULTIPLE) for n in (y1 - y0, x1 - x0))
        places += [
            (y0 + y, x0 + x, h, w) for y in range(0, y1 - y0 - h + 1, CROP) for x in range(0, x1 - x0 - w + 1, CROP)
        ]
    step = max(1, -(-len(places) // CROPS))
    return [_rgb(image, y, x, h, w) for y, x, h, w in places[step // 2 :: step]]


def _rgb(image: Image, y: int, x: int, h: int, w: int) -> NDArray[np.float32]:
    part: NDArray[Any] = np.asarray(image.pixels[y : y + h, x : x + w])
    bits = image.bits
    if image.mode is ColorMode.PALETTE and image.palette is not None:
        part, bits = image.palette[np.minimum(part, len(image.palette) - 1), :3], 8
    out = to_float(part, bits)
    return np.repeat(out[..., None], 3, axis=2) if out.ndim == 2 else np.ascontiguousarray(out[..., :3])
