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

    It looks at the picture and at its mirror image, and means are taken, so that a mirrored object has the mirrored
    shape.
    """

    def tell(self, square: Array) -> Shell:
        """Tell the shell of what a square shows."""
        from tratto.scene.shell import Shell

        card = self._card
        both = []
        for shown in (square, square[:, ::-1]):
            out = self._backend.run({card.input: np.ascontiguousarray(shown.transpose(2, 0, 1)[None], np.float32)})
            both.append(np.asarray(out[card.output], np.float32)[0])
        planes = (both[0] + both[1][..., ::-1]) / 2
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
