"""Batch normalisation whose state can be averaged."""

from __future__ import annotations

from typing import Any

from torch import nn


class Norm(nn.BatchNorm2d):
    """Batch normalisation without a count of batches: a whole number among the weights cannot be averaged."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.num_batches_tracked = None

    def _load_from_state_dict(self, *given: Any) -> None:
        """Load as any layer does; the parent class would ask for the count."""
        nn.Module._load_from_state_dict(self, *given)
