"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from string import Template
from typing import Any

from tratto.provenance.lineage import LINEAGE_WORDS, lineage_rows
from tratto.provenance.receipt import HYPOTHETICAL, main_output
from tratto.provenance.report import words as say
from tratto.provenance.report.compare import input_alt
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.plain import hash_span, listed, percent, sentence, table_rows, text
from tratto.provenance.report.previews import numbered, pictures_of, swatch
from tratto.provenance.report.regions import regions_of


@dataclass(frozen=True)
class Checked:
    """What a printed report says beyond that of the bundle, which was made before all was known.

    Attributes
    ----------
    verdict : str
        What checking said when this was made: a word.
    reasons : tuple of str
        Why.
    proof : mapping of str to str
        What the ledger's proof says, as rows; empty: there is none.
    when : str
        When this was made.
    written : str
        When the bundle was written, by the clock of that machine; empty: it does not say.

    Examples
    --------
    >>> Checked("authentic", ("every file is as it was sealed",), {}).verdict
    'authentic'
    """

    verdict: str
    reasons: tuple[str, ...]
    proof: Mapping[str, str]
    when: str = ""
    written: str = ""


def render_report(inputs: ReportInputs, checked: Checked | None = None) -> str:
    """Return the report as a complete HTML document.

    Previews are reduced to at most 1400 pixels a side and turned upright; an enlarged result is compared with the
    source enlarged by the kernel the receipt states.

    Examples
    --------
    >>> import numpy as np
    >>> import tratto
    >>> result = tratto.restore(np.full((16, 16, 3), 90, np.uint8))
    >>> maps = (result.edit_map, result.confidence)
    >>> html = render_report(ReportInputs(result.receipt, "9f2c", result.image, result.image, *maps, "wall.png"))
    >>> html.startswith("<!DOCTYPE html>") or html.startswith("<!doctype html>"), "wall.png" in html
    (True, True)
    """
    receipt = inputs.receipt
    file = main_output(receipt)["file"]
    script = _resource("report.js")  # where it may not run, the two pictures simply stand side by side
    values = {
        "script": script,
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        "footer_name": _in_css(inputs.output_name),
        "title": text(f"{inputs.output_name}: Tratto report"),
        "version": text(receipt["tool"]["version"]),
        "task": text(say.TITLES.get(receipt["task"], sentence(receipt["task"]))),
        "output_name": text(inputs.output_name),
        "from_line": text(say.made_from(inputs)),
        "stamp": f'<div class="stamp">{text(receipt["claim"]["stamp"])}</div>' if receipt["claim"]["stamp"] else "",
        "status": text(say.status_of(receipt)[0]),
        "status_kind": "made-up" if receipt["claim"]["status"] == HYPOTHETICAL else "",
        "warnings": _warnings(receipt),
        "figures": "".join(f"<div><b>{text(b)}</b><span>{text(s)}</span></div>" for b, s in say.figures(receipt)),
        "inspection": table_rows(say.inspection_words(receipt["inspection"])),
        "reasons": listed(receipt["recipe"]["resolved"]["reasons"], "Why: "),
        "steps": f"<p>{say.FORENSIC_WORDS}</p>" * receipt["forensic"] + _steps(receipt),
        "claim_rows": table_rows((r["where"], percent(r["share"]), r["status"]) for r in receipt["claim"]["regions"]),
        "compared": text(say.COMPARED),
        "format": "" if file is None else text(file["format"].upper()),
        "recoded": "" if file is None else text(say.recoded_words(receipt)),
        "commands": text("\n".join(say.commands(inputs))),
        "checks": text("\n".join(say.checks(inputs))),
        "windows_check": text(say.windows_check(inputs)),
        "difference": text(say.difference(inputs)),
        "original": text(inputs.original_file or ""),
        "hashes": _facts((k, hash_span(v) if v else "none: there was no file") for k, v in say.hashes(inputs)),
        "environment": _facts((k, text(v)) for k, v in say.environment(receipt["environment"])),
        "footer": text(
            "This report explains the receipt; where the two differ, receipt.json counts. Previews in it are reduced "
            "copies. It loads nothing from anywhere."
        ),
        "maps_head": text(say.maps_head(inputs)),
        "maps_note": text(say.maps_note(inputs)),
        "no_edit_map": text(say.no_edit_map(receipt)),
        "scene_rows": _facts((k, text(v)) for k, v in say.scene_rows(receipt)),
        "lineage_words": text(LINEAGE_WORDS),
        "lineage_rows": table_rows(lineage_rows(receipt)),
        "paper_rows": _facts((k, text(v)) for k, v in say.paper_rows(receipt)),
        "statement_rows": table_rows(say.statement_rows(receipt)),
        **pictures_of(inputs),
    }
    if inputs.edit_map is not None and inputs.confidence is not None:
        regions = regions_of(receipt, inputs.edit_map, inputs.confidence, inputs.mask, inputs.parts)
        values["region_heads"] = "".join(f"<th>{text(h)}</th>" for h in say.REGION_HEADS)
        values["region_rows"] = table_rows(say.region_rows(inputs, regions))
        values["numbered"] = numbered(inputs, regions)
    values["input_figures"] = "".join(
        f'<figure><img src="{values[f"input {role}"]}" alt="{text(input_alt(role))}">'
        f"<figcaption>{text(say.input_words(inputs, role))}</figcaption></figure>"
        for role in sorted(inputs.inputs)
    )
    values["color_figures"] = "".join(
        f'<figure><img src="{swatch(rgb)}" alt="{text(name)}"><figcaption>{text(words)}</figcaption></figure>'
        for name, rgb, words in say.colors(receipt)
    )
    parts = say.sections(inputs)
    if values.get("numbered"):
        parts |= {"numbered"}
    if checked is not None:
        parts |= {"checked", "proof" if checked.proof else "no-proof"}
        values["verdict"] = text(checked.verdict)
        values["dates"] = text(
            f"Printed {checked.when}." + (f" The account was written {checked.written}." if checked.written else "")
        )
        values["verdict_reasons"] = _items(checked.reasons)
        values["proof_rows"] = _facts((text(k), hash_span(v)) for k, v in checked.proof.items())
    return Template(_with_sections(_resource("report.html"), parts)).substitute(values)


_SECTION = re.compile(r"<!--section ([a-z-]+)-->\n((?:(?!<!--section ).)*?)<!--end-->\n", re.DOTALL)


def _with_sections(page: str, kept: Collection[str]) -> str:
    """Return the template with those of its sections that apply; the innermost are looked at first."""
    while _SECTION.search(page):
        page = _SECTION.sub(lambda m: m.group(2) if m.group(1) in kept else "", page)
    return page


@lru_cache(maxsize=2)
def _resource(name: str) -> str:
    return resources.files("tratto.provenance").joinpath(name).read_text(encoding="utf-8")


def _items(sentences: Iterable[str]) -> str:
    return "".join(f"<li>{text(s)}</li>" for s in sentences)


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in rows)


def _warnings(receipt: Mapping[str, Any]) -> str:
    every = say.warnings(receipt)
    if not every:
        return ""
    return f'<div class="warn"><b>Please note</b><ul>{_items(every)}</ul></div>'


def _steps(receipt: Mapping[str, Any]) -> str:
    if not receipt["steps"]:
        return "<p>No step was run: the picture was left alone.</p>"
    out = []
    for step in say.steps(receipt["steps"]):
        body = _facts(
            (k, "<br>".join(v for v in (text(words), hash_span(digest) if digest else "") if v))
            for k, words, digest in step.rows
        )
        out.append(
            f'<div class="step"><h3>{text(step.title)}</h3><table class="facts"><tbody>{body}</tbody></table></div>'
        )
    return "".join(out)


def _in_css(name: str) -> str:
    """Return a file name as it may stand in a quoted string of the style sheet: letters, digits and a few signs."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "?" for c in name)[:80]
