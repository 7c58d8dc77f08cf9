"""The clinical words that an answer is searched for, and what counts as the same thing."""

import re
from dataclasses import dataclass
from typing import Literal

from overread.imaging.vocabulary import DOMAINS

Kind = Literal["finding", "structure", "modality", "body part", "view"]


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that can be spoken of.

    Attributes:
        name: As tools call it.
        kind: What sort of thing.
        pattern: All ways to write it.
    """

    name: str
    kind: Kind
    pattern: re.Pattern[str]


_HEART = r"(?:heart|cardiac (?:silhouette|shadow))"
_IS = r"(?: size)?(?: (?:is|are|was|were|appears?|looks?|seems?))?"
_DEGREE = r"(?: (?:not|mildly|slightly|moderately|markedly|clearly))*"

# Findings of the vocabulary: further ways to write them.
_FINDINGS: dict[str, str] = {
    "nodule": r"(?:pulmonary |lung )?nodules?|nodular|coin lesions?",
    "effusion": r"(?:pleural )?effusions?|pleural fluid|hydrothorax",
    "pneumothorax": r"pneumothora(?:x|ces)|ptx|collapsed lungs?",
    "consolidation": r"consolidations?|consolidated|infiltrates?|airspace (?:disease|opacit(?:y|ies))",
    "cardiomegaly": rf"cardiomegaly|enlarged {_HEART}|cardiac enlargement|"
    rf"{_HEART}{_IS}{_DEGREE} enlarged",
    "lesion": r"(?:brain )?lesions?|brain tumou?rs?",
    "midline shift": r"midline[ _]shift|shift of the midline|midline (?:is |structures are )?"
    r"(?:shifted|displaced|deviated)",
    "cyst": r"(?:renal |liver |hepatic |kidney |breast )?cysts?|cystic",
    "haemorrhage": r"(?:retinal )?ha?emorrhag(?:es?|ic)|bleeding|bleeds?",
    "exudate": r"(?:hard )?exudat(?:es?|ive)",
    "mass": r"(?:breast |solid )?mass(?:es)?",
}

# What no bundled tool reports, but a model likes to say: it needs evidence that says so too.
_FURTHER_FINDINGS: dict[str, str] = {
    name: pattern or rf"{name}s?"
    for name, pattern in {
        "fracture": r"fractur(?:es?|ed)",
        "pneumonia": r"(?:broncho)?pneumonias?",
        "tuberculosis": "",
        "cancer": r"cancers?|cancerous|carcinomas?|malignan(?:t|cy|cies)|neoplas(?:ms?|tic)",
        "benign": "benign",
        "metastasis": r"metasta(?:sis|ses|tic)",
        "tumour": r"tumou?rs?|gliomas?|meningiomas?|lymphomas?|sarcomas?|adenomas?",
        "abscess": r"abscess(?:es)?",
        "oedema": r"o?edemas?|congestion",
        "atelectasis": r"atelecta(?:sis|ses|tic)",
        "emphysema": r"emphysema(?:tous)?|hyperinflat(?:ion|ed)|copd",
        "fibrosis": r"fibro(?:sis|tic)|scarring|scars?",
        "hernia": "",
        "aneurysm": "",
        "dissection": "",
        "embolism": r"embol(?:ism|us|i)|thromb(?:us|osis|i)",
        "infarction": r"infarct(?:ion|ions|s)?|strokes?|ischa?emi[ac]",
        "hydrocephalus": r"hydrocephalus|enlarged ventricles?|ventriculomegaly",
        "atrophy": r"atroph(?:y|ic)",
        "stenosis": r"stenos(?:is|es)|occlusions?|obstructions?",
        "calcification": r"calcifi(?:cations?|ed)|calcul(?:us|i)|(?:gall|kidney )stones?",
        "cirrhosis": "",
        "steatosis": r"steatosis|fatty liver",
        "ascites": "ascites|free fluid",
        "free air": r"free air|pneumoperitoneum",
        "lymphadenopathy": r"lymphadenopathy|enlarged (?:lymph )?nodes?",
        "scoliosis": "",
        "arthritis": r"(?:osteo)?arthr(?:itis|osis|itic)",
        "osteoporosis": "",
        "dislocation": "",
        "glaucoma": "",
        "retinopathy": r"retinopath(?:y|ies)|microaneurysms?|drusen|maculopathy",
        "cataract": "",
        "appendicitis": "",
        "pancreatitis": "",
        "polyp": "",
        "ulcer": "",
        "inflammation": r"inflam(?:mation|ed|matory)|infections?|infected|sepsis",
        "margin": r"spiculat(?:ed|ions?)|lobulated|(?:ill|well)[- ](?:defined|circumscribed)",
        "dilatation": r"dilat(?:ed|ion|ation)|ectasia|tortuous|tortuosity",
        "displacement": r"displac(?:ed|ements?)|deviat(?:ed|ions?)",
        "enhancement": r"enhanc(?:es|ed|ing|ement)",
        "failure": r"(?:heart|renal|kidney|liver|respiratory|organ) failure|cardiomyopath(?:y|ies)",
        "granuloma": r"granulomas?|granulomatous|sarcoid(?:osis)?",
        "opacity": r"opacit(?:y|ies)|opacification|ground[- ]glass",
        "cavity": r"cavit(?:y|ies|ation)",
        "foreign device": r"pacemakers?|catheters?|prosthes[ie]s|implants?",
        "abnormality": r"abnormal(?:ity|ities)?|patholog(?:y|ies|ical)|diseased?",
        "normality": rf"{_HEART}{_IS} normal(?: in size)?|normal {_HEART}|normal|unremarkable|healthy|clear",
    }.items()
}

_STRUCTURES: dict[str, str] = {
    "left lung": r"left lung",
    "right lung": r"right lung",
    "heart": _HEART,
    "thorax": r"thorax|rib cage|thoracic cage",
    "ventricles": r"(?:lateral )?ventricles?",
    "left kidney": r"left kidney",
    "right kidney": r"right kidney",
    "optic disc": r"optic dis[ck]|optic nerve head",
    # Blood cells are counted apart: most have no nucleus.
    "nuclei": r"(?:cell )?nucle(?:us|i)|(?<!blood )(?<!red )(?<!white )cells?",
}

# What no bundled tool outlines, but a model likes to describe.
_FURTHER_STRUCTURES: dict[str, str] = {
    "aorta": r"aort(?:a|ic)",
    "trachea": r"trachea|tracheal",
    "mediastinum": r"mediastin(?:um|al)",
    "hilum": r"hil(?:um|a|ar)",
    "diaphragm": r"(?:hemi)?diaphragm(?:s|atic)?",
    "bronchus": r"bronch(?:us|i|ial)",
    "rib": r"ribs?(?! cage)",
    "bone": r"bones?|bony|clavicles?|vertebra[el]?",
    "vessel": r"vessels?|vascular|arter(?:y|ies)|veins?",
    "pancreas": r"pancrea(?:s|tic)",
    "gallbladder": r"gall ?bladder",
    "bowel": r"bowels?|colon|intestin(?:es?|al)|stomach",
    "thyroid": "thyroid",
    "prostate": "prostate",
    "uterus": r"uter(?:us|ine)",
    "lymph node": r"(?:lymph )?nodes?",
    "macula": r"macul(?:a|ar)|fovea",
}

_MODALITIES: dict[str, str] = {
    "CR DX": r"x-?rays?|radiographs?|radiograms?|plain films?",
    "CT": r"ct|computed tomograph(?:y|ies|ic)",
    "MR": r"mri?|magnetic resonance",
    "US": r"ultrasounds?|sonogra(?:ms?|phy)|echocardiogra(?:ms?|phy)",
    "OP": r"fundus (?:photographs?|photos?|pictures?|images?)|fundoscop(?:y|ic)",
    "SM": r"histolog(?:y|ical)|micrographs?|microscop(?:y|ic)|"
    r"biops(?:y|ies)(?! (?:is|are|should|would|may|might)\b)",
    "PT": r"pet",
    "MG": r"mammogra(?:ms?|phy)",
}

_BODY_PARTS: dict[str, str] = {
    "chest": r"chest",
    "head": r"heads?|skull",
    "abdomen": r"abdom(?:en|inal)",
    "pelvis": r"pelvi[sc]",
    "knee": r"knees?",
    "hand": r"hands?|wrists?",
    "breast": r"breasts?",
    "spine": r"spine|spinal",
}

_VIEWS: dict[str, str] = {
    "axial": r"axial|transverse (?:slice|section|plane|image)s?",
    "coronal": r"coronal",
    "sagittal": r"sagittal",
    # "frontal lobe" is a place in the brain, not a view.
    "frontal": r"frontal(?! (?:lobes?|horns?|bones?|sinus(?:es)?|cortex|gyr(?:us|i)))|pa view|ap view|"
    r"(?:postero-?anterior|antero-?posterior)",
    "lateral": r"lateral (?:view|projection|radiograph|chest)",
}


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


def _terms() -> list[Term]:
    structures = {name for names, _ in DOMAINS.values() for name in names}
    findings = {name for _, names in DOMAINS.values() for name in names}
    tables: tuple[tuple[Kind, dict[str, str]], ...] = (
        ("finding", {name: _FINDINGS.get(name, rf"{name}s?") for name in sorted(findings)}),
        ("finding", _FURTHER_FINDINGS),
        ("structure", {name: _STRUCTURES.get(name, rf"{name}s?") for name in sorted(structures)}),
        ("structure", _FURTHER_STRUCTURES),
        ("modality", _MODALITIES),
        ("body part", _BODY_PARTS),
        ("view", _VIEWS),
    )
    return [
        Term(name, kind, _compile(pattern))
        for kind, table in tables
        for name, pattern in table.items()
    ]


TERMS: tuple[Term, ...] = tuple(_terms())
