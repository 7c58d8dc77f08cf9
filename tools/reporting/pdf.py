"""A structured report as PDF. Every page of a draft is marked as one."""

import io
from pathlib import Path

import matplotlib
import PIL.Image
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import TTFFont

from overread.imaging.errors import InputError
from overread.tools.artifacts import ArtifactStore
from overread.tools.reporting.markdown import banner
from overread.tools.reporting.model import SYNTHETIC, Statement, StructuredReport

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
"""DejaVu Sans comes with matplotlib: one font that writes names of any European language.

It has no Chinese, Japanese or Korean and few emoji. Fonts that have them weigh tens of megabytes; a
report that needs them is refused as PDF.
"""

_MARGIN, _BODY, _SMALL = 18.0, 10.0, 7.5
_PICTURES, _PICTURE_WIDTH, _PICTURE_PIXELS = 4, 80.0, 900
_NAMED = 5


class _Page(FPDF):
    """A4 pages with a heading, a foot and, for a draft, a mark across."""

    def __init__(self, report: StructuredReport) -> None:
        super().__init__(format="A4")
        self._report = report
        self.add_font("body", fname=_FONTS / "DejaVuSans.ttf")
        self.add_font("body", "B", _FONTS / "DejaVuSans-Bold.ttf")
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(True, margin=_MARGIN)

    def header(self) -> None:
        if not self._report.is_signed:
            self.set_font("body", "B", 110)
            self.set_text_color(242, 214, 214)
            with self.rotation(50, self.w / 2, self.h / 2):
                width = self.get_string_width("DRAFT")
                self.text((self.w - width) / 2, self.h / 2 + 15, "DRAFT")
        self.set_text_color(90, 90, 90)
        self.set_font("body", "", _SMALL)
        mark = "" if self._report.is_signed else "DRAFT - "
        made = " - synthetic image" if self._report.synthetic else ""
        self._line(f"{mark}{self._report.title} - study {self._report.study_id}{made}")
        self.ln(2)
        self.set_text_color(20, 20, 20)

    def unwritten(self) -> list[str]:
        """Return the characters so far for which the font has no glyph."""
        fonts = [font for font in self.fonts.values() if isinstance(font, TTFFont)]
        codes = [code for font in fonts for code in font.missing_glyphs]
        return [chr(code) for code in dict.fromkeys(codes)]

    def footer(self) -> None:
        self.set_y(-12)
        self.set_font("body", "", _SMALL)
        self.set_text_color(90, 90, 90)
        self.cell(0, 5, f"Research use only. Not a medical device. Page {self.page_no()} of {{nb}}")

    def _line(self, text: str, size: float = _SMALL, style: str = "") -> None:
        self.set_font("body", style, size)
        self.multi_cell(0, size * 0.5, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def render(report: StructuredReport, artifacts: ArtifactStore) -> bytes:
    """Return the report as a PDF with the outlines that its evidence drew.

    Args:
        report: Draft or signed.
        artifacts: Where the outlines are.

    Raises:
        UnknownReference: An outline is no longer there.
        InputError: The report has characters that the font cannot write.
    """
    page = _Page(report)
    page.set_title(report.title if report.is_signed else f"DRAFT - {report.title}")
    page.set_creator("Overread, research prototype")
    page.set_lang("en")
    page.set_image_filter("DCTDecode")
    page.add_page()
    page._line(report.title if report.is_signed else f"DRAFT - {report.title}", 16, "B")
    page.ln(1)
    if report.synthetic:
        page._line(SYNTHETIC, _BODY, "B")
    page._line(banner(report).replace("*", ""), _BODY, "B")
    page.ln(1)
    page._line(f"Image {report.image}", _SMALL)
    _section(page, "Technique", report.technique)
    _section(page, "Comparison", report.comparison)
    _heading(page, "Findings")
    for region in report.findings:
        page._line(region.name, _BODY, "B")
        _statements(page, region.statements)
    if report.not_assessed:
        page._line(f"Not assessed: {', '.join(report.not_assessed)}.", _BODY)
    _section(page, "Impression", report.impression)
    _pictures(page, report, artifacts)
    _heading(page, "Evidence")
    for entry in report.evidence:
        page._line(f"{entry.id} {entry.tool} ({entry.version}): {' '.join(entry.content.split())}")
    if missing := page.unwritten():
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"the PDF's font cannot write {' '.join(missing[:_NAMED])}{more}; "
            "export Markdown, FHIR or DICOM, which keep them"
        )
    return bytes(page.output())


def _heading(page: _Page, text: str) -> None:
    page.ln(3)
    page._line(text, 12, "B")
    page.ln(0.5)


def _section(page: _Page, name: str, statements: tuple[Statement, ...]) -> None:
    _heading(page, name)
    _statements(page, statements)


def _statements(page: _Page, statements: tuple[Statement, ...]) -> None:
    for statement in statements:
        page._line(f"• {statement}", _BODY)
    if not statements:
        page._line("Not assessed.", _BODY)


def _pictures(page: _Page, report: StructuredReport, artifacts: ArtifactStore) -> None:
    cited = {name for statement in report.statements() for name in statement.evidence}
    shown = [
        (entry.id, artifact)
        for entry in report.evidence
        for artifact in entry.artifacts
        if entry.id in cited and artifact.kind == "overlay"
    ]
    if not shown:
        return
    _heading(page, "Outlines")
    for name, artifact in shown[:_PICTURES]:
        picture = PIL.Image.open(io.BytesIO(artifacts.read(artifact))).convert("RGB")
        picture.thumbnail((_PICTURE_PIXELS, _PICTURE_PIXELS))
        height = _PICTURE_WIDTH * picture.height / picture.width
        if page.will_page_break(height + 6):
            page.add_page()
        page.image(picture, w=_PICTURE_WIDTH)
        page._line(f"{name}: {artifact.name}")
        page.ln(2)
