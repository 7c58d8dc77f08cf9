"""Clean free text by keeping only the words of radiology. Names cannot pass a closed list."""

import re

_PARTS = """
    abdomen ankle arm bladder brain breast cervix chest clavicle elbow eye face finger foot
    forearm hand head heart hip kidney knee leg liver lung neck orbit pancreas pelvis prostate
    retina rib sacrum shoulder skull spine spleen sternum thigh thyroid toe tibia fibula femur
    humerus radius ulna uterus wrist colon skin
"""

_SYNONYMS = {
    "thorax": "chest", "cxr": "chest", "lungs": "chest", "abd": "abdomen", "cspine": "spine",
    "lspine": "spine", "tspine": "spine", "ssp": "spine", "carotid": "neck", "jaw": "face",
    "fundus": "retina", "ocular": "eye", "mammo": "breast", "cerebral": "brain",
    "cardiac": "heart", "hepatic": "liver", "renal": "kidney", "wholebody": "whole body",
}  # fmt: skip

BODY_PARTS: dict[str, str] = {word: word for word in _PARTS.split()} | _SYNONYMS
"""Body parts: the word as headers write it, and as we do (DICOM PS3.16, Annex L)."""

_PROTOCOL = """
    2d 3d 4d acute adc angio anterior ap apical arterial ax axial body bone cad cine contrast
    cor coronal ct cta delayed diffusion doppler dose dwi dynamic dx echo epi erect expiration fast
    fat fdg fgre flair flash frontal fs fse fspgr full gad gradient gre hrct inspiration inversion
    lat lateral left ll localiser localizer low lower mip mr mra mri mrcp nm nuclear ob oblique
    off pa pd pet phase portable portal post posterior pre proton pt ray recon recovery right rl
    routine sag sagittal saturation scan scout screening series short slice soft spgr spin standard
    stir study supine survey swi t1 t1w t2 t2star t2w thick thin tissue tof tra transverse tse
    ultrasound upper us venous view volume w weighted whole window with without wo x xr xray
"""

_WORDS = frozenset(_PROTOCOL.split()) | frozenset(BODY_PARTS)

_FRONTAL_AND_OBLIQUE = "ap pa lpo rpo lao rao lld rld cc mlo ml lm"
_LATERAL = "ll rl lat lateral"

VIEWS: dict[str, str] = {word: word.upper() for word in _FRONTAL_AND_OBLIQUE.split()} | {
    word: "lateral" for word in _LATERAL.split()
}
"""View Position (0018,5101) in lower case, and our word (DICOM PS3.3, C.8.1.2 and C.8.11.5)."""

_MODALITIES = """
    AR BI BMD CR CT DG DX ECG ES FID GM IO IVOCT IVUS LP LS MG MR NM OAM OCT OP OPT OPV OT PT PX RF
    RG RTDOSE RTIMAGE SEG SM TG US XA XC
"""

MODALITIES = frozenset(_MODALITIES.split())
"""Values of Modality (0008,0060) that come with pixels (DICOM PS3.3, C.7.3.1.1.1)."""

_WORD = re.compile(r"[a-z0-9]+")


def clean(text: str) -> str:
    """Return the words of `text` that are words of radiology, in lower case.

    >>> clean("CT Abdomen w/o contrast, Mrs. DOE 1961")
    'ct abdomen w contrast'
    """
    return " ".join(word for word in _WORD.findall(text.lower()) if word in _WORDS)


def body_part(*texts: str) -> str | None:
    """Return the first body part named in the texts, in our word for it.

    >>> body_part("", "T2 AX L-SPINE"), body_part("THORAX"), body_part("DOE")
    ('spine', 'chest', None)
    """
    for text in texts:
        for word in _WORD.findall(text.lower()):
            if word in BODY_PARTS:
                return BODY_PARTS[word]
    return None


def view(text: str) -> str | None:
    """Return a radiographic view, or None if the text is not one.

    >>> view("pa"), view("LL"), view("DOE^JANE")
    ('PA', 'lateral', None)
    """
    return VIEWS.get(text.strip().lower())


def modality(text: str) -> str:
    """Return a defined Modality, or "OT".

    >>> modality("CT"), modality("DOE")
    ('CT', 'OT')
    """
    word = text.strip().upper()
    return word if word in MODALITIES else "OT"
