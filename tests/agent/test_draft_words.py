"""The sentences of a draft are ones that the verifier lets pass where they cite the draft."""

import pytest

from overread.agent.verifier import mended, verify, without
from overread.tools import phrases
from tests.agent.test_verifier import INTAKE, evidence, segmented

IMPRESSIONS = [
    "Possible nodule: long axis 6 mm, area 30 mm2, one region, patient left, confidence 5 %.",
    "Midline shift towards the patient's left: 16 ± 0.4 mm, at or above 5 mm.",
    "Midline shift: 5.2 ± 0.4 mm, borderline: 5 mm lies within its error.",
    "Cardiothoracic ratio 0.58, not judged: its limit of 0.50 holds in PA projection, and this one is AP.",
    "Vertical cup-to-disc ratio 0.78 ± 0.03, at or above 0.70.",
    "Looked for and not found: nodule (confidence 40 %), effusion, cardiomegaly.",
    "Looked for and not found: lesion, midline shift of 5 mm or more.",
    "Looked for and not found: haemorrhage, exudate, enlarged optic cup.",
    "Nodule: long axis 6 mm, area 30 mm2, one region, patient left, upper zone.",
    "Exudate: area 30 mm2, one region, inferotemporal.",
    "Cyst: long axis 40.8 mm, area 1245 mm2, volume 33.4 ± 0.3 ml in 15 of 21 images, liver.",
]


@pytest.mark.parametrize("told", IMPRESSIONS)
def test_an_impression_passes_where_it_cites_its_draft(told: str) -> None:
    draft = evidence(5, "generate_report", phrases.reported(1, 3, told), {"impression": told})
    session = [INTAKE, draft]
    assert verify(f"{told[:-1]} [E5].", session, "Write a report of this image.") == []


def test_another_place_than_that_of_the_draft_is_wrong() -> None:
    told = "Nodule: long axis 6 mm, one region, patient left, upper zone."
    draft = evidence(5, "generate_report", phrases.reported(1, 1, told), {"impression": told})
    session = [INTAKE, draft]
    (problem,) = verify("There is a nodule in the middle zone [E5].", session, "Where is it?")
    assert "does not say middle zone; it says upper zone" in problem.reason


def test_an_unsure_finding_stays_hedged_where_it_mends_a_summary() -> None:
    told = IMPRESSIONS[0]
    draft = evidence(5, "generate_report", phrases.reported(1, 1, told), {"impression": told})
    session = [INTAKE, segmented(2, "nodule", True), draft]
    asked = "Write a report of this image."
    answer = "No abnormality was found [E2]."
    problems = mended(verify(answer, session, asked), session, asked)
    assert without(answer, problems) == f"{told[:-1]} [E5]."
