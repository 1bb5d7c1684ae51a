"""Smithsonian Open Access through api.si.edu, behind api.data.gov.

``GET /openaccess/api/v1.0/search?q=&start=&rows=`` answers ``{"status", "responseCode", "response": {"rows",
"rowCount", "message"}}``; a row's pictures are in ``content.descriptiveNonRepeating.online_media.media``, each with its
own ``usage.access`` (https://edan.si.edu/openaccess/apidocs/). The key goes into the ``X-Api-Key`` header
(https://api.data.gov/docs/developer-manual/): a header does not end up in the logs of those between.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tratto_lab.collect.client import Client, HostRules, Refused
from tratto_lab.collect.sources import Cursor, Found, Page
from tratto_lab.collect.text import as_dict, as_list, plain

_HOST = "https://api.si.edu"
_ROWS = 100
#: Labels of names that made something, best first; others found, gave or posed.
_MAKERS = ("artist", "artist/maker", "photographer", "author", "creator", "maker", "architect", "designer", "engraver")


class Smithsonian:
    """The open collections of the Smithsonian's museums. A query is a Solr query, such as ``topic:Architecture``."""

    name = "smithsonian"
    title = "Smithsonian Open Access"

    def __init__(self, key: str, base: str = "") -> None:
        self._key, self._base = key, base or _HOST
        self.pictures = HostRules(("si.edu",))
        self._api = HostRules(("api.si.edu",))

    def page(self, client: Client, query: str, cursor: Cursor) -> Page:
        """Fetch up to 100 entries; see :class:`~tratto_lab.collect.sources.Source`."""
        start = int(cursor) if isinstance(cursor, str) else 0
        asked = {"q": f"({query}) AND online_media_type:Images", "start": start, "rows": _ROWS, "sort": "id"}
        answer = client.json(
            f"{self._base}/openaccess/api/v1.0/search?{urlencode(asked)}", self._api, {"X-Api-Key": self._key}
        )
        body = as_dict(as_dict(answer).get("response"))
        if as_dict(answer).get("responseCode") not in (None, 1) or "rows" not in body:
            words = plain(body.get("error") or body.get("message") or as_dict(answer).get("message"), 300)
            raise Refused("the API says no", words)
        rows = [as_dict(r) for r in as_list(body.get("rows"))]
        total = body.get("rowCount") if isinstance(body.get("rowCount"), int) else None
        found: list[Found] = []
        without = 0
        for row in rows:
            here = _pictures(row)
            found += here
            without += not here
        end = start + len(rows)
        more = bool(rows) and (total is None or end < total)
        return Page(tuple(found), str(end) if more else None, {"no picture": without} if without else {}, total)


def _pictures(row: dict[str, Any]) -> list[Found]:
    content = as_dict(row.get("content"))
    about = as_dict(content.get("descriptiveNonRepeating"))
    free = as_dict(content.get("freetext"))
    out = []
    for number, entry in enumerate(as_list(as_dict(about.get("online_media")).get("media"))):
        media = as_dict(entry)
        address, size = _address(media)
        if media.get("type") != "Images" or not address:
            continue
        record = plain(about.get("record_ID")) or plain(row.get("url")) or plain(row.get("id"))
        access = plain(as_dict(media.get("usage")).get("access"), 100)
        out.append(
            Found(
                id=f"{record}#{number}",
                picture=address,
                page=plain(about.get("record_link")) or plain(about.get("guid")),
                title=plain(row.get("title")) or plain(as_dict(about.get("title")).get("content")),
                author=_author(free),
                credit=_text(free, "creditLine"),
                description=_text(free, "notes"),
                date=_text(free, "date"),
                institution=plain(about.get("data_source"), 200),
                statements=(access,) if access else (),
                width=size[0],
                height=size[1],
            )
        )
    return out


def _address(media: dict[str, Any]) -> tuple[str, tuple[int, int]]:
    """Return the best file on offer: a full JPEG, else a full TIFF, else what is shown."""
    resources = [as_dict(r) for r in as_list(media.get("resources"))]
    for kind in ("High-resolution JPEG", "High-resolution TIFF"):
        for resource in resources:
            if (
                plain(resource.get("label")).startswith(kind)
                and isinstance(resource.get("url"), str)
                and resource["url"]
            ):
                width, height = resource.get("width"), resource.get("height")
                known = isinstance(width, int) and isinstance(height, int)
                return resource["url"], (width, height) if known else (0, 0)  # type: ignore[return-value]
    content = media.get("content")
    return (content if isinstance(content, str) and content.startswith("http") else ""), (0, 0)


def _text(free: dict[str, Any], name: str) -> str:
    return next((t for e in as_list(free.get(name)) if (t := plain(as_dict(e).get("content")))), "")


def _author(free: dict[str, Any]) -> str:
    names = [
        (plain(as_dict(e).get("label")).lower(), plain(as_dict(e).get("content"), 200))
        for e in as_list(free.get("name"))
    ]
    for maker in _MAKERS:
        named = [name for label, name in names if label == maker and name]
        if named:
            return "; ".join(dict.fromkeys(named))
    return ""
