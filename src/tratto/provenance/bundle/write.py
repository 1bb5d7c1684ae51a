"""Writing a bundle, together with its picture, so that the two appear at once."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tratto.core import canonical
from tratto.core.artifact import InputPicture, PictureArtifact
from tratto.core.errors import OutputError, ReceiptError
from tratto.core.files import is_unfinished, sync
from tratto.core.hashing import FileFacts, HeldFile, hash_file
from tratto.core.image import Mask
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE, Result
from tratto.imaging.artifact import Picture
from tratto.imaging.io import digest, encode_png16_gray
from tratto.provenance import commit
from tratto.provenance.bundle.names import (
    CONFIDENCE,
    EDIT_MAP,
    FORMAT_OF,
    MASK,
    MASK_PARTS,
    MOST_IN_FOLDER,
    OBSERVED,
    OUTPUTS,
    RECEIPT,
    REPORT,
    SEAL,
    belongs,
    bundle_path,
    clean,
    input_name,
    original_name,
    parent_name,
)
from tratto.provenance.bundle.read import files_in, read_bundle
from tratto.provenance.bundle.samples import mask_values, read_artifact, read_digest, read_picture
from tratto.provenance.receipt import LOSSLESS_OUTPUT, OutputFile, main_output, recoded_fraction, with_files
from tratto.provenance.seal import EMBEDDED, SIDECAR, build_seal

if TYPE_CHECKING:
    from tratto.ledger.keys import Identity


OBSERVED_SCHEMA = "tratto/observed/1"


@dataclass(frozen=True, eq=False)
class BundleParts:
    """What a bundle is written from.

    Attributes
    ----------
    result : Result
        With its receipt.
    written : Path
        The finished file of the result as it lies on the disk now; may have a temporary name.
    output : Path
        Its final name. Where it differs from ``written``, :func:`write_bundle` renames it as part of the commit.
    output_format : str
        What ``written`` is: ``"png"``, ``"tiff"`` ...; empty: told from the extension of ``output``.
    decoded_digest : str or None
        Digest of the samples that reading ``written`` gives. None: it is read back here to find out, and a lossy
        format is compared with the result.
    original : Path, bytes or None
        The input file; hashed against the receipt even if it is not kept.
    original_name : str
        Base name of the input, for the report and ``observed.json``.
    keep_original : bool
        False leaves out what else the job was given, too.
    strip_metadata : bool
        Leaves out ``observed.json`` and the input's name.
    observed : mapping
        Further facts for ``observed.json``, JSON-able; they stand there under ``more``.
    identity : Identity or None
        Signs the picture with content credentials; None: it stays unsigned.
    replace : bool
        False refuses to replace a picture or bundle of this name, even one that appears while this one is written.
    progress : callable
        Called with how many of how many stages are written; raising stops it, and nothing is left.

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> from tratto.imaging.io import write_image
    >>> result, picture = tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png"
    >>> write_image(result.image, picture, "png")
    >>> BundleParts(result, picture, picture).keep_original
    True
    """

    result: Result
    written: Path
    output: Path
    output_format: str = ""
    decoded_digest: str | None = None
    original: Path | HeldFile | bytes | None = None
    original_name: str = ""
    keep_original: bool = True
    strip_metadata: bool = False
    observed: Mapping[str, Any] = field(default_factory=dict)
    identity: Identity | None = None
    replace: bool = True
    progress: Callable[[int, int], None] = lambda done, total: None


#: What the writing of a bundle is told in.
STAGES = 5


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

    Examples
    --------
    >>> import tempfile, tratto
    >>> import numpy as np
    >>> from tratto.imaging.io import write_image
    >>> result, picture = tratto.restore(np.full((16, 16, 3), 90, np.uint8)), Path(tempfile.mkdtemp()) / "wall.png"
    >>> write_image(result.image, picture, "png")
    >>> receipt = write_bundle(BundleParts(result, picture, picture))
    >>> receipt["outputs"]["picture"]["file"]["bytes"] == picture.stat().st_size
    True
    >>> picture.with_suffix(".tratto").is_dir()
    True
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
    from tratto.provenance.report import ReportInputs, render_report

    result = parts.result
    files: dict[str, FileFacts] = {}
    original, facts = _copy_original(folder, parts)
    if original is not None:
        files[original] = facts
    for name in _copy_inputs(folder, parts):
        files[name] = hash_file(folder / name)
    parts.progress(1, STAGES)
    for name in _write_maps(folder, parts):
        files[name] = hash_file(folder / name)
    # no part of the seal: the receipt names them by hash
    for sha256, data in list(result.parents.items())[:MOST_IN_FOLDER]:
        (folder / parent_name(sha256)).parent.mkdir(exist_ok=True)
        (folder / parent_name(sha256)).write_bytes(data)

    parts.progress(2, STAGES)
    output = hash_file(parts.written)
    made = {result.main.role: _as_written(parts, output), **_write_outputs(folder, result, files)}
    receipt = with_files(
        result.receipt, made, *(files[n].sha256 if n in files else None for n in (EDIT_MAP, CONFIDENCE))
    )
    receipt_bytes = canonical.dumps(receipt)
    (folder / RECEIPT).write_bytes(receipt_bytes)
    receipt_facts = FileFacts.of(receipt_bytes)
    parts.progress(3, STAGES)
    where = ""
    if signed is not None:
        where = _sign(folder, parts, signed, receipt)
        output = hash_file(signed)
        if where != EMBEDDED:
            files[where] = hash_file(folder / where)

    parts.progress(4, STAGES)
    sheet = result.outputs.get("sheet")
    report = render_report(
        ReportInputs(
            receipt=receipt,
            receipt_sha256=receipt_facts.sha256,
            source=result.source,
            result=result.image,
            edit_map=result.edit_map,
            confidence=result.confidence,
            output_name=clean(parts.output.name),
            original_name="" if parts.strip_metadata else clean(parts.original_name),
            original_file=original,
            signed=output if where else None,
            mask=None if result.mask is None else result.mask.values,
            parts=tuple(p.mask.values for p in result.masks.parts),
            inputs={role: given.image for role, given in result.inputs.items() if role != "picture"},
            sheet=sheet.image if isinstance(sheet, PictureArtifact) else None,
            files=tuple(sorted(n for n in files if "/" in n)),
        )
    )
    (folder / REPORT).write_text(report, encoding="utf-8", newline="\n")
    files[REPORT] = hash_file(folder / REPORT)
    if not parts.strip_metadata:
        (folder / OBSERVED).write_bytes(canonical.dumps(_observed(parts)))
        files[OBSERVED] = hash_file(folder / OBSERVED)
    (folder / SEAL).write_bytes(canonical.dumps(build_seal(receipt_facts, output, files, where)))
    return receipt


def _write_maps(folder: Path, parts: BundleParts) -> list[str]:
    """Write the maps and masks that there are; return their names."""
    result, names = parts.result, []
    orientation = 1 if result.image is None else result.image.meta.orientation
    edit = f"CIEDE2000 difference from the source = value / {EDIT_MAP_SCALE:g}; 0 = unchanged"
    error = f"expected one-sigma error, full scale = 1: {CONFIDENCE_FULL:g} * (1 - value / 65535)"
    for name, values, title, words in (
        (EDIT_MAP, result.edit_map, "Tratto edit map", edit),
        (CONFIDENCE, result.confidence, "Tratto confidence map", error),
    ):
        if values is not None:
            encode_png16_gray(folder / name, values, {"Title": title, "Description": words}, orientation)
            names.append(name)
    text = "65535 = may change, 0 = must stay bit-identical"
    if result.mask is not None:
        _write_mask(folder / MASK, result.mask, text, result)
        names.append(MASK)
    for name, part in zip(MASK_PARTS, result.masks.parts, strict=False):
        whole = f"the mask of pass {part.number}: {text}"
        marks = f"marked as {clean(part.kind)} for pass {part.number}: 65535 = wholly, 0 = not"
        _write_mask(folder / name, part.mask, marks if part.kind else whole, result)
        names.append(name)
    return names


def _as_written(parts: BundleParts, output: FileFacts) -> OutputFile:
    """Read the file of the result back, and return what a receipt says of it."""
    result = parts.result
    extension = parts.output.suffix.lstrip(".").lower()
    fmt = parts.output_format or FORMAT_OF.get(extension, extension)
    if parts.decoded_digest is not None:
        return OutputFile(output, fmt, parts.decoded_digest)
    if result.image is None:
        return OutputFile(output, fmt, read_artifact(parts.written, main_output(result.receipt)).digest())
    again = read_picture(parts.written, result.image.width, result.image.height)
    recoded = recoded_fraction(result.image, again) if fmt not in LOSSLESS_OUTPUT else None
    return OutputFile(output, fmt, digest(again), recoded)


def _write_outputs(folder: Path, result: Result, files: dict[str, FileFacts]) -> dict[str, OutputFile]:
    """Write what the job made besides the result; add it to the files."""
    made = {}
    for role, artifact in result.outputs.items():
        if artifact is result.main:
            continue
        (folder / OUTPUTS).mkdir(exist_ok=True)
        name = f"{OUTPUTS}/{role}.{'tif' if artifact.format == 'tiff' else artifact.format}"
        artifact.write(folder / name)
        files[name] = hash_file(folder / name)
        decoded = read_artifact(folder / name, result.receipt["outputs"][role]).digest()
        made[role] = OutputFile(files[name], artifact.format, decoded)
    return made


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
    account = credentials.SignedClaim(
        receipt=receipt,
        receipt_bytes=(folder / RECEIPT).read_bytes(),
        maps=(
            None if parts.result.edit_map is None else folder / EDIT_MAP,
            None if parts.result.confidence is None else folder / CONFIDENCE,
        ),
        edits=parts.result.edit_map,
        mask=None if parts.result.mask is None else parts.result.mask.values,
        # as it was read, whatever lies there by now
        original=parts.original.data if isinstance(parts.original, HeldFile) else parts.original,
    )
    file = main_output(receipt)["file"]
    manifest = credentials.sign(parts.written, signed, file["format"], account, parts.identity)
    sync(signed)
    if file["format"] not in credentials.EMBEDS:
        (folder / SIDECAR).write_bytes(manifest)
        return SIDECAR
    size = parts.result.picture.width, parts.result.picture.height
    if read_digest(signed, *size) != file["decoded_samples_sha256"]:
        raise OutputError(f"signing changed the samples of {parts.output.name}; save it unsigned (--sign none)")
    return EMBEDDED


def _write_mask(path: Path, mask: Mask, description: str, result: Result) -> None:
    """Write a mask in 16 bit. A replay needs exactly this mask.

    Raises
    ------
    ReceiptError
        If 16 bit do not hold it exactly.
    """
    samples = np.rint(mask.values * np.float32(65535)).astype(np.uint16)
    if not np.array_equal(mask_values(samples), mask.values):
        raise ReceiptError(
            "the bundle keeps a mask in 16 bit, and this one holds values between two steps; round it to whole "
            "65535ths before the work (tratto.restore and its like do)"
        )
    text = {"Title": "Tratto mask", "Description": description}
    encode_png16_gray(path, samples, text, result.source.meta.orientation)


def _copy_original(folder: Path, parts: BundleParts) -> tuple[str | None, FileFacts]:
    """Copy the input file, or only hash it; return its name in the bundle and what was copied."""
    stated = parts.result.receipt["inputs"]["picture"]["file"]
    if parts.original is None:
        return None, FileFacts("", 0)
    name = original_name(parts.original_name, parts.result.source.meta.format) if parts.keep_original else None
    facts = _copied(parts.original, None if name is None else folder / name)
    if stated is None or stated["sha256"] != facts.sha256:
        raise ReceiptError("the input file is not the one the receipt was made for; it changed while it was worked on")
    return name, facts


def _copied(source: Path | HeldFile | bytes, target: Path | None) -> FileFacts:
    """Hash a file, and copy it on the way if there is a target."""
    if isinstance(source, HeldFile):
        if target is not None:
            target.write_bytes(source.data)
        return source.facts
    if isinstance(source, bytes):
        if target is not None:
            target.write_bytes(source)
        return FileFacts.of(source)
    if target is None:
        return hash_file(Path(source))
    with open(target, "xb") as f:
        return hash_file(Path(source), copy=f.write)


def _copy_inputs(folder: Path, parts: BundleParts) -> list[str]:
    """Lay what else the job was given into the bundle, unless it is to be left out; return the names there.

    Raises
    ------
    ReceiptError
        If a file is no longer the one that was read.
    """
    names = []
    for role, given in parts.result.inputs.items():
        if role == "picture" or not parts.keep_original:
            continue
        name = _input_name(role, given)
        (folder / name).parent.mkdir(exist_ok=True)
        if given.file is None:
            Picture(given.image).write(folder / name)
        else:
            stated = parts.result.receipt["inputs"][role]["file"]
            if stated is None or _copied(given.file, folder / name).sha256 != stated["sha256"]:
                raise ReceiptError(f"the {role} is not the file that was read; it changed while it was worked with")
        names.append(name)
    return names


def _input_name(role: str, given: InputPicture) -> str:
    if given.file is None:
        return input_name(role, "", Picture(given.image).format)
    return input_name(role, "" if isinstance(given.file, bytes) else Path(given.file).name, given.image.meta.format)


def _observed(parts: BundleParts) -> dict[str, Any]:
    from datetime import UTC, datetime

    seconds = [dict(r.observed) for r in parts.result.records]
    more = {"more": parts.observed} if parts.observed else {}
    plain = canonical.loads(canonical.dumps(_jsonable({"steps": seconds, **more})))
    return {
        "schema": OBSERVED_SCHEMA,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "input_name": clean(parts.original_name),
        "output_name": clean(parts.output.name),
        **plain,
    }


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, str):
        return clean(value) if len(value) < 500 else value
    return value.item() if hasattr(value, "item") else value


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"{target} is in the way and is not a folder; move it or choose another output folder")
    if target.is_dir():
        strange = sorted(name for name, wrong in files_in(target) if wrong and not belongs(name))
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

    Examples
    --------
    >>> import tempfile
    >>> recover(Path(tempfile.mkdtemp()) / "wall.png")  # nothing was left, nothing is done
    """
    commit.recover(bundle_path(output), lambda folder: _is_of(folder, output), _only_ours)


def _only_ours(folder: Path) -> bool:
    """Return whether a folder holds only what a bundle may hold, and files that were being written."""
    try:
        return all(belongs(name) or is_unfinished(name.rpartition("/")[2]) for name, wrong in files_in(folder) if wrong)
    except OSError:
        return False


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
