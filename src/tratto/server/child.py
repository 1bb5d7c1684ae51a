"""A process with limits that looks at what strangers sent: ``python -m tratto.server.child``, JSON in and out.

It decodes an upload and makes its tiles, or verifies somebody's file. Whatever a hostile file does to a decoder, it
does it here: memory, CPU time and file sizes are bounded by the system, and the server reads one JSON document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratto.core.errors import InputError, PictureTooLarge, TrattoError, UnsupportedFormat
from tratto.server.archive import unfold

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.imaging.io import Limits

#: What a ZIP file begins with, and what an upload that is one is called where pictures name their format.
ZIPPED, PACKED = (b"PK\x03\x04", b"PK\x05\x06"), "zip"
#: Most files of a ZIP file that is verified.
MOST_FILES = 200
#: All photographs of a capture together may have so many times the pixels that one picture may.
CAPTURE_PIXELS = 4


def confine(memory: int, seconds: int, file_bytes: int) -> None:
    """Bound what this process may take; what goes beyond ends it or raises MemoryError.

    Parameters
    ----------
    memory : int
        Bytes of address space.
    seconds : int
        Of CPU time.
    file_bytes : int
        Of any file it writes.
    """
    import resource

    for name, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def inspect(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the first page of a file, and write tiles and previews.

    Parameters
    ----------
    asked : mapping
        ``path`` of the file, ``out`` (folder for the tiles), ``formats``, ``pixels``, ``side``.

    Returns
    -------
    dict
        What is told of an upload.
    """
    from tratto.imaging import io
    from tratto.imaging.color import view_note
    from tratto.imaging.io.carried import notes_of
    from tratto.imaging.scratch import allocate

    path, out = Path(asked["path"]), Path(asked["out"])
    limits = io.Limits(max_pixels=asked["pixels"], max_side=asked["side"])
    with open(path, "rb") as f:
        begins = f.read(64)
    found = PACKED if begins.startswith(ZIPPED) else io.sniff(begins)
    if found not in asked["formats"]:
        known = ", ".join(name.upper() for name in asked["formats"])
        what = f"is a {found.upper()} file" if found else "is none that is known"
        raise UnsupportedFormat(f"the file {what}; this server takes {known}")
    if found == PACKED:
        return _capture(path, out, limits, asked["bytes"])
    pages = io.count_pages(path, limits)
    image = io.read_image(path, limits, 0, allocate)
    note = view_note(image)
    return _shown(image, out) | {
        "format": found, "pages": pages, "notes": [*notes_of(image), *([note] if note else [])],
    }  # fmt: skip


def _shown(image: Image, out: Path) -> dict[str, Any]:
    """Write the tiles of a picture; return what is told of it."""
    from tratto.server.pyramid import write_pyramid
    from tratto.server.views import upright

    grid, bands = upright(image)
    view = write_pyramid(grid, bands, out / "view.tiles", out / "preview")
    return {
        "width": grid.width, "height": grid.height, "mode": str(image.mode.value), "bits": image.bits,
        "alpha": view["type"] == "image/png", "megapixels": round(image.megapixels, 3), "view": view,
    }  # fmt: skip


def _capture(path: Path, out: Path, limits: Limits, most: int) -> dict[str, Any]:
    """Decode each photograph of a ZIP file of photographs with their cameras, and show the first."""
    import shutil

    from tratto.imaging import io
    from tratto.imaging.scratch import allocate
    from tratto.scene.captures import read_capture

    folder = out / "capture"
    try:
        shots = read_capture(capture_folder(path, folder, most)).shots
        if len(shots) < 3:
            raise InputError(f"the ZIP file holds {len(shots)} photographs with cameras; a scene needs at least three")
        pixels, facts = 0, dict[str, Any]()
        for number, shot in enumerate(shots):
            try:
                image = io.read_image(shot.path, limits, 0, allocate)
            except TrattoError as e:
                raise InputError(f"{shot.path.name}: {_of_the_file(str(e), str(shot.path))}") from e
            pixels += image.width * image.height
            if pixels > CAPTURE_PIXELS * limits.max_pixels:
                allowed = CAPTURE_PIXELS * limits.max_pixels / 1e6
                raise PictureTooLarge(
                    f"the photographs have more than {allowed:g} megapixels together; send them smaller: lift uses "
                    "them at 512 pixels unless asked for more"
                )
            if number == 0:
                facts = _shown(image, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return facts | {"format": PACKED, "pages": 1, "notes": [f"{len(shots)} photographs with their cameras"]}


def capture_folder(path: Path, to: Path, most: int) -> Path:
    """Unfold a ZIP file of photographs into a new folder; return where in it the cameras are."""
    from tratto.scene.captures import MOST_PHOTOS

    unfold(path, to, most, MOST_PHOTOS + 10, 6)
    while len(inside := list(to.iterdir())) == 1 and inside[0].is_dir() and inside[0].name != "sparse":
        to = inside[0]
    return to


def verify(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Verify somebody's file.

    Parameters
    ----------
    asked : mapping
        ``path``; perhaps ``bundle``, a ZIP file of its bundle; ``work`` (an empty folder), ``bytes`` (most that a ZIP
        file may unfold to), ``ledger``.
    """
    from tratto import jobs
    from tratto.core.canonical import MAX_BYTES
    from tratto.core.hashing import read_limited
    from tratto.provenance.bundle import RECEIPT, find_bundle
    from tratto.provenance.receipt import read_receipt
    from tratto.provenance.trust import Trust

    path, work = Path(asked["path"]), Path(asked["work"])
    bundle = None if asked.get("bundle") is None else unfolded(Path(asked["bundle"]), work / "bundle", asked["bytes"])
    with open(path, "rb") as f:
        begins = f.read(4)
    if begins.startswith(ZIPPED):  # a picture with a ZIP file behind it is a picture
        path = unfolded(path, work / "file", asked["bytes"])
    elif path.suffix == ".json":
        path = path.rename(path.with_name(RECEIPT))
    if bundle is not None:
        bundle = next((p for p in (bundle, *bundle.parents) if p.suffix == ".tratto"), bundle)
        if bundle.is_file():
            bundle = find_bundle(bundle)
    ledger = asked.get("ledger")
    verdict = jobs.verify(path, Trust((), None if ledger is None else Path(ledger)), bundle)
    answer = verdict.to_json()
    answer.pop("exit_code")
    receipt = None
    try:
        where = path if path.name == RECEIPT else (bundle or find_bundle(path)) / RECEIPT
        whole = read_receipt(read_limited(where, MAX_BYTES))
        receipt = {
            "task": whole["task"], "tool": whole["tool"],
            "steps": [{"step": s["step"], "provider": s["provider"]} for s in whole["steps"]],
            "outputs": sorted(whole["outputs"]),
        }  # fmt: skip
    except (TrattoError, OSError, KeyError, TypeError, AttributeError):
        pass  # the verdict says what is wrong with it
    return {**answer, "receipt": receipt, "name": asked.get("name", path.name)}


def unfolded(path: Path, to: Path, most: int) -> Path:
    """Unfold a ZIP file of a picture and its bundle into a new folder; return the picture or the bundle.

    Raises
    ------
    InputError
        If it holds something else, a name that leaves the folder, or too much.
    """
    unfold(path, to, most, MOST_FILES)
    files = sorted(p for p in to.iterdir() if p.is_file())
    bundles = sorted(p for p in to.rglob("*.tratto") if p.is_dir())
    if len(files) == 1 and files[0].name not in ("receipt.json", "seal.json"):
        return files[0]
    if len(bundles) == 1 and len(files) == 0:
        return bundles[0]
    named = [f for f in files if bundles and f.stem == bundles[0].stem]
    if len(named) == 1:
        return named[0]
    if any(f.name == "receipt.json" for f in files):  # the files of a bundle, without its folder
        inside = to.with_name(f"{to.name}.tratto")
        to.rename(inside)
        return inside
    raise InputError("the ZIP file must hold one picture with its .tratto folder, or such a folder alone")


def _of_the_file(message: str, path: str) -> str:
    """Return a message about the one file that was sent: its name here says nothing to them."""
    for called in (path, Path(path).name):
        message = message.removeprefix(f"{called}: ")
    return message.partition("; if you trust")[0]


def main() -> None:
    """Do what standard input asks for; answer with one JSON document."""
    asked = json.load(sys.stdin)
    confine(asked["memory"], asked["seconds"], asked["file_bytes"])
    try:
        answer = {"inspect": inspect, "verify": verify}[asked["do"]](asked)
    except TrattoError as e:
        answer = {"error": {"kind": type(e).__name__, "message": _of_the_file(str(e), asked["path"])}}
    except MemoryError:
        answer = {
            "error": {"kind": "PictureTooLarge", "message": "the file takes more memory to decode than is allowed"}
        }
    except RecursionError:
        answer = {"error": {"kind": "InputError", "message": "something in the file is nested too deep to be read"}}
    except OSError as e:
        answer = {"error": {"kind": "OutputError", "message": e.strerror or str(e)}}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
