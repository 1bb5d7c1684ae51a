"""Noise, grain and blur of a picture as a network reads them: a second opinion beside the classical estimates.

The classical estimates of :mod:`tratto.imaging.estimate` decide what ``restore`` does. They count what differs from
pixel to pixel, so coarse grain escapes them, and noise that a compression has smoothed reads too small. The network was
shown both. It is told the spectrum of the calm parts and the JPEG quality, and answers with standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tratto.backends.open import open_backend
from tratto.core.capability import DegradationEstimator, Use
from tratto.core.errors import UnavailableError
from tratto.core.image import ColorMode, Image
from tratto.core.inspection import Inspection, Opinion, Trait
from tratto.core.services import Services
from tratto.imaging.estimate import calm_spectrum, rgb_windows
from tratto.models.card import ModelCard
from tratto.providers.catalogue import Request
from tratto.providers.described import NetworkDescriber
from tratto.providers.restorer.network import missing_network

CARD = "tratto-estimator"
TRAITS = ("noise", "grain", "blur")
SMALLEST = 48
#: Where the network hardly reads noise, what it says of its grain means nothing.
GRAIN_FROM = 3.0


def missing(request: Request) -> UnavailableError | None:
    """Return why the network cannot be used here, or None."""
    return missing_network(request, CARD)


def open(request: Request) -> NetworkEstimator:
    """Open the network that ships."""
    return open_card(request.card(CARD), request.device)


def open_card(card: ModelCard, device: str = "auto") -> NetworkEstimator:
    """Open a card of capability ``estimator``."""
    return NetworkEstimator(card, open_backend(card, device, runtime="onnx"))


def unsuited(image: Image) -> str:
    """Return why the network can say nothing of a picture; empty if it can."""
    if image.mode is ColorMode.CMYK:
        return "the network was shown light, not inks"
    if image.bits == 1:
        return "one-bit samples carry no brightness to measure"
    if min(image.height, image.width) < SMALLEST:
        return f"a side of less than {SMALLEST} pixels is too small"
    return ""


class NetworkEstimator(NetworkDescriber):
    """Asks a network about pictures; see :class:`tratto.core.capability.DegradationEstimator`.

    Parameters
    ----------
    card : ModelCard
        Says what its numbers mean, and the sizes it takes.
    backend : Backend
        Opened with that card.
    """

    def opinion(self, image: Image, inspection: Inspection) -> Opinion:
        """Ask the network about a picture.

        Parameters
        ----------
        image : Image
            Grey, RGB or palette, any depth; see :func:`unsuited`. Samples count as stored, whatever the profile.
        inspection : Inspection
            The classical estimates, of which the JPEG quality is told to the network.

        Raises
        ------
        UnavailableError
            If the picture is not one it can judge.
        """
        reason = unsuited(image)
        spectrum = None
        if not reason:
            spectrum = calm_spectrum(rgb_windows(image), inspection.jpeg_quality.value)
            reason = "" if spectrum is not None else "there are too few blocks in it that are not clipped"
        if reason or spectrum is None:
            raise UnavailableError(f"no second opinion on this picture: {reason}")
        card = self._card
        out = self._backend.run({card.input: spectrum[None, :, None, None]})
        values, errors = (np.asarray(out[name]).reshape(len(TRAITS)) for name in (card.output, card.sigma_output))
        noise, grain, blur = (
            Trait(round(float(v), 3), round(float(e), 3)) for v, e in zip(values, errors, strict=True)
        )
        model = self._backend.model
        return Opinion(noise, grain if noise.value >= GRAIN_FROM else None, blur, f"{model.id} {model.sha256[:12]}")


def ask(services: Services) -> Callable[[], DegradationEstimator]:
    """Return what opens the estimator when somebody asks it; nothing is opened before."""
    return lambda: services.open(Use("estimator"))


def with_opinion(image: Image, inspection: Inspection, ask: Callable[[], DegradationEstimator]) -> Inspection:
    """Return an inspection with an estimator's opinion, or as it is where there can be none.

    Where single pixels give no measure of noise (black, white, too small), nobody is asked.

    Parameters
    ----------
    image : Image
        Grey, RGB or palette; others come back unasked.
    inspection : Inspection
        The classical estimates; the opinion is laid beside them.
    ask : callable
        Opens the estimator.
    """
    if inspection.noise_sigma.value is None or unsuited(image):
        return inspection
    try:
        return replace(inspection, opinion=ask().opinion(image, inspection))
    except UnavailableError:
        return inspection
