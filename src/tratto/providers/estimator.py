"""Noise, grain and blur of a picture as a network reads them: a second opinion beside the classical estimates.

The classical estimates of :mod:`tratto.imaging.estimate` decide what ``restore`` does. They count what differs from
pixel to pixel, so coarse grain escapes them, and noise that a compression has smoothed reads too small. The network was
shown both. It is told the spectrum of the calm parts and the JPEG quality, and answers with standard errors.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tratto.backends.open import Backend, open_backend
from tratto.core.errors import UnavailableError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Inspection, Opinion, Trait
from tratto.imaging.estimate import calm_spectrum, rgb_windows
from tratto.models.store import get_card
from tratto.providers.restorer.network import missing_network

CARD = "tratto-estimator"
TRAITS = ("noise", "grain", "blur")
SMALLEST = 48
#: Where the network hardly reads noise, what it says of its grain means nothing.
GRAIN_FROM = 3.0


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


def opinion(image: Image, inspection: Inspection, backend: Backend | None = None) -> Opinion:
    """Ask the network about a picture.

    Parameters
    ----------
    image : Image
        Grey, RGB or palette, any depth; see :func:`unsuited`. Samples count as stored, whatever the profile.
    inspection : Inspection
        The classical estimates, of which the JPEG quality is told to the network.
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
    spectrum = None
    if not reason:
        spectrum = calm_spectrum(rgb_windows(image), inspection.jpeg_quality.value)
        reason = "" if spectrum is not None else "there are too few blocks in it that are not clipped"
    if reason or spectrum is None:
        raise UnavailableError(f"no second opinion on this picture: {reason}")
    card = get_card(CARD)
    if backend is None:
        error = missing()
        if error is not None:
            raise error
        backend = open_backend(card, precision="fp32", runtime="onnx")
    out = backend.run({card.input: spectrum[None, :, None, None]})
    values, errors = (np.asarray(out[name]).reshape(len(TRAITS)) for name in (card.output, card.sigma_output))
    noise, grain, blur = (Trait(round(float(v), 3), round(float(e), 3)) for v, e in zip(values, errors, strict=True))
    model = backend.model
    return Opinion(noise, grain if noise.value >= GRAIN_FROM else None, blur, f"{model.id} {model.sha256[:12]}")


def with_opinion(image: Image, inspection: Inspection) -> Inspection:
    """Return an inspection with the network's opinion, or as it is where there can be none.

    Where single pixels give no measure of noise (black, white, too small), the network is not asked.
    """
    if inspection.noise_sigma.value is None or unsuited(image) or missing() is not None:
        return inspection
    try:
        return replace(inspection, opinion=opinion(image, inspection))
    except UnavailableError:
        return inspection
