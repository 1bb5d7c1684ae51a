"""How alike pictures and words are in meaning: CLIP from a folder that the user names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import DescriberInfo, Scorer
from tratto.core.errors import UnavailableError
from tratto.providers.catalogue import Request
from tratto.providers.folder import missing_folder, settle_folder

Float = NDArray[np.float32]


_REMEDY = "a folder with a CLIP network (model=FOLDER; see docs/full-size.md)"


def missing(request: Request) -> UnavailableError | None:
    """Return why the scorer cannot be used here, or None."""
    return missing_folder(request, "the scorer clip", _REMEDY)


def settle(request: Request) -> dict[str, Any]:
    """Check the folder; it becomes a reference that a recipe may keep."""
    return settle_folder(request, missing(request), _REMEDY)


def open(request: Request) -> Scorer:
    """Open the scorer."""
    return ClipScorer(str(request.params["model"]))


class ClipScorer:
    """A CLIP network; see :mod:`tratto.backends.clip`."""

    def __init__(self, folder: str) -> None:
        from tratto.backends.clip import open_clip
        from tratto.backends.transformers import library

        self._network: Any = open_clip(folder)
        #: Facts about this scorer.
        self.info = DescriberInfo("clip", library=library(), models=(self._network.folder.model,))

    @property
    def name(self) -> str:
        """What a statement about a score names: folder, hash and libraries."""
        return str(self._network.name)

    def embed(self, pictures: Sequence[Float]) -> Float:
        """Return the meaning of pictures as rows of length 1, (N, D)."""
        return np.asarray(self._network.embed(pictures), np.float32)

    def embed_words(self, words: str) -> Float:
        """Return the meaning of words, (D,) of length 1."""
        return np.asarray(self._network.embed_words(words), np.float32)
