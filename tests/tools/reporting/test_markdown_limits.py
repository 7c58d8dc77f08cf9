"""What a reader writes is kept whole or refused, and a made-up image is called so."""

import pytest

from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate
from overread.tools.reporting.markdown import parse, render
from overread.tools.reporting.model import SYNTHETIC, StructuredReport


@pytest.fixture
def report(make_report) -> StructuredReport:
    return make_report(generate("chest-xray", 61881), ["effusion", "heart"])


def with_sentence(report: StructuredReport, sentence: str, under: str) -> str:
    return render(report).replace(f"{under}\n\n", f"{under}\n\n- {sentence}\n", 1)


def test_a_sentence_of_the_longest_length_is_kept_whole(report: StructuredReport) -> None:
    edited = parse(with_sentence(report, "y" * 2000, "## Impression"), report)
    assert edited.impression[0].text == "y" * 2000


@pytest.mark.parametrize("under", ["## Impression", "### Heart and chest"])
def test_a_longer_sentence_is_refused_with_its_place(report: StructuredReport, under: str) -> None:
    text = with_sentence(report, "y" * 2001, under)
    line = 1 + next(n for n, own in enumerate(text.splitlines()) if own.startswith("- yy"))
    with pytest.raises(InputError) as caught:
        parse(text, report)
    assert str(caught.value) == (
        f"the sentence in line {line}, under '{under.strip('# ')}', has 2,001 characters; "
        "at most 2,000 are allowed, so put it into several lines"
    )


def test_a_report_of_a_made_up_image_says_so_at_the_top(report: StructuredReport) -> None:
    made_up = report.model_copy(update={"synthetic": True})
    text = render(made_up)
    assert text.splitlines()[2] == f"> **{SYNTHETIC}**"
    assert parse(text, made_up) == made_up
    assert "synthetic" not in render(report).split("## Evidence")[0]
