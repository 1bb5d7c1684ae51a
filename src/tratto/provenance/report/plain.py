"""Plain text made fit for a page: escaped, with nothing hidden in it and no change rounded away."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape


def text(value: object) -> str:
    """Return something as escaped HTML text, control and direction characters made visible.

    A file name with a right-to-left override can pretend to be another one; a NUL or an escape can upset a terminal
    that the page is pasted into.

    Examples
    --------
    >>> text('<b> & so on')
    '&lt;b&gt; &amp; so on'
    """
    clean = "".join("\ufffd" if unicodedata.category(c)[0] == "C" and c != "\n" else c for c in str(value))
    return escape(clean, quote=True)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds a change away.

    Examples
    --------
    >>> percent(0.1234), percent(0)
    ('12.3 %', '0 %')
    """
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    p = share * 100
    if p < 0.01:
        return "under 0.01 %"
    if p > 99.99:
        return "over 99.99 %"
    return f"{p:.2f} %" if p < 1 or p > 99 else f"{p:.1f} %"


def delta(value: float) -> str:
    """Return a Delta-E with two digits after the point that never rounds a change away.

    Examples
    --------
    >>> delta(1.234)
    '1.23'
    """
    if value == 0:
        return "0"
    return "under 0.01" if value < 0.01 else f"{value:.2f}"


def sentence(words: str) -> str:
    """Return words with a capital first letter."""
    return words[:1].upper() + words[1:]


def shell_quoted(name: str) -> str:
    """Return a file name as a shell takes it."""
    # a leading dash would be read as an option
    return shlex.quote("./" + name if name.startswith("-") else name)


def hash_span(digest: str) -> str:
    """Return a fingerprint as HTML."""
    return f'<span class="hash">{text(digest)}</span>'


def table_rows(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of plain text as the body of an HTML table."""
    return "".join("<tr>" + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>" for row in rows)


def listed(items: Sequence[str], lead: str) -> str:
    """Return sentences as an HTML list, or as one paragraph if there is only one."""
    if not items:
        return ""
    if len(items) == 1:
        return f"<p>{text(lead + items[0])}.</p>"
    return f"<p>{text(lead.strip())}</p><ul>" + "".join(f"<li>{text(i)}</li>" for i in items) + "</ul>"
