"""waifu2x (nagadomi, MIT) through ncnn: denoising at x1 and enlarging at x2, trained for fidelity, without a GAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratto.backends.open import open_backend
from tratto.core.capability import Restorer
from tratto.core.errors import OptionError, UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.restorer.network import NetworkRestorer, missing_network


def card_id(scale: int, params: Mapping[str, Any]) -> str:
    """Return the id of the card for these parameters.

    At x1 there is only ``cunet``, and a noise level is needed (1 unless given). At x2 the model is ``photo`` and noise
    is left alone (``none``) unless given.

    Raises
    ------
    OptionError
        If the combination does not exist.
    """
    model = params.get("model", "cunet" if scale == 1 else "photo")
    noise = params.get("noise", 1 if scale == 1 else "none")
    if scale == 1 and model != "cunet":
        raise OptionError(f"waifu2x at x1 has the model cunet only, not {model!r}")
    if scale == 1 and noise == "none":
        raise OptionError("waifu2x at x1 only denoises: noise must be 0, 1, 2 or 3, not 'none'")
    return f"waifu2x-{model}-x{scale}" + ("" if noise == "none" else f"-noise{noise}")


def missing(request: Request) -> UnavailableError | None:
    """Return why this provider cannot be used here, or None."""
    return missing_network(request, card_id(request.scale, request.params))


def open(request: Request) -> Restorer:
    """Open the network for these parameters."""
    card = request.card(card_id(request.scale, request.params))
    return NetworkRestorer("waifu2x", card, open_backend(card, request.device), request.params)
