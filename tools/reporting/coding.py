"""Codes for structures, findings and quantities: SNOMED CT where pydicom's dictionary has one.

What has no code there gets one of our own scheme, 99OVERREAD, with the plain name as its meaning:
an honest name is better than a code that was guessed.
"""

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from overread.imaging.vocabulary import FINDINGS

SCHEME = "99OVERREAD"

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


def concept(name: str) -> Code:
    """Return the code of a structure, a finding or a quantity.

    >>> concept("heart").value, concept("optic cup").scheme_designator
    ('80891009', '99OVERREAD')
    """
    return _NAMED.get(name) or Code(
        name.replace(" ", "_")[:16], SCHEME, name.replace("_", " ")[:64]
    )


def category(name: str) -> Code:
    """Return whether a segment is anatomy or an abnormality, as a code (CID 7150)."""
    if name in FINDINGS:
        return codes.SCT.MorphologicallyAbnormalStructure
    return codes.SCT.AnatomicalStructure


def unit(name: str) -> Code:
    """Return the UCUM code of a unit as tools write it; one of our own for what UCUM lacks."""
    return _UNITS.get(name) or Code(name.replace(" ", "_")[:16], SCHEME, name[:64])
