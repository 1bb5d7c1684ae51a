"""The report: one HTML file for people, with everything inside it and nothing loaded from outside.

Names, notes and metadata may come from anybody, so every text is escaped, and a content security policy forbids
everything but the inlined pictures, the style sheet and the one script whose hash it names.
"""

from tratto.provenance.report.compare import (
    SHOWS_AFTER,
    SHOWS_BEFORE,
    as_named,
    compare_reports,
    input_alt,
    named_in,
    with_stored,
)
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.page import Checked, render_report
from tratto.provenance.report.plain import delta, percent, text
from tratto.provenance.report.previews import PREVIEW
from tratto.provenance.report.words import COMPARED, inspection_words

__all__ = [
    "COMPARED",
    "PREVIEW",
    "SHOWS_AFTER",
    "SHOWS_BEFORE",
    "Checked",
    "ReportInputs",
    "as_named",
    "compare_reports",
    "delta",
    "input_alt",
    "inspection_words",
    "named_in",
    "percent",
    "render_report",
    "text",
    "with_stored",
]
