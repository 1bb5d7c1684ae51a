"""A result as a picture with its bundle."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tratto.core.errors import ForbiddenStep, InputError, OptionError, OutputError
from tratto.core.hashing import HeldFile
from tratto.core.image import ColorMode, Image
from tratto.core.result import Result
from tratto.imaging import io
from tratto.jobs.options import EXTENSIONS, Saved, SaveOptions, as_path

if TYPE_CHECKING:
    from tratto.jobs.job import Job


def format_for(fmt: str, mode: ColorMode | None, save: SaveOptions) -> str:
    """Return the format that a picture of a format and mode is written in."""
    if save.format == "keep":
        if fmt not in EXTENSIONS:
            raise OptionError(f"{fmt or 'an array'} cannot be written; choose --format png, tiff, webp or jpeg")
        return fmt
    if save.format == "auto":
        return "tiff" if fmt == "tiff" or mode is ColorMode.CMYK else "png"
    return save.format


def output_format(image: Image, save: SaveOptions) -> str:
    """Return the format a result is written in; see :meth:`tratto.Session.output_format`."""
    fmt = format_for(image.meta.format, image.mode, save)
    reason = io.writable(image, fmt)
    if reason is not None:
        raise OptionError(f"{fmt} cannot carry this picture: {reason}; choose --format tiff or png")
    return fmt


def peek_format(path: HeldFile | Path, save: SaveOptions) -> str:
    """Return the output format for a file from its header alone."""
    with BytesIO(path.data) if isinstance(path, HeldFile) else open(path, "rb") as f:
        fmt = io.sniff(f.read(64)) or ""
        mode = ColorMode.CMYK if fmt == "jpeg" and _has_four_inks(f) else None
    return format_for(fmt, mode, save)


def save(
    job: Job,
    result: Result,
    output: Path | str,
    save: SaveOptions | None = None,
    source: Any = None,
    overwrite: bool = False,
) -> Saved:
    """Write the result and, beside it, its bundle; see :meth:`tratto.Session.save`."""
    from tratto.imaging.io.target import check_name, check_target
    from tratto.provenance.bundle import BundleParts, bundle_path, write_bundle
    from tratto.provenance.bundle.write import STAGES
    from tratto.provenance.outgoing import write_result

    if not isinstance(result, Result):
        raise InputError(f"save needs a Result, as restore and its like give it; got {type(result).__name__}")
    output = as_path(output, f"the {result.main.role} to write")
    fmt, save = _format_of(result, output, save)
    if job.forensic or result.receipt["forensic"]:
        forbid_lossy(fmt)
    warnings = [] if result.image is None else format_notes(result.image, fmt, save)
    check_target(output)
    for name in (output, bundle_path(output)):
        check_name(name)
    if isinstance(source, (str, os.PathLike)) and output.exists() and os.path.samefile(source, output):
        raise OutputError(f"{output} is the input; an input is never overwritten")
    if not overwrite:
        for path in (output, bundle_path(output)):
            if os.path.lexists(path):
                raise OutputError(f"{path} exists; choose another name, or replace it with overwrite=True")
    if save.keep_original and source is None and result.receipt["inputs"]["picture"]["file"] is not None:
        warnings.append("the bundle holds no original, so nothing can be reverted: give the input file as source")
    with io.part_folder(output) as folder:
        part = folder / "picture"
        job.report("write", 0, STAGES + 1)
        result, notes = write_result(result, part, fmt, save)
        warnings += notes
        job.report("write", 1, STAGES + 1)
        receipt = write_bundle(
            BundleParts(
                result=result,
                written=part,
                output=output,
                original=source,
                original_name=Path(source).name if isinstance(source, (str, os.PathLike)) else "",
                keep_original=save.keep_original,
                strip_metadata=save.strip_metadata,
                output_format=fmt,
                identity=None if job.notary is None else job.notary.identity,
                replace=overwrite,
                progress=lambda done, total: job.report("write", 1 + done, STAGES + 1),
            )
        )
        job.report("write", STAGES + 1, STAGES + 1)
    from tratto.core.canonical import dumps

    digest = hashlib.sha256(dumps(receipt)).hexdigest()
    proof = None if job.notary is None else job.notary.record(bundle_path(output))
    entry = None if proof is None else proof.index
    signed = "" if job.notary is None else job.notary.signs_as()
    return Saved(output, bundle_path(output), digest, tuple(warnings), signed, entry)


def _format_of(result: Result, output: Path, save: SaveOptions | None) -> tuple[str, SaveOptions]:
    """Return the format that a result is written in, and how; the extension must be one of the format's."""
    if result.image is None:
        made = result.main
        if output.suffix.lower() != f".{made.format}":
            raise OptionError(f"{output.name} must end with .{made.format} to hold a {made.role}")
        return made.format, save or SaveOptions()
    if save is None:
        by_extension = {e: f for f, ends in EXTENSIONS.items() for e in ends}
        named = by_extension.get(output.suffix.lower())
        if named is None:
            raise OptionError(f"{output.name!r} does not end like a picture: {', '.join(by_extension)}")
        save = SaveOptions(format=named)  # type: ignore[arg-type]  # an extension's format is one
    fmt = output_format(result.image, save)
    if output.suffix.lower() not in EXTENSIONS[fmt]:
        raise OptionError(f"{output.name} must end with {' or '.join(EXTENSIONS[fmt])} to hold {fmt}")
    return fmt, save


def forbid_lossy(fmt: str) -> None:
    """Refuse a format that changes samples; what forensic mode does, before any work where it is known.

    Raises
    ------
    ForbiddenStep
        If it does.
    """
    from tratto.provenance.receipt import LOSSLESS_OUTPUT

    if fmt not in LOSSLESS_OUTPUT:
        raise ForbiddenStep(
            f"forensic mode keeps every sample that a step leaves, and {fmt} changes them everywhere; choose --format "
            "png, tiff or webp, or drop --forensic"
        )


def format_notes(image: Image, fmt: str, save: SaveOptions) -> list[str]:
    """Return what a user should know about writing a picture in a format: what is lost, what has no effect.

    Examples
    --------
    >>> import numpy as np
    >>> from tratto.core.image import ColorMode
    >>> picture = Image(np.zeros((2, 3, 3), np.uint8), ColorMode.RGB)
    >>> format_notes(picture, "png", SaveOptions()), len(format_notes(picture, "jpeg", SaveOptions()))
    ([], 1)
    """
    notes = []
    if fmt == "jpeg":
        notes.append("JPEG changes samples everywhere, outside a mask too; PNG, TIFF and WebP do not")
    elif save.quality != SaveOptions.quality:
        notes.append(f"a quality of {save.quality} has no effect: {fmt} is written without loss")
    return notes + io.not_carried(io.without_private(image) if save.strip_metadata else image, fmt)


def _has_four_inks(file: BinaryIO) -> bool:
    """Return whether a JPEG is CMYK, from its header; False if that cannot be read (decoding will say why)."""
    from PIL import Image as Pil

    try:
        with Pil.open(file) as picture:
            return picture.mode == "CMYK"
    except (OSError, ValueError, SyntaxError, Pil.DecompressionBombError):
        return False
