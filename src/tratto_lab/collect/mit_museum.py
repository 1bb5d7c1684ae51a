"""The MIT Museum, through its public pages: it documents no interface for programs.

Known from public use: an object's page is ``mitmuseum.mit.edu/collections/object/NUMBER``, and its pictures come from a
IIIF Image API 3 service at ``assets.mitmuseum.mit.edu/iiifimg3/NUMBER`` (https://iiif.io/api/image/3.0/). Not
confirmed: the address of the search page, and how an object's page states rights. Therefore a query ``object:A,B``
names objects directly and needs no search; and a licence counts only where the page carries it for the object in
machine-readable form (``license`` of a JSON-LD object, https://schema.org/license). Whatever says nothing is refused,
and that may well be everything: the museum's images were for non-commercial use when that was last found in writing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

from tratto.core.errors import OptionError
from tratto_lab.collect.client import Broken, Client, HostRules, Refused
from tratto_lab.collect.sources import Cursor, Found, Page
from tratto_lab.collect.text import as_dict, as_list, plain, tags

_HOST = "https://mitmuseum.mit.edu"
_PICTURES = "https://assets.mitmuseum.mit.edu"
#: Not confirmed; see above.
_SEARCH = "/collections/search"
_OBJECT = re.compile(r"/collections/object/([A-Za-z0-9][A-Za-z0-9._~%-]{0,80})")
_IMAGE = re.compile(r"/iiifimg3/([A-Za-z0-9_-]{1,40})/")


@dataclass
class _Page:
    """What a page says to programs: links, pictures, JSON-LD and its title."""

    links: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    title: str = ""


def _read(markup: str) -> _Page:
    page, lower = _Page(), markup.lower()
    for name, given, end in tags(markup):
        if name == "a":
            page.links.append(given.get("href", ""))
        elif name in ("img", "source"):
            page.pictures += [given.get("src", ""), given.get("srcset", "")]
        elif name == "meta" and given.get("property") == "og:image":
            page.pictures.append(given.get("content", ""))
        elif name == "meta" and given.get("property") == "og:title":
            page.title = page.title or given.get("content", "")
        elif name == "script" and given.get("type") == "application/ld+json" and len(page.blocks) < 50:
            page.blocks.append(markup[end : max(end, lower.find("</script", end))])
    return page


class MitMuseum:
    """The MIT Museum. A query is ``object:NUMBER,NUMBER`` or words for its search page."""

    name = "mit-museum"
    title = "MIT Museum"

    def __init__(self, base: str = "") -> None:
        self._base, self._assets = base or _HOST, base or _PICTURES
        self.pictures = HostRules(("mitmuseum.mit.edu",))
        self._pages = HostRules(("mitmuseum.mit.edu",))

    def page(self, client: Client, query: str, cursor: Cursor) -> Page:
        """Fetch the objects of one page of the search, or of ten that were named."""
        if query.startswith("object:"):
            numbers = [n.strip() for n in query.removeprefix("object:").split(",") if n.strip()]
            for number in numbers:
                if not _OBJECT.fullmatch(f"/collections/object/{number}"):
                    raise OptionError(f"an object number such as 2007.030.001 was expected, got {number!r}")
            start = int(cursor) if isinstance(cursor, str) else 0
            here, end = numbers[start : start + 10], start + 10
            following: Cursor = str(end) if end < len(numbers) else None
        else:
            at = int(cursor) if isinstance(cursor, str) else 1
            asked = urlencode({"q": query, "page": at})
            listed = _read(client.page(f"{self._base}{_SEARCH}?{asked}", self._pages))
            matches = [m for link in listed.links if (m := _OBJECT.search(link))]
            here = list(dict.fromkeys(unquote(m[1]) for m in matches))
            following = str(at + 1) if here else None
        found: list[Found] = []
        over: dict[str, int] = {}
        broken: list[Broken] = []
        for number in here:
            try:
                pictures = self._object(client, number)
            except (Refused, Broken) as e:
                over[e.reason] = over.get(e.reason, 0) + 1
                broken += [e] if isinstance(e, Broken) else []
                # one page that is always broken must not stop the rest; if none comes, the line is to blame
                if broken and len(broken) == len(here):
                    raise broken[-1] from None
                continue
            found += pictures
            if not pictures:
                over["no picture"] = over.get("no picture", 0) + 1
        return Page(tuple(found), following, over)

    def _object(self, client: Client, number: str) -> list[Found]:
        address = f"/collections/object/{quote(number, safe='')}"
        page = _read(client.page(self._base + address, self._pages))
        about = _described(page.blocks)
        images = list(dict.fromkeys(m[1] for text in page.pictures for m in _IMAGE.finditer(text)))
        licence = plain(about.get("license"), 200) or plain(as_dict(about.get("license")).get("@id"), 200)
        maker = about.get("creator")
        named = [plain(as_dict(m).get("name") or m, 200) for m in (as_list(maker) or [maker])]
        return [
            Found(
                id=f"{number}#{image}",
                picture=f"{self._assets}/iiifimg3/{image}/full/max/0/default.jpg",
                page=_HOST + address,
                title=plain(about.get("name")) or plain(page.title),
                author="; ".join(n for n in named if n),
                credit=plain(about.get("creditText") or about.get("copyrightNotice"), 500),
                description=plain(about.get("description")),
                date=plain(about.get("dateCreated"), 100),
                institution=self.title,
                statements=(licence,) if licence else (),
            )
            for image in images
        ]


def _described(blocks: list[str]) -> dict[str, Any]:
    """Return the JSON-LD object that describes a work or a picture; empty where none does."""
    kinds = {"VisualArtwork", "CreativeWork", "ImageObject", "Photograph", "Product", "Thing"}
    for block in blocks:
        try:
            data = json.loads(block)
        except (ValueError, RecursionError):
            continue
        for entry in [data, *as_list(data), *as_list(as_dict(data).get("@graph"))]:
            kind = as_dict(entry).get("@type")
            if kinds & set(kind if isinstance(kind, list) else [kind] if isinstance(kind, str) else []):
                return as_dict(entry)
    return {}
