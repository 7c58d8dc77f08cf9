"""The wordings of questions. Data only; {the} is "the nodule", {a} is "a nodule"."""

PRESENCE = (
    "Is there {a}?",
    "Is there {a} in this image?",
    "Does this image show {a}?",
    "Do you see {a}?",
    "Can {a} be seen here?",
    "Is {a} present?",
    "Any evidence of {a}?",
)
FINDING = (
    "What abnormality is shown?",
    "What is abnormal in this image?",
    "Which abnormality is present?",
    "What does this image show that is abnormal?",
    "What are the abnormal findings?",
)
SIDE = (
    "On which side {are} {the}?",
    "Which side {are} {the} on?",
    "{are} {the} on the left or the right?",
    "On which side of the patient {are} {the}?",
)
LOCATION_OPEN = (
    "Where {are} {the}?",
    "Where {are} {the} located?",
    "In which region {are} {the}?",
)
LOCATION_CLOSED = (
    "Where {are} {the}: {options}?",
    "{are} {the} located in one of these: {options}?",
    "Which region holds {the}, {options}?",
)
SIZE = {
    "long_axis": (
        "What is the long axis of {the} in millimetres?",
        "How long is {the}, in mm?",
        "What is the greatest diameter of {the} in mm?",
        "How large is {the} (long axis, mm)?",
        "Measure {the} along its longest axis, in mm.",
    ),
    "area": (
        "What is the area of {the} in mm2?",
        "How many square millimetres does {the} cover?",
        "Measure the area of {the} in square millimetres.",
    ),
}
COUNT = (
    "How many {things} are there?",
    "How many {things} can be seen?",
    "Count the {things}.",
    "What is the number of {things} in this image?",
)
RATIO = {
    "heart": (
        "What is the cardiothoracic ratio?",
        "How wide is the heart relative to the thorax?",
        "Measure the cardiothoracic ratio.",
        "What is the ratio of heart width to thoracic width?",
    ),
    "optic cup": (
        "What is the vertical cup-to-disc ratio?",
        "Measure the cup-to-disc ratio.",
        "How tall is the optic cup relative to the optic disc?",
        "What is the cup-to-disc ratio of this eye?",
    ),
}
SHIFT = (
    "By how many millimetres is the midline shifted?",
    "How large is the midline shift in mm?",
    "Measure the midline shift in mm.",
)
SHIFT_SIDE = (
    "To which side is the midline shifted?",
    "Is the midline shifted to the left or to the right?",
    "In which direction is the midline displaced?",
)
EYE = (
    "Which eye is this?",
    "Is this the left or the right eye?",
    "Which eye, left or right, is shown?",
)
COMPARE = {
    "size": (
        "Compared with the prior, is {the} larger, smaller or unchanged?",
        "Has {the} become larger or smaller since the prior study, or is it unchanged?",
        "Is {the} larger, smaller or unchanged compared with the earlier image?",
    ),
    "course": (
        "Compared with the prior, what has happened to {the}?",
        "How has {the} changed since the prior study: larger, smaller, unchanged, new or resolved?",
        "What is the course of {the} compared with the earlier image?",
    ),
}
MODALITY_OPEN = (
    "What imaging modality is this?",
    "Which modality was used to take this image?",
    "What kind of image is this?",
    "How was this image acquired?",
)
MODALITY_CLOSED = (
    "Which modality is this: {options}?",
    "What kind of image is this, {options}?",
    "Was this image taken by {options}?",
)
MODALITY_CHOICES = ("X-ray", "MRI", "CT", "ultrasound", "fundus photograph", "histology")
ORGAN = (
    "Which body part is shown?",
    "What part of the body does this image show?",
    "Which organ system or region is imaged?",
    "What body region is this?",
)
VIEW = (
    "In which plane is this image?",
    "What is the imaging plane?",
    "Is this an axial, coronal or sagittal image?",
)
