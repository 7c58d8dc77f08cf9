"""What a PDF says at its top, and that it drops no character."""

import io
from datetime import UTC, datetime

import pypdf
import pytest

from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate
from overread.tools.artifacts import ArtifactStore
from overread.tools.reporting import markdown, pdf
from overread.tools.reporting.model import SYNTHETIC, StructuredReport

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def report(make_report) -> StructuredReport:
    return make_report(generate("chest-xray", 61881), ["effusion", "heart"])


def test_a_signer_whose_name_has_no_glyphs_is_not_dropped(
    report: StructuredReport, store: ArtifactStore
) -> None:
    signed = report.signed("Dr. 山田太郎", NOW)
    with pytest.raises(InputError) as caught:
        pdf.render(signed, store)
    assert str(caught.value) == (
        "the PDF's font cannot write 山 田 太 郎; export Markdown, FHIR or DICOM, which keep them"
    )
    assert "Dr. 山田太郎" in markdown.render(signed)


def test_of_many_characters_a_few_are_named(report: StructuredReport, store: ArtifactStore) -> None:
    text = markdown.render(report).replace(
        "## Impression\n", "## Impression\n\n- 一二三四五六七 🫁.\n"
    )
    with pytest.raises(InputError, match="cannot write 一 二 三 四 五 and 3 more; export Markdown"):
        pdf.render(markdown.parse(text, report), store)


def test_greek_cyrillic_and_signs_are_written(
    report: StructuredReport, store: ArtifactStore
) -> None:
    told = "Größe ≥ 5 µm², Δ = 3 ± 1 °C, Иванова."
    text = markdown.render(report).replace("## Impression\n", f"## Impression\n\n- {told}\n")
    reader = pypdf.PdfReader(io.BytesIO(pdf.render(markdown.parse(text, report), store)))
    assert told in " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_every_page_says_that_the_image_is_made_up(
    report: StructuredReport, store: ArtifactStore
) -> None:
    made_up = report.model_copy(update={"synthetic": True})
    pages = pypdf.PdfReader(io.BytesIO(pdf.render(made_up, store))).pages
    texts = [page.extract_text() for page in pages]
    assert SYNTHETIC in texts[0] and len(texts) > 1
    assert all("- synthetic image" in text for text in texts)
