"""The report on paper: A4, page by page, by ReportLab (BSD licence; the ``pdf`` extra).

What stands on it is the page of :mod:`.page`, laid out anew: each kind of element has one way to be drawn, and what is
said is said there. The same bundle at the same moment gives the same bytes: no random number goes in. The fonts are
those of ReportLab, so that a page looks the same everywhere; letters they lack are shown by their number.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from tratto.core.errors import MissingExtra
from tratto.provenance.report.inputs import ReportInputs
from tratto.provenance.report.plain import text

_INK, _SOFT, _LINE, _WASH, _ACCENT, _STOP = "#1c1c1a", "#56544e", "#d5d1c7", "#f5f2ea", "#1b4b72", "#8f2d12"
_MM = 72 / 25.4
_WIDTH, _HEIGHT, _MARGIN = 210 * _MM, 297 * _MM, 15 * _MM
_INNER = _WIDTH - 2 * _MARGIN
#: Shares of the width that the columns of a table take, by its first head; for those without heads "facts" and "grid".
_COLUMNS = {
    "Looked at": (16, 18, 26, 40),
    "Where": (50, 15, 35),
    "Region": (20, 9, 17, 14, 12, 17, 13),
    "Of what": (18, 25, 57),
    "Link": (15, 45, 40),
    "facts": (22, 78),
    "grid": (1, 1, 1),
}
#: The date that ReportLab writes where it must not be told.
_ALWAYS = b"D:20000101000000+00'00'"
_EMPTY = {"meta", "img", "input", "br"}


def render_pdf(page: str, report: ReportInputs, when: datetime) -> bytes:
    """Return a report as a PDF.

    Parameters
    ----------
    page : str
        The report as :func:`.render_report` makes it.
    report : ReportInputs
        What it was made from.
    when : datetime
        When it is made: the date of the PDF.

    Raises
    ------
    MissingExtra
        Without the ``pdf`` extra.
    """
    try:
        from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate
    except ImportError as e:
        raise MissingExtra("printing a report as PDF", "pdf") from e
    drawn = _Drawn(report)
    stream = io.BytesIO()
    document = BaseDocTemplate(
        stream,
        pagesize=(_WIDTH, _HEIGHT),
        title=drawn.fit(f"{report.output_name}: Tratto report"),
        author="Tratto",
        subject=drawn.fit(f"receipt {report.receipt_sha256}"),
        creator=f"Tratto {report.receipt['tool']['version']}",
        invariant=1,
        pageCompression=1,
    )
    frame = Frame(_MARGIN, 17 * _MM, _INNER, _HEIGHT - 33 * _MM, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame]))
    document.build(drawn.story(_parsed(page)), canvasmaker=drawn.numbered())
    # ReportLab writes dates of its own, or always the same one; both have one length, so that no offset moves
    return stream.getvalue().replace(_ALWAYS, when.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'").encode())


@dataclass
class _Node:
    """One element of the page: its tag and attributes, and the text and elements in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[_Node | str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Its first class, or else its tag."""
        return (self.attributes.get("class") or self.tag).split(" ")[0]

    def all(self, tag: str) -> Iterator[_Node]:
        """Yield the elements of a tag in it, however deep, in order."""
        for node in self.inside:
            if isinstance(node, _Node):
                if node.tag == tag:
                    yield node
                yield from node.all(tag)

    def words(self, between: str = "") -> str:
        """Return all the text in it."""
        return between.join(n if isinstance(n, str) else n.words(between) for n in self.inside)


class _Parser(HTMLParser):
    """Builds the tree of a page of our own, whose elements are all closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [_Node("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = _Node(tag, {k: v or "" for k, v in attrs})
        self.open[-1].inside.append(node)
        if tag not in _EMPTY:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def _parsed(page: str) -> _Node:
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return next(parser.open[0].all("body"))


class _Drawn:
    """How each kind of element is drawn."""

    def __init__(self, report: ReportInputs) -> None:
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
        self.report = report
        self.stamp = report.receipt["claim"]["stamp"] or ""

        def style(size: float, lead: float = 1.32, **more: Any) -> ParagraphStyle:
            given = {"fontName": "Tratto", "textColor": _INK, "splitLongWords": 1, **more}
            return ParagraphStyle(f"s{size}{sorted(more)}", fontSize=size, leading=size * lead, **given)

        self.body = style(8.2, spaceAfter=3)
        self.small = style(6.9, textColor=_SOFT, spaceAfter=2)
        self.cell = style(7.2)
        self.head = style(6.4, fontName="Tratto-Bold", textColor=_SOFT)
        self.bold = style(7.2, fontName="Tratto-Bold")
        self.big = style(12, 1.25, fontName="Tratto-Bold")
        self.code = style(6.6, 1.4, fontName="Courier")
        sub = style(9, 1.3, fontName="Tratto-Bold", spaceBefore=4, spaceAfter=2, keepWithNext=1)
        #: By class or tag.
        self.styles = {
            "h1": style(17, 1.2, fontName="Tratto-Bold", spaceAfter=1),
            "h2": style(11.5, 1.25, fontName="Tratto-Bold", spaceBefore=10, spaceAfter=4, keepWithNext=1),
            "h3": sub,
            "b": sub,
            "stamp": style(
                11, textColor=_STOP, fontName="Tratto-Bold", borderColor=_STOP, borderWidth=2, leftIndent=9,
                borderPadding=(5, 8, 5, 8), spaceBefore=10, spaceAfter=9, rightIndent=_INNER - 190,
                textTransform="uppercase",
            ),
            "over": style(6.9, textColor=_SOFT, spaceAfter=2, textTransform="uppercase"),
            **dict.fromkeys(("from", "note", "footer", "figcaption"), self.small),
        }  # fmt: skip
        self.ways = {
            "stage": self.pictures, "pair": self.pictures, "three": self.pictures, "figure": self.pictures,
            "printed": self.overlay, "figure-row": self.figures, "keep": self.together, "pre": self.typed,
            "table": self.table, "ul": self.listed, "status": self.box, "warn": self.box,
        }  # fmt: skip

    # ------------------------------------------------------------------------------------------------------- letters

    def fit(self, value: str) -> str:
        """Return text that the fonts can show: what they lack is told by its number."""
        clean = value.replace("Δ", "∆")
        clean = "".join(c if ord(c) in self.glyphs or c == "\n" else f"[U+{ord(c):04X}]" for c in clean)
        return clean.replace("\n", " ")

    def markup(self, node: _Node | str) -> str:
        """Return text, and what in it is a line break or shown as typed, as the markup of a paragraph."""
        if isinstance(node, str):
            return text(self.fit(node))
        if node.tag == "br":
            return "<br/>"
        words = "".join(map(self.markup, node.inside))
        if node.tag == "small":
            words = f'<font size="6.2">{words}</font><br/>'
        return f'<font face="Courier">{words}</font>' if node.kind in ("code", "hash") else words

    def para(self, node: _Node | str, style: Any = None) -> Any:
        return self.p.Paragraph(self.markup(node), style or self.body)

    # -------------------------------------------------------------------------------------------------------- blocks

    def story(self, body: _Node) -> list[Any]:
        """Return all of the page, drawn."""
        self.by_id = {n.attributes["id"]: n for n in body.all("img") if "id" in n.attributes}
        self.shown = {n.attributes["alt"]: n for n in body.all("img")}
        return self.flow(body)

    def flow(self, parent: _Node) -> list[Any]:
        """Return what is in an element, drawn one after the other."""
        out: list[Any] = []
        for node in parent.inside:
            if isinstance(node, str) or node.kind in ("tools", "script"):
                continue
            way = self.ways.get(node.kind) or self.ways.get(node.tag)
            if way is not None:
                out += way(node)
            elif node.kind in self.styles:
                out += [self.p.CondPageBreak(30 * _MM)] if node.tag == "h2" else []
                out.append(self.para(node, self.styles[node.kind]))
            elif node.tag == "div":
                out += self.flow(node)
            elif node.words():
                out.append(self.para(node))
        return out

    def together(self, node: _Node) -> list[Any]:
        return [self.p.KeepTogether(self.flow(node))]

    def listed(self, node: _Node) -> list[Any]:
        return [self.p.Paragraph("· " + self.markup(item), self.body) for item in node.all("li")]

    def typed(self, node: _Node) -> list[Any]:
        lines = []
        for line in node.words().split("\n"):
            face = "Courier" if line.isascii() else "Tratto"
            # spaces at the front mean something, and every place is as good as any other to break a long line
            lead = len(line) - len(line.lstrip())
            words = self.markup(line.lstrip())
            lines.append(self.p.Paragraph(f'<font face="{face}">{"&nbsp;" * lead}{words}</font>', self.code))
        return [self.boxed(lines, _LINE, _WASH)]

    def table(self, node: _Node) -> list[Any]:
        heads = [list(row.all("th")) for part in node.all("thead") for row in part.all("tr")]
        made = [[self.para(cell, self.head) for cell in row] for row in heads]
        for row in node.all("tr"):
            cells = [c for c in row.inside if isinstance(c, _Node)]
            if not heads or all(c.tag == "td" for c in cells):
                made.append([self.para(c, self.bold if c.tag == "th" else self.cell) for c in cells])
        if not made:
            return []
        style = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 6),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            *([("LINEBELOW", (0, 0), (-1, 0), 0.8, _INK)] if heads else []),
        ]
        widths = _COLUMNS[heads[0][0].words() if heads else node.kind]
        each = [w / sum(widths) * _INNER for w in widths]
        return [self.p.Table(made, each, repeatRows=len(heads), style=style, hAlign="LEFT", spaceAfter=3)]

    def box(self, node: _Node) -> list[Any]:
        """Draw the status, or what must be known first."""
        stop = node.kind == "warn" or "made-up" in node.attributes["class"]
        return [self.boxed(self.flow(node), _STOP if stop else _ACCENT, "#fbf1ec" if node.kind == "warn" else _WASH)]

    def boxed(self, inside: Sequence[Any], edge: str, wash: str) -> Any:
        style = [
            ("BACKGROUND", (0, 0), (-1, -1), wash),
            ("LINEBEFORE", (0, 0), (0, -1), 3, edge),
            ("LEFTPADDING", (0, 0), (-1, -1), 10),
            ("TOPPADDING", (0, 0), (-1, -1), 5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
        ]
        return self.p.Table([[list(inside)]], [_INNER], style=style, spaceBefore=5, spaceAfter=3)

    def figures(self, node: _Node) -> list[Any]:
        cells = [
            [self.para(b, self.big), self.para(s, self.small)]
            for b, s in zip(node.all("b"), node.all("span"), strict=True)
        ]
        style: list[tuple[Any, ...]] = [("VALIGN", (0, 0), (-1, -1), "TOP")]
        style += [("BOX", (0, 0), (-1, -1), 0.5, _LINE), ("INNERGRID", (0, 0), (-1, -1), 0.5, _LINE)]
        return [self.p.Table([cells], [_INNER / len(cells)] * len(cells), style=style, spaceBefore=4, spaceAfter=2)]

    # ------------------------------------------------------------------------------------------------------ pictures

    def pictures(self, node: _Node) -> list[Any]:
        """Draw figures side by side, two or three in a row, or one alone."""
        found = [node] if node.tag == "figure" else list(node.all("figure"))
        across = 3 if node.kind == "three" else 2
        size = (44 * _MM, 44 * _MM) if across == 3 else (_INNER / 2 - 12, 95 * _MM)
        if node.tag == "figure":
            size = (_INNER, 120 * _MM)
        columns = [self.figure(one, *size) for one in found]
        style = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 8),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
        out = []
        for start in range(0, len(columns), across):
            row = columns[start : start + across]
            widths = [max(column[0].drawWidth, size[0] * 0.7) + 12 for column in row]
            out.append(self.p.Table([row], widths, style=style, hAlign="LEFT"))
        return out

    def figure(self, node: _Node, width: float, height: float) -> list[Any]:
        """Return a picture, the legend below it and what is said of it."""
        first, *legend = node.all("img")
        out = [self.image(_decoded(first), width, height)]
        for strip in legend:
            out.append(self.p.Image(io.BytesIO(_decoded(strip)), out[0].drawWidth, 6, hAlign="LEFT"))
            ticks = next(n for n in node.all("div") if n.kind == "div")
            out.append(self.para("  ·  ".join(n.words() for n in ticks.all("span")), self.small))
        return out + [self.para(n, self.small) for n in node.all("figcaption")]

    def image(self, data: bytes, width: float, height: float) -> Any:
        from PIL import Image as Pil

        with Pil.open(io.BytesIO(data)) as seen:
            w, h = seen.size
        scale = min(width / w, height / h)
        return self.p.Image(io.BytesIO(data), w * scale, h * scale, hAlign="LEFT")

    def overlay(self, node: _Node) -> list[Any]:
        """Draw what the page draws when it is printed: the edit map over the result."""
        laid = _overlay(_decoded(self.shown["The picture after"]), _decoded(self.by_id["map-edit"]))
        words = "The edit map laid over the result in grey; its colours are those of the map."
        return [self.p.KeepTogether([self.image(laid, _INNER * 0.72, 88 * _MM), self.para(words, self.small)])]

    # --------------------------------------------------------------------------------------------------------- pages

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


def _decoded(picture: _Node) -> bytes:
    return base64.b64decode(picture.attributes["src"].partition(",")[2])


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
