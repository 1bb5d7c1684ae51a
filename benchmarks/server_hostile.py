"""Everything hostile that the specification lists, through the upload and verify doors of a running server.

python benchmarks/server_hostile.py --every 1 --slow --out benchmarks/results/server_hostile.json

Each file must be refused with a 4xx answer, or taken where it is a sound picture with something odd in it; no answer
is 5xx, the server answers afterwards, nothing of what was refused stays on the disk, and the server's own memory does
not grow by more than a few megabytes, whatever the decoding children did.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from PIL import Image

REFUSED = (400, 408, 413, 415, 422)
CASES = Path(__file__).parents[1] / "tests" / "cases"


class Case(NamedTuple):
    """A file and what may become of it."""

    name: str
    data: bytes
    allowed: tuple[int, ...] = REFUSED
    file: str = "a.png"


def png(values: np.ndarray | None = None) -> bytes:
    """Return a small PNG."""
    rng = np.random.default_rng(0)
    return saved("PNG", rng.integers(0, 255, (40, 60, 3), dtype=np.uint8) if values is None else values)


def saved(kind: str, values: np.ndarray, **more: object) -> bytes:
    """Return an array as a file."""
    out = io.BytesIO()
    mode = "CMYK" if values.ndim == 3 and values.shape[2] == 4 else None
    Image.fromarray(values, mode).save(out, kind, **more) if mode else Image.fromarray(values).save(out, kind, **more)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 2, data: bytes = b"") -> bytes:
    """Return a PNG with a header of its own."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiff_of(*entries: tuple[int, int, int, int], following: int = 0, size: int = 400) -> bytes:
    """Return a TIFF with one directory."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    head = b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", following)
    return head + bytes(size)


def files(bomb: int = 400_000_000) -> Iterator[Case]:
    """Yield hostile files; ``bomb`` is how many bytes some of them unfold to."""
    sound = png()
    rows = np.zeros((8, 8), np.uint8)
    yield Case("sound", sound, (201,))
    yield Case("empty", b"")
    yield Case("a header that claims 65000x65000", png_of(65000, 65000, data=b"\0" * 1000))
    yield Case("a header that claims 2^31-1", png_of(2**31 - 1, 1, data=b"\0"))
    yield Case("0x0", png_of(0, 0))
    packed = zlib.compress(bytes(bomb), 9)
    body = b"".join(b"\0" + bytes(24) for _ in range(8))
    yield Case("a zip-bombed iCCP", png_of(8, 8, chunk(b"iCCP", b"x\0\0" + packed), data=body), (*REFUSED, 201))
    yield Case("a zip-bombed zTXt", png_of(8, 8, chunk(b"zTXt", b"x\0\0" + packed), data=body), (*REFUSED, 201))
    yield Case("zip-bombed pixels", png_of(8, 8, data=bytes(bomb)), (*REFUSED, 201))
    spoilt = bytearray(sound)
    spoilt[-20] ^= 0xFF
    yield Case("a wrong checksum", bytes(spoilt))
    palette = chunk(b"PLTE", bytes(6))
    wrong = b"".join(b"\0" + bytes([200] * 8) for _ in range(8))
    yield Case("a palette index out of range", png_of(8, 8, palette, color=3, data=wrong), (*REFUSED, 201))
    frames = chunk(b"acTL", struct.pack(">II", 10_000, 0))
    yield Case("an animation of 10000 frames", png_of(8, 8, frames, data=body), (*REFUSED, 201))
    cmyk = np.full((16, 16, 4), 90, np.uint8)
    yield Case("a JPEG of four inks", saved("JPEG", cmyk), (201,), "a.jpg")
    yield Case("1x100000", saved("PNG", np.zeros((100_000, 1), np.uint8)), (201,))
    yield Case("100000x1", saved("PNG", np.zeros((1, 100_000), np.uint8)), (201,))
    base = ((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 200), (277, 3, 1, 1))
    yield Case("a TIFF whose directories loop", tiff_of(*base, (279, 4, 1, 64), following=8), (*REFUSED, 201), "a.tif")
    yield Case(
        "a TIFF with huge RowsPerStrip",
        tiff_of(*base, (278, 4, 1, 2**32 - 1), (279, 4, 1, 64)),
        (*REFUSED, 201),
        "a.tif",
    )
    huge = tuple((t, k, c, 60_000 if t in (256, 257) else v) for t, k, c, v in base)
    yield Case("a TIFF that claims 60000x60000", tiff_of(*huge, (279, 4, 1, 64)), REFUSED, "a.tif")
    many = bytearray(b"II*\0" + struct.pack("<I", 8))
    for i in range(10_000):
        many += struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 8) + struct.pack("<I", 8 + 18 * (i + 1))
    yield Case("a TIFF of 10000 pages", bytes(many), REFUSED, "a.tif")
    yield Case("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    yield Case("HTML", b"<!doctype html><script>alert(1)</script>", file="a.html")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("x.txt", "x")
    yield Case("a PNG that is a ZIP file too", sound + out.getvalue(), (*REFUSED, 201))
    yield Case(
        "a JPEG that is HTML too", saved("JPEG", rows) + b"<html><script>alert(1)</script>", (*REFUSED, 201), "a.jpg"
    )
    exif = Image.Exif()
    exif[270], exif[274] = '=HYPERLINK("http://evil.example")<script>alert(1)</script>', 9
    yield Case("EXIF with a script and orientation 9", saved("JPEG", rows, exif=exif), (201,), "a.jpg")
    loop = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 8)
    yield Case("EXIF that loops", saved("JPEG", rows, exif=loop), (*REFUSED, 201), "a.jpg")
    yield Case(
        "a malformed ICC profile", saved("PNG", np.dstack([rows] * 3), icc_profile=b"\xff" * 300), (*REFUSED, 201)
    )
    yield Case("a pickle", pickle.dumps({"x": [1] * 1000}), file="a.pt")
    yield Case("safetensors with an oversized header", struct.pack("<Q", 2**60) + b"{}", file="a.safetensors")
    yield Case("a text", b"file:///etc/passwd http://169.254.169.254/latest/meta-data/", file="a.txt")
    for name in (
        "../../../etc/passwd",
        "/etc/passwd",
        "a\x00b.png",
        "x" * 4000 + ".png",
        "..",
        "CON",
        'a;b"c.png',
        "\u202egnp.exe",
    ):
        yield Case(f"the name {name[:20]!r}", sound, (201, 400, 422), name)
    if CASES.is_dir():
        for path in sorted(CASES.iterdir()):
            if path.suffix in (".png", ".jpg", ".tif", ".dng"):
                yield Case(path.name, path.read_bytes(), (*REFUSED, 201), path.name)


def cut(every: int) -> Iterator[Case]:
    """Yield pictures of three formats, cut off."""
    rng = np.random.default_rng(1)
    values = np.dstack([np.add.outer(np.arange(50), np.arange(70)).astype(np.uint8)] * 3) + rng.integers(
        0, 9, (50, 70, 3), dtype=np.uint8
    )
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP"):
        data = saved(kind, values)
        for share in range(every, 100, every):
            yield Case(
                f"{kind} cut at {share} %", data[: len(data) * share // 100], (*REFUSED, 201), f"a.{kind.lower()}"
            )


def archives(bomb: int = 600_000_000) -> Iterator[Case]:
    """Yield hostile ZIP files for the verify door; one unfolds to ``bomb`` bytes."""

    def made(entries: list[tuple[str, bytes]]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for name, data in entries:
                z.writestr(name, data)
        return out.getvalue()

    fine = (200, *REFUSED, 409)
    yield Case("a ZIP file that climbs out", made([("../../x.png", png())]), REFUSED, "a.zip")
    yield Case("a ZIP file with an absolute name", made([("/tmp/x.png", png())]), REFUSED, "a.zip")
    yield Case("a ZIP bomb", made([("x.png", bytes(bomb))]), fine, "a.zip")
    yield Case("a ZIP file of 10000 files", made([(f"{i}.png", b"") for i in range(10_000)]), REFUSED, "a.zip")
    yield Case("an empty ZIP file", made([]), fine, "a.zip")
    yield Case("a receipt of 100000 brackets", b"[" * 100_000, fine, "receipt.json")
    yield Case("a picture nobody knows", png(), (200,), "a.png")


def raw(port: int, data: bytes, wait: float = 20.0) -> int:
    """Send bytes over a socket and return the status of the answer; 0: the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as s:
        s.sendall(data)
        try:
            answer = s.recv(64)
        except (TimeoutError, ConnectionError):
            return 0
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def requests(port: int, key: str) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """Send malformed requests; yield what each was, the answer and what may be answered."""
    head = f"POST /api/v1/uploads HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n".encode()
    form = b"Content-Type: multipart/form-data; boundary=B\r\n"
    parts = (
        b"".join(b'--B\r\nContent-Disposition: form-data; name="x%d"\r\n\r\n1\r\n' % i for i in range(10_000))
        + b"--B--\r\n"
    )
    yield "10000 parts", raw(port, head + form + b"Content-Length: %d\r\n\r\n" % len(parts) + parts), (400, 413, 422, 0)
    yield "a length that is negative", raw(port, head + form + b"Content-Length: -5\r\n\r\n"), (400,)
    yield "two lengths", raw(port, head + form + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), (400,)
    yield (
        "a length and chunks",
        raw(port, head + form + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, 422),
    )
    yield "a length of a terabyte", raw(port, head + form + b"Content-Length: 1000000000000\r\n\r\n--B"), (413,)
    yield "no boundary", raw(port, head + b"Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc"), (415,)
    yield "no form", raw(port, head + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"), (415,)
    yield "a form that ends early", raw(port, head + form + b"Content-Length: 3\r\n\r\n--B"), (400,)
    long = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="' + b"a" * 60_000 + b'"\r\n\r\nx\r\n--B--\r\n'
    )
    yield (
        "a header of a part of 60 kB",
        raw(port, head + form + b"Content-Length: %d\r\n\r\n" % len(long) + long),
        (400, 0),
    )
    yield "headers of 100 kB", raw(port, head + b"X: " + b"a" * 100_000 + b"\r\n\r\n"), (400, 415, 431, 0)
    yield "another host", raw(port, head.replace(b"127.0.0.1", b"evil.example") + b"\r\n"), (421,)
    yield "two hosts", raw(port, head + b"Host: evil.example\r\n\r\n"), (400, 421)
    yield "no HTTP", raw(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), (400, 0)


def slow(port: int, key: str) -> tuple[int, float]:
    """Send a form's beginning and then nothing; return the answer and after how many seconds it came."""
    head = f"POST /api/v1/uploads HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n".encode()
    begun = time.monotonic()
    status = raw(port, head + b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 5000\r\n\r\n--B", 120)
    return status, time.monotonic() - begun


SERVER = """
import sys
from tratto.server.serve import serve
from tratto.server.settings import Settings
serve(Settings.model_validate_json(sys.argv[1]), lambda link: print(link, flush=True))
"""


def main() -> None:
    from server_large import memory

    from tratto.server.access import SCOPES, Access, KeyLimits
    from tratto.server.database import Database
    from tratto.server.settings import Settings

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=25, help="percent between two places where a file is cut off")
    parser.add_argument("--slow", action="store_true", help="wait for the server to give up a silent sender, too")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tratto-hostile-") as name:
        settings = Settings(
            folder=Path(name).resolve(), port=0, sign="none", workers=0, upload_bytes=300_000_000, decode_seconds=20
        )
        settings.make_folders()
        key = Access(Database(settings.database)).add_key("hostile", SCOPES, KeyLimits(per_minute=10**6))
        server = subprocess.Popen([sys.executable, "-c", SERVER, settings.model_dump_json()], stdout=subprocess.PIPE)
        link = next(t.decode() for t in server.stdout or () if t.startswith(b"http://"))
        base = link.split("/start")[0]
        port = int(base.rsplit(":", 1)[1])
        wrong: list[str] = []
        answers: dict[str, int] = {}
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=300) as client:
            client.get("/api/v1/tasks")
            idle = memory(server.pid, "VmRSS")
            doors = (("/api/v1/uploads", [*files(), *cut(given.every)]), ("/api/v1/verify", list(archives())))
            for path, cases in doors:
                for case in cases:
                    answer = client.post(path, files={"file": (case.file, case.data)})
                    answers[f"{answer.status_code}"] = answers.get(f"{answer.status_code}", 0) + 1
                    if answer.status_code not in case.allowed:
                        wrong.append(f"{case.name}: {answer.status_code} {answer.text[:200]}")
                    if str(settings.folder) in answer.text:
                        wrong.append(f"{case.name}: the answer names a folder of this machine")
                    left = [p.name for p in settings.temporary.iterdir() if p.is_dir()]
                    if left:
                        wrong.append(f"{case.name}: it left {left}")
            for what, status, allowed in requests(port, key):
                answers[f"{status}"] = answers.get(f"{status}", 0) + 1
                if status not in allowed:
                    wrong.append(f"{what}: {status}")
            if client.get("/api/v1/health").status_code != 200:
                wrong.append("the server does not answer any more")
            told_slow = slow(port, key) if given.slow else None
            if told_slow is not None and told_slow[0] != 408:
                wrong.append(f"a silent sender: {told_slow}")
            taken = client.get("/api/v1/uploads", params={"limit": 200}).json()["uploads"]
            there = len(list((settings.folder / "uploads").iterdir()))
            if taken and there < len(taken):
                wrong.append("uploads that were taken are not there")
            peak = memory(server.pid, "VmHWM")
        server.terminate()
        server.wait()
    told = {
        "answers": answers, "wrong": wrong, "silent_sender": told_slow, "server_idle_megabytes": idle,
        "server_peak_megabytes": peak, "above_idle_megabytes": round(peak - idle, 1),
    }  # fmt: skip
    print(json.dumps(told, indent=1))
    if given.out:
        given.out.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(1 if wrong or peak - idle > 300 else 0)


if __name__ == "__main__":
    main()
