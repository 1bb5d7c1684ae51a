"""A restorer that is one network: what a card says, what a backend runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import Backend, runtime_missing
from tratto.core.capability import RestoredTile, RestorerInfo
from tratto.core.errors import MissingWeights, OptionError, UnavailableError, WeightMismatch
from tratto.models.card import ModelCard
from tratto.models.store import locate
from tratto.providers.catalogue import Request


def missing_network(request: Request, card_id: str, runtime: str = "") -> UnavailableError | None:
    """Return why a network cannot be run here, or None. Reads no weights and imports no runtime."""
    try:
        card = request.card(card_id)
    except OptionError:
        return MissingWeights(f"no model {card_id!r} ships with this version; run: git pull && pip install .")
    except MissingWeights as e:  # of weights that a receipt names
        return e
    try:
        locate(card)
    except UnavailableError as e:
        return runtime_missing(card, runtime) or e  # one extra may bring both
    return runtime_missing(card, runtime)


def check_tile(tile: NDArray[np.float32], provider: str, multiple: int) -> None:
    """Raise OptionError unless ``tile`` is what :meth:`Restorer.restore` takes."""
    ok = tile.ndim == 3 and tile.shape[2] == 3 and tile.dtype == np.float32 and tile.size > 0
    if not ok or tile.shape[0] % multiple or tile.shape[1] % multiple:
        raise OptionError(
            f"{provider} takes float32 (h, w, 3) tiles with sides that are multiples of {multiple}; "
            f"got {tile.dtype} {tile.shape}"
        )


class NetworkRestorer:
    """Runs a restorer's network on tiles.

    Parameters
    ----------
    provider : str
        Name in the provider table.
    card : ModelCard
        Of capability ``restorer``.
    backend : Backend
        Opened with that card.
    params : mapping or None
        As asked for; kept in the info.
    seconds_per_megapixel : float
        For estimates of time, per input megapixel of tiles; 0 = what the card says.
    """

    def __init__(
        self,
        provider: str,
        card: ModelCard,
        backend: Backend,
        params: Mapping[str, Any] | None = None,
        seconds_per_megapixel: float = 0.0,
    ) -> None:
        if card.capability != "restorer":
            raise OptionError(f"{card.id} is a model for {card.capability}, not a restorer")
        self._card = card
        self._backend = backend
        seconds = seconds_per_megapixel or float(card.speed["seconds_per_megapixel"])
        # The card counts pixels of tiles; a caller has a picture, of which the overlaps are computed several times.
        overlapping = (card.tile / (card.tile - 2 * card.overlap)) ** 2
        #: Facts about this restorer.
        self.info = RestorerInfo(
            provider=provider,
            scale=card.scale,
            tile=card.tile,
            overlap=card.overlap,
            multiple=card.multiple,
            border=card.border,
            generative=card.generative,
            has_sigma=card.has_sigma,
            precision=backend.precision,
            models=(backend.model,),
            library=backend.library,
            megapixels_per_second=1 / (seconds * overlapping),
            params=dict(params or {}),
        )

    def restore(self, tile: NDArray[np.float32], noise_sigma: float | None = None) -> RestoredTile:
        """Restore one tile; see :class:`~tratto.core.capability.Restorer`.

        ``noise_sigma`` is not used: these networks are blind.

        Raises
        ------
        OptionError
            If the tile has another type or shape than asked for.
        WeightMismatch
            If the network returns another size than its card promises.
        """
        card = self._card
        check_tile(tile, self.info.provider, card.multiple)
        h, w = tile.shape[:2]
        # Unpadded convolutions eat a border. Reflecting it here keeps the contract "what comes back is scale times
        # what went in"; within the overlap that the engine discards, nobody sees the reflected pixels.
        x = _reflect(tile, card.crop)
        lo, hi = card.value_range
        if (lo, hi) != (0.0, 1.0):
            x = x * np.float32(hi - lo) + np.float32(lo)
        out = self._backend.run({card.input: np.ascontiguousarray(x.transpose(2, 0, 1))[None]})
        image = self._picture(out, card.output, (1, 3, h * card.scale, w * card.scale))[0].transpose(1, 2, 0)
        if (lo, hi) != (0.0, 1.0):
            image = (image - np.float32(lo)) / np.float32(hi - lo)
        sigma = None
        if card.has_sigma:
            s = self._picture(out, card.sigma_output, (1, 1, h * card.scale, w * card.scale))[0, 0]
            sigma = np.ascontiguousarray(s / np.float32(hi - lo) if (lo, hi) != (0.0, 1.0) else s)
        return RestoredTile(np.ascontiguousarray(image), sigma)

    def _picture(
        self, out: Mapping[str, NDArray[np.float32]], name: str, shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        if name not in out or out[name].shape != shape:
            got = out[name].shape if name in out else f"only {', '.join(out)}"
            raise WeightMismatch(
                f"{self._card.id}: the card promises an output {name} of {shape}; the network gave {got}"
            )
        return out[name]


def _reflect(tile: NDArray[np.float32], border: int) -> NDArray[np.float32]:
    """Return ``tile`` grown by ``border`` on all sides by reflection; as often as needed for tiles smaller than it."""
    if border == 0:
        return tile
    pads = ((border, border), (border, border), (0, 0))
    # numpy's "reflect" folds repeatedly; a side of one pixel has nothing to reflect and is repeated
    mode = "reflect" if min(tile.shape[:2]) > 1 else "edge"
    return np.pad(tile, pads, mode=mode)  # type: ignore[call-overload,no-any-return]
