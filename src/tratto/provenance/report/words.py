"""What a report says: status, steps, limits, how to check, fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tratto.core.artifact import main_role
from tratto.core.options import PAPERS
from tratto.imaging.color import lab_to_srgb, srgb_to_lab
from tratto.provenance.lineage import lineage_rows
from tratto.provenance.receipt import (
    EVIDENCE,
    EXISTING,
    HYPOTHETICAL,
    main_output,
    maps_of,
    recoded,
)
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.plain import delta, percent, sentence, shell_quoted
from tratto.provenance.report.regions import Region, evidence, kind
from tratto.provenance.xmp import step_source_type

_SAYS = {EXISTING: "existing", EVIDENCE: "evidence", HYPOTHETICAL: "made-up"}


def status_of(receipt: Mapping[str, Any]) -> tuple[str, str]:
    """Return the headline, and the part of the page that says what it means."""
    status, (edit, _) = receipt["claim"]["status"], maps_of(receipt)
    if status == EXISTING and recoded(receipt):
        kind = main_output(receipt)["file"]["format"].upper()
        return f"Existing state, encoded again as {kind}", "says-recoded"
    # a result that does not lie over its source has no changed parts
    return sentence(status), f"says-{'' if edit is not None or status == EXISTING else 'all-'}{_SAYS[status]}"


def recoded_words(receipt: Mapping[str, Any]) -> str:
    """Return how much the encoding of the file changed."""
    share = main_output(receipt)["file"].get("recoded_fraction")
    return "samples differ" if share is None else f"{percent(share)} of its samples differ"


COMPARED = (
    "The edit map compares colours through the embedded profile; without one, samples are taken as those of sRGB."
)
FORENSIC_WORDS = "Done in forensic mode: only steps that cannot invent detail were allowed."
_BY_RULE = "by a rule of the method, which has no network"
_ESTIMATED_BY = {
    "model": "predicted by the model itself",
    "self-ensemble": "from the spread of several runs",
    "none": "none",
    "not edited": "not needed: it changed no pixel",
}
TITLES = {"restore": "Restoration", "repair": "Repair", "recolor": "Recolouring", "reface": "Face replacement"}


def made_from(inputs: ReportInputs) -> str:
    """Return what the picture was made from."""
    parts = [f"Made from {inputs.original_name}" if inputs.original_name else "The name of the source was left out"]
    page = inputs.receipt["inputs"]["picture"]["page"]
    if page:
        parts.append(f"page {page + 1}")
    return ", ".join(parts)


#: Scores of a step on views that it was not given, and what they are.
_HELD_OUT = {
    "held_out_views": "Views held out",
    "held_out_psnr": "PSNR of the views held out, dB",
    "held_out_ssim": "SSIM of the views held out",
}


def warnings(receipt: Mapping[str, Any]) -> list[str]:
    """Return what must be known first."""
    return list(dict.fromkeys([*receipt["stand_ins"], *receipt["warnings"]]))


def figures(receipt: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the figures at the head, each with what it is."""
    (edit, _), source = maps_of(receipt), receipt["inputs"]["picture"]["picture"]
    if main_role(receipt["outputs"]) != "picture":
        scene = main_output(receipt)["scene"]
        seen = (percent(scene["seen"] / scene["gaussians"]), "of them seen in photographs, the rest invented")
        return [(f"{scene['gaussians']}", "Gaussians"), seen, (_size(source), f"points of the source, {_kind(source)}")]
    out, scale = receipt["outputs"]["picture"]["picture"], receipt["outputs"]["picture"]["scale"]
    after, before = _size(out), _size(source, out["orientation"])
    if edit is None or scale is None:
        return [(after, f"points, {_kind(out)}"), (_size(source), f"points of the source, {_kind(source)}")]
    stats = edit["stats"]
    return [
        (
            percent(stats["changed_fraction"]),
            "of the pixels changed" + (", before the file was encoded" if recoded(receipt) else ""),
        ),
        (f"{delta(stats['mean'])} ΔE", f"mean change; 95 % of pixels at or below {delta(stats['p95'])}"),
        (f"{delta(stats['max'])} ΔE", "largest change"),
        (
            after,
            f"points, {_kind(out)}" + (f"; {scale} times the source's {before}" if scale > 1 else ", as the source"),
        ),
    ]


def _size(picture: Mapping[str, Any], orientation: int | None = None) -> str:
    turned = (picture["orientation"] if orientation is None else orientation) >= 5
    width, height = picture["width"], picture["height"]
    return f"{height} × {width}" if turned else f"{width} × {height}"


def _kind(picture: Mapping[str, Any]) -> str:
    return f"{_MODES[picture['mode']]}, {picture['bits']} bit" + (", with alpha" if picture["alpha"] else "")


def sections(inputs: ReportInputs) -> frozenset[str]:
    """Return which parts of a report there are, besides those that every one has."""
    with_edits = inputs.edit_map is not None and inputs.confidence is not None
    if inputs.result is None:
        kept = {"source-alone", "scene"}
    elif with_edits:
        kept = {"before-and-after", "edit-map", "closest"}
    else:
        kept = {"source-and-result"}
    optional = {
        "maps": inputs.confidence is not None,
        "inputs": bool(inputs.inputs),
        "sheet": inputs.sheet is not None,
        "papers": bool(paper_rows(inputs.receipt)),
        "statements": bool(statement_rows(inputs.receipt)),
        "lineage": bool(lineage_rows(inputs.receipt)),
    }
    edit, confidence = maps_of(inputs.receipt)
    out = main_output(inputs.receipt)
    optional |= {
        "colors": bool(colors(inputs.receipt)),
        "difference": bool(difference(inputs)),
        "original-kept": inputs.original_file is not None,
        "original-gone": inputs.original_file is None,
        "signed": inputs.signed is not None,
        "unsigned": inputs.signed is None,
        "of-confidence": confidence is not None,
        "of-edits": edit is not None,
        "of-ensembles": confidence is not None and confidence["basis"] == "self-ensemble",
        "of-alpha": edit is not None and edit["stats"]["alpha"] == "not compared",
        "of-enlarging": (out.get("scale") or 1) > 1,
        "of-jpeg": out["file"] is not None and out["file"]["format"] == "jpeg",
    }
    if confidence is not None:
        unedited = confidence["basis"] == "not edited" and recoded(inputs.receipt)
        kept.add("basis-recoded" if unedited else f"basis-{confidence['basis'].replace(' ', '-')}")
    kept.add(status_of(inputs.receipt)[1])
    return frozenset(kept | {name for name, there in optional.items() if there})


def maps_head(inputs: ReportInputs) -> str:
    """Return the head above the maps."""
    return "What changed, and how sure that is" if inputs.edit_map is not None else "How sure it is"


def maps_note(inputs: ReportInputs) -> str:
    """Return what is said below the maps."""
    files = "edit-map.png and confidence.png" if inputs.edit_map is not None else "confidence.png"
    return f"Reduced by averaging. The exact values, 16 bit, are in {files} in the bundle."


def no_edit_map(receipt: Mapping[str, Any]) -> str:
    """Return why there is no edit map; empty if there is one."""
    picture = receipt["outputs"].get("picture")
    why = None if picture is None else picture["maps"]["missing"].get("edit")
    return f"There is no edit map: {why}." if why else ""


def scene_rows(receipt: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of a scene; nothing if there is none."""
    if "scene" not in receipt["outputs"]:
        return []
    scene = receipt["outputs"]["scene"]["scene"]
    low, high = (", ".join(f"{v:g}" for v in scene[k]) for k in ("low", "high"))
    seen = f"{scene['seen']} ({percent(scene['seen'] / scene['gaussians'])})"
    held_out = [
        (_HELD_OUT[name], f"{value:.4g}")
        for step in receipt["steps"]
        for name, value in step["scores"].items()
        if name in _HELD_OUT
    ]
    return [
        ("Gaussians", str(scene["gaussians"])),
        ("Seen in photographs", seen),
        ("Invented", str(scene["gaussians"] - scene["seen"])),
        ("Degree of the spherical harmonics", str(scene["degree"])),
        *held_out,
        ("Lowest x, y, z", low),
        ("Highest x, y, z", high),
    ]


def statement_rows(receipt: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what somebody stated when the work began."""
    return [
        (s["kind"], s["by"], s["text"] + (f" (document: {s['sha256']})" if "sha256" in s else ""))
        for s in receipt["statements"]
        if s["kind"] not in PAPERS
    ]


def paper_rows(receipt: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was stated for the papers of a museum or a laboratory."""
    return [(PAPERS[s["kind"]], s["text"]) for s in receipt["statements"] if s["kind"] in PAPERS]


def colors(receipt: Mapping[str, Any]) -> list[tuple[str, tuple[float, float, float], str]]:
    """Return the colours of a repainted wall: what each is, encoded sRGB, and in words; empty without a plain one."""
    found = []
    for step in receipt["steps"]:
        color, scores = step["params"].get("color"), step["scores"]
        if step["step"] != "repaint" or color is None or "seen_lab_l" not in scores:
            continue
        asked = _three(color)
        lab = [float(scores[f"seen_lab_{axis}"]) for axis in "lab"]
        seen = _three(np.clip(lab_to_srgb(np.array(lab)), 0, 1))
        apart = f"ΔE {scores['seen_lab_distance']:.2f} (CIE 1976), {scores['seen_delta_e_2000']:.2f} (CIEDE2000)"
        wanted = srgb_to_lab(np.array(asked, np.float64))
        found += [
            ("The colour asked for", asked, f"Asked for: {_color_words(asked, wanted)}"),
            ("The colour as seen", seen, f"The wall's mean as seen: {_color_words(seen, lab)}; {apart} from it"),
        ]
    return found[:2]


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _color_words(rgb: Sequence[float], lab: Any) -> str:
    code = "".join(f"{round(255 * v):02x}" for v in rgb)
    return f"#{code}, CIELAB {', '.join(f'{float(v):.1f}' for v in lab)}"


def input_words(inputs: ReportInputs, role: str) -> str:
    """Return what is known of a second input: what it is, and how to tell it."""
    facts = inputs.receipt["inputs"][role]
    identified = f"file {facts['file']['sha256']}" if facts["file"] else f"samples {facts['samples_sha256']}"
    page = f", page {facts['page'] + 1}" if facts["page"] else ""
    return f"{sentence(role)}: {_size(facts['picture'])} pixels, {_kind(facts['picture'])}{page}; {identified}"


_MODES = {"gray": "grey", "rgb": "RGB", "cmyk": "CMYK", "palette": "palette"}


def inspection_words(inspection: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the inspection as rows: looked at, found, in plain words, how it is known.

    Examples
    --------
    >>> import numpy as np
    >>> import tratto
    >>> rows = inspection_words(tratto.inspect(np.full((64, 64, 3), 90, np.uint8)).to_json())
    >>> rows[0][0]
    'Noise'
    """
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
    rows += _octave_words(inspection.get("octaves"))
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
        "no JPEG artefacts",
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
        rows.append(("Clipped shadows and highlights", found, words, "exact: counted"))
    return rows


def _octave_words(octaves: Mapping[str, Any] | None) -> list[tuple[str, str, str, str]]:
    """Return noise by octave as rows; nothing for accounts that hold none."""
    if not octaves:
        return []
    if octaves.get("screen") is not None:
        return [("Print screen", f"{octaves['screen']:.1f} px", "a scan of print: its dots are no noise", "estimated")]
    found = " / ".join(f"{v:.1f}" for v in octaves["luma"])
    sigma, size = octaves["sigma"], octaves["size"]
    if not sigma:
        words = "nothing that can be told from fine texture"
    elif size < 1.2:
        words = f"noise of {sigma:.1f}, fine"
    else:
        words = f"noise or grain of {sigma:.1f}, spread over some {size:.1f} pixels"
    return [("Noise at 1, 2, 4, 8 pixels", found, words, "estimated: the calmest parts, octave by octave")]


@dataclass(frozen=True)
class StepWords:
    """What one step did.

    Attributes
    ----------
    title : str
        What the step is called for a reader.
    rows : tuple of (str, str, str)
        What is told, the words, and a fingerprint beside them; one of the two may be empty.
    """

    title: str
    rows: tuple[tuple[str, str, str], ...]


def steps(steps: Sequence[Mapping[str, Any]]) -> list[StepWords]:
    """Return what each step did."""
    out = []
    for i, s in enumerate(steps, 1):
        rows: list[tuple[str, str, str]] = []
        if s["provider"]:
            kind = "may invent detail" if s["generative"] else "does not invent detail"
            rows.append(("Done by", f"{s['provider']} ({kind})", ""))
            rows.append(("Digital source type", step_source_type(s).rpartition("/")[2], ""))
        if s["library"] or s["precision"]:
            rows.append(("Run with", ", ".join(v for v in (s["library"], s["precision"]) if v), ""))
        for m in s["models"]:
            use = "" if m["commercial_use"] else ", no commercial use"
            rows.append(("Model", f"{m['id']} ({m['licence'] + use})", m["sha256"]))
        if s["params"]:
            rows.append(("Settings", _settings(s["params"]), ""))
        rows.append(("Seed", str(s["seed"]), ""))
        if s["scores"]:
            rows.append(("Scores", _settings(s["scores"]), ""))
        rows.extend(("Note", n, "") for n in s["notes"])
        by_rule = s["confidence_basis"] == "model" and not s["models"]  # there is no network that could predict it
        rows.append(("Error estimate", _BY_RULE if by_rule else _ESTIMATED_BY[s["confidence_basis"]], ""))
        if s["output_digest"]:
            rows.append(("Samples after", "", s["output_digest"]))
        out.append(StepWords(f"{i}. {sentence(s['step'])}", tuple(rows)))
    return out


def _settings(params: Mapping[str, Any]) -> str:
    parts = []
    for key in sorted(params):
        value = params[key]
        if value in ({}, [], "", None):
            continue
        parts.append(f"{key.replace('_', ' ')} {_setting(value)}")
    return "; ".join(parts) or "all as they come"


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{k} {_setting(v)}" for k, v in sorted(value.items())) + ")"
    if isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
        return f"({len(value)} listed in receipt.json)"
    if isinstance(value, list):
        return "(" + ", ".join(map(_setting, value)) + ")"
    words = str(value)
    return words if len(words) <= 200 else f"({len(words)} letters, in receipt.json)"


def commands(inputs: ReportInputs) -> list[str]:
    """Return what checks, repeats and undoes the work with Tratto, in the folder of the picture."""
    name, receipt = inputs.output_name, inputs.receipt
    picture = shell_quoted(name)
    replay = f"tratto replay {shell_quoted(_bundle_of(name))}"
    if inputs.original_file is None:
        replay += f" --input {shell_quoted(inputs.original_name or 'THE-SOURCE-FILE')}"
    kept = {name.rpartition("/")[2].partition(".")[0] for name in inputs.files if name.startswith("inputs/")}
    for role in sorted(set(receipt["inputs"]) - {"picture"} - kept):
        replay += f" --input {role}=THE-{role.upper()}-FILE"
    lines = [f"tratto verify {picture}", replay]
    if inputs.original_file is not None:
        extension = inputs.original_file.rpartition(".")[2]
        lines.append(f"tratto revert {picture} -o {shell_quoted('recovered.' + extension)}")
    return lines


def checks(inputs: ReportInputs) -> list[str]:
    """Return what prints the fingerprints of the files without Tratto, each line with what it prints."""
    return [
        line for path, digest in _fingerprints(inputs) for line in (f"sha256sum {shell_quoted(path)}", f"  {digest}")
    ]


def windows_check(inputs: ReportInputs) -> str:
    """Return the same for PowerShell, in one line."""
    named = ", ".join("'" + path.replace("'", "''") + "'" for path, _ in _fingerprints(inputs))
    return f"Get-FileHash -Algorithm SHA256 -LiteralPath {named} | Format-List Path, Hash"


def difference(inputs: ReportInputs) -> str:
    """Return what shows without Tratto that nothing changed outside the mask; empty where that cannot be shown so.

    ImageMagick subtracts source and result, puts black where the mask is open, and prints the largest value.
    """
    receipt = inputs.receipt
    source, made = receipt["inputs"]["picture"], receipt["outputs"].get("picture")
    if inputs.mask is None or made is None or made["scale"] != 1 or recoded(receipt):
        return ""
    if source["picture"]["mode"] == "cmyk" or (inputs.original_file is None and not inputs.original_name):
        return ""
    folder = _bundle_of(inputs.output_name)
    before = inputs.original_name if inputs.original_file is None else f"{folder}/{inputs.original_file}"
    before += f"[{source['page']}]" if source["page"] else ""
    return (
        f"magick {shell_quoted(before)} {shell_quoted(inputs.output_name)} -alpha off -compose difference -composite "
        f'"(" {shell_quoted(f"{folder}/mask.png")} -threshold 0 -negate ")" -compose multiply -composite '
        '-format "%[fx:maxima]" info:'
    )


def _fingerprints(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Return the files of a result with their fingerprints."""
    name, receipt = inputs.output_name, inputs.receipt
    folder, file, source = _bundle_of(name), main_output(receipt)["file"], receipt["inputs"]["picture"]["file"]
    found = [(f"{folder}/receipt.json", inputs.receipt_sha256)]
    if file is not None:
        found.append((name, file["sha256"] if inputs.signed is None else inputs.signed.sha256))
    for facts, map_name in zip(maps_of(receipt), ("edit-map.png", "confidence.png"), strict=True):
        if facts is not None and facts["file_sha256"]:
            found.append((f"{folder}/{map_name}", facts["file_sha256"]))
    for path in inputs.files:
        where, _, rest = path.partition("/")
        facts = receipt[where][rest.partition(".")[0]]
        if facts["file"] is not None:
            found.append((f"{folder}/{path}", facts["file"]["sha256"]))
    if inputs.original_file is not None and source is not None:
        found.append((f"{folder}/{inputs.original_file}", source["sha256"]))
    return found


def _bundle_of(name: str) -> str:
    return name.rpartition(".")[0] + ".tratto"


def hashes(inputs: ReportInputs) -> list[tuple[str, str | None]]:
    """Return the fingerprints; None where there was no file."""
    receipt = inputs.receipt
    out, source, (edit, confidence) = main_output(receipt), receipt["inputs"]["picture"], maps_of(receipt)
    rows: list[tuple[str, str | None]] = [
        ("Receipt (receipt.json)", inputs.receipt_sha256),
        ("Source file", source["file"]["sha256"] if source["file"] else None),
        ("Source samples", source["samples_sha256"]),
        ("Result samples", out["samples_sha256"]),
        ("Result file" + (", before signing" if inputs.signed else ""), out["file"]["sha256"] if out["file"] else None),
        *([("Result file, signed", inputs.signed.sha256)] if inputs.signed else []),
    ]
    for name, facts in (("Edit map", edit), ("Confidence", confidence)):
        if facts is not None:
            rows += [(f"{name} samples", facts["samples_sha256"]), (f"{name} file", facts["file_sha256"])]
    for role, facts in sorted(receipt["inputs"].items()):
        if role != "picture":
            rows += [
                (f"Input {role}, file", facts["file"]["sha256"] if facts["file"] else None),
                (f"Input {role}, samples", facts["samples_sha256"]),
            ]
    for role, facts in sorted(receipt["outputs"].items()):
        if facts is not out:
            rows.append((f"Output {role}, samples", facts["samples_sha256"]))
    if receipt["mask"]:
        rows.append(("Mask samples", receipt["mask"]["samples_sha256"]))
    return rows


def environment(env: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what it was made with."""
    libraries = ", ".join(f"{k} {v}" for k, v in sorted(env["libraries"].items()))
    return [
        ("System", f"{env['system']}, {env['machine']}, {env['threads']} thread{'s' if env['threads'] != 1 else ''}"),
        ("Python", env["python"]),
        ("Libraries", libraries or "none listed"),
        ("Processor features", " ".join(env["cpu_flags"]) or "not known"),
    ]


#: Heads of the table of regions.
REGION_HEADS = ("Region", "Of the picture", "Changed in it", "Kind", "Expected error", "Evidence", "Claim")


def region_rows(inputs: ReportInputs, regions: Sequence[Region]) -> list[tuple[str, ...]]:
    """Return the rows of the table of regions, the last one for all that stands outside of them."""
    receipt = inputs.receipt
    _, confidence = maps_of(receipt)
    basis = "none" if confidence is None else confidence["basis"]
    rows: list[tuple[str, ...]] = []
    for i, r in enumerate(regions, 1):
        if r.box is None:
            where = f"{r.count} smaller {'one' if r.count == 1 else 'ones'}"
        else:
            x, y, w, h = r.box
            where = f"{i}: columns {x} to {x + w - 1}, rows {y} to {y + h - 1}"
        error = "none stated" if r.error is None else f"{r.error:.1f} of 255 ({basis})"
        changed = f"{percent(r.changed)}; ΔE mean {delta(r.mean)}, most {delta(r.largest)}"
        rows.append((where, percent(r.share), changed, kind(receipt, r), error, evidence(receipt, r.status), r.status))
    rest = 1 - sum(r.share for r in regions)
    if not regions or rest > 1e-9:
        scale = main_output(receipt)["scale"]
        last = receipt["claim"]["regions"][0]["status"] if not regions or scale > 1 else EXISTING
        enlarged = "the source itself, unchanged"
        if scale > 1:
            enlarged = f"the source, enlarged by the {main_output(receipt)['kernel']} kernel"
        where = "everywhere else" if regions else "the whole picture"
        rows.append(
            (where, percent(max(0.0, rest)), "0 %", "enlarged" if scale > 1 else "unchanged", "none", enlarged, last)
        )
    return rows
