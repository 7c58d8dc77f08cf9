"""A structured report as FHIR R4: a DiagnosticReport and one Observation for each result.

Validated by fhir.resources' R4B models: for these resources R4B equals R4 (HL7, R4B change list).
"""

import base64
import json
import re
import uuid
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from overread import __version__
from overread.tools.base import Evidence
from overread.tools.reporting import markdown
from overread.tools.reporting.figures import Figure, figures, series_volume, structure
from overread.tools.reporting.model import SYNTHETIC, StructuredReport
from overread.tools.reporting.templates import template_named

_LOINC, _UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/v2-0074"
_SPACE = uuid.UUID("5b6c2f0e-0d0f-5a68-9d0e-6f1c0c1d9a01")
_CODES = {"mm": "mm", "mm2": "mm2", "mm3": "mm3", "ml": "mL", "HU": "[hnsf'U]", "": "1"}
_UNCERTAINTY = "http://hl7.org/fhir/StructureDefinition/iso21090-uncertainty"
_ID = re.compile(r"[^A-Za-z0-9.-]")


def render(report: StructuredReport) -> bytes:
    """Return the report as a collection Bundle in JSON.

    A draft is `preliminary` throughout, and its conclusion begins with DRAFT; a signed one is
    `final` and names its reader.

    Raises:
        ValueError: It is no valid FHIR; that is a bug.
    """
    urls = {
        name: f"urn:uuid:{uuid.uuid5(_SPACE, f'{report.image} {name}')}" for name in _names(report)
    }
    results = [entry for entry in report.evidence if _is_result(entry)]
    resources = [
        ("patient", _patient(report)),
        ("device", _device()),
        *((entry.id, _observation(entry, report, urls)) for entry in results),
        ("report", _diagnostic_report(report, results, urls)),
    ]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": urls[name], "resource": resource} for name, resource in resources],
    }
    Bundle.model_validate(bundle)
    return json.dumps(bundle, indent=1, ensure_ascii=False).encode()


def _names(report: StructuredReport) -> list[str]:
    return ["patient", "device", "report", *(entry.id for entry in report.evidence)]


def _is_result(entry: Evidence) -> bool:
    return bool({"found", "quantity"} & entry.values.keys())


def _status(report: StructuredReport) -> str:
    return "final" if report.is_signed else "preliminary"


def _patient(report: StructuredReport) -> dict[str, Any]:
    """Return the pseudonym; nothing else of a patient is known here."""
    return {
        "resourceType": "Patient",
        "id": _ID.sub("-", report.patient_id)[:64],
        "identifier": [{"value": report.patient_id, "use": "secondary"}],
    }


def _device() -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "Overread", "type": "model-name"}],
        "version": [{"value": __version__}],
        "note": [{"text": "Research prototype, not a medical device."}],
    }


def _observation(entry: Evidence, report: StructuredReport, urls: dict[str, str]) -> dict[str, Any]:
    values = entry.values
    target = str(values.get("target", entry.tool))
    found: dict[str, Any] = {
        "resourceType": "Observation",
        "status": _status(report),
        "category": [_category("imaging")],
        "subject": {"reference": urls["patient"]},
        "device": {"reference": urls["device"]},
        "method": {"text": entry.version},
        "note": [{"text": f"{entry.id}: {' '.join(entry.content.split())}"}],
    }
    if side := values.get("patient_side"):
        found["bodySite"] = {"text": f"patient's {side}"}
    if report.synthetic:
        found["note"].append({"text": SYNTHETIC})
    told = figures(entry)
    if "found" in values:
        found |= {"code": {"text": target}, "valueBoolean": bool(values["found"])}
        if volume := series_volume(entry):
            told.append(volume)
    elif len(told) == 1:
        return found | {
            "code": {"text": _what(entry, told[0])},
            "valueQuantity": _quantity(told[0]),
        }
    else:
        found["code"] = {"text": f"{str(values['quantity']).replace('_', ' ')} of {target}"}
    components = [
        {"code": {"text": _what(entry, one)}, "valueQuantity": _quantity(one)} for one in told
    ]
    return found | ({"component": components} if components else {})


def _what(entry: Evidence, figure: Figure) -> str:
    name = figure.name.replace("_", " ")
    if figure.name == "distance" and structure(entry) is None:
        return "distance between two places"
    what = f"{name} of {entry.values['target']}"
    return what if figure.reference is None else f"{what} to {figure.reference}"


def _category(code: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {"coding": [{"system": system, "code": code}]}


def _quantity(figure: Figure) -> dict[str, Any]:
    """Return a number, with its standard deviation where it is known.

    Source: FHIR R4, extension iso21090-uncertainty.
    """
    quantity: dict[str, Any] = {"value": figure.value, "unit": figure.unit or "1"}
    if figure.unit in _CODES:
        quantity |= {"system": _UCUM, "code": _CODES[figure.unit]}
    if figure.error is not None:
        quantity["extension"] = [{"url": _UNCERTAINTY, "valueDecimal": figure.error}]
    return quantity


def _diagnostic_report(
    report: StructuredReport, results: list[Evidence], urls: dict[str, str]
) -> dict[str, Any]:
    code, name = template_named(report.template).loinc
    marks = [SYNTHETIC] if report.synthetic else []
    conclusion = " ".join([*marks, *(str(statement) for statement in report.impression)])
    written = markdown.render(report).encode()
    found: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"value": report.image}],
        "status": _status(report),
        "category": [{"coding": [{"system": _CATEGORY, "code": "RAD"}]}],
        "code": {
            "coding": [{"system": _LOINC, "code": code, "display": name}],
            "text": report.title,
        },
        "subject": {"reference": urls["patient"]},
        "result": [{"reference": urls[entry.id]} for entry in results],
        "conclusion": conclusion if report.is_signed else f"DRAFT - {conclusion}",
        "presentedForm": [
            {
                "contentType": "text/markdown; charset=utf-8",
                "data": base64.b64encode(written).decode(),
                "title": report.title if report.is_signed else f"DRAFT - {report.title}",
            }
        ],
    }
    if report.signed_at is not None:
        found["issued"] = report.signed_at.isoformat()
        found["resultsInterpreter"] = [{"display": report.signer}]
    return found
