"""Training: one trainer for all networks, one run file per training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tratto_lab.training.config import Run
    from tratto_lab.training.loop import run

__all__ = ["Run", "run"]

_HOMES = {"Run": "tratto_lab.training.config", "run": "tratto_lab.training.loop"}


def __getattr__(name: str) -> Any:
    # Lazy, so that a command line can name this room without loading torch.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tratto_lab.training' has no attribute {name!r}")
