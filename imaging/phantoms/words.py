"""The words of reports and questions, by finding and by domain. Data only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """How a finding is spoken of.

    Attributes:
        noun: "pleural effusion". phrase: With its article, "a pleural effusion".
        plural: "nodules". present: Report sentences with {side}, {location}, {size}, {severity}
            and {count} to fill in. absent: A report sentence that denies it.
        impression: Words of the impression, filled likewise.
    """

    noun: str
    phrase: str
    plural: str
    present: tuple[str, ...]
    absent: str
    impression: str


@dataclass(frozen=True, slots=True)
class Setting:
    """How a domain is spoken of: modality, body part, organs and the sentences of a normal study."""

    modality: str
    modality_code: str
    body: str
    normal: tuple[str, ...]
    normal_impression: str


SETTINGS: dict[str, Setting] = {
    "chest-xray": Setting(
        "X-ray", "CR", "chest", ("The lungs are clear.",), "No acute cardiopulmonary abnormality."
    ),
    "brain-mr": Setting(
        "MRI", "MR", "brain", ("Ventricles and sulci are unremarkable.",), "Normal brain MRI slice."
    ),
    "chest-ct": Setting(
        "CT",
        "CT",
        "chest",
        ("The lungs are clear.", "Heart and great vessels are unremarkable."),
        "Normal chest CT slice.",
    ),
    "abdomen-ct": Setting(
        "CT",
        "CT",
        "abdomen",
        ("Liver, spleen and kidneys are unremarkable.",),
        "Normal abdominal CT slice.",
    ),
    "fundus": Setting(
        "fundus photograph",
        "OP",
        "eye",
        ("The macula and the vessels are unremarkable.",),
        "No retinopathy.",
    ),
    "ultrasound": Setting(
        "ultrasound", "US", "", ("Homogeneous echo pattern.",), "Normal ultrasound."
    ),
    "histology": Setting(
        "histology",
        "SM",
        "tissue section",
        ("Nuclei lie in an eosinophilic stroma.",),
        "Tissue section for cell counting.",
    ),
}

TERMS: dict[tuple[str, str], Term] = {
    ("chest-xray", "nodule"): Term(
        "lung nodule",
        "a lung nodule",
        "lung nodules",
        (
            "There is {count} in the {side} {location}, measuring {size} mm.",
            "{Count} with a long axis of {size} mm in the {location} of the {side} lung.",
        ),
        "No lung nodule.",
        "{Side} {location} lung nodule, {size} mm.",
    ),
    ("chest-xray", "effusion"): Term(
        "pleural effusion",
        "a pleural effusion",
        "pleural effusions",
        (
            "There is a {severity} {side} pleural effusion.",
            "The {side} costophrenic angle is blunted by a {severity} pleural effusion.",
        ),
        "No pleural effusion.",
        "{Severity} {side} pleural effusion.",
    ),
    ("chest-xray", "pneumothorax"): Term(
        "pneumothorax",
        "a pneumothorax",
        "pneumothoraces",
        (
            "There is a {severity} {side} pneumothorax with a visible pleural line.",
            "{Severity} apical pneumothorax on the {side}.",
        ),
        "No pneumothorax.",
        "{Severity} {side} pneumothorax.",
    ),
    ("chest-xray", "consolidation"): Term(
        "consolidation",
        "a consolidation",
        "consolidations",
        (
            "Patchy consolidation in the {side} {location}, {size} mm across.",
            "An airspace opacity of {size} mm in the {side} {location}, likely consolidation.",
        ),
        "No focal consolidation.",
        "{Side} {location} consolidation.",
    ),
    ("chest-xray", "cardiomegaly"): Term(
        "cardiomegaly",
        "cardiomegaly",
        "cardiomegaly",
        ("The heart is enlarged.", "The cardiac silhouette is enlarged."),
        "The heart is of normal size.",
        "Cardiomegaly.",
    ),
    ("brain-mr", "lesion"): Term(
        "brain lesion",
        "a brain lesion",
        "brain lesions",
        (
            "There is a {size} mm lesion in the {side} {location} with surrounding oedema.",
            "A lesion in the {location} of the {side} hemisphere measures {size} mm.",
        ),
        "No focal brain lesion.",
        "{Side} {location} lesion, {size} mm.",
    ),
    ("brain-mr", "midline shift"): Term(
        "midline shift",
        "a midline shift",
        "midline shifts",
        (
            "The midline is shifted to the {side} by {size} mm.",
            "There is a {size} mm midline shift to the {side}.",
        ),
        "No midline shift.",
        "Midline shift to the {side} of {size} mm.",
    ),
    ("chest-ct", "nodule"): Term(
        "lung nodule",
        "a lung nodule",
        "lung nodules",
        (
            "There is {count} in the {location} part of the {side} lung, measuring {size} mm.",
            "{Count} in the {side} lung, {location}, with a long axis of {size} mm.",
        ),
        "No lung nodule.",
        "{Side} lung nodule, {size} mm.",
    ),
    ("abdomen-ct", "cyst"): Term(
        "cyst",
        "a cyst",
        "cysts",
        (
            "There is {count} of water density in the {location}, measuring {size} mm.",
            "{Count} in the {location} with a long axis of {size} mm.",
        ),
        "No cyst.",
        "Simple cyst of the {location}, {size} mm.",
    ),
    ("fundus", "haemorrhage"): Term(
        "retinal haemorrhage",
        "a retinal haemorrhage",
        "retinal haemorrhages",
        (
            "There is {count} in the {location} quadrant.",
            "{Count} lie in the {location} retina.",
        ),
        "No retinal haemorrhage.",
        "Retinal haemorrhage in the {location} quadrant.",
    ),
    ("fundus", "exudate"): Term(
        "hard exudate",
        "a hard exudate",
        "hard exudates",
        (
            "There is {count} in the {location} quadrant.",
            "{Count} in the {location} retina.",
        ),
        "No hard exudates.",
        "Hard exudates in the {location} quadrant.",
    ),
    ("ultrasound", "cyst"): Term(
        "cyst",
        "a cyst",
        "cysts",
        (
            "An anechoic cyst with posterior enhancement, {size} mm, lies {location}.",
            "There is a {location} simple cyst of {size} mm.",
        ),
        "No cyst.",
        "{Location} simple cyst, {size} mm.",
    ),
    ("ultrasound", "mass"): Term(
        "solid mass",
        "a solid mass",
        "solid masses",
        (
            "An irregular hypoechoic mass with shadowing, {size} mm, lies {location}.",
            "There is a {location} hypoechoic mass of {size} mm with ragged margins.",
        ),
        "No solid mass.",
        "{Location} suspicious mass, {size} mm.",
    ),
}

LOCATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("chest-xray", "nodule"): ("upper zone", "middle zone", "lower zone"),
    ("chest-xray", "consolidation"): ("upper zone", "middle zone", "lower zone"),
    ("brain-mr", "lesion"): ("frontal lobe", "parietal lobe", "occipital lobe"),
    ("chest-ct", "nodule"): ("anterior", "posterior"),
    ("abdomen-ct", "cyst"): ("liver", "left kidney", "right kidney"),
    ("fundus", "haemorrhage"): ("superonasal", "superotemporal", "inferonasal", "inferotemporal"),
    ("fundus", "exudate"): ("superonasal", "superotemporal", "inferonasal", "inferotemporal"),
    ("ultrasound", "cyst"): ("superficial", "deep"),
    ("ultrasound", "mass"): ("superficial", "deep"),
}

COUNTED = frozenset(
    {
        ("chest-xray", "nodule"),
        ("chest-ct", "nodule"),
        ("abdomen-ct", "cyst"),
        ("fundus", "haemorrhage"),
        ("fundus", "exudate"),
    }
)
SIZED = frozenset(
    {
        ("chest-xray", "nodule"),
        ("chest-xray", "consolidation"),
        ("brain-mr", "lesion"),
        ("chest-ct", "nodule"),
        ("abdomen-ct", "cyst"),
        ("ultrasound", "cyst"),
        ("ultrasound", "mass"),
    }
)
