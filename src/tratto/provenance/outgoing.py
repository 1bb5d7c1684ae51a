"""A result as it leaves: marked with what was done to it, and without statements that hold for its source only.

A file says things of its pixels in many places: a thumbnail shows them small, EXIF and XMP count them, XMP announces a
gain map behind them or credentials of them at some address. After a change such a statement is wrong, and a thumbnail
still shows what was repaired away. So they are made anew or left out, and it is told.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tratto.core import canonical
from tratto.core.errors import OptionError
from tratto.core.image import Image
from tratto.core.options import SaveOptions
from tratto.core.result import Result
from tratto.imaging.io import exif as exif_blocks
from tratto.imaging.io import geo, photoshop
from tratto.imaging.scratch import release
from tratto.provenance import xmp
from tratto.provenance.receipt import EXISTING, validate_receipt

#: So long a run of base64 in XMP is a picture.
_BLOB = re.compile(rb"[A-Za-z0-9+/\s]{2000}")


def outgoing(image: Image, receipt: Mapping[str, Any], fmt: str) -> tuple[Image, list[str]]:
    """Return a result with metadata that hold for it, and what a user should know of what does not go with it.

    Parameters
    ----------
    image : Image
        With the metadata of its source, or without them where they were stripped.
    receipt : mapping
        Of the result; says what was done and how large it became.
    fmt : str
        The format it is written in.

    Returns
    -------
    Image
        The same samples.
    list of str
        Sentences about what was left out; empty if all goes with it.
    """
    meta, notes = image.meta, []
    changed = bool(receipt["steps"]) and receipt["claim"]["status"] != EXISTING
    # of another geometry only the size is known; places in it are left as they were
    scale = receipt["outputs"]["picture"]["scale"] or 1
    exif, iptc, extra = meta.exif, meta.iptc, dict(meta.extra)
    taken: list[str] = []
    if exif is not None and changed:
        exif, gone = exif_blocks.without_previews(exif)
        taken += [f"the {what} in the EXIF data" for what in gone]
    if exif is not None and receipt["outputs"]["picture"]["geometry"] != "same":
        exif = exif_blocks.with_size(exif, image.width, image.height, scale)
    if scale > 1 and "tiff_tags" in extra:
        extra["tiff_tags"] = geo.enlarged(extra["tiff_tags"], scale)
    if iptc is not None and changed:
        iptc, found = photoshop.without_stale(iptc)
        taken += ["the thumbnail in the Photoshop resources"] if found else []
    more = extra.get("xmp_extended")
    dropped = more is not None and (fmt != "jpeg" or (changed and bool(_BLOB.search(base64.b64decode(more)))))
    if dropped:
        extra.pop("xmp_extended")
        if fmt == "jpeg":  # of a format that has no place for it this is told already
            taken.append("the extended XMP")
    packet, gone = xmp.cleaned(meta.xmp, xmp.Worked(image.width, image.height, scale, changed, dropped))
    taken += [f"what the XMP says of {what}" for what in gone]
    if taken:
        notes.append(f"left out, for it does not hold for the result: {', '.join(taken)}; the original keeps it")
    image = image.replace(meta=replace(meta, exif=exif or None, iptc=iptc or None, xmp=packet, extra=extra))
    image, note = xmp.mark(image, receipt)
    return image, [*notes, *([note] if note else [])]


def with_warnings(receipt: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """Return a receipt that also warns of what was found when its picture was written.

    Parameters
    ----------
    receipt : mapping
        It is not changed.
    notes : sequence of str
        Added behind its own warnings, each once.

    Raises
    ------
    ReceiptError
        If it does not fit the schema any more.
    """
    new: dict[str, Any] = canonical.loads(canonical.dumps(dict(receipt)))
    new["warnings"] = list(dict.fromkeys([*new["warnings"], *notes]))
    validate_receipt(new)
    return new


def write_result(result: Result, part: Path, fmt: str, save: SaveOptions) -> tuple[Result, list[str]]:
    """Write the result itself; return it with what its receipt must warn of, and what a user should know about it."""
    from tratto.imaging import io

    if result.image is None:
        result.main.write(part)
        return result, []
    if fmt == "bmp" and xmp.synthetic(result.receipt):
        raise OptionError(
            "bmp holds no metadata, so that nothing would say that it shows a synthetic face; choose png, tiff, webp "
            "or jpeg"
        )
    # what the work did to the picture is no private matter, so the marks stay where metadata is stripped
    bare = io.without_private(result.image) if save.strip_metadata else result.image
    picture, warnings = outgoing(bare, result.receipt, fmt)
    notes = [*io.not_carried(bare, fmt), *warnings]
    io.write_image(picture, part, fmt, io.WriteOptions(quality=save.quality, keep_tables=False))
    release(result.image.pixels)
    release(result.image.alpha)
    return replace(result, receipt=with_warnings(result.receipt, notes)) if notes else result, warnings
