"""Wikimedia Commons through the MediaWiki action API.

``action=query`` with ``generator=search`` in the file namespace and ``prop=imageinfo``; continued by handing back the
whole ``continue`` object (https://www.mediawiki.org/wiki/API:Continue, API:Imageinfo, API:Etiquette). A page can come
without its ``imageinfo`` first: the same pages come again until the answer carries ``batchcomplete``. Errors come with
status 200 and an ``error`` object; ``maxlag`` and ``ratelimited`` are to be tried again.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from tratto_lab.collect.client import Client, HostRules, Passing, Refused
from tratto_lab.collect.sources import Cursor, Found, Page
from tratto_lab.collect.text import as_dict, as_list, plain, without_markup

_HOST = "https://commons.wikimedia.org"
_PAGE = 50
_FORMATS = ("image/jpeg", "image/png", "image/tiff", "image/webp")
_PASSING = ("maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError")


class Wikimedia:
    """Wikimedia Commons. A query is what its search box takes, such as ``incategory:"Cracks in masonry"``."""

    name = "wikimedia"
    title = "Wikimedia Commons"

    def __init__(self, base: str = "") -> None:
        self._base = base or _HOST
        self.pictures = HostRules(("upload.wikimedia.org",))
        self._api = HostRules(("commons.wikimedia.org",))

    def page(self, client: Client, query: str, cursor: Cursor) -> Page:
        """Fetch up to 50 entries; see :class:`~tratto_lab.collect.sources.Source`."""
        asked: dict[str, Any] = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "maxlag": 5,
            "generator": "search",
            "gsrsearch": f"{query} filetype:bitmap",
            "gsrnamespace": 6,
            "gsrlimit": _PAGE,
            "prop": "imageinfo",
            "iiprop": "url|size|sha1|mime|mediatype|extmetadata",
            "iiextmetadatalanguage": "en",
            **(cursor if isinstance(cursor, dict) else {"continue": ""}),
        }
        answer = client.json(f"{self._base}/w/api.php?{urlencode(asked)}", self._api, check=_passing)
        if "error" in as_dict(answer):
            error = as_dict(answer["error"])
            raise Refused("the API says no", f"{plain(error.get('code'))}: {plain(error.get('info'), 300)}")
        if not {"batchcomplete", "continue", "query"} & set(as_dict(answer)):
            # else an answer of something in between would pass for the end of the search
            raise Refused("an answer that is none to a query", plain(str(answer)[:200]))
        pages = as_list(as_dict(as_dict(answer).get("query")).get("pages"))
        pages = sorted((as_dict(p) for p in pages), key=lambda p: (_number(p.get("index")), _number(p.get("pageid"))))
        complete = bool(as_dict(answer).get("batchcomplete"))
        found, over = [], Counter[str]()
        for entry in pages:
            info = as_dict(next(iter(as_list(entry.get("imageinfo"))), None))
            picture = _picture(entry, info)
            if picture is None:
                over["no picture"] += bool(info) or complete
            elif info.get("mime") not in _FORMATS:
                over[f"format {plain(info.get('mime'), 40)}"] += 1
            else:
                found.append(picture)
        following = as_dict(answer).get("continue")
        return Page(
            tuple(found),
            following if isinstance(following, dict) and following else None,
            {reason: count for reason, count in over.items() if count},
        )


def _passing(answer: Any) -> None:
    code = as_dict(as_dict(answer).get("error")).get("code")
    if code in _PASSING:
        raise Passing(str(code))


def _picture(entry: dict[str, Any], info: dict[str, Any]) -> Found | None:
    number = entry.get("pageid")
    address = info.get("url")
    if not isinstance(number, int) or not (isinstance(address, str) and address) or info.get("mediatype") != "BITMAP":
        return None
    about = as_dict(info.get("extmetadata"))

    def said(name: str) -> Any:
        return as_dict(about.get(name)).get("value")

    statements = [plain(said("LicenseUrl")), plain(said("LicenseShortName")), plain(said("License"))]
    if plain(said("NonFree")).lower() in ("true", "1"):
        statements.append("not free")
    title = plain(entry.get("title")).removeprefix("File:")
    return Found(
        id=str(number),
        picture=address,
        page=plain(info.get("descriptionurl")),
        title=without_markup(said("ObjectName")) or title,
        author=without_markup(said("Artist"), 300),
        credit=without_markup(said("Attribution") or said("Credit"), 500),
        description=without_markup(said("ImageDescription")),
        date=without_markup(said("DateTimeOriginal"), 100),
        institution="",
        statements=tuple(s for s in statements if s),
        restrictions=plain(said("Restrictions"), 200),
        sha1=plain(info.get("sha1"), 40).lower(),
        size=_number(info.get("size")),
        width=_number(info.get("width")),
        height=_number(info.get("height")),
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
