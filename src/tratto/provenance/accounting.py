"""Maps and receipt of a job that is done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tratto.core.artifact import Artifact, InputPicture, PictureArtifact
from tratto.core.errors import OptionError
from tratto.core.hashing import HeldFile
from tratto.core.image import Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import MaskParts, Outcome, Result
from tratto.imaging.artifact import Picture, Sheet
from tratto.imaging.opening import mask_share, mask_warnings
from tratto.imaging.scratch import allocate

if TYPE_CHECKING:
    from tratto.core.hashing import FileFacts
    from tratto.provenance.lineage import Ancestry


@dataclass(frozen=True, eq=False)
class JobContext:
    """What a job was given besides the picture and the recipe.

    Attributes
    ----------
    mask : Mask or None
        Where the picture was allowed to change; None: everywhere.
    origin : path, bytes or None
        The file or bytes the picture came from; None for arrays.
    page : int
        Of ``origin``, from 0.
    forensic : bool
        Whether forensic mode held.
    masks : MaskParts
        What the mask was made of.
    notes : tuple of str
        Warnings from before the work.
    inputs : mapping of str to InputPicture
        What else it works with, by role.
    output : str
        Role of the result: ``"picture"`` or ``"scene"``.
    statements : tuple of mapping
        What somebody stated, such as consent; see :class:`tratto.provenance.receipt.ReceiptInputs`.
    """

    mask: Mask | None = None
    origin: Any = None
    page: int = 0
    forensic: bool = False
    masks: MaskParts = field(default_factory=MaskParts)
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, InputPicture] = field(default_factory=dict)
    output: str = "picture"
    statements: tuple[Mapping[str, Any], ...] = ()


def account(asked: Recipe, outcome: Outcome, final: Image, inspection: Inspection, how: JobContext) -> Result:
    """Make the maps and the receipt of a finished run.

    Parameters
    ----------
    asked : Recipe
        As the user wished it, before providers were chosen.
    outcome : Outcome
        What the engine left.
    final : Image
        Its picture, in the source's mode.
    inspection : Inspection
        What was measured of the source.
    how : JobContext
        What it was given besides.

    Raises
    ------
    OptionError
        If no step made what the job was to make.
    """
    from tratto.imaging import io
    from tratto.provenance.confidence import confidence_map
    from tratto.provenance.edit_map import EditStats, edit_map
    from tratto.provenance.lineage import doubt
    from tratto.provenance.receipt import InputFacts, ReceiptInputs, build_receipt
    from tratto.provenance.xmp import STEP_BEFORE, doubts

    canvas, origin = outcome.canvas, how.origin
    outputs = made_by(outcome, final, how.output)
    stats: EditStats | None = None
    edits: Any = None
    confidences: Any = None
    made = outputs.get("picture")
    if isinstance(made, PictureArtifact):
        shape = (made.image.height, made.image.width)
        if outcome.baseline is not None:
            edits = allocate(shape, np.uint16)
            before = canvas.source if canvas.scale == 1 else outcome.baseline
            stats = edit_map(before, made.image, edits)
        confidences = allocate(shape, np.uint16)
        confidence_map(canvas.sigma, 1.0 if outcome.records else 0.0, confidences)
    notes = [*how.notes, *io.notes_of(canvas.source), *(n for r in outcome.records for n in r.notes)]
    if how.mask is not None:
        notes += mask_warnings(how.mask, asked.task)
    if how.forensic:
        notes.append(may_change(how.mask))
    file = bytes(origin) if isinstance(origin, bytearray) else origin
    if not isinstance(file, bytes | HeldFile):
        file = Path(file) if isinstance(file, str | os.PathLike) else None
    inputs = {"picture": InputPicture(canvas.source, file, how.page), **how.inputs}
    facts = {role: _file_facts(given) for role, given in inputs.items()}
    origins = {role: _ancestry(given, facts[role]) for role, given in inputs.items()}
    made_up = doubt({role: known.links for role, known in origins.items()})
    # the receipts know which step it was, so what the XMP says of the same need not be told too
    said = doubts(canvas.source.meta.xmp)
    notes += [known.note for known in origins.values()]
    notes += [made_up, "" if made_up and said == STEP_BEFORE else said]
    warnings = tuple(dict.fromkeys(note for note in notes if note))
    receipt = build_receipt(
        ReceiptInputs(
            asked=asked,
            resolved=outcome.resolved,
            records=outcome.records,
            inspection=inspection,
            inputs={
                r: InputFacts(g.image, io.digest(g.image), g.page, facts[r], origins[r].links)
                for r, g in inputs.items()
            },
            outputs=outputs,
            edit=stats,
            edit_map=edits,
            confidence=confidences,
            kernel=outcome.kernel,
            mask=how.mask,
            masks=how.masks,
            statements=how.statements,
            forensic=how.forensic,
            stand_ins=tuple(w for w in warnings if "stand-in" in w),
            warnings=warnings,
        )
    )
    return Result(
        outputs=outputs,
        inputs=inputs,
        inspection=inspection,
        asked=asked,
        resolved=outcome.resolved,
        records=outcome.records,
        edit_map=edits,
        confidence=confidences,
        receipt=receipt,
        warnings=warnings,
        mask=how.mask,
        masks=how.masks,
        parents={sha256: data for known in origins.values() for sha256, data in known.receipts.items()},
    )


def may_change(mask: Mask | None) -> str:
    """Return which region a job in forensic mode may change, as its receipt and report say it.

    Examples
    --------
    >>> import numpy as np
    >>> may_change(Mask(np.eye(4, dtype=np.float32))).partition(", in ")[2]
    'columns 0 to 3 and rows 0 to 3 of the source as stored'
    """
    from tratto.provenance.receipt import mask_box

    if mask is None:
        return "forensic mode: no mask was given, so any part of the picture may change"
    box = mask_box(mask.values)
    if box is None:
        return "forensic mode: the mask is empty, so nothing may change"
    x, y, width, height = box
    return (
        f"forensic mode: only what the mask opens may change, {100 * mask_share(mask):.3g} % of the picture, in "
        f"columns {x} to {x + width - 1} and rows {y} to {y + height - 1} of the source as stored"
    )


def made_by(outcome: Outcome, final: Image, role: str) -> dict[str, Artifact]:
    """Return what a run made: the result of this role, and what came along with it.

    Parameters
    ----------
    outcome : Outcome
        What the engine left.
    final : Image
        Its picture, in the source's mode.
    role : str
        ``"picture"`` or ``"scene"``.

    Raises
    ------
    OptionError
        If it made nothing of this role.
    """
    canvas = outcome.canvas
    made: dict[str, Artifact] = {}
    if role == "picture":
        made[role] = Picture(final)
    elif role == "scene" and canvas.scene is not None:
        made[role] = canvas.scene
    else:
        raise OptionError(f"the job was to make a {role}, and none of its steps made one")
    return made if canvas.sheet is None else {**made, "sheet": Sheet(canvas.sheet)}


def _ancestry(given: InputPicture, file: FileFacts | None) -> Ancestry:
    """Return the chain of an input; bytes and arrays have no bundle beside them."""
    from tratto.provenance.lineage import Ancestry, ancestry

    if file is None or given.file is None or isinstance(given.file, bytes):
        return Ancestry()
    return ancestry(Path(given.file), file)


def _file_facts(given: InputPicture) -> FileFacts | None:
    from tratto.core.hashing import FileFacts, hash_file

    if given.file is None:
        return None
    if isinstance(given.file, HeldFile):
        return given.file.facts
    return FileFacts.of(given.file) if isinstance(given.file, bytes) else hash_file(given.file)
