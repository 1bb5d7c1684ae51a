"""Our own inpainting network: corrects a thin-plate filling inside the holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import Backend, open_backend
from tratto.core.capability import Filled, Inpainter, InpainterInfo
from tratto.core.errors import OptionError, UnavailableError, WeightMismatch
from tratto.imaging.fill import plate_fill
from tratto.models.card import ModelCard
from tratto.providers.catalogue import Request
from tratto.providers.inpainter.classical import check_window
from tratto.providers.restorer.network import missing_network

CARD = "tratto-inpaint"


def missing(request: Request) -> UnavailableError | None:
    """Return why the network cannot be used here, or None."""
    return missing_network(request, CARD)


def open(request: Request) -> Inpainter:
    """Open the network that ships."""
    return open_card(request.card(CARD), request.device)


def open_card(card: ModelCard, device: str = "auto") -> NetworkInpainter:
    """Open a card of capability ``inpainter``."""
    return NetworkInpainter(card, open_backend(card, device, runtime="onnx"))


class NetworkInpainter:
    """Runs an inpainting network on windows.

    Parameters
    ----------
    card : ModelCard
        Its ``input`` takes picture and hole as four channels.
    backend : Backend
        Opened with that card.
    """

    def __init__(self, card: ModelCard, backend: Backend) -> None:
        if card.capability != "inpainter" or card.channels != 4:
            raise OptionError(f"{card.id} is no inpainter of picture and hole (capability {card.capability})")
        self._card, self._backend = card, backend
        #: Facts about this inpainter.
        self.info = InpainterInfo(
            provider="tratto",
            context=card.overlap,
            channels=3,
            has_sigma=card.has_sigma,
            precision=backend.precision,
            models=(backend.model,),
            library=backend.library,
            megapixels_per_second=1 / float(card.speed["seconds_per_megapixel"]),
        )

    def fill(self, picture: NDArray[np.float32], hole: NDArray[np.bool_], seed: int = 0) -> Filled:
        """Fill the holes of a window; see :class:`~tratto.core.capability.Inpainter`.

        Raises
        ------
        OptionError
            If the window has not three channels.
        WeightMismatch
            If the network returns another size than its card promises.
        """
        card = self._card
        check_window(picture, hole, self.info.provider)
        if picture.shape[2] != 3:
            raise OptionError(f"{self.info.provider} takes three channels, got {picture.shape[2]}")
        h, w = hole.shape
        first = plate_fill(np.where(hole[..., None], np.float32(0), picture), hole)
        m = card.multiple
        x = np.concatenate([first, hole[..., None].astype(np.float32)], axis=2)
        x = np.pad(x, ((0, -h % m), (0, -w % m), (0, 0)), mode="symmetric")
        out = self._backend.run({card.input: np.ascontiguousarray(x.transpose(2, 0, 1))[None]})
        want = (x.shape[0], x.shape[1])
        for name, channels in ((card.output, 3), (card.sigma_output, 1)):
            if name and (name not in out or out[name].shape != (1, channels, *want)):
                raise WeightMismatch(f"{card.id}: the card promises an output {name} of {(1, channels, *want)}")
        image = out[card.output][0].transpose(1, 2, 0)[:h, :w]
        image = np.where(hole[..., None], image, picture).astype(np.float32)
        sigma = np.ascontiguousarray(out[card.sigma_output][0, 0, :h, :w]) if card.has_sigma else None
        return Filled(image, sigma)
