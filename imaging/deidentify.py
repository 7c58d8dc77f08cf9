"""De-identify a DICOM dataset by the Basic Profile. The table is the dicomanonymizer package's.

Profile (DICOM PS3.15, Annex E, Table E.1-1) with the options Clean Descriptors, Retain Patient
Characteristics (sex, and age capped at 90) and Retain Longitudinal Temporal Information with
Modified Dates (the study date, moved by a secret number of days per patient).
"""

import re
from collections.abc import Callable
from datetime import date, timedelta

from dicomanonymizer.simpledicomanonymizer import (
    delete,
    delete_or_empty_or_replace_UID,
    initialize_actions,
    replace_UID,
)
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag

from overread.imaging import wording
from overread.imaging.dicom_values import text
from overread.imaging.pseudonym import Pseudonymiser

TABLE = "2026c"
"""Edition of Table E.1-1."""

METHODS: tuple[tuple[str, str], ...] = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
"""What was applied: codes of DICOM PS3.16, CID 7050."""

MAX_AGE = 90
"""Ages above identify by themselves (HIPAA, 45 CFR 164.514(b)(2)(i)(C)); they are shown as 90."""

DUMMY_AGE = "000Y"
"""What other de-identifiers write for "removed"; an infant's age comes in months, weeks or days."""

_DESCRIPTORS = (0x00081030, 0x0008103E, 0x00181030, 0x00400254)
"""Study, Series, Protocol and Performed Procedure Step descriptions: cleaned instead of removed."""

_MAX_DEPTH = 16


def _clean(dataset: Dataset, tag: BaseTag) -> None:
    dataset[tag].value = wording.clean(str(dataset[tag].value or ""))


def _compile() -> tuple[
    dict[int, Callable], list[tuple[tuple[int, int], tuple[int, int], Callable]]
]:
    """Split the package's rules in exact tags and masked groups (overlays, curves)."""
    exact, masked = {}, []
    for tag, action in initialize_actions(f"dicomfields_{TABLE}").items():
        if len(tag) == 2:
            exact[tag[0] << 16 | tag[1]] = action
        else:
            masked.append(((tag[0], tag[1]), (tag[2], tag[3]), action))
    return exact | dict.fromkeys(_DESCRIPTORS, _clean), masked


_EXACT, _MASKED = _compile()


def identity(dataset: Dataset) -> str:
    """Return what tells this patient from others, to be fed to a `Pseudonymiser` and forgotten."""
    patient = text(dataset, "PatientID")
    if patient:
        return f"{text(dataset, 'IssuerOfPatientID')}\0{patient}"
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return "study\0" + next((uid for key in uids if (uid := text(dataset, key))), "")


def deidentify(dataset: Dataset, pseudonymiser: Pseudonymiser) -> None:
    """De-identify in place, nested sequences included; malformed elements are removed."""
    shift = timedelta(days=pseudonymiser.days(identity(dataset)))
    study_date = moved_date(text(dataset, "StudyDate"), shift)
    sex, age = patient_sex(dataset), patient_age(dataset)
    patient = pseudonymiser.patient(identity(dataset))
    if hasattr(dataset, "file_meta"):
        _walk(dataset.file_meta, pseudonymiser, 0)
    _walk(dataset, pseudonymiser, 0)
    dataset.PatientID = dataset.PatientName = patient
    dataset.StudyDate = study_date.strftime("%Y%m%d") if study_date else ""
    dataset.PatientSex = sex or ""
    if age is not None:
        dataset.PatientAge = f"{int(age):03d}Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.DeidentificationMethodCodeSequence = [_code(*method) for method in METHODS]


def moved_date(stated: str, shift: timedelta) -> date | None:
    """Return a DICOM date moved back, or None if it is not one."""
    try:
        return date(int(stated[:4]), int(stated[4:6]), int(stated[6:8])) - shift
    except (ValueError, OverflowError):
        return None


def patient_sex(dataset: Dataset) -> str | None:
    """Return "F", "M", "O" or None."""
    sex = text(dataset, "PatientSex").upper()
    return sex if sex in ("F", "M", "O") else None


def patient_age(dataset: Dataset) -> float | None:
    """Return Patient's Age in years, at most `MAX_AGE`; None if absent or malformed.

    Source: DICOM PS3.5, 6.2 (value representation AS: nnnD, nnnW, nnnM, nnnY).
    """
    stated = text(dataset, "PatientAge").upper()
    if stated == DUMMY_AGE or not re.fullmatch("[0-9]{3}[DWMY]", stated):
        return _age_from_dates(dataset)
    years = int(stated[:3]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[stated[3]]
    return min(round(years, 2), float(MAX_AGE))


def _age_from_dates(dataset: Dataset) -> float | None:
    """Return whole years from birth to study; None for dates that are absent or make no sense."""
    unmoved = timedelta()
    born = moved_date(text(dataset, "PatientBirthDate"), unmoved)
    seen = moved_date(text(dataset, "StudyDate"), unmoved)
    if born is None or seen is None or not 0 < (seen - born).days < 130 * 365:
        return None
    return min(float(int((seen - born).days / 365.25)), float(MAX_AGE))


def _walk(dataset: Dataset, pseudonymiser: Pseudonymiser, depth: int) -> None:
    if depth > _MAX_DEPTH:
        dataset.clear()
        return
    for tag in list(dataset.keys()):
        try:
            _treat(dataset, tag, pseudonymiser, depth)
        except Exception:  # noqa: BLE001  what cannot be parsed or replaced cannot be trusted
            dataset.pop(tag, None)


def _treat(dataset: Dataset, tag: BaseTag, pseudonymiser: Pseudonymiser, depth: int) -> None:
    """Do what the table says about one element; an element unknown to the dictionary goes."""
    action = _action(tag)
    if tag.is_private or not dictionary_has_tag(tag) or action is delete:
        del dataset[tag]
        return
    vr = dataset.get_item(tag).VR or dictionary_VR(tag)
    if action is None and vr not in ("UI", "SQ", "UN"):
        return
    element = dataset[tag]
    if element.VR == "UN":
        del dataset[tag]
    elif element.VR == "UI" and action in (None, replace_UID, delete_or_empty_or_replace_UID):
        _remap(element, pseudonymiser)
    elif action is not None:
        action(dataset, tag)
    if tag in dataset and element.VR == "SQ":
        for item in element.value:
            _walk(item, pseudonymiser, depth + 1)


def _action(tag: BaseTag) -> Callable | None:
    if int(tag) in _EXACT:
        return _EXACT[int(tag)]
    for (group, element), (group_mask, element_mask), action in _MASKED:
        if tag.group & group_mask == group & group_mask and (
            tag.element & element_mask == element & element_mask
        ):
            return action
    return None


def _remap(element: DataElement, pseudonymiser: Pseudonymiser) -> None:
    """Replace UIDs of instances; those that the standard itself registers stay."""
    values = [element.value] if element.VM == 1 else list(element.value or [])
    new = [
        str(v) if str(v).startswith("1.2.840.10008.") else pseudonymiser.uid(str(v)) for v in values
    ]
    element.value = new[0] if len(new) == 1 else new


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
