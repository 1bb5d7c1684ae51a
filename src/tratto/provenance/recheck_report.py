"""Make the report of a bundle again from what could be decoded, and compare; and read ``observed.json``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tratto._version import __version__
from tratto.core import canonical
from tratto.core.errors import ReceiptError, UnavailableError
from tratto.core.hashing import FileFacts, read_limited
from tratto.core.image import ColorMode, Image, Metadata
from tratto.core.text import shown
from tratto.imaging.scratch import allocate
from tratto.provenance.bundle import OBSERVED, REPORT, Bundle, find_original
from tratto.provenance.findings import Findings, Seen
from tratto.provenance.receipt import maps_of
from tratto.provenance.schema import check, observed_schema

if TYPE_CHECKING:
    from tratto.provenance.report import ReportInputs

_MAX_REPORT = 64 << 20


def check_observed(bundle: Bundle, found: Findings) -> None:
    """Check the form of ``observed.json``. What it says of times nobody can check."""
    if OBSERVED not in bundle.sealed_files:
        return
    try:
        seen = read_observed(bundle)
        if len(seen["steps"]) != len(bundle.receipt["steps"]):
            raise ReceiptError("observed.steps: expected one entry for each step of the receipt")
    except ReceiptError as e:
        found.wrong.append(f"{OBSERVED}: {e}")


def read_observed(bundle: Bundle) -> dict[str, Any]:
    """Read ``observed.json`` strictly.

    Raises
    ------
    ReceiptError
        If it is not valid by its schema, or not in canonical form.
    """
    data = read_limited(bundle.folder / OBSERVED, canonical.MAX_BYTES)
    seen: dict[str, Any] = canonical.loads(data)
    check(seen, observed_schema(), "observed")
    if canonical.dumps(seen) != data:
        raise ReceiptError("it is not in canonical form (RFC 8785)")
    return seen


#: The row of a step's table that says its digital source type.
_KIND = re.compile(r"<tr><th>Digital source type</th><td>[A-Za-z]*</td></tr>")

#: What was said of the edit map before it compared colours outside sRGB.
_COMPARED_BEFORE = "The edit map compares colours as they are shown in sRGB."

#: What the line for ImageMagick leaves out, which reports of before did not say.
_LEFT_OUT = " Transparency is not compared."


def again(bundle: Bundle, seen: Seen, name: str) -> tuple[ReportInputs, frozenset[str]]:
    """Return what the report is made from, and which of its pictures cannot be shown, for what they show is not there.

    Parameters
    ----------
    bundle : Bundle
        Its files are as they were sealed.
    seen : Seen
        What could be decoded.
    name : str
        File name of the picture.

    Raises
    ------
    UnavailableError
        If a colour profile that pictures were shown through is not at hand.
    ReceiptError
        If ``observed.json`` is broken.
    """
    from tratto.provenance.report import SHOWS_AFTER, SHOWS_BEFORE, ReportInputs, input_alt

    receipt = bundle.receipt
    names = read_observed(bundle) if OBSERVED in bundle.sealed_files else None
    made = receipt["outputs"].get("picture")
    mapped = seen.edits is not None
    after = None if made is None else _to_show(seen.after, made["picture"], seen.before, mapped)
    before = _to_show(seen.before, receipt["inputs"]["picture"]["picture"], seen.after, mapped)
    second = {r: seen.inputs.get(r) for r in receipt["inputs"] if r != "picture"}
    if before is None or (after is None and made is not None):
        raise UnavailableError("the colour profile it was shown through is not at hand")
    inputs = ReportInputs(
        receipt=receipt,
        receipt_sha256=FileFacts.of(bundle.receipt_bytes).sha256,
        source=before,
        result=after,
        edit_map=seen.edits,
        confidence=seen.confidences,
        output_name=name,
        original_name=names["input_name"] if names is not None else "",
        original_file=find_original(bundle),
        signed=bundle.sealed_output if bundle.credentials else None,
        mask=seen.mask,
        parts=tuple(seen.parts),
        inputs={r: _small_blank(receipt["inputs"][r]["picture"]) if i is None else i for r, i in second.items()},
        sheet=seen.sheet,
        files=tuple(sorted(n for n in bundle.sealed_files if "/" in n)),
    )
    missing = {input_alt(role) for role, image in second.items() if image is None}
    missing |= SHOWS_BEFORE if seen.before is None else frozenset()
    missing |= SHOWS_AFTER if seen.after is None else frozenset()
    return inputs, frozenset(missing)


def check_report(bundle: Bundle, picture: Path | None, seen: Seen, found: Findings) -> None:
    """Make the report again and compare."""
    from tratto.provenance.report import (
        COMPARED,
        SHOWS_AFTER,
        SHOWS_BEFORE,
        as_named,
        compare_reports,
        named_in,
        render_report,
    )

    if REPORT not in bundle.sealed_files:
        found.wrong.append(f"the seal names no {REPORT}; every bundle has one")
        return
    receipt = bundle.receipt
    if found.wrong or tuple(m is None for m in maps_of(receipt)) != (seen.edits is None, seen.confidences is None):
        return  # it would be made from statements that are wrong already
    ours = _version()
    if receipt["tool"]["version"] != ours:
        found.notes.append(
            f"{REPORT} was not compared: version {shown(receipt['tool']['version'])} wrote it, this is {ours}"
        )
        return
    try:
        stored = read_report(bundle)
        name = named_in(stored)
        inputs, skip = again(bundle, seen, name)
    except UnavailableError as e:
        found.notes.append(f"{REPORT} was not compared: {e}")
        return
    except ReceiptError as e:
        found.wrong.append(f"{REPORT} cannot be read: {e}")
        return
    if seen.after_is == "lossy":
        skip |= SHOWS_AFTER
    fresh = render_report(inputs)
    if _KIND.search(stored) is None:  # reports of before did not say it, and are no less true
        fresh = _KIND.sub("", fresh)
    if COMPARED not in stored:
        fresh = fresh.replace(COMPARED, _COMPARED_BEFORE)
    if _LEFT_OUT not in stored:
        fresh = fresh.replace(_LEFT_OUT, "")
    wrong, alike = compare_reports(stored, fresh, skip)
    if wrong:
        found.wrong.append(f"{REPORT} is not what follows from the receipt: {wrong}")
        return
    if OBSERVED in bundle.sealed_files and as_named(read_observed(bundle)["output_name"]) != name:
        found.wrong.append(f"{REPORT} and {OBSERVED} name different pictures")
        return
    found.checked.append(f"{REPORT}, made again from the receipt, is the same")
    if alike:
        found.notes.append(f"the pictures in {REPORT} are alike, not byte by byte the same: another library version")
    for some, what in ((SHOWS_BEFORE, "before"), (SHOWS_AFTER, "after")):
        if skip & some and ("picture" in receipt["outputs"] or some is SHOWS_BEFORE):
            found.notes.append(f"the pictures of the state {what} in {REPORT} could not be compared")
    if picture is not None and name != as_named(picture.name.encode("utf-8", "replace").decode("utf-8")[:500]):
        found.notes.append(f"{REPORT} calls the picture {shown(name)}: it was renamed")


def read_report(bundle: Bundle) -> str:
    """Read ``report.html``.

    Raises
    ------
    ReceiptError
        If it is too large, or not of UTF-8.
    """
    try:
        return read_limited(bundle.folder / REPORT, _MAX_REPORT).decode("utf-8")
    except UnicodeDecodeError as e:
        raise ReceiptError(f"it is not of UTF-8: {e}") from e


def _to_show(image: Image | None, facts: Mapping[str, Any], other: Image | None, mapped: bool = True) -> Image | None:
    """Return a picture as the report showed it, a black one if it is missing, None if its profile is.

    Parameters
    ----------
    image : Image or None
        As decoded; None: it is missing.
    facts : mapping
        What the receipt says of it.
    other : Image or None
        One that may have the same profile.
    mapped : bool
        True if there is an edit map of its geometry, which bounds its size: then a missing one is as large as stated.
    """
    if image is None:
        image = _blank(facts) if mapped else _small_blank(facts)
    candidates = [image.meta.icc, None if other is None else other.meta.icc, None]
    for icc in candidates:
        if (None if icc is None else hashlib.sha256(icc).hexdigest()) == facts["icc_sha256"]:
            return image.replace(meta=replace(image.meta, icc=icc, orientation=facts["orientation"]))
    return None


def _small_blank(facts: Mapping[str, Any]) -> Image:
    """Return a black picture of the size of a preview: what a receipt states of a size alone is bounded by nothing."""
    from tratto.provenance.report import PREVIEW

    factor = max(1.0, max(facts["width"], facts["height"]) / PREVIEW)
    sides = {side: max(1, round(facts[side] / factor)) for side in ("width", "height")}
    return _blank({**facts, **sides})


def _blank(facts: Mapping[str, Any]) -> Image:
    mode, bits = ColorMode(facts["mode"]), int(facts["bits"])
    channels = {ColorMode.RGB: (3,), ColorMode.CMYK: (4,)}.get(mode, ())
    pixels: Any = allocate((facts["height"], facts["width"], *channels), np.uint16 if bits == 16 else np.uint8)
    palette = np.array([[0, 0, 0, 255]], np.uint8) if mode is ColorMode.PALETTE else None
    return Image(pixels, mode, bits, palette=palette, meta=Metadata(format=facts["format"]))


def _version() -> str:
    return __version__
