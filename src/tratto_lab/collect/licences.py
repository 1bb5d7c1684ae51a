"""What a source says about rights, turned into one of a few families; everything that is not understood is not free."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from tratto.core.errors import OptionError

#: Families that are accepted unless others are named: they allow changing, training and selling.
FREE = ("cc0", "pd", "cc-by", "cc-by-sa")
#: Families that can be named beside these.
OTHER = ("cc-by-nc", "cc-by-nc-sa", "cc-by-nd", "cc-by-nc-nd")
#: What a picture gets whose licence is missing, or not understood, or contradicts itself.
MISSING, UNKNOWN, UNCLEAR = "missing", "unknown", "unclear"

_KINDS = {"by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd"}
_PORT = re.compile(r"(?!nc$|nd$|sa$|by$)[a-z]{2,3}")
_VERSION = re.compile(r"\d\.\d")
#: ``CC BY-SA 4.0``, ``cc-by-sa-3.0-de``, ``CC BY 2.0 de`` and the like.
_SHORT = re.compile(
    r"cc[ -](?P<kind>by(?:[ -](?:nc|nd|sa))*)(?:[ -](?P<version>\d\.\d))?"
    r"(?:[ -](?P<port>(?!nc$|nd$|sa$|by$)[a-z]{2,3}|igo))?"
)
#: What makes words about the public domain say something else.
_BUT = r"(?:and|or|with|not?|non|nc|nd|sa|except)"
_PUBLIC = re.compile(
    rf"(?:public domain|pd|pd(?:[ -](?!{_BUT}\b)[a-z0-9]+)+|no restrictions|public domain mark(?: 1\.0)?|pdm(?: 1\.0)?)"
)


@dataclass(frozen=True)
class Licence:
    """What may be done with a picture.

    Attributes
    ----------
    family : str
        One of :data:`FREE` or :data:`OTHER`, or ``"missing"``, ``"unknown"``, ``"unclear"``.
    id : str
        As SPDX names it where it does (``"CC-BY-SA-4.0"``); ``"PDM-1.0"`` for the public domain mark, ``"PD"`` for the
        public domain without a mark. Empty when there is none.
    url : str
        Where the licence can be read; may be empty.
    said : str
        The words of the source.
    """

    family: str
    id: str
    url: str
    said: str


def _of_url(text: str) -> Licence | None:
    """Read the address of a Creative Commons deed or a rights statement."""
    if re.search(r"\s", text):  # more than an address
        return None
    try:
        parts = urlsplit(text if "//" in text else f"https://{text}")
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:  # what looks like an IPv6 address and is none
        return None
    path = [p for p in parts.path.lower().split("/") if p]
    if host != "creativecommons.org":
        return None
    if path[:2] == ["publicdomain", "zero"]:
        return Licence("cc0", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", text)
    if path[:2] == ["publicdomain", "mark"]:
        return Licence("pd", "PDM-1.0", "https://creativecommons.org/publicdomain/mark/1.0/", text)
    if path[:2] == ["licenses", "publicdomain"]:
        return Licence("pd", "PD", "https://creativecommons.org/licenses/publicdomain/", text)
    if len(path) >= 2 and path[0] == "licenses" and path[1] in _KINDS:
        version = path[2] if len(path) > 2 and _VERSION.fullmatch(path[2]) else ""
        port = path[3] if version and len(path) > 3 and _PORT.fullmatch(path[3]) else ""
        return _attribution(path[1], version, port, text)
    return None


def _attribution(kind: str, version: str, port: str, said: str) -> Licence:
    tail = "".join(f"-{p}" for p in (version, port.upper()) if p)
    url = "/".join(p for p in ("https://creativecommons.org/licenses", kind, version, port) if p) + "/"
    return Licence(f"cc-{kind}", f"CC-{kind.upper()}{tail}", url, said)


def _of_words(text: str) -> Licence | None:
    """Read a short name."""
    words = re.sub(r"\s+", " ", text.strip().lower().replace("_", "-"))
    if re.fullmatch(r"cc[ -]?(?:0|zero)(?:[ -]1\.0)?", words):
        return Licence("cc0", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", text)
    if _PUBLIC.fullmatch(words):
        return Licence("pd", "PD", "", text)
    short = _SHORT.fullmatch(words)
    if short is not None:
        given = set(re.split(r"[ -]", short["kind"])) - {"by"}
        kind = "-".join(["by", *[p for p in ("nc", "nd", "sa") if p in given]])
        if kind in _KINDS:
            return _attribution(kind, short["version"] or "", short["port"] or "", text)
    return None


def licence_of(statements: Iterable[str]) -> Licence:
    """Return the one licence that all statements of a source amount to.

    Parameters
    ----------
    statements : iterable of str
        Addresses or short names; empty ones count as not said. All must be understood and be of one family.

    Returns
    -------
    Licence
        The most exact of them; of family ``"missing"``, ``"unknown"`` or ``"unclear"`` where that cannot be.

    Examples
    --------
    >>> licence_of(["CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0"]).id
    'CC-BY-SA-4.0'
    >>> licence_of(["http://rightsstatements.org/vocab/InC/1.0/"]).family
    'unknown'
    """
    said = [s.strip() for s in statements if s and s.strip()]
    if not said:
        return Licence(MISSING, "", "", "")
    statement = "; ".join(said)
    read = [_of_url(s) or _of_words(s) for s in said]
    known = [r for r in read if r is not None]
    if len(known) < len(read):
        return Licence(UNKNOWN, "", "", statement)
    if len({r.family for r in known}) > 1:
        return Licence(UNCLEAR, "", "", statement)
    best = max(known, key=lambda r: (bool(r.url), len(r.id)))
    return Licence(best.family, best.id, best.url, statement)


def families(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the families a user asks for, in a fixed order; without any, the free ones.

    Raises
    ------
    OptionError
        For a name that is none.
    """
    asked = [n.strip().lower() for n in names or ()]
    for name in asked:
        if name not in FREE + OTHER:
            raise OptionError(f"--licence takes {', '.join(FREE + OTHER)}; got {name!r}")
    return tuple(n for n in FREE + OTHER if n in (asked or FREE))
