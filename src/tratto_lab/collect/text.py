"""Text as others write it, made harmless: no markup, no control characters, no endless lengths."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

#: Longer texts are cut; titles of a few catalogues are whole essays.
LONGEST = 2000


# Everything here takes time in proportion to the text, whatever stands in it; html.parser does not.
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>")
_ATTRIBUTE = re.compile(r"""([a-zA-Z][a-zA-Z:-]*)\s*=\s*("[^"]{0,4000}"|'[^']{0,4000}'|[^\s"'<>]{1,4000})""")
_SPACED = ("br", "p", "div", "li", "tr", "td", "ul", "ol", "dd", "dt")


def _cut(text: str, begin: re.Pattern[str], end: str) -> str:
    """Return a text without what lies between a beginning and the next end, both included."""
    out, at, lower = [], 0, text.lower()
    while found := begin.search(text, at):
        out.append(text[at : found.start()])
        close = lower.find(end, found.end())
        if close < 0:
            return "".join(out)
        at = close + len(end)
    return "".join(out) + text[at:]


_COMMENT, _SCRIPT, _STYLE = (re.compile(p, re.IGNORECASE) for p in ("<!--", r"<script\b[^<>]*>", r"<style\b[^<>]*>"))


def tags(markup: str) -> Iterator[tuple[str, dict[str, str], int]]:
    """Go through the opening tags of a page: name, attributes, and where each ends.

    A tag with ``<`` or ``>`` within an attribute is not seen as one.
    """
    for found in _TAG.finditer(markup):
        if not found[1]:
            given = {a[1].lower(): html.unescape(a[2].strip("\"'")) for a in _ATTRIBUTE.finditer(found[3][:20_000])}
            yield found[2].lower(), given, found.end()


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
    text = _cut(_cut(_cut(value[:100_000], _COMMENT, "-->"), _SCRIPT, "</script>"), _STYLE, "</style>")
    text = _TAG.sub(lambda tag: " " if tag[2].lower() in _SPACED else "", text)
    return plain(html.unescape(text), longest)


def as_dict(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a JSON array, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []
