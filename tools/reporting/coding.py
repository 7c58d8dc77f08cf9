"""Codes for structures, findings and quantities: SNOMED CT where pydicom's dictionary has one.

What has no code there gets one of our own scheme, 99OVERREAD, with the plain name as its meaning:
an honest name is better than a code that was guessed.
"""

import hashlib
import re

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from overread.imaging.vocabulary import DOMAINS, FINDINGS
from overread.tools.reporting.dicom_text import line

SCHEME = "99OVERREAD"

SIDES: dict[str, Code] = {"left": codes.SCT.Left, "right": codes.SCT.Right}

_NAMED: dict[str, Code] = {
    "heart": codes.SCT.Heart,
    "left lung": codes.SCT.Lung,
    "right lung": codes.SCT.Lung,
    "thorax": codes.SCT.Thorax,
    "body": codes.SCT.EntireBody,
    "brain": codes.SCT.Brain,
    "liver": codes.SCT.Liver,
    "spleen": codes.SCT.Spleen,
    "left kidney": codes.SCT.Kidney,
    "right kidney": codes.SCT.Kidney,
    "ventricles": codes.SCT.LateralVentricle,
    "retina": codes.SCT.Retina,
    "optic disc": codes.SCT.OpticDiscStructure,
    "nodule": codes.SCT.Nodule,
    "effusion": codes.SCT.PleuralEffusion,
    "pneumothorax": codes.SCT.Pneumothorax,
    "cardiomegaly": codes.SCT.Cardiomegaly,
    "lesion": codes.SCT.Lesion,
    "cyst": codes.SCT.Cyst,
    "mass": codes.SCT.Mass,
    "haemorrhage": codes.SCT.Hemorrhage,
    "area": codes.SCT.Area,
    "distance": codes.DCM.Distance,
    "long_axis": codes.SCT.LongAxis,
    "short_axis": codes.SCT.ShortAxis,
    "width": codes.SCT.Width,
    "volume": codes.SCT.Volume,
}
_UNITS: dict[str, Code] = {
    "mm": codes.UCUM.Millimeter,
    "mm2": codes.UCUM.SquareMillimeter,
    "mm3": codes.UCUM.CubicMillimeter,
    "ml": Code("ml", "UCUM", "milliliter"),
    "HU": codes.UCUM.HounsfieldUnit,
    "pixels": Code("{pixels}", "UCUM", "pixels"),
    "% of the picture": codes.UCUM.Percent,
    "": codes.UCUM.NoUnits,
}
_STRUCTURES = frozenset(name for structures, _ in DOMAINS.values() for name in structures)
_FINDING = re.compile(rf"\b(?:{'|'.join(FINDINGS)})s?\b", re.IGNORECASE)
_SIDE = re.compile(rf"\b(?:{'|'.join(SIDES)})\b", re.IGNORECASE)
_LONGEST, _HASHED = 16, 7


def concept(name: str) -> Code:
    """Return the code of a structure, a finding or a quantity.

    >>> concept("heart").value, concept("optic cup").scheme_designator
    ('80891009', '99OVERREAD')
    """
    return _NAMED.get(name) or _own(name)


def category(name: str) -> Code:
    """Return whether a segment is anatomy or an abnormality, as a code (CID 7150).

    A reader may outline anything under a name of their own. Where the name holds a finding, it is
    an abnormality. Of other words we know neither; the list has no "unknown", and "Tissue", which
    other programs give a segment without a meaning, claims least.
    """
    if name in _STRUCTURES:
        return codes.SCT.AnatomicalStructure
    if _FINDING.search(name):
        return codes.SCT.MorphologicallyAbnormalStructure
    return codes.SCT.Tissue


def laterality(name: str) -> Code | None:
    """Return the side that a name states (CID 244); None if it states none, or both.

    >>> laterality("left kidney").meaning, laterality("liver")
    ('Left', None)
    """
    sides = {found.lower() for found in _SIDE.findall(name)}
    return SIDES[sides.pop()] if len(sides) == 1 else None


def unit(name: str) -> Code:
    """Return the UCUM code of a unit as tools write it; one of our own for what UCUM lacks."""
    return _UNITS.get(name) or _own(name)


def _own(name: str) -> Code:
    """Return a code of our scheme, another for each name: a value has 16 characters (SH)."""
    value = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    if len(value) > _LONGEST or value != name.replace(" ", "_"):
        digest = hashlib.sha256(name.encode()).hexdigest()[:_HASHED]
        value = f"{value[: _LONGEST - _HASHED - 1]}_{digest}"
    return Code(value, SCHEME, line(name.replace("_", " ")))
