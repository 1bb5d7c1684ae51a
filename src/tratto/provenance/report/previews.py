"""The pictures of a report: previews, maps, details, and the words that belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE
from tratto.imaging.color import view_note
from tratto.imaging.io import oriented
from tratto.provenance import pictures as pic
from tratto.provenance.receipt import main_output, maps_of, recoded
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.plain import delta, percent, text
from tratto.provenance.report.regions import Region

PREVIEW = 1400  # longest side of the before and after previews, pixels
MAP_PREVIEW = 900  # of the maps
CROP = 240  # side of the details
SMALL = 240  # longest side of the previews of second inputs


def pictures_of(inputs: ReportInputs) -> dict[str, str]:
    """Return the previews, maps, legends and crops that there are, with the words beside them."""
    shown = _outer(inputs)
    if inputs.confidence is not None and inputs.result is not None:
        turn = _turner(inputs.result.meta.orientation)
        errors = pic.shrink(pic.map_view(inputs.confidence, _error), MAP_PREVIEW)[..., 0]
        error_top = _nice_top(errors, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64))
        shown |= {
            "confidence_map": pic.ramp_uri(turn(errors), error_top, pic.CONFIDENCE_RAMP),
            "confidence_legend": pic.legend_uri(pic.CONFIDENCE_RAMP),
            "confidence_ticks": _ticks(error_top, "/255"),
        }
    if inputs.edit_map is not None and inputs.result is not None:
        shown |= _edits(inputs, inputs.result, inputs.edit_map)
    for role, image in inputs.inputs.items():
        shown[f"input {role}"] = _preview(image, SMALL)
    if inputs.sheet is not None:
        shown["sheet"] = _preview(inputs.sheet, PREVIEW)
    return shown


def swatch(rgb: tuple[float, float, float]) -> str:
    """Return a patch of one color, encoded sRGB, as an address."""
    return pic.png_uri(np.broadcast_to(np.array(rgb, np.float32), (96, 160, 3)))


def _preview(image: Image, limit: int) -> str:
    """Return a picture, reduced and upright, as an address."""
    return pic.jpeg_uri(_turner(image.meta.orientation)(pic.on_checkers(pic.shrink(pic.view_of(image), limit))))


def _outer(inputs: ReportInputs) -> dict[str, str]:
    """Return the source and, where it is a picture, the result; side by side alike where one lies over the other."""
    receipt, result = inputs.receipt, inputs.result
    if result is None or inputs.edit_map is None:
        before = _turner(inputs.source.meta.orientation)(
            pic.on_checkers(pic.shrink(pic.view_of(inputs.source), PREVIEW))
        )
        shown = {"before": pic.jpeg_uri(before), "shape": "wide", "preview_note": text(_preview_note(inputs))}
        return shown if result is None else shown | {"after": _preview(result, PREVIEW)}
    scale, kernel = main_output(receipt)["scale"], main_output(receipt)["kernel"]
    turn = _turner(result.meta.orientation)
    # a source larger than the preview would only be enlarged to be reduced again
    fits = max(inputs.source.width, inputs.source.height) >= PREVIEW
    view = pic.view_of(inputs.source) if fits else pic.enlarged_view(inputs.source, scale, kernel)
    before = turn(pic.on_checkers(pic.shrink(view, PREVIEW)))
    after = turn(pic.on_checkers(pic.shrink(pic.view_of(result), PREVIEW)))
    height, width = after.shape[:2]
    return {
        "before": pic.jpeg_uri(before),
        "after": pic.jpeg_uri(after),
        "preview_w": str(width),
        "preview_h": str(height),
        "aspect": f"{width / height:.5f}",
        "shape": "tall" if height > width * 1.05 else "wide",
        "before_note": text(f", enlarged {scale} times by the {kernel} kernel" if scale > 1 else ""),
        "preview_note": text(_preview_note(inputs)),
    }


def _edits(inputs: ReportInputs, result: Image, edit_map: NDArray[np.uint16]) -> dict[str, str]:
    """Return the edit map, and the part that changed most."""
    receipt = inputs.receipt
    turn = _turner(result.meta.orientation)
    before_view = pic.enlarged_view(inputs.source, main_output(receipt)["scale"], main_output(receipt)["kernel"])
    edits = pic.shrink(pic.map_view(edit_map, _delta_e), MAP_PREVIEW)[..., 0]
    edit_top = _nice_top(edits, (1, 2, 3, 4, 6, 8, 12, 16, 20, 30, 40, 60, 80, 120))
    y0, y1, x0, x1 = pic.busiest(edit_map, CROP)
    crop_edit = _delta_e(np.asarray(edit_map[y0:y1, x0:x1]))
    share, mean = pic.thirds(edit_map)
    edit, _ = maps_of(receipt)
    unchanged = edit is not None and edit["stats"]["changed_fraction"] == 0
    return {
        "edit_map": pic.ramp_uri(turn(edits), edit_top, pic.EDIT_RAMP),
        "edit_legend": pic.legend_uri(pic.EDIT_RAMP),
        "edit_ticks": _ticks(edit_top, " ΔE"),
        "crop_words": text(_crop_words((y0, y1, x0, x1), unchanged)),
        "crop_before": pic.png_uri(turn(_crop(before_view, (y0, y1, x0, x1)))),
        "crop_after": pic.png_uri(turn(_crop(pic.view_of(result), (y0, y1, x0, x1)))),
        "crop_edit": pic.ramp_uri(turn(crop_edit), edit_top, pic.EDIT_RAMP),
        "regions": _regions(turn(share), turn(mean)),
        "mask_words": _mask_words(receipt),
    }


#: Colour of the frames of regions, and of what lies behind a number.
_FRAME, _GROUND = (np.array(rgb, np.float32) / 255 for rgb in ((143, 45, 18), (255, 254, 251)))
#: Digits of 3 x 5 dots, row by row from the top: no font differs from machine to machine, so that the same report is
#: made again everywhere.
_DIGITS = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757", "75717")


def numbered(inputs: ReportInputs, regions: Sequence[Region]) -> str:
    """Return the result with the regions framed and numbered as in their table, as an address; empty: there are none.

    Parameters
    ----------
    inputs : ReportInputs
        With a result.
    regions : sequence of Region
        In stored pixels of the result.
    """
    boxes = [region.box for region in regions]
    if inputs.result is None or not any(boxes):
        return ""
    turn = _turner(inputs.result.meta.orientation)
    small = pic.on_checkers(pic.shrink(pic.view_of(inputs.result), MAP_PREVIEW))
    height, width = small.shape[:2]
    sizes = (height / inputs.result.height, width / inputs.result.width)
    drawn = turn(small)
    dot = max(2, round(max(drawn.shape) / 300))
    for number, box in enumerate(boxes, 1):
        if box is None:
            continue
        inside = np.zeros((height, width), bool)
        inside[_part(box[1], box[3], sizes[0]), _part(box[0], box[2], sizes[1])] = True
        rows, columns = (np.flatnonzero(turn(inside).any(axis=axis)) for axis in (1, 0))
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        kept = drawn[y0:y1, x0:x1].copy()
        for rim, color in ((dot, _GROUND), (dot // 2, _FRAME)):  # a light frame around a dark one shows on everything
            drawn[max(0, y0 - rim) : y1 + rim, max(0, x0 - rim) : x1 + rim] = color
        drawn[y0:y1, x0:x1] = kept
        label = _label(number, dot)
        # a number stands above its frame, at the rim of the picture inside it
        top = max(0, min(y0 - label.shape[0], drawn.shape[0] - label.shape[0]))
        left = max(0, min(x0, drawn.shape[1] - label.shape[1]))
        spot = drawn[top : top + label.shape[0], left : left + label.shape[1]]
        spot[...] = np.where(label[: spot.shape[0], : spot.shape[1], None], _FRAME, _GROUND)
    return pic.jpeg_uri(drawn)


def _part(start: int, length: int, scale: float) -> slice:
    first = int(start * scale)
    return slice(first, max(first + 1, int(np.ceil((start + length) * scale))))


def _label(number: int, dot: int) -> NDArray[np.bool_]:
    """Return a number in dots of so many pixels, with a rim of one dot."""
    rows = [[int(d) >> k & 1 for d in _DIGITS[int(c)]] for c in str(number) for k in (2, 1, 0, 3)]
    dots = np.pad(np.array(rows, bool).T[:, :-1], 1)
    return np.kron(dots, np.ones((dot, dot), bool)).astype(bool)


_FULL = CONFIDENCE_FULL * 255  # the error, in 255ths, that confidence 0 stands for


def _turner(orientation: int) -> Any:
    def turn(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(oriented(values, orientation))

    return turn


def _delta_e(values: NDArray[np.uint16]) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(EDIT_MAP_SCALE)


def _error(values: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (1 - values.astype(np.float32) / np.float32(65535)) * np.float32(_FULL)


def _nice_top(values: NDArray[np.float32], tops: Sequence[float]) -> float:
    """Return the smallest round number that 99.5 % of the values above 0 do not exceed."""
    some = values[values > 0]
    reach = float(np.quantile(some, 0.995)) if some.size else 0.0
    return next((t for t in tops if t >= reach), tops[-1])


def _ticks(top: float, unit: str) -> str:
    return "".join(f"<span>{v:g}{unit}</span>" for v in (0, top / 4, top / 2, top * 3 / 4)) + (
        f"<span>{top:g}{unit} and more</span>"
    )


def _crop(view: pic.View, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
    y0, y1, x0, x1 = box
    part = view.rows(y0, y1)[:, x0:x1]
    if part.shape[2] == 4:
        part = np.concatenate([part[..., :3] * part[..., 3:], part[..., 3:]], axis=2)
    return pic.on_checkers(part)


def _crop_words(box: tuple[int, int, int, int], unchanged: bool) -> str:
    y0, y1, x0, x1 = box
    if unchanged:
        return "Nothing changed, so this is simply the top left corner, one picture pixel to one screen pixel."
    where = f"{x1 - x0} × {y1 - y0} pixels from column {x0}, row {y0} of the file"
    return f"The part that changed most, one picture pixel to one screen pixel: {where}."


def _preview_note(inputs: ReportInputs) -> str:
    note = "The previews are JPEG copies"
    last = inputs.source if inputs.result is None else inputs.result
    facts = inputs.receipt["inputs" if inputs.result is None else "outputs"]["picture"]["picture"]
    if max(facts["width"], facts["height"]) > PREVIEW:
        note += f" reduced to {PREVIEW} pixels on the longer side"
    return f"{note}. How they are shown: {view_note(last)}."


def _mask_words(receipt: Mapping[str, Any]) -> str:
    mask = receipt["mask"]
    if mask is None:
        return ""
    source = "the source" if main_output(receipt)["scale"] == 1 else "the enlarged source"
    return (
        f"<p>A mask allowed change in {text(percent(mask['covered']))} of the picture{_box(mask)}. Outside it, every "
        f"sample is that of {source}{', before it was encoded in the file' if recoded(receipt) else ''}.</p>"
        f"{_mask_parts(mask)}"
    )


def _box(mask: Mapping[str, Any]) -> str:
    if "box" not in mask:
        return ""
    x, y, width, height = mask["box"]
    return f", within columns {text(x)} to {text(x + width - 1)} and rows {text(y)} to {text(y + height - 1)}"


def _mask_parts(mask: Mapping[str, Any]) -> str:
    """Return the masks per class and pass as a list, and who proposed them."""
    words = ""
    if "found_by" in mask:
        found = mask["found_by"]
        words = (
            f"<p>The mask was proposed by {text(found['provider'])} ({text(found['library'])}) at a threshold of "
            f"{text(found['threshold'])}; nobody is known to have looked at it.</p>"
        )
        if "sizes" in found:
            sizes = ", ".join(f"{width} x {height}" for width, height in found["sizes"])
            words += f"<p>It looked at the picture at {text(sizes)} pixels.</p>"
        if "grown" in found:
            mean, widest = found["grown"]["mean"], found["grown"]["widest"]
            words += (
                f"<p>It was grown as its rim was measured: by {text(mean)} pixels on average, up to {text(widest)}.</p>"
            )
    rows = []
    several = max((p["pass"] for p in mask.get("parts", ())), default=1) > 1
    for part in mask.get("parts", ()):
        where = f"pass {part['pass']}" if several else ""
        name = ", ".join(v for v in (where, part["class"] or "whole mask") if v)
        rows.append(f"<li>{text(name)}: {text(part['pixels'])} pixels, {text(percent(part['covered']))}</li>")
    return words + (f"<ul>{''.join(rows)}</ul>" if rows else "")


_PLACES = (("top left", "top", "top right"), ("left", "middle", "right"), ("bottom left", "bottom", "bottom right"))


def _regions(share: NDArray[np.float64], mean: NDArray[np.float64]) -> str:
    out = []
    for i in range(3):
        cells = []
        for j in range(3):
            if np.isnan(share[i, j]):
                words = "no pixels"
            else:
                words = f"{percent(float(share[i, j]))}, mean ΔE {delta(float(mean[i, j]) / EDIT_MAP_SCALE)}"
            cells.append(f"<td><small>{_PLACES[i][j]}</small>{text(words)}</td>")
        out.append(f"<tr>{''.join(cells)}</tr>")
    return "".join(out)
