"""The page of a summary as one file that loads nothing: the charts are those of the server's page."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

#: Modules of the page, in the order in which they need each other.
_MODULES = ("dom.js", "charts.js")
_SHEETS = ("styles.css", "vendor/uPlot.min.css", "monitor.css")
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)
_BEGIN = """
const told = JSON.parse(document.getElementById("told").textContent);
const made = monitorCharts(told);
document.getElementById("main").append(made.element);
made.draw();
window.addEventListener("resize", made.draw);
"""


def _part(name: str) -> str:
    return resources.files("tratto").joinpath("server", "page", *name.split("/")).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def standalone(figures: Mapping[str, Any], title: str) -> str:
    """Return a page of HTML that shows a summary.

    Parameters
    ----------
    figures : mapping
        Of :func:`tratto.monitor.summary.summary`.
    title : str
        Of the window in the browser, and heading of the page.
    """
    plot = _part("vendor/uPlot.iife.min.js")
    script = "\n".join(_IMPORT.sub("", _part(name)) for name in _MODULES) + _BEGIN
    style = "\n".join(map(_part, _SHEETS)) + "\nmain { max-width: 1240px; margin: 0 auto; padding: 24px 18px; }\n"
    # nothing in it can end the element that holds it
    data = json.dumps(figures, allow_nan=False).replace("<", "\\u003c")
    policy = f"default-src 'none'; script-src {_hash(plot)} {_hash(script)}; style-src {_hash(style)}; base-uri 'none'"
    shown = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{shown}</title>\n<style>{style}</style>\n</head>\n"
        f'<body>\n<main id="main"><h1>{shown}</h1></main>\n<script id="told" type="application/json">{data}</script>\n'
        f'<script>{plot}</script>\n<script type="module">{script}</script>\n</body>\n</html>\n'
    )
