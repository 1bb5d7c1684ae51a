"""Our own networks, which ship with the package: ``tratto-restore-x1``, ``-real``, ``-jpeg``, ``-x2`` and ``-x4``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratto.backends.open import open_backend
from tratto.core.capability import Restorer
from tratto.core.errors import OptionError, UnavailableError
from tratto.models.card import ModelCard
from tratto.providers.catalogue import Request
from tratto.providers.restorer.network import NetworkRestorer, missing_network

#: The parameter ``network`` at x1, and what each stands for.
NETWORKS = {"noise": "tratto-restore-x1", "real": "tratto-restore-real", "jpeg": "tratto-restore-jpeg"}


def card_id(scale: int, params: Mapping[str, Any] | None = None) -> str:
    """Return the id of the card for a scale and, at x1, a ``network`` of NETWORKS (default ``"noise"``)."""
    if scale != 1 and params and "network" in params:
        raise OptionError(f"the parameter network chooses between networks at x1; there is one at x{scale}")
    return NETWORKS[str((params or {}).get("network", "noise"))] if scale == 1 else f"tratto-restore-x{scale}"


def missing(request: Request) -> UnavailableError | None:
    """Return why this provider cannot be used here, or None."""
    return missing_network(request, card_id(request.scale, request.params), request.variant)


def open(request: Request) -> Restorer:
    """Open the network of this scale."""
    card = request.card(card_id(request.scale, request.params))
    return open_card(card, request.fast, request.variant, request.params, request.device)


def open_card(
    card: ModelCard,
    fast: bool = False,
    variant: str = "onnx",
    params: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> NetworkRestorer:
    """Open a card as this provider; bf16 only with OpenVINO, and only when ``fast``."""
    name = "tratto" if variant == "onnx" else "tratto-openvino"
    precision = "bf16" if fast and variant == "openvino" else "fp32"
    backend = open_backend(card, device, precision, runtime=variant)
    # The card's figure is ONNX Runtime's. A card may also give one for each other way to run it.
    own = float(card.speed.get(f"seconds_per_megapixel_{variant}_{precision}", 0.0))
    return NetworkRestorer(name, card, backend, params, seconds_per_megapixel=own)
