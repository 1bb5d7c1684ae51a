"""Text of somebody else, made fit to be shown."""

from __future__ import annotations

from collections.abc import Iterable


def shown(text: str, longest: int = 80) -> str:
    """Return text that cannot steer a terminal or hide what it says, no longer than so many characters.

    Parameters
    ----------
    text : str
        Such as a file's name; control characters, lone surrogates and direction marks become ``?``.
    longest : int
        What is longer ends in three dots.

    Examples
    --------
    >>> shown("a\\x1b[31m.png")
    'a?[31m.png'
    """
    clean = "".join(c if c.isprintable() else "?" for c in text[: longest + 1])
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."


def listed(names: Iterable[object], most: int = 12) -> str:
    """Return names with commas between them, and how many more there are.

    Parameters
    ----------
    names : iterable
        Whatever has a text.
    most : int
        So many are named.

    Examples
    --------
    >>> listed("abcd", 3)
    'a, b, c and 1 more'
    """
    every = [str(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
