"""Text of somebody else, made fit to be shown."""

from __future__ import annotations


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
