"""Real-ESRGAN (Wang et al. 2021, BSD-3-Clause) through ncnn: enlarging with a GAN, which invents detail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratto.backends.open import open_backend
from tratto.core.capability import Restorer
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.restorer.network import NetworkRestorer, missing_network


def card_id(scale: int, params: Mapping[str, Any]) -> str:
    """Return the id of the card: ``x4plus`` at x4 and ``animevideo`` at x2 and x3, unless ``model`` says otherwise.

    Raises
    ------
    OptionError
        If the model does not exist at this scale.
    """
    model = params.get("model", "x4plus" if scale == 4 else "animevideo")
    if model == "animevideo":
        return f"realesrgan-animevideo-x{scale}"
    if scale != 4:
        raise OptionError(f"Real-ESRGAN {model} enlarges by 4 only, not by {scale}; use model=animevideo")
    return f"realesrgan-{model}"


def missing(request: Request) -> UnavailableError | None:
    """Return why this provider cannot be used here, or None."""
    return missing_network(request, card_id(request.scale, request.params))


def open(request: Request) -> Restorer:
    """Open the network for these parameters."""
    card = request.card(card_id(request.scale, request.params))
    return NetworkRestorer("realesrgan", card, open_backend(card, request.device), request.params)
