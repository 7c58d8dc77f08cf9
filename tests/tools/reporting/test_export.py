"""Markdown, JSON, PDF and FHIR, each re-opened by a library that did not write it."""

import base64
import io
import json
from datetime import UTC, datetime

import pypdf
import pytest
from fhir.resources.R4B.bundle import Bundle

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate
from overread.tools.artifacts import ArtifactStore
from overread.tools.reporting.export import FORMATS, export
from overread.tools.reporting.model import StructuredReport

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture
def draft(make_report) -> StructuredReport:
    return make_report(generate("chest-xray", 61881), ["effusion", "pneumothorax", "heart"])


@pytest.fixture
def one(archive: Archive, store: ArtifactStore):
    def write(report: StructuredReport, kind: str) -> bytes:
        (file,) = export(report, [kind], archive, store)
        return file.data

    return write


def test_every_draft_file_is_named_a_draft(draft, archive, store) -> None:
    names = [file.name for file in export(draft, FORMATS, archive, store)]
    assert all(name.startswith("DRAFT-") for name in names if not name.startswith("image-"))
    assert len(names) == len(set(names)) == len(FORMATS) + 1  # and the image, once
    signed = export(draft.signed("Dr. A", NOW), FORMATS, archive, store)
    assert not any("DRAFT" in file.name for file in signed)


def test_an_unknown_format_is_named(draft, archive, store) -> None:
    with pytest.raises(InputError, match="'docx' is no format of a report; there are md, json"):
        export(draft, ["docx"], archive, store)


def test_json_is_the_report(draft, one) -> None:
    assert StructuredReport.model_validate_json(one(draft, "json")) == draft


def test_markdown_says_draft_until_signed(draft, one) -> None:
    text = one(draft, "md").decode()
    assert text.startswith("# Radiograph of the chest - DRAFT\n") and "research use only" in text
    signed = one(draft.signed("Dr. A", NOW), "md").decode()
    assert "DRAFT" not in signed and "Signed by Dr. A, 2026-05-04 12:30 UTC" in signed


def pages(data: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]


def test_every_page_of_a_drafts_pdf_is_marked(draft, one) -> None:
    found = pages(one(draft, "pdf"))
    assert len(found) > 1
    for text in found:
        # The mark across the page, and the heading above it.
        assert "DRAFT\n" in text + "\n" and text.count("DRAFT") >= 2
        assert "Not a medical device" in text
    whole = " ".join(" ".join(found).split())
    for statement in draft.statements():
        assert " ".join(str(statement).split()) in whole


def test_a_signed_pdf_names_its_reader_in_any_european_script(draft, one) -> None:
    found = pages(one(draft.signed("Dr. Łucja Ångström", NOW), "pdf"))
    found = " ".join(" ".join(found).split())
    assert "Signed by Dr. Łucja Ångström, 2026-05-04 12:30 UTC" in found and "DRAFT" not in found


def test_the_pdf_shows_the_outlines(draft, one) -> None:
    reader = pypdf.PdfReader(io.BytesIO(one(draft, "pdf")))
    assert (
        sum(len(page.images) for page in reader.pages) == 2
    )  # effusion and heart; no pneumothorax


def test_fhir_is_valid_and_preliminary_until_signed(draft, one) -> None:
    bundle = Bundle.model_validate_json(one(draft, "fhir"))
    by_type: dict[str, list] = {}
    for entry in bundle.entry:
        by_type.setdefault(entry.resource.get_resource_type(), []).append(entry)
    (told,) = by_type["DiagnosticReport"]
    report = told.resource
    assert report.status == "preliminary" and report.conclusion.startswith("DRAFT - Effusion")
    assert report.code.coding[0].code == "30745-4" and report.resultsInterpreter is None
    urls = {entry.fullUrl for entry in bundle.entry}
    assert {item.reference for item in report.result} <= urls
    found = {entry.resource.code.text: entry.resource for entry in by_type["Observation"]}
    assert set(found) == {"effusion", "pneumothorax", "heart"}
    assert (found["effusion"].valueBoolean, found["pneumothorax"].valueBoolean) == (True, False)
    area = found["effusion"].component[0].valueQuantity
    values = next(e.values for e in draft.evidence if e.values.get("target") == "effusion")
    assert (float(area.value), area.code) == (values["area_mm2"], "mm2")
    assert all(entry.resource.status == "preliminary" for entry in by_type["Observation"])
    raw = json.loads(one(draft, "fhir"))["entry"][-1]["resource"]["presentedForm"][0]["data"]
    assert base64.b64decode(raw, validate=True) == one(draft, "md")


def test_fhir_is_final_when_signed(draft, one) -> None:
    bundle = json.loads(one(draft.signed("Dr. A", NOW), "fhir"))
    resources = [entry["resource"] for entry in bundle["entry"]]
    report = next(r for r in resources if r["resourceType"] == "DiagnosticReport")
    assert report["status"] == "final" and report["issued"].startswith("2026-05-04T12:30:00")
    assert report["resultsInterpreter"] == [{"display": "Dr. A"}]
    assert "DRAFT" not in json.dumps(bundle)
    patient = next(r for r in resources if r["resourceType"] == "Patient")
    assert set(patient) == {"resourceType", "id", "identifier"}
