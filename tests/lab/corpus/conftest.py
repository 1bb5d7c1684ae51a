"""A server on this machine that answers as four collections on the web do, with their mishaps."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image as Pil


def jpeg(seed: int, width: int = 96, height: int = 80) -> bytes:
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    Pil.fromarray(rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8)).resize((width, height)).save(
        out, "JPEG"
    )
    return out.getvalue()


class Museum:
    """What the server holds. ``faults[path]`` is a list of things to do first, one for each request."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, str]] = {}
        self.entries: dict[str, list[dict]] = defaultdict(list)
        self.pages: dict[str, str] = {}
        self.faults: dict[str, list] = defaultdict(list)
        self.requests: list[tuple[str, dict]] = []
        self.headers: list[dict] = []
        self.page_size = 4
        self.key = ""
        self.delay = 0.0
        self.split_pages = False
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self.server, self.url = server, f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def jpeg(seed: int, width: int = 96, height: int = 80) -> bytes:
        return jpeg(seed, width, height)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fetched(self, path: str) -> int:
        return sum(p == path for p, _ in self.requests)

    def put(self, path: str, data: bytes, kind: str = "image/jpeg") -> str:
        self.files[path] = (data, kind)
        return self.url + path

    def commons(self, number: int, data: bytes | None = None, **changes) -> dict:
        """Add a file page of Wikimedia Commons, in the shape of ``formatversion=2``."""
        data = jpeg(number) if data is None else data
        info = {
            "size": len(data),
            "width": 96,
            "height": 80,
            "url": self.put(f"/wikipedia/commons/{number}.jpg", data),
            "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Picture_{number}.jpg",
            "descriptionshorturl": f"https://commons.wikimedia.org/w/index.php?curid={number}",
            "sha1": hashlib.sha1(data).hexdigest(),
            "mime": "image/jpeg",
            "mediatype": "BITMAP",
            "extmetadata": {
                "ObjectName": {"value": f"Picture {number}", "source": "mediawiki-metadata", "hidden": ""},
                "Artist": {
                    "value": f'<a href="//commons.wikimedia.org/wiki/User:N{number}" title="User">Maker {number}</a>',
                    "source": "commons-desc-page",
                },
                "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons-desc-page", "hidden": ""},
                "LicenseUrl": {"value": "https://creativecommons.org/licenses/by-sa/4.0", "hidden": ""},
                "License": {"value": "cc-by-sa-4.0", "source": "commons-templates", "hidden": ""},
                "Restrictions": {"value": "", "hidden": ""},
            },
        }
        for name, value in changes.pop("about", {}).items():
            if value is None:
                info["extmetadata"].pop(name, None)
            else:
                info["extmetadata"][name] = {"value": value}
        info.update(changes)
        entry = {"pageid": number, "ns": 6, "title": f"File:Picture {number}.jpg", "imagerepository": "local"}
        entry |= {"index": len(self.entries["commons"]) + 1, "imageinfo": [info]}
        self.entries["commons"].append(entry)
        return entry

    def smithsonian(self, number: int, access: str | None = "CC0", resources: bool = True, **changes) -> dict:
        """Add a row of the Smithsonian's search."""
        address = self.put(f"/ids/download/{number}.jpg", jpeg(1000 + number))
        media = {
            "content": address + "?screen",
            "guid": f"http://n2t.net/ark:/65665/{number}",
            "idsId": f"SAAM-{number}",
            "thumbnail": address + "?thumb",
            "type": "Images",
            "usage": {"access": access},
        }
        if access is None:
            del media["usage"]
        if resources:
            media["resources"] = [
                {"label": "High-resolution TIFF", "url": address + ".tif"},
                {"label": "High-resolution JPEG (96x80)", "url": address, "width": 96, "height": 80},
                {"label": "Screen Image", "url": address + "_screen"},
            ]
        row = {
            "id": f"ld1-{number}",
            "title": f"Object {number}",
            "unitCode": "SAAM",
            "type": "edanmdm",
            "url": f"edanmdm:saam_{number}",
            "content": {
                "descriptiveNonRepeating": {
                    "record_ID": f"saam_{number}",
                    "record_link": f"https://americanart.si.edu/{number}",
                    "data_source": "Smithsonian American Art Museum",
                    "title": {"label": "Title", "content": f"Object {number}"},
                    "metadata_usage": {"access": "CC0"},
                    "online_media": {"mediaCount": 1, "media": [media]},
                },
                "freetext": {
                    "name": [
                        {"label": "Previous owner", "content": "A. Collector"},
                        {"label": "Artist", "content": f"Painter {number}, born 1850"},
                    ],
                    "date": [{"label": "Date", "content": "1901"}],
                    "creditLine": [{"label": "Credit Line", "content": "Museum purchase"}],
                },
                "indexedStructured": {"online_media_type": ["Images"]},
            },
            "hash": f"{number:040x}",
            "timestamp": "1653672694",
        } | changes
        self.entries["smithsonian"].append(row)
        return row

    def europeana(self, number: int, rights: list[str] | None, **changes) -> dict:
        """Add an item of Europeana's search."""
        item = {
            "id": f"/2022704/lod_{number}",
            "title": [f"Claustro {number}= Cloître de Oña"],
            "dcCreator": ["http://example.org/ent2"],
            "dcCreatorLangAware": {"def": ["http://example.org/ent2", "Pérez Villaamil, Genaro"]},
            "dcDescription": ["Sello en seco"],
            "dataProvider": ["Biblioteca Digital de Castilla y León"],
            "provider": ["Hispana"],
            "edmIsShownAt": [f"http://bibliotecadigital.jcyl.es/{number}"],
            "edmIsShownBy": [self.put(f"/jcyl/{number}", jpeg(2000 + number))],
            "guid": f"https://www.europeana.eu/item/2022704/lod_{number}?utm_source=api&utm_campaign={self.key}",
            "link": f"https://api.europeana.eu/record/2022704/lod_{number}.json?wskey={self.key}",
            "type": "IMAGE",
            "year": ["1850"],
        } | changes
        if rights is not None:
            item["rights"] = rights
        self.entries["europeana"].append(item)
        return item

    def mit(self, number: str, image: str, licence: str | None) -> None:
        """Add an object's page and its picture on a IIIF image service."""
        self.put(f"/iiifimg3/{image}/full/max/0/default.jpg", jpeg(int(image)))
        about = {"@context": "https://schema.org", "@type": "VisualArtwork", "name": f"Core memory {number}"}
        about |= {"creator": {"@type": "Person", "name": "Jay Forrester"}, "dateCreated": "1951"}
        if licence is not None:
            about["license"] = licence
        self.entries["mit"].append({"number": number})
        self.pages[f"/collections/object/{number}"] = (
            f"<html><head><title>x</title><script type='application/ld+json'>{json.dumps(about)}</script></head>"
            f"<body><img src='{self.url}/iiifimg3/{image}/full/800,/0/default.jpg'>"
            f"<img srcset='{self.url}/iiifimg3/{image}/full/400,/0/default.jpg 1x'></body></html>"
        )

    def answer(self, path: str, asked: dict[str, list[str]], headers: dict) -> tuple[int, dict | bytes, str]:
        if path == "/w/api.php":
            return 200, self._commons(asked), "application/json"
        if path == "/openaccess/api/v1.0/search":
            if headers.get("X-Api-Key") != self.key:
                message = {"code": "API_KEY_INVALID", "message": "An invalid api_key was supplied."}
                return 403, {"error": message, "sent": headers.get("X-Api-Key")}, "application/json"
            start, rows = int(asked["start"][0]), self.entries["smithsonian"]
            here = rows[start : start + min(self.page_size, int(asked["rows"][0]))]
            body = {"rows": here, "rowCount": len(rows), "message": "content found"}
            return 200, {"status": 200, "responseCode": 1, "response": body}, "application/json"
        if path == "/record/v2/search.json":
            if asked.get("wskey") != [self.key]:
                return (
                    401,
                    {"apikey": asked["wskey"][0], "success": False, "error": "Invalid API key"},
                    "application/json",
                )
            at = 0 if asked["cursor"] == ["*"] else int(asked["cursor"][0].removeprefix("AoJ+"))
            items = self.entries["europeana"]
            out = {"apikey": self.key, "success": True, "requestNumber": 999, "itemsCount": self.page_size}
            out |= {"totalResults": len(items), "items": items[at : at + self.page_size]}
            if at + self.page_size < len(items):
                out["nextCursor"] = f"AoJ+{at + self.page_size}"
            return 200, out, "application/json"
        if path == "/collections/search":
            at = int(asked["page"][0]) - 1
            here = self.entries["mit"][at * self.page_size : (at + 1) * self.page_size]
            links = "".join(f"<a href='/collections/object/{e['number']}'>x</a><a href='/visit'>y</a>" for e in here)
            return 200, f"<html><body>{links}</body></html>".encode(), "text/html"
        if path in self.pages:
            return 200, self.pages[path].encode(), "text/html; charset=utf-8"
        if path in self.files:
            return 200, *self.files[path]
        return 404, b"<html>not here</html>", "text/html"

    def _commons(self, asked: dict[str, list[str]]) -> dict:
        if asked.get("formatversion") != ["2"] or asked.get("gsrnamespace") != ["6"]:
            return {"error": {"code": "badvalue", "info": "Unrecognized value for parameter."}}
        start = int(asked.get("gsroffset", ["0"])[0])
        here = self.entries["commons"][start : start + self.page_size]
        if self.split_pages and "iicontinue" not in asked:  # half of the pages come without their imageinfo first
            half = len(here) // 2
            bare = [{k: v for k, v in e.items() if k != "imageinfo"} for e in here[half:]]
            onward = {"iicontinue": f"{start}|x", "continue": "||", **({"gsroffset": start} if start else {})}
            return {"continue": onward, "query": {"pages": here[:half] + bare}}
        out: dict = {"batchcomplete": True, "query": {"pages": list(reversed(here))}}
        if not here:
            del out["query"]
        if start + self.page_size < len(self.entries["commons"]):
            out["continue"] = {"gsroffset": start + self.page_size, "continue": "gsroffset||"}
        return out


def _handler(museum: Museum):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args) -> None:
            return None

        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):
                self._get()

        def _get(self) -> None:
            parts = urlsplit(self.path)
            asked = parse_qs(parts.query)
            museum.requests.append((parts.path, asked))
            museum.headers.append(dict(self.headers))
            if museum.delay:
                time.sleep(museum.delay)
            queue = museum.faults[parts.path]
            fault = queue.pop(0) if queue else None
            status, data, kind = museum.answer(parts.path, asked, dict(self.headers))
            if isinstance(data, dict):
                data = json.dumps(data).encode()
            extra: dict[str, str] = {}
            cut = None
            if callable(fault):
                return fault(self)
            if isinstance(fault, tuple):
                status, extra, data, kind = fault[0], fault[1], b"<html>busy</html>", "text/html"
            elif isinstance(fault, int):
                status, data, kind = fault, b"<html>oh</html>", "text/html"
            elif fault == "truncate":
                cut = len(data) // 2
            elif fault == "not json":
                data = b"{"
            elif fault == "maxlag":
                error = {"code": "maxlag", "info": "Waiting for a database server: 6.1 seconds lagged."}
                data, extra = json.dumps({"error": error}).encode(), {"Retry-After": "5", "X-Database-Lag": "6"}
            elif isinstance(fault, str) and fault.startswith("to "):
                status, data, extra = 302, b"", {"Location": fault.removeprefix("to ")}
            elif isinstance(fault, str) and fault.startswith("as "):
                kind = fault.removeprefix("as ")
            elif fault == "gzip":
                data, extra = gzip.compress(data), {"Content-Encoding": "gzip"}
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data if cut is None else data[:cut])
            self.close_connection = True

    return Handler


@pytest.fixture
def museum():
    one = Museum()
    yield one
    one.close()
