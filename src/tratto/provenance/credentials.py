"""Content credentials (C2PA): a signed account inside the picture file itself."""

from __future__ import annotations

import importlib.util
from typing import Any

from tratto.core.errors import MissingExtra


def available() -> bool:
    """Return whether the library that signs is installed; it is not loaded."""
    return importlib.util.find_spec("c2pa") is not None


def need_library() -> Any:
    """Return the library.

    Raises
    ------
    MissingExtra
    """
    try:
        import c2pa
    except ImportError as e:
        raise MissingExtra("signing pictures with content credentials", "c2pa") from e
    return c2pa
