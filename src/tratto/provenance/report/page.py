"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib import resources
from string import Template

from tratto.provenance.receipt import HYPOTHETICAL
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.plain import listed, percent, sentence, table_rows, text
from tratto.provenance.report.previews import pictures_of
from tratto.provenance.report.words import (
    FORENSIC_WORDS,
    TITLES,
    basis_words,
    environment,
    figures,
    hashes,
    how_to_check,
    inspection_words,
    limits,
    made_from,
    status_of,
    steps,
    warnings,
)

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
        "task": text(TITLES.get(receipt["task"], sentence(receipt["task"]))),
        "output_name": text(inputs.output_name),
        "from_line": made_from(inputs),
        "stamp": f'<div class="stamp">{text(receipt["claim"]["stamp"])}</div>' if receipt["claim"]["stamp"] else "",
        "status": text(status_of(receipt)[0]),
        "status_kind": "made-up" if receipt["claim"]["status"] == HYPOTHETICAL else "",
        "status_words": text(status_of(receipt)[1]),
        "warnings": warnings(receipt),
        "figures": figures(receipt),
        "inspection": table_rows(inspection_words(receipt["inspection"])),
        "reasons": listed(receipt["recipe"]["resolved"]["reasons"], "Why: "),
        "steps": FORENSIC_WORDS * receipt["forensic"] + steps(receipt["steps"]),
        "claim_rows": table_rows((r["where"], percent(r["share"]), r["status"]) for r in receipt["claim"]["regions"]),
        "limits": "".join(f"<li>{text(s)}</li>" for s in limits(inputs)),
        "howto": how_to_check(inputs),
        "hashes": hashes(inputs),
        "environment": environment(receipt["environment"]),
        "footer": text(
            "This report explains the receipt; where the two differ, receipt.json counts. Previews in it are reduced "
            "copies. It loads nothing from anywhere."
        ),
        "basis_words": text(basis_words(receipt)),
        **pictures_of(inputs),
    }
    return _template().substitute(values)


@lru_cache(maxsize=1)
def _template() -> Template:
    return Template(resources.files("tratto.provenance").joinpath("report.html").read_text(encoding="utf-8"))
