import numpy as np
import pytest

from overread.imaging.phantoms import generate
from overread.imaging.study import Image, ImageRef
from overread.tools.sides import midline_of, patient_side

REF = ImageRef("st", "s0", "i0")
ON_PICTURE_RIGHT = np.arange(100).reshape(1, 100).repeat(50, 0) > 80


def image(modality: str, view: str | None) -> Image:
    return Image(REF, np.zeros((50, 100), np.float32), modality, view=view)


@pytest.mark.parametrize(
    ("modality", "view", "side"),
    [
        ("CR", "PA", "left"),
        ("DX", "AP", "left"),
        ("CT", "axial", "left"),
        ("MR", "axial", "left"),
        ("CR", None, None),
        ("CR", "lateral", None),
        ("MR", "sagittal", None),
        ("OT", "PA", None),
        ("US", None, None),
        ("OP", None, None),
    ],
)
def test_patient_left_is_picture_right_where_the_view_says_so(
    modality: str, view: str | None, side: str | None
) -> None:
    assert patient_side(image(modality, view), "nodule", ON_PICTURE_RIGHT) == side


def test_midline_structures_bilateral_and_empty_masks_have_no_side() -> None:
    frontal = image("CR", "PA")
    assert patient_side(frontal, "heart", ON_PICTURE_RIGHT) is None
    assert patient_side(frontal, "effusion", ON_PICTURE_RIGHT | ON_PICTURE_RIGHT[:, ::-1]) is None
    assert patient_side(frontal, "effusion", np.zeros((50, 100), bool)) is None


def test_a_patient_off_centre_is_judged_by_the_patient_s_own_middle() -> None:
    mask = np.zeros((50, 100), bool)
    mask[:, 40:46] = True  # left of the picture's middle, right of the patient's
    body = np.zeros((50, 100), bool)
    body[:, 0:60] = True
    assert patient_side(image("CT", "axial"), "nodule", mask) == "right"
    assert patient_side(image("CT", "axial"), "nodule", mask, midline_of(body)) == "left"


@pytest.mark.parametrize("domain", ["chest-xray", "chest-ct", "abdomen-ct", "brain-mr"])
def test_sides_agree_with_the_phantoms_own_truth(domain: str) -> None:
    checked = 0
    for patient in range(40):
        phantom = generate(domain, patient)
        outline = next(phantom.masks[n] for n in ("thorax", "body", "brain") if n in phantom.masks)
        picture = Image(
            REF, phantom.pixels, phantom.modality, phantom.spacing_mm, view=phantom.view
        )
        for finding in phantom.findings:
            sides = {f.side for f in phantom.findings if f.name == finding.name}
            if finding.name in phantom.masks and len(sides) == 1 and finding.side:
                mask = phantom.masks[finding.name]
                side = patient_side(picture, finding.name, mask, midline_of(outline))
                assert side in (finding.side, None), (domain, patient, finding)
                checked += side is not None
    assert checked > 3


def test_the_optic_disc_tells_the_eye_unless_it_is_in_the_middle() -> None:
    checked = 0
    for patient in range(30):
        phantom = generate("fundus", patient)
        truth = [row.answer for row in phantom.questions if row.target == "optic disc"]
        picture = Image(REF, phantom.pixels, "OT")
        for eye in (answer for answer in truth if answer in ("left", "right")):
            assert patient_side(picture, "optic disc", phantom.masks["optic disc"]) == eye
            checked += 1
    assert checked >= 10
    centred = np.zeros((50, 100), bool)
    centred[20:30, 45:60] = True
    assert patient_side(image("OP", None), "optic disc", centred) is None
