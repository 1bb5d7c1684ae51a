"""Europeana through its Search API.

``GET /record/v2/search.json`` with ``qf=TYPE:IMAGE``, ``reusability`` and ``media=true``; pages by ``cursor``, first
``*``, then ``nextCursor`` until none comes (https://europeana.atlassian.net/wiki/spaces/EF/pages/2385739812). Pictures
lie with those who provide them, on any host, and often without encryption. ``rights`` speaks of the digital object
(``edm:rights``). The answer repeats the key in ``apikey``, in ``link`` and in the query of ``guid``: none of these is
kept.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tratto_lab.collect.client import Client, HostRules, Refused
from tratto_lab.collect.licences import FREE
from tratto_lab.collect.sources import Cursor, Found, Page
from tratto_lab.collect.text import as_dict, as_list, plain

_HOST = "https://api.europeana.eu"
_ROWS = 100


class Europeana:
    """Pictures of some 4 000 European institutions. A query is a Lucene query, such as ``what:fresco``."""

    name = "europeana"
    title = "Europeana"

    def __init__(self, key: str, base: str = "", families: tuple[str, ...] = ()) -> None:
        self._key, self._base = key, base or _HOST
        self.pictures = HostRules(None, secure=False)
        self._api = HostRules(("api.europeana.eu",))
        self._open = not set(families) - set(FREE)

    def page(self, client: Client, query: str, cursor: Cursor) -> Page:
        """Fetch up to 100 entries; see :class:`~tratto_lab.collect.sources.Source`."""
        asked = [
            ("wskey", self._key),
            ("query", query),
            ("qf", "TYPE:IMAGE"),
            ("reusability", "open"),
            *([] if self._open else [("reusability", "restricted")]),
            ("media", "true"),
            ("profile", "rich"),
            ("rows", str(_ROWS)),
            ("cursor", cursor if isinstance(cursor, str) else "*"),
        ]
        answer = as_dict(client.json(f"{self._base}/record/v2/search.json?{urlencode(asked)}", self._api))
        if answer.get("success") is not True:
            raise Refused("the API says no", plain(answer.get("error") or answer.get("message"), 300))
        found, without = [], 0
        for entry in as_list(answer.get("items")):
            picture = _picture(as_dict(entry))
            if picture is None:
                without += 1
            else:
                found.append(picture)
        following = answer.get("nextCursor")
        total = answer.get("totalResults")
        return Page(
            tuple(found),
            following if isinstance(following, str) and following and answer.get("items") else None,
            {"no picture": without} if without else {},
            total if isinstance(total, int) else None,
        )


def _picture(item: dict[str, Any]) -> Found | None:
    address, number = plain(item.get("edmIsShownBy"), 4000), plain(item.get("id"), 500)
    if not number or not address.startswith(("http://", "https://")):
        return None
    provider = plain(item.get("dataProvider"), 200)
    return Found(
        id=number,
        picture=address,
        page=f"https://www.europeana.eu/item{number}" if number.startswith("/") else "",
        title=plain(item.get("title")),
        author=_author(item),
        credit=provider,
        description=plain(item.get("dcDescription")),
        date=plain(item.get("year"), 100),
        institution=provider,
        statements=tuple(plain(r, 200) for r in as_list(item.get("rights")) if plain(r)),
    )


def _author(item: dict[str, Any]) -> str:
    """Return the makers' names; of those that are addresses, nothing, since nobody can read them."""
    aware = as_dict(item.get("dcCreatorLangAware"))
    names = as_list(aware.get("en")) or as_list(aware.get("def")) or as_list(item.get("dcCreator"))
    readable = [n for v in names if (n := plain(v, 200)) and not n.startswith(("http://", "https://"))]
    return "; ".join(dict.fromkeys(readable))
