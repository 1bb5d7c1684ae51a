"""What one network sees in a picture: the card, the backend and what is known of both."""

from __future__ import annotations

from typing import ClassVar

from tratto.backends.open import Backend
from tratto.core.capability import DescriberInfo
from tratto.models.card import ModelCard


class NetworkDescriber:
    """A provider that is one network and changes no pixel.

    Parameters
    ----------
    card : ModelCard
        Names the weights; its licence and limits go into records.
    backend : Backend
        Opened with that card.
    """

    provider: ClassVar[str] = "tratto"

    def __init__(self, card: ModelCard, backend: Backend) -> None:
        self._card, self._backend = card, backend
        #: Facts about it.
        self.info = DescriberInfo(
            self.provider, precision=backend.precision, library=backend.library, models=(backend.model,)
        )
