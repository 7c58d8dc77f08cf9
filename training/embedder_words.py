"""The words in which people search, beside those in which reports are written. Data, and a draw."""

import numpy as np

from overread.imaging.phantoms import Phantom
from overread.imaging.phantoms.truth import Finding

PICTURES: dict[str, tuple[str, ...]] = {
    "chest-xray": ("chest x-ray", "chest radiograph", "CXR", "frontal chest film"),
    "brain-mr": ("brain MRI", "MR image of the brain", "head MRI", "cerebral MR"),
    "chest-ct": ("chest CT", "CT of the thorax", "CT scan of the lungs"),
    "abdomen-ct": ("abdominal CT", "CT of the abdomen", "abdomen CT scan"),
    "fundus": ("fundus photograph", "retinal photograph", "photograph of the retina", "eye"),
    "ultrasound": ("ultrasound", "sonogram", "ultrasound scan", "US image"),
    "histology": ("histology", "pathology slide", "H&E section", "microscopy of tissue"),
}

FINDINGS: dict[str, tuple[str, ...]] = {
    "nodule": ("nodule", "lung nodule", "pulmonary nodule", "coin lesion"),
    "effusion": ("effusion", "pleural effusion", "pleural fluid", "fluid around the lung"),
    "pneumothorax": ("pneumothorax", "collapsed lung", "air in the pleural space"),
    "consolidation": ("consolidation", "pneumonia", "airspace opacity", "infiltrate"),
    "cardiomegaly": ("cardiomegaly", "enlarged heart", "large heart", "big cardiac silhouette"),
    "lesion": ("lesion", "brain lesion", "brain tumour", "brain tumor", "intracranial mass"),
    "midline shift": ("midline shift", "displaced midline", "mass effect"),
    "cyst": ("cyst", "simple cyst", "fluid-filled cyst"),
    "mass": ("mass", "solid mass", "suspicious mass", "tumour"),
    "haemorrhage": ("haemorrhage", "retinal haemorrhage", "hemorrhage", "bleeding"),
    "exudate": ("exudate", "hard exudates", "lipid deposits"),
}

NORMAL = ("normal", "no abnormality", "healthy", "unremarkable")
_NAMED, _SIDED, _PLACED = 0.6, 0.5, 0.3


def search_words(phantom: Phantom, rng: np.random.Generator) -> str:
    """Return what somebody might type to find this case."""
    picture = _one(PICTURES[phantom.domain], rng)
    if not phantom.findings:
        return f"{_one(NORMAL, rng)} {picture}"
    number = int(rng.integers(1, len(phantom.findings) + 1))
    chosen = rng.permutation(len(phantom.findings))[:number]
    words = " and ".join(_finding(phantom.findings[i], rng) for i in chosen)
    if rng.random() < _NAMED:
        return f"{words}, {picture}" if rng.random() < 0.5 else f"{picture} with {words}"
    return words


def _finding(finding: Finding, rng: np.random.Generator) -> str:
    words = _one(FINDINGS[finding.name], rng)
    if finding.side and rng.random() < _SIDED:
        words = (
            f"{finding.side} {words}" if rng.random() < 0.5 else f"{words} on the {finding.side}"
        )
    if finding.location and rng.random() < _PLACED:
        words = f"{words}, {finding.location}"
    return words


def _one(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
