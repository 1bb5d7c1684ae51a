"""The report: one HTML file for people, with everything inside it and nothing loaded from outside.

Names, notes and metadata may come from anybody, so every text is escaped, and a content security policy forbids
everything but the inlined pictures, the style sheet and the one script whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape
from importlib import resources
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.image import Image
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE
from tratto.imaging.color import view_note
from tratto.provenance import pictures as pic
from tratto.provenance.receipt import EVIDENCE, EXISTING, HYPOTHETICAL, FileFacts, recoded

PREVIEW = 1400  # longest side of the before and after previews, pixels
MAP_PREVIEW = 900  # of the maps
CROP = 240  # side of the details

# Where scripts may not run, the two pictures simply stand side by side.
_SCRIPT = """(function () {
  var box = document.getElementById('compare'), stage = box && box.querySelector('.stage');
  if (!stage) { return; }
  var slider = document.createElement('input'), line = document.createElement('div'), overlay = null;
  slider.type = 'range'; slider.min = 0; slider.max = 100; slider.step = 0.1; slider.value = 50;
  slider.setAttribute('aria-label', 'Move between before and after');
  line.className = 'line';
  slider.addEventListener('input', function () { box.style.setProperty('--cut', slider.value + '%'); });
  stage.appendChild(slider); stage.appendChild(line);
  document.getElementById('tools').addEventListener('change', function (e) {
    if (overlay) { overlay.remove(); overlay = null; }
    var map = e.target.value && document.getElementById(e.target.value);
    if (map) {
      overlay = document.createElement('img');
      overlay.className = 'overlay'; overlay.alt = ''; overlay.src = map.src;
      stage.insertBefore(overlay, slider);
    }
  });
  box.classList.add('live');
})();
"""


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What a report is made from.

    Attributes
    ----------
    receipt : mapping
        Final, valid.
    receipt_sha256 : str
    source, result : Image
    edit_map, confidence : (H, W) uint16 arrays
        In the geometry of ``result``.
    output_name : str
        File name of the picture.
    original_name : str
        File name of the input; empty to leave it out.
    original_file : str or None
        Name of the original inside the bundle.
    signed : FileFacts or None
        Of the picture file once it is signed; None: it is not.
    """

    receipt: Mapping[str, Any]
    receipt_sha256: str
    source: Image
    result: Image
    edit_map: NDArray[np.uint16]
    confidence: NDArray[np.uint16]
    output_name: str
    original_name: str = ""
    original_file: str | None = None
    signed: FileFacts | None = None


def render_report(inputs: ReportInputs) -> str:
    """Return the report as a complete HTML document.

    Previews are reduced to at most 1400 pixels a side and turned upright; an enlarged result is compared with the
    source enlarged by the kernel the receipt states.
    """
    receipt = inputs.receipt
    values = {
        "script": _SCRIPT,
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode("ascii"),
        "title": text(f"{inputs.output_name}: Tratto report"),
        "version": text(receipt["tool"]["version"]),
        "task": text(_TITLES.get(receipt["task"], _sentence(receipt["task"]))),
        "output_name": text(inputs.output_name),
        "from_line": _from_line(inputs),
        "stamp": f'<div class="stamp">{text(receipt["claim"]["stamp"])}</div>' if receipt["claim"]["stamp"] else "",
        "status": text(_status(receipt)[0]),
        "status_kind": "made-up" if receipt["claim"]["status"] == HYPOTHETICAL else "",
        "status_words": text(_status(receipt)[1]),
        "warnings": _warnings(receipt),
        "figures": _figures(receipt),
        "inspection": _rows(inspection_words(receipt["inspection"])),
        "reasons": _list(receipt["recipe"]["resolved"]["reasons"], "Why: "),
        "steps": _FORENSIC * receipt["forensic"] + _steps(receipt["steps"]),
        "claim_rows": _rows((r["where"], percent(r["share"]), r["status"]) for r in receipt["claim"]["regions"]),
        "limits": "".join(f"<li>{text(s)}</li>" for s in _limits(inputs)),
        "howto": _howto(inputs),
        "hashes": _hashes(inputs),
        "environment": _environment(receipt["environment"]),
        "footer": text(
            "This report explains the receipt; where the two differ, receipt.json counts. Previews in it are reduced "
            "copies. It loads nothing from anywhere."
        ),
        "basis_words": text(_basis_words(receipt)),
        **_pictures(inputs),
    }
    return _template().substitute(values)


#: Which pictures of a report, in the order they stand in it, show the state before and after.
SHOWS_BEFORE, SHOWS_AFTER = frozenset({0, 6}), frozenset({1, 7})

# a text in the page holds no plain quotation mark, so only real pictures can match
_PICTURE = re.compile(r'src="data:image/(png|jpeg);base64,([A-Za-z0-9+/=]*)"')
_HEADING = re.compile(r"<h1>(.*?)</h1>", re.DOTALL)
# Another version of an encoder or of NumPy: a level of a coloured map may jump by one, at most 13 of 255 in a channel,
# and JPEG rounds otherwise.
_ALIKE = 24


def named_in(report: str) -> str:
    """Return the file name that a report gives to its picture; empty if it gives none."""
    found = _HEADING.search(report)
    return "" if found is None else unescape(found.group(1))


def as_named(name: str) -> str:
    """Return a file name as :func:`named_in` gives it back: with odd characters made visible."""
    return unescape(text(name))


def compare_reports(stored: str, fresh: str, skip: frozenset[int] = frozenset()) -> tuple[str, bool]:
    """Compare a report with one that was made again.

    Parameters
    ----------
    stored, fresh : str
        HTML.
    skip : set of int
        Pictures, by their place, that are not compared.

    Returns
    -------
    wrong : str
        What differs; empty if nothing does.
    alike : bool
        True if some picture is not the same byte by byte, but shows the same.
    """
    if _PICTURE.sub("", stored) != _PICTURE.sub("", fresh):
        return "its words or its form differ", False
    alike = False
    for i, (one, two) in enumerate(zip(_PICTURE.finditer(stored), _PICTURE.finditer(fresh), strict=True)):
        if i in skip or one.group() == two.group():
            continue
        if not _look_alike(one.group(2), two.group(2)):
            return f"picture {i + 1} of it shows something else", False
        alike = True
    return "", alike


def _look_alike(one: str, two: str) -> bool:
    from PIL import Image as Pil

    try:
        with Pil.open(io.BytesIO(base64.b64decode(two))) as picture:
            b = np.asarray(picture.convert("RGB")).astype(np.int16)
        # the other comes from the file: nothing is decoded that is not of the size expected
        with Pil.open(io.BytesIO(base64.b64decode(one, validate=True)), formats=("PNG", "JPEG")) as picture:
            if picture.size != (b.shape[1], b.shape[0]):
                return False
            a = np.asarray(picture.convert("RGB")).astype(np.int16)
    except (OSError, ValueError, SyntaxError, Pil.DecompressionBombError):
        return False
    return int(np.abs(a - b).max()) <= _ALIKE


def text(value: object) -> str:
    """Return something as escaped HTML text, control and direction characters made visible.

    A file name with a right-to-left override can pretend to be another one; a NUL or an escape can upset a terminal
    that the page is pasted into.
    """
    clean = "".join("\ufffd" if unicodedata.category(c)[0] == "C" and c != "\n" else c for c in str(value))
    return escape(clean, quote=True)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds a change away."""
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    p = share * 100
    if p < 0.01:
        return "under 0.01 %"
    if p > 99.99:
        return "over 99.99 %"
    return f"{p:.2f} %" if p < 1 or p > 99 else f"{p:.1f} %"


def delta(value: float) -> str:
    """Return a Delta-E with two digits after the point that never rounds a change away."""
    if value == 0:
        return "0"
    return "under 0.01" if value < 0.01 else f"{value:.2f}"


@lru_cache(maxsize=1)
def _template() -> Template:
    return Template(resources.files("tratto.provenance").joinpath("report.html").read_text(encoding="utf-8"))


# ----------------------------------------------------------------------------------------------------------- pictures


def _pictures(inputs: ReportInputs) -> dict[str, str]:
    """Return the previews, maps, legends and crops, with the words beside them."""
    receipt = inputs.receipt
    scale, kernel = receipt["output"]["scale"], receipt["output"]["kernel"]
    turn = _turner(inputs.result.meta.orientation)
    after_view = pic.view_of(inputs.result)
    before_view = pic.enlarged_view(inputs.source, scale, kernel)
    # a source larger than the preview would only be enlarged to be reduced again
    fits = max(inputs.source.width, inputs.source.height) >= PREVIEW
    before = turn(pic.on_checkers(pic.shrink(pic.view_of(inputs.source) if fits else before_view, PREVIEW)))
    after = turn(pic.on_checkers(pic.shrink(after_view, PREVIEW)))
    height, width = after.shape[:2]

    edits = pic.shrink(pic.map_view(inputs.edit_map, _delta_e), MAP_PREVIEW)[..., 0]
    errors = pic.shrink(pic.map_view(inputs.confidence, _error), MAP_PREVIEW)[..., 0]
    edit_top = _nice_top(edits, (1, 2, 3, 4, 6, 8, 12, 16, 20, 30, 40, 60, 80, 120))
    error_top = _nice_top(errors, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64))

    y0, y1, x0, x1 = pic.busiest(inputs.edit_map, CROP)
    crop_edit = _delta_e(np.asarray(inputs.edit_map[y0:y1, x0:x1]))
    share, mean = pic.thirds(inputs.edit_map)
    unchanged = receipt["maps"]["edit"]["stats"]["changed_fraction"] == 0
    return {
        "before": pic.jpeg_uri(before),
        "after": pic.jpeg_uri(after),
        "preview_w": str(width),
        "preview_h": str(height),
        "aspect": f"{width / height:.5f}",
        "shape": "tall" if height > width * 1.05 else "wide",
        "before_note": text(f", enlarged {scale} times by the {kernel} kernel" if scale > 1 else ""),
        "preview_note": text(_preview_note(inputs, max(height, width))),
        "edit_map": pic.ramp_uri(turn(edits), edit_top, pic.EDIT_RAMP),
        "edit_legend": pic.legend_uri(pic.EDIT_RAMP),
        "edit_ticks": _ticks(edit_top, " ΔE"),
        "confidence_map": pic.ramp_uri(turn(errors), error_top, pic.CONFIDENCE_RAMP),
        "confidence_legend": pic.legend_uri(pic.CONFIDENCE_RAMP),
        "confidence_ticks": _ticks(error_top, "/255"),
        "crop_words": text(_crop_words(inputs, (y0, y1, x0, x1), unchanged)),
        "crop_before": pic.png_uri(turn(_crop(before_view, (y0, y1, x0, x1)))),
        "crop_after": pic.png_uri(turn(_crop(after_view, (y0, y1, x0, x1)))),
        "crop_edit": pic.ramp_uri(turn(crop_edit), edit_top, pic.EDIT_RAMP),
        "regions": _regions(turn(share), turn(mean)),
        "mask_words": _mask_words(receipt),
    }


_FULL = CONFIDENCE_FULL * 255  # the error, in 255ths, that confidence 0 stands for


def _turner(orientation: int) -> Any:
    from tratto.imaging.io import oriented

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


def _crop_words(inputs: ReportInputs, box: tuple[int, int, int, int], unchanged: bool) -> str:
    y0, y1, x0, x1 = box
    if unchanged:
        return "Nothing changed, so this is simply the top left corner, one picture point to one screen point."
    where = f"{x1 - x0} × {y1 - y0} points from column {x0}, row {y0} of the file"
    return f"The part that changed most, one picture point to one screen point: {where}."


def _preview_note(inputs: ReportInputs, side: int) -> str:
    note = "The previews are JPEG copies"
    if side < max(inputs.result.width, inputs.result.height):
        note += f" reduced to {side} points on the longer side"
    return f"{note}. How they are shown: {view_note(inputs.result)}."


def _mask_words(receipt: Mapping[str, Any]) -> str:
    mask = receipt["mask"]
    if mask is None:
        return ""
    source = "the source" if receipt["output"]["scale"] == 1 else "the enlarged source"
    return (
        f"<p>A mask allowed change in {text(percent(mask['covered']))} of the picture. Outside it, every sample is "
        f"that of {source}{', before it was encoded in the file' if recoded(receipt) else ''}.</p>"
    )


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


# -------------------------------------------------------------------------------------------------------------- words

_STATUS_WORDS = {
    EXISTING: "Nothing was changed: the result holds the same samples as the source.",
    EVIDENCE: (
        "Changed pixels are estimates computed from the source itself. No step was of a kind that invents detail; how "
        "far each estimate may be off is in the confidence map."
    ),
    HYPOTHETICAL: (
        "At least one step may have put in detail that the source does not hold. It may look right and be wrong. Do "
        "not read fine detail in the changed parts as evidence."
    ),
}


def _status(receipt: Mapping[str, Any]) -> tuple[str, str]:
    """Return the headline and what it means."""
    status = receipt["claim"]["status"]
    if status != EXISTING or not recoded(receipt):
        return _sentence(status), _STATUS_WORDS[status]
    kind = receipt["output"]["file"]["format"].upper()
    return (
        f"Existing state, encoded again as {kind}",
        f"No step changed anything, but the picture was encoded again as {kind}, and {_recoded_words(receipt)} from "
        "those of the source. The maps describe the picture before that.",
    )


def _recoded_words(receipt: Mapping[str, Any]) -> str:
    share = receipt["output"]["file"].get("recoded_fraction")
    return "samples differ" if share is None else f"{percent(share)} of its samples differ"


_BASIS_WORDS = {
    "model": "The model itself predicted it.",
    "self-ensemble": "Taken from how much several runs on turned copies disagree; this tends to be too small.",
    "mixed": "Partly predicted by a model, partly from how much several runs disagree.",
    "none": "No step estimated its error, so edited places claim no confidence at all.",
    "not edited": "Nothing was edited, so nothing was lost.",
}


def _basis_words(receipt: Mapping[str, Any]) -> str:
    basis = receipt["maps"]["confidence"]["basis"]
    if basis == "not edited" and recoded(receipt):
        return "Nothing was edited. What the encoding of the file lost is not in this map."
    return _BASIS_WORDS[basis]


_FORENSIC = "<p>Done in forensic mode: only steps that cannot invent detail were allowed.</p>"

_ESTIMATED_BY = {
    "model": "predicted by the model itself",
    "self-ensemble": "from the spread of several runs",
    "none": "none",
}

_TITLES = {"restore": "Restoration", "repair": "Repair", "recolor": "Recolouring", "reface": "Face replacement"}


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _from_line(inputs: ReportInputs) -> str:
    parts = [f"Made from {inputs.original_name}" if inputs.original_name else "The name of the source was left out"]
    page = inputs.receipt["input"]["page"]
    if page:
        parts.append(f"page {page + 1}")
    return text(", ".join(parts))


def _warnings(receipt: Mapping[str, Any]) -> str:
    every = list(dict.fromkeys([*receipt["stand_ins"], *receipt["warnings"]]))
    if not every:
        return ""
    return '<div class="warn"><b>Please note</b><ul>' + "".join(f"<li>{text(w)}</li>" for w in every) + "</ul></div>"


def _figures(receipt: Mapping[str, Any]) -> str:
    stats, source, out = receipt["maps"]["edit"]["stats"], receipt["input"]["picture"], receipt["output"]["picture"]
    turned = out["orientation"] >= 5
    before = f"{source['height']} × {source['width']}" if turned else f"{source['width']} × {source['height']}"
    after = f"{out['height']} × {out['width']}" if turned else f"{out['width']} × {out['height']}"
    kind = f"{_MODES[out['mode']]}, {out['bits']} bit" + (", with alpha" if out["alpha"] else "")
    scale = receipt["output"]["scale"]
    cells = [
        (
            percent(stats["changed_fraction"]),
            "of the pixels changed" + (", before the file was encoded" if recoded(receipt) else ""),
        ),
        (f"{delta(stats['mean'])} ΔE", f"mean change; 95 % of pixels at or below {delta(stats['p95'])}"),
        (f"{delta(stats['max'])} ΔE", "largest change"),
        (after, f"points, {kind}" + (f"; {scale} times the source's {before}" if scale > 1 else ", as the source")),
    ]
    return "".join(f"<div><b>{text(b)}</b><span>{text(s)}</span></div>" for b, s in cells)


_MODES = {"gray": "grey", "rgb": "RGB", "cmyk": "CMYK", "palette": "palette"}


def inspection_words(inspection: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the inspection as rows: looked at, found, in plain words, how it is known."""
    rows = []

    def row(
        title: str, estimate: Mapping[str, Any], unit: str, words: Sequence[tuple[float, str]], nothing: str
    ) -> None:
        value = estimate["value"]
        how = estimate["basis"] + (f": {estimate['note']}" if estimate["note"] else "")
        if value is None:
            rows.append((title, "none", nothing, how))
        else:
            rows.append((title, f"{value:.3g}{unit}", next(w for top, w in words if value < top), how))

    inf = float("inf")
    row(
        "Noise",
        inspection["noise_sigma"],
        " / 255",
        [
            (1.0, "next to none"),
            (3.0, "slight, seen only when enlarged"),
            (8.0, "plain in even areas"),
            (20.0, "strong"),
            (inf, "very strong, fine detail is buried"),
        ],
        "could not be measured",
    )
    row(
        "JPEG quality",
        inspection["jpeg_quality"],
        " of 100",
        [
            (30.0, "very strong compression, blocks are plain"),
            (60.0, "strong compression"),
            (80.0, "moderate compression"),
            (93.0, "light compression"),
            (inf, "hardly any loss"),
        ],
        "no trace of JPEG compression",
    )
    row(
        "Blur",
        inspection["blur_sigma"],
        " px",
        [(0.8, "sharp"), (1.3, "normal for a photograph"), (2.5, "soft"), (inf, "clearly blurred")],
        "no edge was good enough to tell",
    )
    row(
        "Earlier enlargement",
        inspection["upscale"],
        " ×",
        [(1.05, "none found"), (inf, "seems to have been enlarged before; the detail is not there")],
        "could not be measured",
    )
    low, high = inspection.get("clipped_low"), inspection.get("clipped_high")
    if isinstance(low, float | int) and isinstance(high, float | int):
        worst = max(low, high)
        words = "nothing lost" if worst < 0.001 else "some lost" if worst < 0.02 else "much lost, cannot be regained"
        found = f"{percent(low)} black, {percent(high)} white"
        rows.append(("Clipped shadows and lights", found, words, "exact: counted"))
    return rows


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    if not steps:
        return "<p>No step was run: the picture was left alone.</p>"
    out = []
    for i, s in enumerate(steps, 1):
        rows: list[tuple[str, str]] = []
        if s["provider"]:
            kind = "may invent detail" if s["generative"] else "does not invent detail"
            rows.append(("Done by", text(f"{s['provider']} ({kind})")))
        if s["library"] or s["precision"]:
            rows.append(("Run with", text(", ".join(v for v in (s["library"], s["precision"]) if v))))
        for m in s["models"]:
            use = "" if m["commercial_use"] else ", no commercial use"
            rows.append(("Model", f"{text(m['id'])} ({text(m['licence'] + use)})<br>{_hash(m['sha256'])}"))
        if s["params"]:
            rows.append(("Settings", text(_settings(s["params"]))))
        rows.append(("Seed", text(s["seed"])))
        if s["scores"]:
            rows.append(("Scores", text(_settings(s["scores"]))))
        rows.extend(("Note", text(n)) for n in s["notes"])
        rows.append(("Error estimate", text(_ESTIMATED_BY[s["confidence_basis"]])))
        if s["output_digest"]:
            rows.append(("Samples after", _hash(s["output_digest"])))
        body = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in rows)
        out.append(
            f'<div class="step"><h3>{i}. {text(_sentence(s["step"]))}</h3>'
            f'<table class="facts"><tbody>{body}</tbody></table></div>'
        )
    return "".join(out)


def _settings(params: Mapping[str, Any]) -> str:
    parts = []
    for key in sorted(params):
        value = params[key]
        if value in ({}, [], "", None):
            continue
        shown = (
            f"{value:g}" if isinstance(value, float) else "yes" if value is True else "no" if value is False else value
        )
        parts.append(f"{key.replace('_', ' ')} {shown}")
    return "; ".join(parts) or "all as they come"


def _limits(inputs: ReportInputs) -> list[str]:
    receipt = inputs.receipt
    limits = [
        "The confidence map says how far the tool believes it may be from the undamaged picture. It cannot know what "
        "stood in front of the camera or on the canvas.",
        "The edit map compares colours as they are shown in sRGB. A changed sample always counts as changed, even "
        "where the difference cannot be seen.",
        "What was found in the source is measured where it says exact, and an estimate otherwise.",
        "The fingerprints show that nothing was altered after the work was sealed. They do not show who did the work: "
        "whoever can change every file of a bundle can also make a new, consistent one. Keep the receipt's "
        "fingerprint somewhere else if that matters.",
        "The same recipe gives the same samples on the same kind of machine with the same library versions; elsewhere "
        "the last digit may differ.",
    ]
    if receipt["maps"]["confidence"]["basis"] == "self-ensemble":
        limits.append("Errors that all runs of the self-ensemble share do not show in the confidence map.")
    if receipt["maps"]["edit"]["stats"]["alpha"] == "not compared":
        limits.append("The alpha channel was enlarged and not compared.")
    if receipt["output"]["scale"] > 1:
        limits.append("Enlarging adds pixels, not knowledge: fine detail in them is inferred from the coarser source.")
    file = receipt["output"]["file"]
    if file is not None and file["format"] == "jpeg":
        limits.append(
            f"The picture was written as JPEG, which loses some of it: {_recoded_words(receipt)} from those of the "
            "result, outside the changed parts too. The maps describe the result before that loss."
        )
    return limits


def _howto(inputs: ReportInputs) -> str:
    name = inputs.output_name
    folder = name.rpartition(".")[0] + ".tratto"
    receipt = inputs.receipt
    picture, bundle = _quoted(name), _quoted(folder)
    source = receipt["input"]["file"]
    ending = (inputs.original_file or "original").rpartition(".")[2]
    replay = f"tratto replay {bundle}"
    if inputs.original_file is None:
        replay += f" --input {_quoted(inputs.original_name or 'THE-SOURCE-FILE')}"
    parts = ["<p>With Tratto, in the folder of the picture. Nothing is sent anywhere.</p>"]
    commands = [f"tratto verify {picture}", replay]
    if inputs.original_file is not None:
        commands.append(f"tratto revert {picture} -o {_quoted('recovered.' + ending)}")
    parts.append(_pre(commands))
    parts.append(
        "<p>The first answers authentic, altered or unknown. The second does the work again and says how exactly it "
        "agrees."
        + (
            " The third gives back the source file, byte for byte.</p>"
            if inputs.original_file is not None
            else " The source file was not kept here, so this bundle cannot undo the work.</p>"
        )
    )
    parts.append(
        "<p>Without Tratto, on any system with <code>sha256sum</code> (each line prints the fingerprint shown):</p>"
    )
    plain = [f"{inputs.receipt_sha256}  {_quoted(folder + '/receipt.json')}"]
    file = receipt["output"]["file"]
    if file is not None:
        plain.append(f"{file['sha256'] if inputs.signed is None else inputs.signed.sha256}  {picture}")
    for key, map_name in (("edit", "edit-map.png"), ("confidence", "confidence.png")):
        if receipt["maps"][key]["file_sha256"]:
            plain.append(f"{receipt['maps'][key]['file_sha256']}  {_quoted(f'{folder}/{map_name}')}")
    if inputs.original_file is not None and source is not None:
        plain.append(f"{source['sha256']}  {_quoted(f'{folder}/{inputs.original_file}')}")
    checks = []
    for line in plain:
        digest, _, path = line.partition("  ")
        checks += [f"sha256sum {path}", f"  {digest}"]
    parts.append(_pre(checks))
    if inputs.signed is None:
        parts.append("<p>The picture is unsigned: nothing in it says who made it.</p>")
    else:
        parts.append(
            "<p>The picture is signed with content credentials (C2PA), which other programs can read, too. Who signed, "
            "and whether you trust them, is not for this page to say: see what the first command answers.</p>"
        )
    parts.append(
        "<p>If <code>ledger.json</code> lies beside this page, the seal of this bundle is recorded in a ledger, and "
        "anybody can check that with the stand-alone program that <code>tratto ledger verifier</code> writes.</p>"
    )
    if inputs.original_file is not None:
        parts.append(
            f"<p>To undo without Tratto, copy <code>{text(inputs.original_file)}</code> out of the bundle: it is the "
            "source file itself.</p>"
        )
    return "".join(parts)


def _quoted(name: str) -> str:
    # a leading dash would be read as an option
    return shlex.quote("./" + name if name.startswith("-") else name)


def _pre(lines: Iterable[str]) -> str:
    return f"<pre>{text(chr(10).join(lines))}</pre>"


def _hashes(inputs: ReportInputs) -> str:
    receipt = inputs.receipt
    out, source, maps = receipt["output"], receipt["input"], receipt["maps"]
    rows: list[tuple[str, str | None]] = [
        ("Receipt (receipt.json)", inputs.receipt_sha256),
        ("Source file", source["file"]["sha256"] if source["file"] else None),
        ("Source samples", source["samples_sha256"]),
        ("Result samples", out["samples_sha256"]),
        ("Result file" + (", before signing" if inputs.signed else ""), out["file"]["sha256"] if out["file"] else None),
        *([("Result file, signed", inputs.signed.sha256)] if inputs.signed else []),
        ("Edit map samples", maps["edit"]["samples_sha256"]),
        ("Edit map file", maps["edit"]["file_sha256"]),
        ("Confidence samples", maps["confidence"]["samples_sha256"]),
        ("Confidence file", maps["confidence"]["file_sha256"]),
    ]
    if receipt["mask"]:
        rows.append(("Mask samples", receipt["mask"]["samples_sha256"]))
    cells = ((k, _hash(v) if v else "none: there was no file") for k, v in rows)
    return "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in cells)


def _environment(env: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{k} {v}" for k, v in sorted(env["libraries"].items()))
    rows = [
        ("System", f"{env['system']}, {env['machine']}, {env['threads']} thread{'s' if env['threads'] != 1 else ''}"),
        ("Python", env["python"]),
        ("Libraries", libraries or "none listed"),
        ("Processor features", " ".join(env["cpu_flags"]) or "not known"),
    ]
    return "".join(f"<tr><th>{k}</th><td>{text(v)}</td></tr>" for k, v in rows)


def _hash(digest: str) -> str:
    return f'<span class="hash">{text(digest)}</span>'


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "".join("<tr>" + "".join(f"<td>{text(c)}</td>" for c in row) + "</tr>" for row in rows)


def _list(items: Sequence[str], lead: str) -> str:
    if not items:
        return ""
    if len(items) == 1:
        return f"<p>{text(lead + items[0])}.</p>"
    return f"<p>{text(lead.strip())}</p><ul>" + "".join(f"<li>{text(i)}</li>" for i in items) + "</ul>"
