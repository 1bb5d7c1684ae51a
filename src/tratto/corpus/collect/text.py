"""Text as others write it, made harmless: no markup, no control characters, no endless lengths."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

#: Longer texts are cut; titles of a few catalogues are whole essays.
LONGEST = 2000


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._deaf = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._deaf += 1
        elif tag in ("br", "p", "div", "li", "tr", "td"):
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style") and self._deaf:
            self._deaf -= 1
        elif tag in ("p", "div", "li", "tr", "td"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._deaf:
            self.words.append(data)


def plain(value: Any, longest: int = LONGEST) -> str:
    """Return a text without control characters, in Unicode's composed form, with single spaces.

    Parameters
    ----------
    value : object
        A string, or a list of which the first string counts; anything else gives an empty text.
    longest : int
        Characters to keep.
    """
    if isinstance(value, list):
        value = next((v for v in value if isinstance(v, str) and v.strip()), "")
    if not isinstance(value, str):
        return ""
    # unpaired surrogates cannot be written as UTF-8; what JSON escapes may hold them
    text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    # marks that turn the direction of writing could make a name read as another
    text = "".join(c for c in text if c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def without_markup(value: Any, longest: int = LONGEST) -> str:
    """Return the words of a piece of HTML."""
    if not isinstance(value, str):
        return plain(value, longest)
    reader = _Words()
    reader.feed(value[:100_000])
    reader.close()
    return plain("".join(reader.words), longest)


def as_dict(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a JSON array, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []
