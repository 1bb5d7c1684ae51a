"""Where a picture changed, region by region: how much, how sure, on what evidence, and with what claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE, pass_name
from tratto.imaging.scratch import release
from tratto.provenance.receipt import EVIDENCE, EXISTING, HYPOTHETICAL, main_output, maps_of

#: Most regions that have a row of their own; the smaller ones share one.
MOST = 12
#: Cells of the grid that regions are told apart on, along the longer side.
GRID = 256


@dataclass(frozen=True)
class Region:
    """One region.

    Attributes
    ----------
    box : (int, int, int, int) or None
        x, y, width, height in stored pixels of the result; None: all that is left over.
    count : int
        How many regions this stands for.
    share : float
        Share of the picture's pixels that belong to it: those that the mask opened, without a mask those that changed.
    changed : float
        Share of these that changed.
    mean, largest : float
        Delta-E over its pixels.
    error : float or None
        Expected one-sigma error in 255ths, mean over its pixels; None if no step estimated one.
    status : str
        Its claim.
    passes : frozenset of int
        The passes whose mask reaches into it, from 1; empty: not told apart.
    """

    box: tuple[int, int, int, int] | None
    count: int
    share: float
    changed: float
    mean: float
    largest: float
    error: float | None
    status: str
    passes: frozenset[int] = frozenset()


@dataclass
class _Sums:
    pixels: NDArray[np.int64]
    changed: NDArray[np.int64]
    edits: NDArray[np.int64]
    largest: NDArray[np.int64]
    confidences: NDArray[np.int64]


def regions_of(
    receipt: Mapping[str, Any],
    edit_map: NDArray[np.uint16],
    confidence: NDArray[np.uint16],
    mask: NDArray[Any] | None = None,
    parts: Sequence[NDArray[Any]] = (),
) -> list[Region]:
    """Return the regions of a result, the largest first, and last what is left over.

    Regions are the connected parts of the mask; without one, of the changed pixels. They are told apart on a grid of at
    most 256 cells along the longer side, so that parts nearer than a cell count as one. All sums are of whole numbers
    and thus the same on every machine.

    Parameters
    ----------
    receipt : mapping
        Final, valid; says what opened which region.
    edit_map, confidence : (H, W) uint16
        As the bundle keeps them.
    mask : (h, w) array or None
        Above 0 may change; of the source's size.
    parts : sequence of (h, w) arrays
        The masks per class and pass, in the order of the receipt; none: passes are not told apart.

    Returns
    -------
    list of Region
        Empty if nothing could change or did. What the mask kept, or did not change, is not among them.
    """
    import cv2

    height, width = edit_map.shape
    cell = max(1, -(-max(height, width) // GRID))
    sums = _sums(edit_map, confidence, mask, cell)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((sums.pixels > 0).astype(np.uint8), connectivity=8)
    reached = _reached(receipt, parts, edit_map.shape[0], cell)
    _, stated = maps_of(receipt)
    estimated = stated is not None and stated["basis"] not in ("none", "not edited")
    made_up = any(s["generative"] for s in receipt["steps"])
    order = sorted(range(1, count), key=lambda i: (-int(sums.pixels[labels == i].sum()), i))
    groups = [[i] for i in order[:MOST]] + ([order[MOST:]] if order[MOST:] else [])
    out = []
    for group in groups:
        inside = np.isin(labels, group)
        pixels, changed = int(sums.pixels[inside].sum()), int(sums.changed[inside].sum())
        box = None
        if len(group) == 1:
            x, y, w, h = (int(v) * cell for v in boxes[group[0]][:4])
            box = (x, y, min(w, width - x), min(h, height - y))
        error = CONFIDENCE_FULL * 255 * (1 - int(sums.confidences[inside].sum()) / (65535 * pixels))
        status = (HYPOTHETICAL if made_up else EVIDENCE) if changed else EXISTING
        out.append(
            Region(
                box=box,
                count=len(group),
                share=pixels / edit_map.size,
                changed=changed / pixels,
                mean=int(sums.edits[inside].sum()) / pixels / EDIT_MAP_SCALE,
                largest=int(sums.largest[inside].max()) / EDIT_MAP_SCALE,
                error=error if estimated else None,
                status=status,
                passes=frozenset(number for number, cells in reached.items() if (cells & inside).any()),
            )
        )
    return out


def _sums(edit_map: NDArray[np.uint16], confidence: NDArray[np.uint16], mask: NDArray[Any] | None, cell: int) -> _Sums:
    """Add up both maps over the cells of the grid, where the mask is open or, without one, where something changed."""
    height, width = edit_map.shape
    columns = np.arange(0, width, cell)
    rows = []
    for y in range(0, height, cell):
        edits = np.asarray(edit_map[y : y + cell]).astype(np.int64)
        if mask is None:
            inside = edits > 0
        else:
            scale = height // mask.shape[0]
            open_ = mask[np.arange(y, y + edits.shape[0]) // scale] > 0
            inside = np.repeat(open_, scale, axis=1)
        confidences = np.asarray(confidence[y : y + cell]).astype(np.int64)
        kept = np.where(inside, edits, 0)
        added = [
            inside.sum(axis=0),
            (kept > 0).sum(axis=0),
            kept.sum(axis=0),
            np.where(inside, confidences, 0).sum(axis=0),
        ]
        cells = [np.add.reduceat(a, columns) for a in added]
        rows.append([*cells[:3], np.maximum.reduceat(kept.max(axis=0), columns), cells[3]])
        release(edit_map)
        release(confidence)
    return _Sums(*(np.stack(r) for r in zip(*rows, strict=True)))


def _reached(
    receipt: Mapping[str, Any], parts: Sequence[NDArray[Any]], height: int, cell: int
) -> dict[int, NDArray[np.bool_]]:
    """Return for each pass the cells of the grid into which one of its masks reaches; empty if there is one pass."""
    facts = (receipt["mask"] or {}).get("parts", ())
    if len(facts) != len(parts) or len({p["pass"] for p in facts}) < 2:
        return {}
    out: dict[int, NDArray[np.bool_]] = {}
    for fact, part in zip(facts, parts, strict=True):
        scale = height // part.shape[0]
        columns = np.arange(0, part.shape[1] * scale, cell)
        rows = []
        for y in range(0, height, cell):
            open_ = (part[y // scale : -(-min(y + cell, height) // scale)] > 0).any(axis=0)
            rows.append(np.logical_or.reduceat(np.repeat(open_, scale), columns))
        cells = np.stack(rows)
        out[fact["pass"]] = out[fact["pass"]] | cells if fact["pass"] in out else cells
    return out


def evidence(receipt: Mapping[str, Any], status: str) -> str:
    """Return on what evidence the pixels of a region stand."""
    if status == EXISTING:
        return "the source itself, unchanged"
    if status == HYPOTHETICAL:
        return "none of its own: taken from around it or from what a model was trained on"
    return "the source's own samples in and around it"


def kind(receipt: Mapping[str, Any], region: Region) -> str:
    """Return what was done in a region; where a step chose a method for each part, the one it chose there."""
    if region.status == EXISTING:
        return "could change, did not" if receipt["mask"] else "unchanged"
    named = []
    for step in receipt["steps"]:
        mask = step["params"].get("mask")
        named_pass = isinstance(mask, str) and mask.startswith("pass-")
        if region.passes and named_pass and mask not in {pass_name(n) for n in region.passes}:
            continue  # its mask does not reach here
        methods = _methods(step["params"], region.box, main_output(receipt)["scale"]) or [step["provider"]]
        named += [step["step"] + (f" by {m}" if m else "") for m in methods]
    return ", ".join(dict.fromkeys(named))


def _methods(params: Mapping[str, Any], box: tuple[int, int, int, int] | None, scale: int) -> list[str]:
    """Return the methods that a step's parameters name for a place: those of its parts, else the one for the rest."""
    parts, rest = params.get("regions"), params.get("fine")
    found = []
    if isinstance(parts, list) and box is not None:
        x, y, w, h = box
        for part in parts:
            place = part.get("box") if isinstance(part, dict) else None
            if not (isinstance(place, list) and len(place) == 4 and all(isinstance(v, int) for v in place)):
                continue
            px, py, pw, ph = (v * scale for v in place)
            if px < x + w and x < px + pw and py < y + h and y < py + ph and isinstance(part.get("by"), str):
                found.append(part["by"])
    if not found and isinstance(rest, str) and rest:
        found = [rest]
    return found
