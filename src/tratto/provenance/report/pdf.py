"""The report on paper: A4, page by page, by ReportLab (BSD licence; the ``pdf`` extra).

The same bundle gives the same bytes: no date and no random number goes in. The fonts are those that ReportLab brings
along, so that a page looks the same everywhere; letters they lack are shown by their number.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tratto.core.errors import MissingExtra
from tratto.provenance.lineage import LINEAGE_WORDS, lineage_rows
from tratto.provenance.receipt import HYPOTHETICAL
from tratto.provenance.report import words as say
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.plain import percent, sentence, text
from tratto.provenance.report.previews import pictures_of
from tratto.provenance.report.regions import regions_of

_INK, _SOFT, _LINE, _WASH, _ACCENT, _STOP = "#1c1c1a", "#56544e", "#d5d1c7", "#f5f2ea", "#1b4b72", "#8f2d12"
_MM = 72 / 25.4
_WIDTH, _HEIGHT, _MARGIN = 210 * _MM, 297 * _MM, 15 * _MM
_INNER = _WIDTH - 2 * _MARGIN


@dataclass(frozen=True, eq=False)
class PdfInputs:
    """What the printed report has beyond that of the bundle, which was made before all was known.

    Attributes
    ----------
    report : ReportInputs
    verdict : str
        What checking said when this was made: a word.
    reasons : tuple of str
    proof : tuple of (str, str)
        What the ledger's proof says, as rows; empty: there is none.
    stored : mapping of str to str
        Pictures of the stored report, by name, to be shown where the file they came from is not at hand.
    """

    report: ReportInputs
    verdict: str
    reasons: tuple[str, ...]
    proof: tuple[tuple[str, str], ...] = ()
    stored: tuple[tuple[str, str], ...] = ()


def render_pdf(inputs: PdfInputs) -> bytes:
    """Return the report as a PDF.

    Raises
    ------
    MissingExtra
    """
    try:
        from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate
    except ImportError as e:
        raise MissingExtra("printing a report as PDF", "pdf") from e
    drawn = _Drawn(inputs)
    stream = io.BytesIO()
    document = BaseDocTemplate(
        stream,
        pagesize=(_WIDTH, _HEIGHT),
        title=drawn.fit(f"{inputs.report.output_name}: Tratto report"),
        author="Tratto",
        subject=drawn.fit(f"receipt {inputs.report.receipt_sha256}"),
        creator=f"Tratto {inputs.report.receipt['tool']['version']}",
        invariant=1,
        pageCompression=1,
    )
    frame = Frame(_MARGIN, 17 * _MM, _INNER, _HEIGHT - 33 * _MM, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame]))
    document.build(drawn.story(), canvasmaker=drawn.numbered())
    return stream.getvalue()


class _Drawn:
    """The parts of the page, in order."""

    def __init__(self, inputs: PdfInputs) -> None:
        import reportlab
        from reportlab import platypus
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont

        folder = os.path.join(os.path.dirname(reportlab.__file__), "fonts")
        for name, file in (("Tratto", "Vera.ttf"), ("Tratto-Bold", "VeraBd.ttf")):
            if name not in pdfmetrics.getRegisteredFontNames():
                pdfmetrics.registerFont(TTFont(name, os.path.join(folder, file)))
        pdfmetrics.registerFontFamily(
            "Tratto", normal="Tratto", bold="Tratto-Bold", italic="Tratto", boldItalic="Tratto-Bold"
        )
        self.glyphs = pdfmetrics.getFont("Tratto").face.charToGlyph
        self.p: Any = platypus
        self.inputs, self.report, self.receipt = inputs, inputs.report, inputs.report.receipt
        self.stamp = self.receipt["claim"]["stamp"] or ""

        def style(size: float, lead: float = 1.32, **more: Any) -> ParagraphStyle:
            given = {"fontName": "Tratto", "textColor": _INK, "splitLongWords": 1, **more}
            return ParagraphStyle(f"s{size}{sorted(more)}", fontSize=size, leading=size * lead, **given)

        self.body = style(8.2, spaceAfter=3)
        self.small = style(6.9, textColor=_SOFT, spaceAfter=2)
        self.cell = style(7.2)
        self.head = style(6.4, fontName="Tratto-Bold", textColor=_SOFT)
        self.bold = style(7.2, fontName="Tratto-Bold")
        self.title = style(17, 1.2, fontName="Tratto-Bold", spaceAfter=1)
        self.section = style(11.5, 1.25, fontName="Tratto-Bold", spaceBefore=10, spaceAfter=4, keepWithNext=1)
        self.sub = style(9, 1.3, fontName="Tratto-Bold", spaceBefore=4, spaceAfter=2)
        self.lead = style(8.2, spaceAfter=3, keepWithNext=1)
        self.big = style(12, 1.25, fontName="Tratto-Bold")
        self.code = style(6.6, 1.4, fontName="Courier")

    # ------------------------------------------------------------------------------------------------------- letters

    def fit(self, value: object) -> str:
        """Return text that the fonts can show: what they lack is told by its number."""
        clean = str(value).replace("Δ", "∆")
        clean = "".join(c if ord(c) in self.glyphs or c == "\n" else f"[U+{ord(c):04X}]" for c in clean)
        return clean.replace("\n", " ")

    def words(self, value: object) -> str:
        """Return text as the markup of a paragraph."""
        return text(self.fit(value))

    def para(self, value: object, style: Any = None) -> Any:
        return self.p.Paragraph(self.words(value), style or self.body)

    def coded(self, value: str, style: Any = None) -> Any:
        """Return a paragraph in which what stands between back-quotes is shown as typed."""
        parts = [
            self.words(p) if i % 2 == 0 else f'<font face="Courier">{self.words(p)}</font>'
            for i, p in enumerate(value.split("`"))
        ]
        return self.p.Paragraph("".join(parts), style or self.body)

    def typed(self, line: str) -> Any:
        face = "Courier" if line.isascii() else "Tratto"
        # spaces at the front mean something, and every place is as good as any other to break a long line
        lead = len(line) - len(line.lstrip())
        return self.p.Paragraph(f'<font face="{face}">{"&nbsp;" * lead}{self.words(line.lstrip())}</font>', self.code)

    # -------------------------------------------------------------------------------------------------------- blocks

    def table(
        self, rows: Sequence[Sequence[Any]], widths: Sequence[float], head: bool = False, size: Any = None
    ) -> Any:
        made = []
        for i, row in enumerate(rows):
            kind = self.head if head and i == 0 else size or self.cell
            made.append([v if not isinstance(v, str) else self.para(v, kind) for v in row])
        lines = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 6),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        ]
        if head:
            lines.append(("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK))
        total = sum(widths)
        return self.p.Table(
            made, [w / total * _INNER for w in widths], repeatRows=1 if head else 0, style=lines, hAlign="LEFT"
        )

    def facts(self, rows: Sequence[tuple[str, Any]]) -> Any:
        return self.table([[self.para(k, self.bold), v] for k, v in rows], (22, 78))

    def box(self, inside: Sequence[Any], edge: str, wash: str) -> Any:
        style = [
            ("BACKGROUND", (0, 0), (-1, -1), wash),
            ("LINEBEFORE", (0, 0), (0, -1), 3, edge),
            ("LEFTPADDING", (0, 0), (-1, -1), 10),
            ("TOPPADDING", (0, 0), (-1, -1), 5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
        ]
        return self.p.Table([[list(inside)]], [_INNER], style=style, spaceBefore=5, spaceAfter=3)

    def picture(self, data: bytes, width: float, height: float) -> Any:
        from PIL import Image as Pil

        with Pil.open(io.BytesIO(data)) as seen:
            w, h = seen.size
        scale = min(width / w, height / h)
        made = self.p.Image(io.BytesIO(data), w * scale, h * scale)
        made.hAlign = "LEFT"
        return made

    def side_by_side(self, columns: Sequence[Sequence[Any]], widths: Sequence[float] | None = None) -> Any:
        style = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
        each = widths or [_INNER / len(columns)] * len(columns)
        return self.p.Table([[list(c) for c in columns]], list(each), style=style, hAlign="LEFT")

    def legend(self, strip: bytes, ticks: str, width: float) -> list[Any]:
        shown = self.p.Image(io.BytesIO(strip), width, 6)
        shown.hAlign = "LEFT"
        return [shown, self.para(ticks, self.small)]

    # --------------------------------------------------------------------------------------------------------- story

    def story(self) -> list[Any]:
        receipt, report = self.receipt, self.report
        shown = {**pictures_of(report), **dict(self.inputs.stored)}
        out: list[Any] = []
        task = say.TITLES.get(receipt["task"], sentence(receipt["task"]))
        out.append(self.para(f"Tratto {receipt['tool']['version']} · {task} report".upper(), self.small))
        out += [self.para(report.output_name, self.title), self.para(say.made_from(report), self.small)]
        if self.stamp:
            out.append(self.stamped())
        head, words = say.status_of(receipt)
        edge = _STOP if receipt["claim"]["status"] == HYPOTHETICAL else _ACCENT
        inside = [self.para(head, self.sub), self.para(words)]
        if receipt["forensic"]:
            inside.append(self.para(say.FORENSIC_WORDS))
        out.append(self.box(inside, edge, _WASH))
        notes = say.warnings(receipt)
        if notes:
            listed = [self.para("Please note", self.sub), *(self.para(f"· {n}") for n in notes)]
            out.append(self.box(listed, _STOP, "#fbf1ec"))
        out.append(self.figure_row())
        parts = say.sections(report)
        drawn = {
            "before-and-after": self.before_and_after,
            "source-and-result": self.side_by_side_alone,
            "source-alone": self.side_by_side_alone,
            "scene": self.scene,
            "sheet": self.sheet,
            "inputs": self.second_inputs,
            "maps": self.maps,
            "closest": self.closest,
        }
        for name, draw in drawn.items():
            out += draw(shown) if name in parts else []
        out += self.region_table() if "closest" in parts else []
        out += self.statements() if "statements" in parts else []
        out += self.lineage() if "lineage" in parts else []

        out += [self.p.CondPageBreak(35 * _MM), self.para("What was found in the source", self.section)]
        looked = [("Looked at", "Found", "In words", "How it is known"), *say.inspection_words(receipt["inspection"])]
        out.append(self.table(looked, (16, 18, 26, 40), head=True))

        out += [self.p.CondPageBreak(30 * _MM), self.para("What was done", self.section)]
        reasons = receipt["recipe"]["resolved"]["reasons"]
        if reasons:
            out.append(self.para("Why: " + "; ".join(reasons) + "."))
        if not receipt["steps"]:
            out.append(self.para("No step was run: the picture was left alone."))
        for step in say.steps(receipt["steps"]):
            told = [
                (k, [*([self.para(w, self.cell)] if w else []), *([self.typed(d)] if d else [])])
                for k, w, d in step.rows
            ]
            out += [self.p.CondPageBreak(32 * _MM), self.para(step.title, self.sub), self.facts(told)]

        out += [self.p.CondPageBreak(30 * _MM), self.para("What this result claims, and its limits", self.section)]
        claims = [("Where", "Share", "Status")]
        claims += [(r["where"], percent(r["share"]), r["status"]) for r in receipt["claim"]["regions"]]
        out += [self.table(claims, (50, 15, 35), head=True), self.p.Spacer(1, 3)]
        out += [self.para(f"· {line}") for line in say.limits(report)]

        out += [self.p.CondPageBreak(30 * _MM), self.para("Checked when this page was made", self.section)]
        out.append(self.para(f"The answer was: {self.inputs.verdict}. No key, root or ledger was named as trusted."))
        out += [self.para(f"· {r}", self.cell) for r in self.inputs.reasons]
        out += [self.p.CondPageBreak(30 * _MM), self.para("Proof of the ledger", self.section)]
        if self.inputs.proof:
            out.append(self.facts([(k, self.typed(v)) for k, v in self.inputs.proof]))
        else:
            out.append(self.para("This bundle holds no proof that a ledger recorded it."))

        out += [self.p.CondPageBreak(40 * _MM), self.para("Check, repeat, undo", self.section)]
        passages = say.how_to_check(report)
        for passage, after in zip(passages, [*passages[1:], None], strict=True):
            if passage.words:
                out.append(self.coded(passage.words, self.lead if after is not None and after.lines else None))
            else:
                out.append(self.box([self.typed(line) for line in passage.lines], _LINE, _WASH))
        prints = [(k, self.typed(v) if v else "none: there was no file") for k, v in say.hashes(report)]
        out.append(self.p.KeepTogether([self.para("Fingerprints (SHA-256)", self.section), self.facts(prints)]))
        made = say.environment(receipt["environment"])
        out.append(self.p.KeepTogether([self.para("Made with", self.section), self.facts(made)]))
        closing = (
            "This report explains the receipt; where the two differ, receipt.json counts. Pictures in it are reduced "
            "copies. It is not sealed itself: the files that it names are."
        )
        out += [self.p.Spacer(1, 6), self.para(closing, self.small)]
        return out

    def region_table(self) -> list[Any]:
        report = self.report
        if report.edit_map is None or report.confidence is None:
            return []
        rows: list[Sequence[str]] = [say.REGION_HEADS]
        found = regions_of(self.receipt, report.edit_map, report.confidence, report.mask, report.parts)
        rows += say.region_rows(report, found)
        note = (
            "Columns and rows count from 0 in the file as stored. Regions are connected parts of the mask, without one "
            "of what changed. The expected error is a mean over the region."
        )
        table = self.table(rows, (20, 9, 17, 14, 12, 17, 13), head=True)
        return [
            self.p.CondPageBreak(30 * _MM),
            self.para("Region by region", self.section),
            table,
            self.para(note, self.small),
        ]

    def statements(self) -> list[Any]:
        rows = [("Of what", "By whom", "In words"), *say.statement_rows(self.receipt)]
        words = "Nobody checked these statements; they stand here as they were made when the work began."
        return [
            self.p.CondPageBreak(30 * _MM),
            self.para("What was stated", self.section),
            self.para(words),
            self.table(rows, (18, 25, 57), head=True),
        ]

    def lineage(self) -> list[Any]:
        from reportlab.platypus import CondPageBreak

        rows = [("Link", "What it did, and whether it was there", "Its receipt"), *lineage_rows(self.receipt)]
        return [
            CondPageBreak(30 * _MM),
            self.para("What the source was made from", self.section),
            self.para(LINEAGE_WORDS),
            self.table(rows, (15, 45, 40), head=True),
        ]

    def side_by_side_alone(self, shown: dict[str, str]) -> list[Any]:
        """Return source and result that do not lie over each other, or the source alone."""
        both = [(n, w) for n, w in (("before", "Source"), ("after", "Result")) if n in shown]
        columns = [
            [self.picture(_decoded(shown[n]), _INNER / 2 - 8, 95 * _MM), self.para(w, self.small)] for n, w in both
        ]
        head = "Source and result" if len(both) == 2 else "Source"
        notes = [n for n in (say.no_edit_map(self.receipt), _plain(shown["preview_note"])) if n]
        return [
            self.p.KeepTogether(
                [
                    self.para(head, self.section),
                    self.side_by_side(columns, [_INNER / 2] * len(columns)),
                    *(self.para(n, self.small) for n in notes),
                ]
            )
        ]

    def scene(self, shown: dict[str, str]) -> list[Any]:
        return [self.para("The scene", self.section), self.facts(say.scene_rows(self.receipt))]

    def sheet(self, shown: dict[str, str]) -> list[Any]:
        picture = self.picture(_decoded(shown["sheet"]), _INNER, 120 * _MM)
        return [self.p.KeepTogether([self.para("Contact sheet", self.section), picture])]

    def second_inputs(self, shown: dict[str, str]) -> list[Any]:
        out: list[Any] = []
        for i, role in enumerate(sorted(self.report.inputs)):
            head = [self.para("What else went in", self.section)] if i == 0 else []
            picture = self.picture(_decoded(shown[f"input {role}"]), 44 * _MM, 44 * _MM)
            out.append(self.p.KeepTogether([*head, picture, self.para(say.input_words(self.report, role), self.small)]))
        return out

    def stamped(self) -> Any:
        from reportlab.lib.styles import ParagraphStyle

        style = ParagraphStyle(
            "stamp", fontName="Tratto-Bold", fontSize=11, leading=14, textColor=_STOP, borderColor=_STOP, borderWidth=2,
            borderPadding=(5, 8, 5, 8), spaceBefore=10, spaceAfter=9, leftIndent=9, rightIndent=_INNER - 190,
        )  # fmt: skip
        return self.p.Paragraph(self.words(self.stamp.upper()), style)

    def figure_row(self) -> Any:
        cells = [[self.para(b, self.big), self.para(s, self.small)] for b, s in say.figures(self.receipt)]
        style: list[tuple[Any, ...]] = [("VALIGN", (0, 0), (-1, -1), "TOP")]
        style += [("BOX", (0, 0), (-1, -1), 0.5, _LINE), ("INNERGRID", (0, 0), (-1, -1), 0.5, _LINE)]
        return self.p.Table([cells], [_INNER / len(cells)] * len(cells), style=style, spaceBefore=4, spaceAfter=2)

    def before_and_after(self, shown: dict[str, str]) -> list[Any]:
        before, after = _decoded(shown["before"]), _decoded(shown["after"])
        laid = _overlay(after, _decoded(shown["edit_map"]))
        one, two = (self.picture(data, _INNER / 2 - 8, 95 * _MM) for data in (before, after))
        pair = self.side_by_side(
            [
                [one, self.para("Before" + _plain(shown["before_note"]), self.small)],
                [two, self.para("After", self.small)],
            ],
            [one.drawWidth + 12, two.drawWidth + 4],
        )
        note = [self.para(_plain(shown["preview_note"]), self.small)]
        over = [self.picture(laid, _INNER * 0.72, 88 * _MM)]
        over.append(
            self.para("The edit map laid over the result in grey; its colours are those of the map.", self.small)
        )
        return [
            self.p.KeepTogether([self.para("Before and after", self.section), pair, *note]),
            self.p.KeepTogether([self.para("Where it changed", self.section), *over]),
        ]

    def maps(self, shown: dict[str, str]) -> list[Any]:
        columns = []
        if "edit_map" in shown:
            edit: list[Any] = [self.picture(_decoded(shown["edit_map"]), _INNER / 2 - 8, 80 * _MM)]
            edit += self.legend(_decoded(shown["edit_legend"]), _ticks(shown["edit_ticks"]), edit[0].drawWidth)
            edit.append(
                self.para(
                    "Edit map: difference from the source in ∆E (CIEDE2000). Black is unchanged; 1 is about the least "
                    "that a trained eye sees side by side; 5 is plain to anyone.",
                    self.small,
                )
            )
            columns.append(edit)
        sure: list[Any] = [self.picture(_decoded(shown["confidence_map"]), _INNER / 2 - 8, 80 * _MM)]
        width = sure[0].drawWidth
        sure += self.legend(_decoded(shown["confidence_legend"]), _ticks(shown["confidence_ticks"]), width)
        sure.append(
            self.para(
                "Confidence: how far the result may be off (one sigma, in 255ths of full scale). Dark blue is sure, "
                f"yellow is unsure. {say.basis_words(self.receipt)}",
                self.small,
            )
        )
        columns.append(sure)
        head = self.para(say.maps_head(self.report), self.section)
        return [self.p.KeepTogether([head, self.side_by_side(columns, [width + 12, width + 4][-len(columns) :])])]

    def closest(self, shown: dict[str, str]) -> list[Any]:
        names = (("crop_before", "Before"), ("crop_after", "After"), ("crop_edit", "Edit map"))
        side = 44 * _MM
        columns = [[self.picture(_decoded(shown[k]), side, side), self.para(v, self.small)] for k, v in names]
        head = self.para("Closest look", self.section)
        row = self.side_by_side(columns, [side + 8] * 3)
        return [self.p.KeepTogether([head, self.para(_plain(shown["crop_words"])), row])]

    def numbered(self) -> Any:
        """Return a canvas that knows how many pages there are when it draws their feet."""
        from reportlab.pdfgen.canvas import Canvas

        foot = self.fit(self.report.output_name)[:70]
        stamp, digest = self.fit(self.stamp.upper()), self.report.receipt_sha256

        class Numbered(Canvas):  # type: ignore[misc]  # the library has no types
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                self._pages: list[dict[str, Any]] = []

            def showPage(self) -> None:  # noqa: N802  # the library's name
                self._pages.append(dict(self.__dict__))
                self._startPage()

            def save(self) -> None:
                for number, page in enumerate(self._pages, 1):
                    self.__dict__.update(page)
                    self.setFont("Tratto", 6.6)
                    self.setFillColor(_SOFT)
                    self.drawString(_MARGIN, 9 * _MM, f"{foot} · receipt {digest[:16]}…")
                    self.drawRightString(_WIDTH - _MARGIN, 9 * _MM, f"{number} / {len(self._pages)}")
                    if stamp:
                        self.setFillColor(_STOP)
                        self.setFont("Tratto-Bold", 7.5)
                        self.drawRightString(_WIDTH - _MARGIN, _HEIGHT - 10 * _MM, stamp)
                    super().showPage()
                super().save()

        return Numbered


def _decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def _plain(markup: str) -> str:
    from html import unescape

    return unescape(markup)


def _ticks(markup: str) -> str:
    return "  ·  ".join(_plain(part.removeprefix("<span>")) for part in markup.split("</span>") if part)


def _overlay(after: bytes, edits: bytes) -> bytes:
    """Return the result in grey with the edit map in its colours over it; black, that is no change, leaves it as is."""
    from PIL import Image as Pil
    from PIL import ImageChops

    with Pil.open(io.BytesIO(after)) as a, Pil.open(io.BytesIO(edits)) as b:
        grey = a.convert("L").point([round(0.8 * v) for v in range(256)]).convert("RGB")
        ramp = b.convert("RGB").resize(grey.size, Pil.Resampling.BILINEAR)
    out = io.BytesIO()
    ImageChops.screen(grey, ramp).save(out, "JPEG", quality=88, subsampling=0)
    return out.getvalue()
