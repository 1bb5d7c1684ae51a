"""The two-layer shell of an object in one picture: told by our own network, or by nobody, inflated from its outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tratto.backends.open import open_backend
from tratto.core.capability import DescriberInfo, ShellTeller
from tratto.core.errors import UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.described import NetworkDescriber
from tratto.providers.restorer.network import missing_network

if TYPE_CHECKING:
    from tratto.scene.shell import Shell

Array = NDArray[np.float32]
CARD = "tratto-shell"
#: Elevation that a photograph is taken from where nobody tells, degrees.
USUAL_ELEVATION = 15.0
#: Powers of the colours at which an object is looked at, chosen on views of families that are held out
#: (benchmarks/shell_looks.py).
EXPOSURES = (1.0, 0.55, 0.75, 1.33, 1.8)


def missing(request: Request) -> UnavailableError | None:
    """Return why a provider cannot be used here, or None."""
    return missing_network(request, CARD) if request.variant == "tratto" else None


def open(request: Request) -> ShellTeller:
    """Open a provider."""
    if request.variant == "mirror":
        return Mirror()
    card = request.card(CARD)
    return NetworkShell(card, open_backend(card, request.device, runtime="onnx"))


class NetworkShell(NetworkDescriber):
    """Asks the network; see :class:`tratto.core.capability.ShellTeller`.

    It looks at the picture in several exposures and at the mirror image of each, and means are taken: a shape depends
    neither on the light nor on the side that it is seen from.
    """

    def tell(self, square: Array) -> Shell:
        """Tell the shell of what a square shows."""
        from tratto.scene.shell import Shell

        card = self._card
        alpha = square[..., 3:]
        colors = np.clip(square[..., :3] / np.maximum(alpha, 1e-3), 0, 1)
        looks = []
        for gamma in EXPOSURES:
            lit = np.concatenate([colors**gamma * alpha, alpha], axis=-1)
            for shown in (lit, lit[:, ::-1]):
                out = self._backend.run({card.input: np.ascontiguousarray(shown.transpose(2, 0, 1)[None], np.float32)})
                told = np.array(out[card.output][0], np.float32)
                told[2:5] = np.clip(told[2:5], 0, 1) ** (1 / gamma)
                looks.append(told if shown is lit else told[..., ::-1])
        planes: Array = np.stack(looks).mean(axis=0)
        tilt = float(np.clip(planes[8].mean(), -1, 1))
        return Shell(planes[0], planes[1], planes[2:5].transpose(1, 2, 0), float(np.degrees(np.arcsin(tilt))))


class Mirror:
    """As thick as it is wide, alike behind and before; see :func:`tratto.scene.shell.mirrored`."""

    info = DescriberInfo("mirror")

    def tell(self, square: Array) -> Shell:
        """Tell the shell of what a square shows."""
        from tratto.scene.shell import mirrored

        alpha = square[..., 3]
        color = (square[..., :3] / np.maximum(alpha, 1e-3)[..., None]).astype(np.float32)
        return mirrored(color, alpha, USUAL_ELEVATION)
