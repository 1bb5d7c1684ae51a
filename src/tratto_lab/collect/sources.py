"""What a source of pictures is, and the table of those that are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from tratto.core.errors import OptionError
from tratto_lab.collect.client import Client, HostRules

_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{4,200}")

#: HostRules a source is in its list, as JSON; None before the first page.
Cursor = str | dict[str, Any] | None


@dataclass(frozen=True)
class Found:
    """One picture that a source offers, as it describes it; nothing here is believed without a look at the file.

    Attributes
    ----------
    id : str
        Never given to two pictures by one source.
    picture : str
        Address of the file.
    page : str
        Address of the page about it.
    title, author, credit, description, date, institution : str
        Plain text; empty where not said.
    statements : tuple of str
        All that is said about rights: addresses of licences or their short names.
    restrictions : str
        What limits use beside the licence, in the words of the source (``"personality"``, ``"trademarked"``).
    sha1 : str
        Of the file, where the source says it; hexadecimal.
    size, width, height : int
        0 where not said.
    """

    id: str
    picture: str
    page: str = ""
    title: str = ""
    author: str = ""
    credit: str = ""
    description: str = ""
    date: str = ""
    institution: str = ""
    statements: tuple[str, ...] = ()
    restrictions: str = ""
    sha1: str = ""
    size: int = 0
    width: int = 0
    height: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary without empty entries."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if v}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """Read what :meth:`to_json` gave."""
        return cls(**{**data, "statements": tuple(data.get("statements", ()))})


@dataclass(frozen=True)
class Page:
    """A page of a source's list.

    Attributes
    ----------
    found : tuple of Found
        In the order of the source.
    following : str, dict or None
        Cursor of the next page; None: this was the last.
    passed_over : mapping of str to int
        Entries that offer no picture, counted by reason.
    total : int or None
        How many entries the source says there are.
    """

    found: tuple[Found, ...]
    following: Cursor
    passed_over: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None


class Source(Protocol):
    """A collection on the web."""

    @property
    def name(self) -> str:
        """A word of ASCII letters and hyphens: begins file names."""
        ...

    @property
    def title(self) -> str:
        """As it is named in attributions."""
        ...

    @property
    def pictures(self) -> HostRules:
        """Where its pictures may lie."""
        ...

    def page(self, client: Client, query: str, cursor: Cursor) -> Page:
        """Fetch one page of what answers a query.

        Raises
        ------
        Refused, Broken, UnavailableError
            See :meth:`tratto_lab.collect.client.Client.json`.
        """
        ...


@dataclass(frozen=True)
class Facts:
    """What must be known of a source before it is opened.

    Attributes
    ----------
    key_variable : str
        Name of the environment variable with the key; empty if it takes none.
    key_from : str
        Where a key is given out.
    wants_contact : bool
        Whether its terms ask for a contact in the ``User-Agent``.
    most : int
        Entries that one query can reach; 0: no such limit.
    """

    key_variable: str = ""
    key_from: str = ""
    wants_contact: bool = False
    most: int = 0


SOURCES: Mapping[str, Facts] = {
    "wikimedia": Facts(wants_contact=True, most=10_000),
    "smithsonian": Facts("SMITHSONIAN_API_KEY", "https://api.data.gov/signup/ (DEMO_KEY serves for a trial)"),
    "europeana": Facts("EUROPEANA_API_KEY", "https://pro.europeana.eu/page/get-api"),
    "mit-museum": Facts(),
}


def open_source(name: str, key: str = "", base: str = "", families: tuple[str, ...] = ()) -> Source:
    """Open a source by its name.

    Parameters
    ----------
    name : str
        A key of :data:`SOURCES`.
    key : str
        Where it takes one.
    base : str
        Another server for everything, on this machine; empty: the real ones.
    families : tuple of str
        Licences that will be accepted; a source may leave out others in its answer already.

    Raises
    ------
    OptionError
        For another name, or a missing key.
    """
    if name not in SOURCES:
        raise OptionError(f"a source is one of {', '.join(SOURCES)}; got {name!r}")
    facts = SOURCES[name]
    if facts.key_variable and not key:
        raise OptionError(
            f"{name} takes a key, from the environment only: set {facts.key_variable} (get one at {facts.key_from})"
        )
    if key and not _KEY.fullmatch(key):
        raise OptionError(f"{facts.key_variable} holds no key: letters, digits and ._~+/=- only, four at least")
    if name == "wikimedia":
        from tratto_lab.collect.wikimedia import Wikimedia

        return Wikimedia(base)
    if name == "smithsonian":
        from tratto_lab.collect.smithsonian import Smithsonian

        return Smithsonian(key, base)
    if name == "europeana":
        from tratto_lab.collect.europeana import Europeana

        return Europeana(key, base, families)
    from tratto_lab.collect.mit_museum import MitMuseum

    return MitMuseum(base)
