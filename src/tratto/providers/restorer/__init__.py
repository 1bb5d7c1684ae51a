"""Providers that remove degradation or enlarge: see :mod:`tratto.providers.restorer.table`."""

from tratto.providers.restorer.table import (
    AUTO,
    RESTORERS,
    Availability,
    Provider,
    availability,
    choose_restorer,
    open_restorer,
)

__all__ = ["AUTO", "RESTORERS", "Availability", "Provider", "availability", "choose_restorer", "open_restorer"]
