"""The bundle: one folder beside the picture that holds everything needed to check, explain and undo the work.

``OUT/photo.png`` has ``OUT/photo.tratto/`` with

====================  ===================================================================================
``receipt.json``      what was done; canonical JSON, hashed by the seal
``edit-map.png``      Delta-E times 512, 16 bit
``confidence.png``    65535 = sure, 16 bit
``mask.png``          where the picture was allowed to change, 16 bit; only if there was a mask
``original.<ext>``    the input file, byte by byte (left out on request)
``report.html``       the same for people, self-contained
``observed.json``     times and names; sealed, but nothing in the receipt depends on it (left out on request)
``seal.json``         hashes of all of these and of the picture
``credentials.c2pa``  content credentials, where the picture's format cannot carry them (only if it was signed)
``ledger.json``       proof that the seal stands in a ledger; made after the seal, so not in it (only with a ledger)
====================  ===================================================================================

A bundle may come from anybody. Names in it are taken from this list only, links are not followed, sizes are limited.
"""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, OutputError, ReceiptError
from tratto.core.image import Image
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE, Result
from tratto.imaging.scratch import allocate
from tratto.provenance import canonical, commit
from tratto.provenance.receipt import (
    LOSSLESS_OUTPUT,
    FileFacts,
    OutputFile,
    array_digest,
    read_receipt,
    recoded_fraction,
    with_files,
)
from tratto.provenance.seal import (
    EMBEDDED,
    MAX_SEAL,
    SIDECAR,
    build_seal,
    hash_file,
    open_regular,
    read_limited,
    read_seal,
    sealed_credentials,
)
from tratto.provenance.target import check_name, check_target

if TYPE_CHECKING:
    from tratto.imaging.io import Limits
    from tratto.provenance.keys import Identity

SUFFIX = ".tratto"
RECEIPT, SEAL, OBSERVED, REPORT = "receipt.json", "seal.json", "observed.json", "report.html"
EDIT_MAP, CONFIDENCE, MASK = "edit-map.png", "confidence.png", "mask.png"
LEDGER = "ledger.json"
#: What the seal does not hold: the receipt has a place of its own there, and the proof is about the seal.
UNSEALED = frozenset({RECEIPT, SEAL, LEDGER})
#: Endings an ``original`` may have.
ORIGINAL_ENDINGS = ("png", "jpg", "jpeg", "jpe", "tif", "tiff", "webp", "bmp", "dib", "heic", "heif", "avif")
#: Every name that may stand in a bundle.
NAMES = frozenset(
    {
        RECEIPT,
        SEAL,
        OBSERVED,
        REPORT,
        EDIT_MAP,
        CONFIDENCE,
        MASK,
        LEDGER,
        SIDECAR,
        *(f"original.{e}" for e in ORIGINAL_ENDINGS),
    }
)
#: Files that desktops drop into folders; neither good nor bad.
CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".directory"})

OBSERVED_SCHEMA = "tratto/observed/1"

_FORMAT_OF = {"jpg": "jpeg", "jpe": "jpeg", "tif": "tiff", "dib": "bmp", "heic": "heif"}
_ENDING_OF = {"png": "png", "jpeg": "jpg", "tiff": "tif", "webp": "webp", "bmp": "bmp", "heif": "heic", "avif": "avif"}


@dataclass(frozen=True, eq=False)
class BundleParts:
    """What a bundle is written from.

    Attributes
    ----------
    result : Result
        With its receipt.
    written : Path
        The finished picture file as it lies on the disk now; may have a temporary name.
    output : Path
        Its final name. Where it differs from ``written``, :func:`write_bundle` renames it as part of the commit.
    output_format : str
        What ``written`` is: ``"png"``, ``"tiff"`` ...; empty: told from the ending of ``output``.
    decoded_digest : str or None
        Digest of the samples that reading ``written`` gives. None: it is read back here to find out, and a lossy
        format is compared with the result.
    original : Path, bytes or None
        The input file; hashed against the receipt even if it is not kept.
    original_name : str
        Base name of the input, for the report and ``observed.json``.
    keep_original : bool
    strip_metadata : bool
        Leaves out ``observed.json`` and the input's name.
    observed : mapping
        Further facts for ``observed.json``, JSON-able; they stand there under ``more``.
    identity : Identity or None
        Signs the picture with content credentials; None: it stays unsigned.
    replace : bool
        False refuses to replace a picture or bundle of this name, even one that appears while this one is written.
    """

    result: Result
    written: Path
    output: Path
    output_format: str = ""
    decoded_digest: str | None = None
    original: Path | bytes | None = None
    original_name: str = ""
    keep_original: bool = True
    strip_metadata: bool = False
    observed: Mapping[str, Any] = field(default_factory=dict)
    identity: Identity | None = None
    replace: bool = True


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read; nothing but the form of receipt and seal has been checked.

    Attributes
    ----------
    folder : Path
    receipt : dict
    receipt_bytes : bytes
    sealed_receipt, sealed_output : FileFacts
        What the seal states.
    sealed_files : dict of str to FileFacts
    credentials : str
        Where the content credentials are: ``"embedded"``, ``"credentials.c2pa"``, or empty.
    """

    folder: Path
    receipt: dict[str, Any]
    receipt_bytes: bytes
    sealed_receipt: FileFacts
    sealed_output: FileFacts
    sealed_files: dict[str, FileFacts]
    credentials: str = ""


def bundle_path(output: Path) -> Path:
    """Return where the bundle of an output picture lies: ``photo.png`` to ``photo.tratto``."""
    return output.with_suffix(SUFFIX)


def write_bundle(parts: BundleParts) -> dict[str, Any]:
    """Write the bundle of one result, and give the picture its final name, so that the two appear together.

    Everything is written into a hidden folder beside the target, flushed to the disk, then renamed. A bundle that was
    there before is moved aside first and put back if anything fails. If the program is killed between the last two
    renames, the picture is there without a bundle, and :mod:`.verify` answers *unknown*: never a wrong answer. The next
    save of the same name clears what was left; see :func:`recover`.

    Returns
    -------
    dict
        The final receipt, with file hashes, as written.

    Raises
    ------
    OutputError
        If it cannot be written, or something that is not a bundle stands in its place.
    ReceiptError
        If the input file is no longer the one that was read.
    """
    target = bundle_path(parts.output)
    _check_target(target)
    recover(parts.output)
    with commit.building(target) as folder, _signing_place(parts) as signed:
        receipt = _fill(folder, parts, signed)
        written = parts.written if signed is None else signed
        commit.commit(folder, target, written, parts.output, parts.replace)
    return receipt


@contextlib.contextmanager
def _signing_place(parts: BundleParts) -> Iterator[Path | None]:
    """Give a name beside the finished picture for the signed one; None if nobody signs."""
    if parts.identity is None:
        yield None
        return
    place = parts.written.with_name(f".{secrets.token_hex(6)}.signed.part")
    try:
        yield place
    finally:
        with contextlib.suppress(OSError):
            place.unlink()


def _fill(folder: Path, parts: BundleParts, signed: Path | None) -> dict[str, Any]:
    from tratto.imaging.io import digest, encode_png16_gray
    from tratto.provenance.report import ReportInputs, render_report

    result = parts.result
    files: dict[str, FileFacts] = {}
    original = _copy_original(folder, parts)
    if original is not None:
        files[original] = hash_file(folder / original)
    orientation = result.image.meta.orientation
    edit_text = {
        "Title": "Tratto edit map",
        "Description": f"CIEDE2000 difference from the source = value / {EDIT_MAP_SCALE:g}; 0 = unchanged",
    }
    encode_png16_gray(folder / EDIT_MAP, result.edit_map, edit_text, orientation)
    confidence_text = {
        "Title": "Tratto confidence map",
        "Description": f"expected one-sigma error, full scale = 1: {CONFIDENCE_FULL:g} * (1 - value / 65535)",
    }
    encode_png16_gray(folder / CONFIDENCE, result.confidence, confidence_text, orientation)
    files[EDIT_MAP], files[CONFIDENCE] = hash_file(folder / EDIT_MAP), hash_file(folder / CONFIDENCE)
    if _write_mask(folder / MASK, result):
        files[MASK] = hash_file(folder / MASK)

    output = hash_file(parts.written)
    ending = parts.output.suffix.lstrip(".").lower()
    fmt = parts.output_format or _FORMAT_OF.get(ending, ending)
    decoded, recoded = parts.decoded_digest, None
    if decoded is None:
        again = read_picture(parts.written, result.image.width, result.image.height)
        decoded = digest(again)
        recoded = recoded_fraction(result.image, again) if fmt not in LOSSLESS_OUTPUT else None
    picture = OutputFile(output, fmt, decoded, recoded)
    receipt = with_files(result.receipt, picture, files[EDIT_MAP].sha256, files[CONFIDENCE].sha256)
    receipt_bytes = canonical.dumps(receipt)
    (folder / RECEIPT).write_bytes(receipt_bytes)
    receipt_facts = FileFacts.of(receipt_bytes)
    where = ""
    if signed is not None:
        where = _sign(folder, parts, signed, receipt)
        output = hash_file(signed)
        if where != EMBEDDED:
            files[where] = hash_file(folder / where)

    report = render_report(
        ReportInputs(
            receipt=receipt,
            receipt_sha256=receipt_facts.sha256,
            source=result.source,
            result=result.image,
            edit_map=result.edit_map,
            confidence=result.confidence,
            output_name=_clean(parts.output.name),
            original_name="" if parts.strip_metadata else _clean(parts.original_name),
            original_file=original,
            signed=output if where else None,
        )
    )
    (folder / REPORT).write_text(report, encoding="utf-8", newline="\n")
    files[REPORT] = hash_file(folder / REPORT)
    if not parts.strip_metadata:
        (folder / OBSERVED).write_bytes(canonical.dumps(_observed(parts)))
        files[OBSERVED] = hash_file(folder / OBSERVED)
    (folder / SEAL).write_bytes(canonical.dumps(build_seal(receipt_facts, output, files, where)))
    return receipt


def _sign(folder: Path, parts: BundleParts, signed: Path, receipt: dict[str, Any]) -> str:
    """Sign the finished picture; return where the credentials are.

    Raises
    ------
    OutputError
        If signing changed a sample.
    """
    from tratto.provenance import credentials

    if parts.identity is None:
        raise OutputError("nobody signs this picture")
    account = credentials.Account(
        receipt=receipt,
        receipt_bytes=(folder / RECEIPT).read_bytes(),
        maps=(folder / EDIT_MAP, folder / CONFIDENCE),
        edits=parts.result.edit_map,
        mask=None if parts.result.mask is None else parts.result.mask.values,
        original=parts.original,
    )
    file = receipt["output"]["file"]
    manifest = credentials.sign(parts.written, signed, file["format"], account, parts.identity)
    _sync_file(signed)
    if file["format"] not in credentials.EMBEDS:
        (folder / SIDECAR).write_bytes(manifest)
        return SIDECAR
    size = parts.result.image.width, parts.result.image.height
    if read_digest(signed, *size) != file["decoded_samples_sha256"]:
        raise OutputError(f"signing changed the samples of {parts.output.name}; save it unsigned (--sign none)")
    return EMBEDDED


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_mask(path: Path, result: Result) -> bool:
    """Write the mask, if there was one, and return whether there was. A replay needs exactly this mask.

    Raises
    ------
    ReceiptError
        If 16 bit do not hold it exactly.
    """
    from tratto.imaging.io import encode_png16_gray

    if result.mask is None:
        return False
    samples = np.rint(result.mask.values * np.float32(65535)).astype(np.uint16)
    if not np.array_equal(_mask_values(samples), result.mask.values):
        raise ReceiptError(
            "the bundle keeps a mask in 16 bit, and this one holds values between two steps; round it to whole "
            "65535ths before the work (tratto.restore and its like do)"
        )
    text = {"Title": "Tratto mask", "Description": "65535 = may change, 0 = must stay bit-identical"}
    encode_png16_gray(path, samples, text, result.source.meta.orientation)
    return True


def _mask_values(samples: NDArray[np.uint16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(65535)


def read_picture(path: Path, width: int, height: int, page: int = 0) -> Image:
    """Read a picture file with limits just large enough for the stated size.

    Raises
    ------
    InputError
        If it cannot be read, or is larger than stated.
    """
    from tratto.imaging.io import read_image

    return read_image(path, limits_for(path, width, height), page, allocate)


def read_digest(path: Path, width: int, height: int, page: int = 0) -> str:
    """Return the digest of the samples a picture file holds; raises as :func:`read_picture` does."""
    from tratto.imaging.io import digest

    return digest(read_picture(path, width, height, page))


def limits_for(path: Path, width: int, height: int) -> Limits:
    """Return reading limits that let a picture of the stated size through and nothing larger."""
    from tratto.imaging.io import Limits

    usual = Limits()
    size = path.stat().st_size
    return Limits(
        max_pixels=width * height, max_bytes=size, max_side=max(width, height), max_metadata=usual.max_metadata
    )


def _copy_original(folder: Path, parts: BundleParts) -> str | None:
    """Copy the input file, or only hash it; return its name in the bundle."""
    stated = parts.result.receipt["input"]["file"]
    if parts.original is None:
        return None
    name = original_name(parts.original_name, parts.result.source.meta.format) if parts.keep_original else None
    if isinstance(parts.original, bytes):
        facts = FileFacts.of(parts.original)
        if name is not None:
            (folder / name).write_bytes(parts.original)
    else:
        if name is None:
            facts = hash_file(parts.original)
        else:
            with open(folder / name, "xb") as f:
                facts = hash_file(parts.original, copy=f.write)
    if stated is None or stated["sha256"] != facts.sha256:
        raise ReceiptError("the input file is not the one the receipt was made for; it changed while it was worked on")
    return name


def original_name(name: str, format_name: str) -> str:
    """Return the name of the original inside a bundle: ``original.`` and the input's ending if it is a known one."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending not in ORIGINAL_ENDINGS:
        ending = _ENDING_OF.get(format_name, "")
    if not ending:
        raise ReceiptError(f"cannot keep an original of format {format_name!r}; leave it out (--no-original)")
    return f"original.{ending}"


def _observed(parts: BundleParts) -> dict[str, Any]:
    from datetime import UTC, datetime

    seconds = [dict(r.observed) for r in parts.result.records]
    more = {"more": parts.observed} if parts.observed else {}
    plain = canonical.loads(canonical.dumps(_jsonable({"steps": seconds, **more})))
    return {
        "schema": OBSERVED_SCHEMA,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "input_name": _clean(parts.original_name),
        "output_name": _clean(parts.output.name),
        **plain,
    }


def _clean(name: str) -> str:
    """Make a file name fit for JSON (names on disk may hold bytes that are not text)."""
    return name.encode("utf-8", "replace").decode("utf-8")[:500]


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, str):
        return _clean(value) if len(value) < 500 else value
    return value.item() if hasattr(value, "item") else value


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"{target} is in the way and is not a folder; move it or choose another output folder")
    if target.is_dir():
        strange = sorted(set(os.listdir(target)) - NAMES - CLUTTER)
        if strange:
            raise OutputError(
                f"{target} holds {strange[0]!r}, which does not belong in a bundle; move it away or choose another "
                "output folder"
            )


def recover(output: Path) -> None:
    """Finish or clear what stopped saves of this picture's bundle left behind; see :func:`.commit.recover`.

    :func:`write_bundle` does this first, so there is seldom a need to call it.

    Parameters
    ----------
    output : Path
        The picture.
    """
    commit.recover(bundle_path(output), lambda folder: _is_of(folder, output), NAMES | CLUTTER)


def _is_of(folder: Path, output: Path) -> bool:
    """Return True if a folder is a whole bundle, hash by hash, and ``output`` is the picture it seals."""
    try:
        bundle = read_bundle(folder)
        every = {RECEIPT: bundle.sealed_receipt, **bundle.sealed_files}
        if any(hash_file(folder / n, limit=f.size, links=False) != f for n, f in every.items()):
            return False
        return hash_file(output, limit=bundle.sealed_output.size) == bundle.sealed_output
    except ReceiptError:
        return False


def find_bundle(path: Path) -> Path:
    """Return the bundle folder for a bundle, a file in it, or an output picture.

    Raises
    ------
    ReceiptError
        If there is none.
    """
    if path.is_symlink() and path.suffix == SUFFIX:
        raise ReceiptError(f"{path.name} is a symbolic link; give the bundle folder itself")
    if commit.is_leftover(path.absolute()) or commit.is_leftover(path.absolute().parent):
        raise ReceiptError(f"{path.name} is left over from a stopped save and no bundle; save the picture again")
    if path.is_dir():
        return path
    if path.name in NAMES and path.absolute().parent.suffix == SUFFIX:
        return path.absolute().parent
    folder = bundle_path(path)
    if folder.is_symlink():
        raise ReceiptError(f"{folder.name} is a symbolic link; a bundle is a plain folder")
    if not folder.is_dir():
        stopped = ". A save of it was stopped halfway; save it again" if commit.leftovers(folder) else ""
        raise ReceiptError(
            f"there is no bundle {folder.name} beside {path.name}; nothing is known about this picture{stopped}"
        )
    return folder


def _some_bundle(path: Path) -> Path:
    """Return the bundle folder as :func:`find_bundle` does, but say of what is none what ``verify`` says of it."""
    if not os.path.lexists(path):
        raise InputError(f"{path}: there is no such file or folder")
    folder = find_bundle(path)
    if not any(os.path.lexists(folder / n) for n in (RECEIPT, SEAL)):
        raise ReceiptError(f"{folder.name} is not a bundle: it holds neither {RECEIPT} nor {SEAL}")
    return folder


def read_bundle(folder: Path) -> Bundle:
    """Read the receipt and the seal of a bundle and check the names in it.

    Raises
    ------
    ReceiptError
        If something is missing, malformed or does not belong there.
    """
    check_names(folder)
    receipt_bytes = read_limited(folder / RECEIPT, canonical.MAX_BYTES)
    receipt = read_receipt(receipt_bytes)
    seal = read_limited(folder / SEAL, MAX_SEAL)
    sealed_receipt, sealed_output, sealed_files = read_seal(seal)
    for name in sealed_files:
        if name not in NAMES - UNSEALED:
            raise ReceiptError(f"the seal names {name[:60]!r}, which does not belong in a bundle")
    return Bundle(folder, receipt, receipt_bytes, sealed_receipt, sealed_output, sealed_files, sealed_credentials(seal))


def check_names(folder: Path) -> None:
    """Refuse a bundle folder that holds anything but plain files of the known names.

    Raises
    ------
    ReceiptError
    """
    try:
        with os.scandir(folder) as entries:
            for i, entry in enumerate(entries):
                if entry.name in CLUTTER and i < 1000:
                    continue
                if entry.name not in NAMES:
                    raise ReceiptError(f"the bundle holds {entry.name[:60]!r}, which does not belong in a bundle")
                if not entry.is_file(follow_symlinks=False):
                    raise ReceiptError(f"{entry.name} in the bundle is not a plain file")
    except OSError as e:
        raise ReceiptError(f"the bundle {folder.name} cannot be read: {e.strerror or e}") from e


def find_original(bundle: Bundle) -> str | None:
    """Return the name of the original in a bundle, or None if it was left out.

    Raises
    ------
    ReceiptError
        If there is more than one.
    """
    found = [n for n in bundle.sealed_files if n.startswith("original.")]
    if len(found) > 1:
        raise ReceiptError("the seal names more than one original")
    return found[0] if found else None


def find_output(bundle: Bundle) -> tuple[Path | None, bool]:
    """Look for the picture that a bundle is about, beside it.

    Returns
    -------
    path : Path or None
        None if no file there has the name and the format.
    matches : bool
        True if it is the sealed one, byte by byte.
    """
    file = bundle.receipt["output"]["file"]
    if file is None:
        return None, False
    folder = bundle.folder.absolute()
    endings = {e for e in ORIGINAL_ENDINGS if _FORMAT_OF.get(e, e) == file["format"]}
    found: Path | None = None
    for path in sorted(folder.parent.glob(f"{glob.escape(folder.stem)}.*")):
        if path.stem != folder.stem or path.suffix.lower().lstrip(".") not in endings or not path.is_file():
            continue
        found = path
        with contextlib.suppress(ReceiptError):
            if hash_file(path, limit=bundle.sealed_output.size, links=False) == bundle.sealed_output:
                return path, True
    return found, False


@dataclass(frozen=True, eq=False)
class Account:
    """What a replay needs.

    Attributes
    ----------
    receipt : dict
        Valid; canonical on the disk.
    original : Path or None
        In the bundle; whoever reads it checks its samples against the receipt.
    mask : (H, W) float32 array or None
        Already checked against the receipt.
    output : Path or None
        The picture beside the bundle, if it is the sealed one.
    """

    receipt: dict[str, Any]
    original: Path | None = None
    mask: NDArray[np.float32] | None = None
    output: Path | None = None


def open_account(path: Path) -> Account:
    """Open what is known of a result: from its bundle, the picture beside one, or a receipt alone.

    Raises
    ------
    ReceiptError
        If there is no receipt, or something in the bundle is malformed or does not match.
    """
    if is_lone_receipt(path):
        return Account(read_receipt(read_limited(path, canonical.MAX_BYTES)))
    bundle = read_bundle(_some_bundle(path))
    original = find_original(bundle)
    mask = None
    if MASK in bundle.sealed_files and bundle.receipt["mask"] is not None:
        mask = _mask_values(read_map(bundle, MASK, bundle.receipt["input"]["picture"]))
        if array_digest(mask) != bundle.receipt["mask"]["samples_sha256"]:
            raise ReceiptError(f"{MASK} is not the mask the receipt names: it was altered")
    output, matches = find_output(bundle)
    return Account(
        bundle.receipt, None if original is None else bundle.folder / original, mask, output if matches else None
    )


def is_lone_receipt(path: Path) -> bool:
    """Return True for a JSON file that does not lie in a bundle."""
    return path.suffix.lower() == ".json" and path.is_file() and path.absolute().parent.suffix != SUFFIX


def read_map(bundle: Bundle, name: str, size: Mapping[str, Any]) -> NDArray[np.uint16]:
    """Read a 16-bit grey map of a bundle.

    Parameters
    ----------
    bundle : Bundle
    name : str
    size : mapping
        With the ``width`` and ``height`` it must have.

    Raises
    ------
    ReceiptError
        If it is something else.
    """
    from tratto.imaging.io import read_image

    path = bundle.folder / name
    open_regular(path).close()
    try:
        image = read_image(path, limits_for(path, size["width"], size["height"]), 0, allocate)
    except InputError as e:
        raise ReceiptError(f"{name} cannot be read as a map of {size['width']}x{size['height']} pixels: {e}") from e
    pixels: NDArray[np.uint16] = image.pixels  # type: ignore[assignment]  # checked in the next line
    if image.bits != 16 or pixels.shape != (size["height"], size["width"]):
        raise ReceiptError(
            f"{name} must be a 16-bit grey picture of {size['width']}x{size['height']}, got {image.bits}-bit "
            f"{image.mode.value} of {image.width}x{image.height}"
        )
    return pixels


def revert(path: Path, to: Path) -> Path:
    """Give back the untouched original, byte by byte.

    Parameters
    ----------
    path : Path
        The output picture, its bundle, or a file in the bundle.
    to : Path
        Where to write it: a new file, or an existing folder (then under the name it has in the bundle). Nothing is
        overwritten.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    ReceiptError
        If there is no bundle, no original in it, or the original is not the one the receipt names. Nothing is written.
    OutputError
        If ``to`` exists or cannot be written.
    """
    bundle = read_bundle(_some_bundle(path))
    name = find_original(bundle)
    stated = bundle.receipt["input"]["file"]
    if name is None or stated is None:
        raise ReceiptError("this bundle was written without the original (--no-original), so nothing can be given back")
    target = to / name if to.is_dir() else to
    check_target(target)
    check_name(target)
    if os.path.lexists(target):
        raise OutputError(f"{target} exists already; choose another name")
    part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.part")
    try:
        with open(part, "xb") as f:
            facts = hash_file(bundle.folder / name, f.write, stated["bytes"], links=False)
            f.flush()
            os.fsync(f.fileno())
        if facts != FileFacts(stated["sha256"], stated["bytes"]):
            raise ReceiptError(f"{name} is not the file the receipt names: it was altered; nothing was written")
        _publish(part, target)
    except OSError as e:
        raise OutputError(f"{target} cannot be written: {e.strerror or e}") from e
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return target


def _publish(part: Path, target: Path) -> None:
    """Rename without overwriting, even if another program makes ``target`` at this very moment."""
    try:
        os.link(part, target)
    except FileExistsError as e:
        raise OutputError(f"{target} exists already; choose another name") from e
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise OutputError(f"{target} exists already; choose another name") from None
        os.rename(part, target)
