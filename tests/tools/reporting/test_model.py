from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate
from overread.tools.base import Evidence
from overread.tools.reporting.compose import compose
from overread.tools.reporting.markdown import parse, render
from overread.tools.reporting.model import Statement, StructuredReport
from overread.tools.reporting.templates import template_for, templates

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def report(make_report) -> StructuredReport:
    return make_report(generate("chest-xray", 61881), ["effusion", "pneumothorax", "heart"])


def test_every_sentence_rests_on_evidence_that_is_there(report: StructuredReport) -> None:
    known = {entry.id for entry in report.evidence}
    told = list(report.statements())
    assert {s.target for s in told if s.abnormal} == {"effusion"}
    for statement in told:
        assert set(statement.evidence) <= known
        assert statement.evidence or statement.origin == "record"
    assert [region.name for region in report.findings] == ["Lungs and pleura", "Heart and chest"]
    assert report.not_assessed == ("nodule", "consolidation", "cardiomegaly")
    assert [str(s) for s in report.impression] == [
        str(s) for region in report.findings for s in region.statements if s.abnormal
    ]


def test_regions_of_the_template_are_there_when_nothing_is_known_of_them(make_report) -> None:
    report = make_report(generate("chest-xray", 61881), ["effusion"])
    assert [len(region.statements) for region in report.findings] == [1, 0]
    assert "### Heart and chest\n\nNot assessed." in render(report)


def test_without_evidence_there_is_no_report(archive: Archive, report: StructuredReport) -> None:
    from overread.imaging.study import ImageRef

    ref = ImageRef.parse(report.image)
    with pytest.raises(InputError, match="no evidence about image"):
        compose(report.evidence[:1], ref, [ref], archive)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evidence": ()}, "which is not there"),
        ({"status": "signed"}, "exactly if it has a signer"),
        ({"signer": "A"}, "a signer and a time"),
        ({"status": "signed", "signer": "A", "signed_at": datetime(2026, 1, 1)}, "time zone"),
        ({"impression": ()}, "at least 1 item"),
    ],
)
def test_what_does_not_fit_is_no_report(
    report: StructuredReport, changes: dict, reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        StructuredReport.model_validate({**dict(report), **changes})


def test_a_sentence_of_a_tool_cites() -> None:
    with pytest.raises(ValidationError, match="cites no evidence"):
        Statement(text="A nodule.")


def test_a_report_is_signed_once(report: StructuredReport) -> None:
    signed = report.signed(" Dr. A ", NOW)
    assert (signed.signer, signed.is_signed, report.is_signed) == ("Dr. A", True, False)
    with pytest.raises(ValueError, match="signed by Dr"):
        signed.signed("Dr. B", NOW)
    assert StructuredReport.model_validate_json(signed.model_dump_json()) == signed


def test_markdown_comes_back_as_it_was(report: StructuredReport) -> None:
    assert parse(render(report), report) == report


def test_an_edit_is_the_readers_own_and_the_rest_is_not(report: StructuredReport) -> None:
    old = str(report.findings[1].statements[0])
    text = render(report).replace(old, "The heart is of normal size. [E4]")
    text = text.replace("- nodule\n", "").replace(
        "## Impression\n", "## Impression\n\nNo nodule.\n"
    )
    edited = parse(text, report)
    (heart,) = edited.findings[1].statements
    assert (heart.origin, heart.evidence) == ("reader", ("E4",))
    assert heart.text == "The heart is of normal size."
    assert edited.findings[0] == report.findings[0]
    assert edited.impression[0] == Statement(text="No nodule.", origin="reader")
    assert edited.impression[1:] == report.impression
    assert edited.not_assessed == ("consolidation", "cardiomegaly")
    assert edited.evidence == report.evidence


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("## Comparison", "## Opinion", "'Opinion' is no section"),
        ("## Comparison", "", "lacks the section '## Comparison'"),
        ("None available.", "See [E99].", "cites E99, which is not there"),
    ],
)
def test_edits_that_cannot_be_used(
    report: StructuredReport, old: str, new: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        parse(render(report).replace(old, new), report)


def test_a_signed_report_is_not_edited(report: StructuredReport) -> None:
    signed = report.signed("Dr. A", NOW)
    with pytest.raises(InputError, match="signed by Dr"):
        parse(render(signed), signed)


def test_an_impression_is_not_emptied(report: StructuredReport) -> None:
    text = render(report)
    with pytest.raises(InputError, match="no impression"):
        parse(text.split("## Impression")[0] + "## Impression\n", report)


def test_templates_match_the_first_that_fits() -> None:
    assert template_for("DX", "chest").name == "chest-radiograph"
    assert template_for("DX", "hand").name == "image"
    assert template_for("US", None).name == "ultrasound"
    assert templates()[-1].fits("??", None)
    assert len({item.name for item in templates()}) == len(templates())


def test_a_comparison_names_the_prior_and_not_a_stranger(
    make_report, archive: Archive, read, evidence_of, tmp_path
) -> None:
    from overread.imaging.phantoms import write

    now, prior, stranger = (
        generate("chest-xray", 7, 1),
        generate("chest-xray", 7, 0),
        generate("chest-xray", 8),
    )
    refs = [read(write(p, tmp_path / p.study_id))[0] for p in (now, prior, stranger)]
    masks = [
        (ref, "heart", p.masks["heart"])
        for ref, p in zip(refs, (now, prior, stranger), strict=True)
    ]
    ratios = [
        Evidence(
            id=f"E{7 + number}", tool="measure", arguments={}, content="", version="1",
            image=str(ref),
            values={
                "quantity": "width", "target": "heart", "reference": None,
                "value": 100.0 + number, "unit": "mm",
            },
        )
        for number, ref in enumerate(refs)
    ]  # fmt: skip
    report = compose((*evidence_of(*masks), *ratios), refs[0], refs, archive)
    told = " ".join(str(statement) for statement in report.comparison)
    assert f"With {refs[1]} (180 days earlier)." in told and str(refs[2]) not in told
    assert "100 mm, in the other image 101 mm. [E7] [E8]" in told
    assert "E9" not in {entry.id for entry in report.evidence}
    earlier = compose((*evidence_of(*masks), *ratios), refs[1], refs, archive)
    assert str(earlier.comparison[0]) == f"With {refs[0]} (180 days later)."
