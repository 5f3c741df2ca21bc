"""A one-page PDF per document, laid out as Decree 30/2020/NĐ-CP asks, with Vietnamese text."""

from __future__ import annotations

from functools import cache
from importlib import resources
from io import BytesIO
from typing import Final
from xml.sax.saxutils import escape

from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from axis.demo.content import Draft

__all__ = ["write_pdf"]

_REGULAR: Final = "SourceSansPro-Regular"
_BOLD: Final = "SourceSansPro-Bold"

_MOTTO: Final = ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "Độc lập - Tự do - Hạnh phúc")


def write_pdf(draft: Draft) -> bytes:
    """The PDF of a draft. Each states its own number and time, so no two are the same bytes."""
    _register_fonts()
    out = BytesIO()
    page = SimpleDocTemplate(out, pagesize=A4, title=draft.subject, author=draft.issuer)
    body = [Paragraph(escape(text), _style(TA_JUSTIFY, after=6)) for text in draft.paragraphs]
    page.build(
        [
            _heading(draft),
            Spacer(0, 20),
            Paragraph(escape(draft.type_name.upper()), _style(TA_CENTER, _BOLD, 14)),
            Paragraph(escape(draft.subject), _style(TA_CENTER, _BOLD, after=14)),
            *body,
            Spacer(0, 14),
            Paragraph(escape(draft.competence), _style(TA_RIGHT, _BOLD)),
            Paragraph(escape(draft.position), _style(TA_RIGHT, _BOLD)),
        ]
    )
    return out.getvalue()


def _heading(draft: Draft) -> Table:
    bold, plain = _style(TA_CENTER, _BOLD, 11), _style(TA_CENTER, _REGULAR, 11)
    day = draft.issued
    left = [
        Paragraph(escape(draft.issuer.upper()), bold),
        Paragraph(escape(f"Số: {draft.number}/{draft.notation}"), plain),
    ]
    date = f"{draft.place}, ngày {day:%d} tháng {day:%m} năm {day:%Y}"
    right = [*(Paragraph(line, bold) for line in _MOTTO), Paragraph(escape(date), plain)]
    return Table([[left, right]], style=[("VALIGN", (0, 0), (-1, -1), "TOP")])


@cache
def _style(alignment: int, font: str = _REGULAR, size: int = 12, after: int = 0) -> ParagraphStyle:
    return ParagraphStyle(
        f"{font}-{size}-{alignment}-{after}",
        fontName=font,
        fontSize=size,
        leading=size * 1.3,
        alignment=alignment,
        spaceAfter=after,
    )


@cache
def _register_fonts() -> None:
    # Once: reading a font takes longer than writing a page. The fonts come with a dependency.
    for name in (_REGULAR, _BOLD):
        with resources.as_file(resources.files("font_source_sans_pro") / "files" / f"{name}.ttf") as path:
            pdfmetrics.registerFont(TTFont(name, str(path)))
