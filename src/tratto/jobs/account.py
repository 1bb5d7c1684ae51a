"""Maps and receipt of a job that is done."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import MaskParts, Result
from tratto.imaging.opening import mask_warnings
from tratto.imaging.scratch import allocate

if TYPE_CHECKING:
    from tratto.engine.run import Outcome


@dataclass(frozen=True, eq=False)
class Circumstances:
    """What a job was given besides the picture and the recipe.

    Attributes
    ----------
    mask : Mask or None
    origin : path, bytes or None
        The file or bytes the picture came from; None for arrays.
    page : int
    forensic : bool
    masks : MaskParts
        What the mask was made of.
    notes : tuple of str
        Warnings from before the work.
    """

    mask: Mask | None = None
    origin: Any = None
    page: int = 0
    forensic: bool = False
    masks: MaskParts = field(default_factory=MaskParts)
    notes: tuple[str, ...] = ()


def account(asked: Recipe, outcome: Outcome, final: Image, inspection: Inspection, how: Circumstances) -> Result:
    """Make the maps and the receipt of a finished run.

    Parameters
    ----------
    asked : Recipe
        As the user wished it, before providers were chosen.
    outcome : Outcome
    final : Image
        The result in the source's mode.
    inspection : Inspection
    how : Circumstances
    """
    from tratto.imaging import io
    from tratto.provenance.confidence import confidence_map
    from tratto.provenance.edit_map import edit_map
    from tratto.provenance.receipt import FileFacts, ReceiptInputs, build_receipt
    from tratto.provenance.seal import hash_file
    from tratto.provenance.xmp import doubts

    mask, origin = how.mask, how.origin
    canvas = outcome.canvas
    shape = (final.height, final.width)
    edits: NDArray[np.uint16] = allocate(shape, np.uint16)  # type: ignore[assignment]
    sure: NDArray[np.uint16] = allocate(shape, np.uint16)  # type: ignore[assignment]
    scale = canvas.scale
    before = canvas.source if scale == 1 else outcome.baseline
    stats = edit_map(before, final, 1, None, edits)
    confidence_map(canvas.sigma, 1.0 if outcome.records else 0.0, sure)
    input_file = None
    if isinstance(origin, (str, os.PathLike)):
        input_file = hash_file(Path(origin))
    elif isinstance(origin, (bytes, bytearray)):
        input_file = FileFacts.of(bytes(origin))
    notes = [*how.notes, *io.notes_of(canvas.source), *(n for r in outcome.records for n in r.notes)]
    if mask is not None:
        notes += mask_warnings(mask)
    doubt = doubts(canvas.source.meta.xmp)
    warnings = tuple(dict.fromkeys([*notes, doubt] if doubt else notes))
    receipt = build_receipt(
        ReceiptInputs(
            asked=asked,
            resolved=outcome.resolved,
            records=outcome.records,
            inspection=inspection,
            source=canvas.source,
            source_digest=io.digest(canvas.source),
            output=final,
            output_digest=io.digest(final),
            edit=stats,
            edit_map=edits,
            confidence=sure,
            kernel=outcome.kernel,
            page=how.page,
            input_file=input_file,
            mask=mask,
            masks=how.masks,
            forensic=how.forensic,
            stand_ins=tuple(w for w in warnings if "stand-in" in w),
            warnings=warnings,
        )
    )
    return Result(
        image=final,
        source=canvas.source,
        edit_map=edits,
        confidence=sure,
        inspection=inspection,
        asked=asked,
        resolved=outcome.resolved,
        records=outcome.records,
        receipt=receipt,
        warnings=warnings,
        mask=mask,
        masks=how.masks,
    )
