"""The verifier on answers whose verdict a person can read off the evidence."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.agent import course
from overread.agent.neighbours import seeks
from overread.agent.verifier import Problem, abstains, mended, verify, without
from overread.tools import phrases
from overread.tools.base import Evidence, Value


def evidence(number: int, tool: str, content: str, values: dict[str, Value], image: int = 1):
    return Evidence(
        id=f"E{number}", tool=tool, arguments={"image": image}, content=content, version="1",
        values=values,
    )  # fmt: skip


def segmented(number: int, target: str, found: bool, side: str | None = "left", image: int = 1,
              regions: int = 1):  # fmt: skip
    values: dict[str, Value] = {"found": found, "target": target}
    if found:
        values |= {
            "area_mm2": 134.3, "long_axis_mm": 12.4, "regions": regions,
            "picture_position": "upper right", "patient_side": side,
        }  # fmt: skip
    return evidence(
        number, "segment", phrases.segmented(image, target, values, 0.93), values, image
    )


def measured(number: int, quantity: str, target: str, reference: str | None, value: float,
             unit: str, image: int = 1):  # fmt: skip
    values: dict[str, Value] = {
        "quantity": quantity, "target": target, "reference": reference, "value": value,
        "unit": unit,
    }  # fmt: skip
    content = phrases.measured(image, quantity, target, reference, value, unit)
    return evidence(number, "measure", content, values, image)


INTAKE = evidence(
    1, "intake", phrases.intake(1, "CR", "chest", (512, 512), (0.5, 0.5)),
    {"modality": "CR", "body_part": "chest", "view": "PA", "rows": 512, "columns": 512},
)  # fmt: skip
SIMILAR = evidence(
    8, "find_similar_cases", phrases.similar(1, {"pneumothorax": 3, "normal": 2}, 0.91, 5, "chest-xray"),
    {"total": 5, "closest": 0.91, "domain": "chest-xray", "cases with pneumothorax": 3,
     "cases with normal": 2},
)  # fmt: skip
SESSION = [
    INTAKE,
    segmented(2, "nodule", True),
    segmented(3, "effusion", False),
    measured(4, "width_ratio", "heart", "thorax", 0.54, ""),
    measured(5, "count", "nuclei", None, 23, ""),
    segmented(6, "consolidation", True, side=None, regions=2),
    measured(7, "midline_shift", "ventricles", None, 4.2, "mm"),
    SIMILAR,
    segmented(9, "heart", True, side=None),
    segmented(10, "spleen", False),
]

SOUND = [
    ("Is there a nodule?", "Yes, there is a nodule in the left lung [E2]."),
    ("Is there a nodule?", "Yes [E2]."),
    ("Is there an effusion?", "No [E3]."),
    ("Is there an effusion?", "No, there is no pleural effusion [E3]."),
    ("Is there an effusion?", "No effusion was found [E3]."),
    ("Is there an effusion?", "A pleural effusion is not seen [E3]."),
    ("Is there an effusion on the left?", "No, there is no effusion on the left [E3]."),
    ("Is there a nodule in the right lung?", "No, the nodule is on the left [E2]."),
    ("Which side?", "Left [E2]."),
    (
        "Where is the nodule?",
        "It is in the upper right of the picture, on the patient's left [E2].",
    ),
    ("How large is it?", "It measures 12.4 mm [E2]."),
    ("How large is it?", "It measures 12 mm [E2]."),
    ("How large is it?", "It measures 1.24 cm and covers 134.3 mm2 [E2]."),
    ("How large is it?", "The nodule has an area of 134 square millimetres [E2]."),
    ("Is the heart enlarged?", "Yes, the heart is enlarged, with a ratio of 0.54 [E4]."),
    ("Is the heart enlarged?", "Yes, the ratio is 0.54, above the limit of 0.5 [E4]."),
    ("What is the ratio?", "0.54 [E4]."),
    ("What is the ratio?", "The heart takes 54 % of the width of the thorax [E4]."),
    ("How many nuclei?", "There are 23 nuclei [E5]."),
    ("", "A nodule is present, but no effusion [E2][E3]."),
    ("", "No effusion, and a nodule of 12.4 mm on the left [E3, E2]."),
    ("", "There is bilateral consolidation [E6]."),
    ("What is the shift?", "The midline shift is 4.2 mm [E7]."),
    ("What kind of image?", "This is a chest X-ray [E1]."),
    ("What kind of image?", "It is not a CT [E1]."),
    ("", "A nodule is seen on the chest radiograph [E2]."),
    ("Which view?", "It is a frontal chest X-ray [E1]."),
    ("", "Three of the similar cases had a pneumothorax [E8]."),
    ("", "5 similar cases of chest-xray were found; 3 with pneumothorax [E8]."),
    ("Is there a midline shift?", "Yes, there is a midline shift: it measures 4.2 mm [E7]."),
    ("Is there a midline shift?", "No relevant midline shift: it measures 4.2 mm [E7]."),
    ("", "The heart was outlined [E9]."),
    ("", "The spleen was not found [E10]."),
    ("", "There is not enough evidence to answer this question."),
    ("", "I cannot tell whether there is an effusion."),
    ("", "Please have a radiologist check this."),
    ("Is it larger than 10 mm?", "Yes, at 12.4 mm it is larger than 10 mm [E2]."),
    ("Does image 1 show a nodule?", "Yes, image 1 shows a nodule [E2]."),
]

UNSOUND = [
    ("Is there a nodule?", "No [E2].", "did find nodule"),
    ("Is there a nodule?", "No, there is no nodule [E2].", "did find nodule"),
    ("Is there an effusion?", "Yes [E3].", "did not find effusion"),
    ("Is there an effusion?", "There is an effusion [E3].", "did not find effusion"),
    ("Is there a nodule?", "Yes, there is a nodule.", "cites no evidence"),
    ("Is there a nodule?", "Yes.", "cites no evidence"),
    ("Is there a nodule?", "Yes, there is a nodule [E12].", "does not exist"),
    ("Is there a nodule?", "Yes, there is no nodule [E3].", "."),
    ("Is there a nodule?", "No, there is a nodule [E2].", "opposite"),
    ("", "There is a nodule in the right lung [E2].", "patient's left"),
    ("", "Right [E2].", "does not say right"),
    ("Is there a nodule in the right lung?", "Yes [E2].", "patient's left"),
    ("", "It lies in the lower left of the picture [E2].", "does not place it"),
    ("", "It measures 12.5 mm [E2].", "12.5 mm"),
    ("", "It measures 13 mm [E2].", "13 mm"),
    ("", "It measures 12.4 cm [E2].", "124 mm"),
    ("", "The area is 12.4 mm2 [E2].", "12.4 mm2"),
    ("", "It measures 134.3 mm [E2].", "134.3 mm"),
    ("", "The ratio is 0.64 [E4].", "0.64"),
    ("", "There are 24 nuclei [E5].", "24"),
    ("", "There are four nuclei [E5].", "4"),
    ("Is the heart enlarged?", "No [E4].", "did find cardiomegaly"),
    ("Is the heart enlarged?", "The heart is not enlarged [E4].", "did find cardiomegaly"),
    ("", "The heart size is normal [E4].", "did not find normality"),
    ("", "The ratio is below the limit of 0.5 [E4].", "less than 0.5"),
    ("", "There is a fracture [E2].", "says nothing of fracture"),
    ("", "This suggests pneumonia [E6].", "says nothing of pneumonia"),
    ("", "There is a pneumothorax [E8].", "says nothing of pneumothorax"),
    ("", "There is consolidation on the left [E6].", "gives no side"),
    ("", "This is a CT [E1].", "not say that the image is CT"),
    ("", "This is an X-ray of the knee [E1].", "knee"),
    ("", "It is an axial slice [E1].", "axial"),
    ("What is abnormal?", "The chest is clear [E1].", "says nothing of normality"),
    ("", "The lungs are normal [E3].", "says nothing of normality"),
    ("", "3 similar cases were found [E8].", "3 similar cases is not what E8 says"),
    ("", "Of the similar cases 2 with pneumothorax [E8].", "2 with pneumothorax is not"),
    ("", "The spleen lies in the stroma [E10].", "did not find spleen"),
    ("", "The spleen is visible [E2].", "says nothing of spleen"),
    ("", "Everything looks fine.", "cites no evidence"),
    ("", "I cannot tell its size, but there is an effusion.", "cites no evidence"),
    ("Does image 2 show a nodule?", "Image 2 shows a nodule [E2].", "says nothing of nodule"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer"), SOUND)
def test_a_sound_answer_passes(question: str, answer: str) -> None:
    assert verify(answer, SESSION, question) == []


@pytest.mark.parametrize(("question", "answer", "reason"), UNSOUND)
def test_an_unsound_answer_is_caught(question: str, answer: str, reason: str) -> None:
    problems = verify(answer, SESSION, question)
    assert [problem.sentence for problem in problems] == [answer]
    assert reason in problems[0].reason + "."


def test_only_the_failing_sentence_is_removed() -> None:
    answer = "Yes, there is a nodule [E2]. It measures 21 mm [E2]. No effusion [E3]."
    problems = verify(answer, SESSION, "Is there a nodule?")
    assert [problem.sentence for problem in problems] == ["It measures 21 mm [E2]."]
    assert without(answer, problems) == "Yes, there is a nodule [E2]. No effusion [E3]."


def test_what_claims_nothing_does_not_survive_alone() -> None:
    answer = "There is a nodule on the right [E2]. Please consult a radiologist."
    assert without(answer, verify(answer, SESSION)) == ""


def test_quoted_text_is_no_evidence() -> None:
    quoted = evidence(
        2, "find_similar_cases", "1 cases\ncase a: <data>large effusion, 55 mm</data>",
        {"total": 1, "cases with nodule": 1},
    )  # fmt: skip
    answer = "There is a large effusion [E2]."
    assert verify(answer, [INTAKE, quoted]) == [Problem(answer, "E2 says nothing of effusion")]
    assert verify("It measures 55 mm [E2].", [INTAKE, quoted])


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("How many nuclei are there?", "23 [E5].", None),
        ("How many nuclei are there?", "5 [E8].", "E8 says nothing of nuclei"),
        ("How many nodules can be seen?", "23 [E5].", "E5 says nothing of nodule"),
        ("How many platelets are annotated?", "23 [E5].", "E5 says nothing of platelets"),
        ("How long is the nodule in mm?", "12.4 [E2].", None),
        ("How large is the midline shift in mm?", "4.2 [E7].", None),
        ("How many similar cases show a pneumothorax?", "3 [E8].", None),
        ("Which body part is shown?\nAnswer with one of: heart, chest.", "Chest [E8].", None),
        ("Which body part is shown?", "Chest [E8].", None),
        ("Where is the heart?", "The chest [E8].", "E8 is of other cases"),
        ("Is there a pneumothorax?", "3 cases with pneumothorax [E8].", "E8 is of other cases"),
        (
            "Is there a nodule?",
            "A nodule is seen [E2], as in 3 cases with pneumothorax [E8].",
            None,
        ),
        ("What do similar cases show?", "3 cases with pneumothorax [E8].", None),
    ],
)
def test_an_answer_is_of_what_was_asked_in_this_image(
    question: str, answer: str, reason: str | None
) -> None:
    assert [problem.reason for problem in verify(answer, SESSION, question)] == (
        [reason] if reason else []
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("The nodule has grown [E2].", "E2 is of one image, which shows no change"),
        ("The nodule is stable [E2].", "E2 is of one image, which shows no change"),
        ("There is a new nodule on the left [E2].", "E2 is of one image, which shows no change"),
        ("The nodule is larger than 10 mm [E2].", None),
        ("There is a spiculated nodule [E2].", "E2 says nothing of margin"),
        ("There is a nodule, likely hamartoma [E2].", "E2 says nothing of hamartoma"),
        ("Consolidation, consistent with COVID-19 [E6].", "E6 says nothing of covid-19"),
        ("The nodule is in the left upper lobe [E2].", "E2 does not say upper lobe"),
        ("The aorta is wide [E4].", "E4 says nothing of aorta"),
        ("The heart is enlarged because of heart failure [E4].", "E4 says nothing of failure"),
        ("Urgent surgery is needed [E7].", "E7 says nothing of this"),
        ("The patient is elderly [E2].", "E2 says nothing of this"),
        ("Biopsy is recommended [E2].", "E2 says nothing of this"),
        ("Urgent surgery: see the outline [E2].", "E2 says nothing of this"),
        ("See the outline [E2].", None),
        ("The outline was drawn by the segmenter [E2].", None),
        ("There are several nodules [E2].", "E2 found one"),
        ("A nodule is seen in each lung [E2].", "E2 found one"),
        ("There are several regions of consolidation [E6].", None),
        ("The nodule has a volume of 12.4 ml [E2].", "12400 mm3 is not what E2 says"),
        ("3 cases showed pneumothorax [E8].", None),
        ("3 of 5 similar cases showed pneumothorax [E8].", None),
        ("Of 5 similar cases, 3 are normal [E8].", "3 are normal is not what E8 says"),
        ("Most similar cases are normal [E8].", "E8 does not say that most are normal"),
        ("Most similar cases have a pneumothorax [E8].", None),
    ],
)
def test_what_a_model_likes_to_add_needs_evidence(answer: str, reason: str | None) -> None:
    expected = [reason] if reason else []
    assert [problem.reason for problem in verify(answer, SESSION)] == expected


def test_a_draft_may_be_pointed_to() -> None:
    told = "generate_report for image 1: draft with 3 findings; Effusion: long axis 28.8 mm."
    draft = evidence(5, "generate_report", told, {"findings": 3})
    assert verify("A draft report is ready [E5].", [draft], "Write a report of this image.") == []


def test_a_wrong_summary_of_a_draft_gives_way_to_its_impression() -> None:
    told = "Nodule: long axis 12.4 mm, upper right of the picture, patient left. Effusion: patient left."
    draft = evidence(
        5, "generate_report", phrases.reported(1, 3, told), {"sentences": 3, "impression": told}
    )
    session = [INTAKE, segmented(2, "nodule", True), segmented(3, "effusion", True), draft]
    answer = "A draft report is ready [E5]. No abnormality was found [E2][E3]. No effusion [E3]."
    asked = "Write a report of this image."
    problems = mended(verify(answer, session, asked), session, asked)
    assert without(answer, problems) == (
        "A draft report is ready [E5]. Nodule: long axis 12.4 mm, upper right of the picture, "
        "patient left [E5]. Effusion: patient left [E5]."
    )


def test_the_impression_of_another_image_stands_for_nothing() -> None:
    told = "Nodule: long axis 12.4 mm, upper right of the picture, patient left."
    draft = evidence(2, "generate_report", phrases.reported(1, 1, told), {"impression": told})
    asked = "What does the second image show?"
    first, second = segmented(3, "nodule", True), segmented(3, "nodule", True, image=2)
    answer = "No abnormality was found [E3]."
    kept = []
    for found in (first, second):
        session = [INTAKE, draft, found]
        kept.append(without(answer, mended(verify(answer, session, asked), session, asked)))
    assert kept == [f"{told[:-1]} [E2].", ""]


def test_a_place_that_a_draft_gives_is_given() -> None:
    told = "Mass: centre of the picture, deep."
    draft = evidence(2, "generate_report", phrases.reported(1, 1, told), {"impression": told})
    assert verify("The mass is at the centre of the picture [E2].", [draft]) == []
    wrong = verify("The mass is at the upper left of the picture [E2].", [draft])
    assert [p.reason for p in wrong] == ["E2 does not place it at the upper left of the picture"]


def test_a_question_for_a_finding_is_not_answered_by_an_impression() -> None:
    told = "Effusion: patient left."
    draft = evidence(
        5, "generate_report", phrases.reported(1, 3, told), {"sentences": 3, "impression": told}
    )
    session = [INTAKE, segmented(2, "nodule", True), segmented(3, "effusion", True), draft]
    answer, asked = "No nodule was found [E2].", "Is there a nodule?"
    problems = mended(verify(answer, session, asked), session, asked)
    assert without(answer, problems) == ""


SEEKS = "Find cases that look like this one."
SHOWN = "5 similar cases of chest-xray were found; 3 with pneumothorax [E8]."


@pytest.mark.parametrize(
    "answer",
    [
        "Searching for similar cases [E8].",
        "5 similar cases of chest-xray were found [E8].",
        "5 similar cases were found; 4 with pneumothorax [E8].",
        "No similar cases were found; no nodule [E2].",
        "There is not enough evidence to answer this question.",
        "There is not enough evidence. Please consult a radiologist.",
    ],
)
def test_whoever_asks_for_similar_cases_is_told_what_they_show(answer: str) -> None:
    session = [INTAKE, segmented(2, "nodule", False), SIMILAR]
    assert without(answer, mended(verify(answer, session, SEEKS), session, SEEKS)) == SHOWN


def test_what_similar_cases_show_stands_in_no_answer_to_another_question() -> None:
    session, asked = [INTAKE, segmented(2, "nodule", True), SIMILAR], "Is there an effusion?"
    answer = "There is not enough evidence to answer this question."
    assert verify(answer, session, asked) == []
    wrong = "There is no effusion [E8]."
    assert without(wrong, mended(verify(wrong, session, asked), session, asked)) == ""


def test_cases_of_another_image_are_not_taken_for_those_asked_for() -> None:
    second = segmented(9, "nodule", True, image=2)
    answer = "There is not enough evidence to answer this question."
    assert verify(answer, [INTAKE, SIMILAR, second], "Show me similar cases of image 2.") == []


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ([INTAKE, segmented(2, "nodule", False)], "E2 is of no search for cases"),
        ([SIMILAR.model_copy(update={"id": "E2"})], "E2 did find similar cases"),
    ],
)
def test_only_a_search_bears_that_nothing_similar_was_found(
    session: list[Evidence], reason: str
) -> None:
    found = verify("No similar cases were found [E2].", session)
    assert [problem.reason for problem in found] == [reason]


@pytest.mark.parametrize(
    ("said", "sound"),
    [
        ("3.2 ml", True),
        ("3.2 cm3", True),
        ("3200 mm3", True),
        ("3.2 mm", False),
        ("3.2 mm3", False),
    ],
)
def test_a_volume_is_no_length(said: str, sound: bool) -> None:
    volume = evidence(
        2, "quantify", "volume of nodule in image 1: 3.2 ml in 9 of 9 slices",
        {"quantity": "volume", "target": "nodule", "value": 3.2, "unit": "ml"},
    )  # fmt: skip
    assert (verify(f"The nodule has a volume of {said} [E2].", [volume]) == []) is sound


def test_a_change_takes_two_images() -> None:
    now, before = segmented(2, "nodule", True), segmented(3, "nodule", False, image=2)
    assert (
        verify("New: the nodule is seen now [E2]. None was found before [E3].", [now, before]) == []
    )
    told = "compare image 1 with image 2: nodule larger, long axis 14 mm (ratio 1.3)"
    compared = evidence(4, "compare", told, {"nodule larger since 2": 1, "summary": told})
    assert verify("The nodule has grown [E4].", [compared]) == []
    sizes = [measured(5, "area", "nodule", None, 30, "mm2"),
             measured(6, "area", "nodule", None, 60, "mm2", image=2)]  # fmt: skip
    for word, sound in (("Smaller", True), ("Larger", False), ("Unchanged", False)):
        answer = f"{word}: the nodule measures 30 mm2 now [E5] and 60 mm2 before [E6]."
        assert (verify(answer, sizes) == []) is sound
    wrong = verify("The nodule is unchanged [E4].", [compared])
    assert [problem.reason for problem in wrong] == ["E4 does not say unchanged"]


@pytest.mark.parametrize(
    ("now", "before", "said", "right"),
    [
        (77.2, 174.9, "Larger", "Smaller"),
        (564.6, 331.8, "Smaller", "Larger"),
        (918.1, 886.7, "Smaller", "Unchanged"),
        (253.2, 224.0, "Larger", "Unchanged"),  # diameters 6 % apart
        (290.0, 224.0, "Unchanged", "Larger"),  # 14 %
    ],
)
def test_the_word_for_a_change_follows_from_two_numbers(
    now: float, before: float, said: str, right: str
) -> None:
    sizes = [measured(5, "area", "nodule", None, now, "mm2"),
             measured(6, "area", "nodule", None, before, "mm2", image=2)]  # fmt: skip
    told = f"the lung nodule measures {now} mm2 now [E5] and {before} mm2 before [E6]."
    answer = f"{said}: {told}"
    problems = verify(answer, sizes)
    assert [problem.reason for problem in problems] == ["E5, E6 says otherwise"]
    assert without(answer, mended(problems, sizes)) == f"{right}: {told}"
    assert verify(f"{right}: {told}", sizes) == []


def dated(number: int, image: int, date: str, patient: str = "P1"):
    content = phrases.intake(image, "CT", "chest", (512, 512), (0.5, 0.5))
    values: dict[str, Value] = {"study_date": date, "patient": patient}
    return evidence(number, "intake", content, values, image)


def test_dates_tell_what_is_now_and_what_was_before() -> None:
    sizes = [measured(5, "area", "nodule", None, 77.2, "mm2"),
             measured(6, "area", "nodule", None, 174.9, "mm2", image=2)]  # fmt: skip
    said = "Smaller: the lung nodule measures 77.2 mm2 now [E5] and 174.9 mm2 before [E6]."
    for first, second in (("2019-05-02", "2018-11-03"), ("2019-05-02", "2019-05-02")):
        assert verify(said, [dated(1, 1, first), dated(2, 2, second), *sizes]) == []
    strangers = [dated(1, 1, "2018-11-03"), dated(2, 2, "2019-05-02", "P2"), *sizes]
    assert verify(said, strangers) == []

    turned = [dated(1, 1, "2018-11-03"), dated(2, 2, "2019-05-02"), *sizes]
    problems = verify(said, turned)
    assert [problem.reason for problem in problems] == [
        "E5 is of an earlier image, by the dates of the studies"
    ]
    right = "Larger: the lung nodule measures 77.2 mm2 before [E5] and 174.9 mm2 now [E6]."
    assert without(said, mended(problems, turned)) == right
    assert verify(right, turned) == []
    (late,) = verify("It measures 174.9 mm2 before [E6].", turned)
    assert late.reason == "E6 is of the latest image, by the dates of the studies"
    assert mended([late], turned)[0].instead == "It measures 174.9 mm2 now [E6]."


def test_what_came_or_went_goes_by_the_dates() -> None:
    seen = [segmented(5, "nodule", True), segmented(6, "nodule", False, image=2)]
    turned = [dated(1, 1, "2018-11-03"), dated(2, 2, "2019-05-02"), *seen]
    said = phrases.came("nodule", "E5", "E6")
    assert verify(said, seen) == []
    problems = verify(said, turned)
    assert "by the dates" in problems[0].reason
    assert without(said, mended(problems, turned)) == phrases.went("nodule", "E6", "E5")


@pytest.mark.parametrize(
    ("question", "sought"),
    [
        (SEEKS, True),
        ("Show me similar cases.", True),
        ("Search the index for similar chest cases.", True),
        ("Which patients look like this?", True),
        ("Are there similar changes in the prior images?", False),
        ("Which of the images shows the nodule?", False),
        ("Is the nodule similar to the earlier one?", False),
    ],
)
def test_what_is_a_request_for_similar_cases(question: str, sought: bool) -> None:
    assert seeks(question) is sought


def test_of_two_images_it_may_be_seen_in_one() -> None:
    session = [segmented(3, "cyst", True), segmented(4, "cyst", False, image=2)]
    answer = "New: the cyst is seen now [E3], and it was not found before [E4]."
    assert verify(answer, session) == []
    wrong = verify("It was seen before [E4].", session)
    assert [problem.reason for problem in wrong] == ["E4 did not find it"]


def test_or_is_it_begins_a_question_of_its_own() -> None:
    sizes = [measured(5, "area", "nodule", None, 31.4, "mm2"),
             measured(6, "area", "nodule", None, 116.8, "mm2", image=2)]  # fmt: skip
    asked = "Has the nodule become larger or smaller since the prior study, or is it unchanged?"
    answer = "Smaller: the lung nodule measures 31.4 mm2 now [E5] and 116.8 mm2 before [E6]."
    assert verify(answer, sizes, asked) == []


@pytest.mark.parametrize(
    ("answer", "images", "right"),
    [
        ("New: the cyst is seen now [E4].", (1, 2),
         "Resolved: no cyst is found now [E4]. It was seen before [E3]."),
        ("Resolved: no cyst is found now [E3]. It was seen before [E4].", (2, 1),
         "New: the cyst is seen now [E3]. It was not found before [E4]."),
        ("Resolved: the cyst was seen before [E4].", (2, 1),
         "New: the cyst is seen now [E3]. It was not found before [E4]."),
    ],
)  # fmt: skip
def test_what_came_and_what_went_is_told_by_the_two_images(
    answer: str, images: tuple[int, int], right: str
) -> None:
    session = [measured(3, "area", "cyst", None, 582.2, "mm2", image=images[1]),
               segmented(4, "cyst", False, image=images[0])]  # fmt: skip
    put = without(answer, mended(verify(answer, session), session))
    assert put == right


def test_each_image_has_its_own_evidence() -> None:
    session = [segmented(1, "nodule", True), segmented(2, "nodule", False, image=2)]
    sound = "There is a nodule in image 1, but none is seen in image 2 [E1][E2]."
    assert verify(sound, session) == []
    assert verify("There is a nodule in image 2 [E1][E2].", session)
    assert verify("There is no nodule in image 1 [E1][E2].", session)


@pytest.mark.parametrize(
    ("shift", "lead", "sound"),
    [(8.0, "Yes", True), (8.0, "No", False), (0.2, "Yes", False), (0.2, "No", True)],
)
def test_a_midline_shift_is_judged_by_its_size(shift: float, lead: str, sound: bool) -> None:
    session = [measured(1, "midline_shift", "ventricles", None, shift, "mm")]
    answer = f"{lead}, it measures {shift} mm [E1]."
    assert (verify(answer, session, "Is there a midline shift?") == []) is sound


def test_a_report_is_read_with_its_negations() -> None:
    report = evidence(
        1, "generate_report",
        "generate_report for image 1: 3 sentences; Nodule: long axis 12.4 mm, patient left. "
        "Effusion: not found.",
        {"sentences": 3},
    )  # fmt: skip
    assert verify("The report notes a nodule on the left and no effusion [E1].", [report]) == []
    assert verify("The report notes an effusion [E1].", [report])
    assert verify("The report notes no nodule [E1].", [report])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There is not enough evidence to answer this question.", True),
        ("I cannot determine the side.", True),
        ("I cannot determine the side, but there is a nodule [E2].", False),
        ("Please consult a radiologist.", False),
        ("No [E3].", False),
        ("", True),
    ],
)
def test_abstention_is_recognised(answer: str, expected: bool) -> None:
    assert abstains(answer) is expected


lengths = st.decimals(min_value=1, max_value=400, places=1).map(float)


@given(lengths, lengths)
def test_a_number_passes_exactly_when_the_tool_said_it(told: float, written: float) -> None:
    session = [measured(1, "width", "mass", None, told, "mm")]
    problems = verify(f"The mass is {written} mm wide [E1].", session)
    assert (problems == []) == (told == written)


@given(lengths)
def test_rounding_to_whole_millimetres_passes(told: float) -> None:
    session = [measured(1, "width", "mass", None, told, "mm")]
    assert verify(f"The mass is {told:.0f} mm wide [E1].", session) == []
    assert verify(f"The mass is {int(told)} mm wide [E1].", session) == []
    assert verify(f"The mass is {int(told) + 2} mm wide [E1].", session)


names = st.sampled_from(["nodule", "effusion", "pneumothorax", "consolidation", "cyst", "mass"])


@given(names, st.booleans(), st.booleans())
def test_presence_passes_exactly_when_it_is_true(name: str, truth: bool, said: bool) -> None:
    session = [segmented(1, name, truth)]
    statement = f"There is {'a' if said else 'no'} {name} [E1]."
    assert (verify(statement, session) == []) == (truth == said)
    lead = "Yes [E1]." if said else "No [E1]."
    assert (verify(lead, session, f"Is there a {name}?") == []) == (truth == said)


@given(names, st.sampled_from(["left", "right"]), st.sampled_from(["left", "right"]))
def test_a_side_passes_exactly_when_it_is_true(name: str, truth: str, said: str) -> None:
    session = [segmented(1, name, True, side=truth)]
    problems = verify(f"There is a {name} on the {said} [E1].", session)
    assert (problems == []) == (truth == said)


@given(st.text(max_size=200), st.text(max_size=60))
def test_any_text_is_read_without_error(answer: str, question: str) -> None:
    problems = verify(answer, SESSION, question)
    left = without(answer, problems)
    assert all(problem.sentence not in left for problem in problems if len(problem.sentence) > 20)


@given(st.lists(st.sampled_from([answer for _, answer in SOUND] + [a for _, a, _ in UNSOUND]),
                min_size=1, max_size=5))  # fmt: skip
def test_what_is_left_after_removal_passes(answers: list[str]) -> None:
    text = " ".join(answers)
    left = without(text, verify(text, SESSION))
    assert verify(left, SESSION) == []
    assert not re.search(r"\[E12\]", left)


def test_no_abnormality_must_hold_for_all_that_was_found_in_that_image() -> None:
    session = [INTAKE, segmented(2, "consolidation", False), segmented(3, "effusion", True)]
    denied = "No abnormality was found [E2]."
    assert verify(denied, session) == [Problem(denied, "E3 did find abnormality")]
    elsewhere = [
        INTAKE,
        segmented(2, "consolidation", False),
        segmented(3, "effusion", True, image=2),
    ]
    assert verify(denied, elsewhere) == []
    assert verify(denied, session[:2]) == []
    right = segmented(3, "effusion", True, side="right")
    assert verify("No abnormality on the left [E2].", [INTAKE, session[1], right]) == []


def placed(number: int, target: str, place: str | None) -> Evidence:
    values: dict[str, Value] = {**segmented(number, target, True).values, "place": place}
    return evidence(number, "segment", phrases.segmented(1, target, values, 0.9), values)


@pytest.mark.parametrize(
    ("target", "place", "answer", "reason"),
    [
        ("nodule", "upper zone", "Upper zone: the lung nodule is seen [E2].", None),
        ("nodule", "upper zone", "The nodule is in the middle zone [E2].", "does not say middle zone"),
        ("nodule", None, "The nodule is in the middle zone [E2].", "does not say middle zone"),
        ("lesion", "frontal lobe", "Occipital lobe: there is a brain lesion [E2].", "occipital lobe"),
        ("exudate", "superonasal", "Superonasal: the hard exudate is seen [E2].", None),
        ("exudate", "superonasal", "Inferotemporal: the hard exudate is seen [E2].", "inferotemporal"),
        ("nodule", "anterior", "Posterior: the lung nodule is seen [E2].", "it says anterior"),
        ("nodule", None, "Posterior: the lung nodule is seen [E2].", None),
        ("cyst", "left kidney", "Liver: the cyst is seen [E2].", "does not say liver"),
        ("cyst", "left kidney", "The cyst is in the left kidney, not the liver [E2].", None),
        ("cyst", "left kidney", "Liver [E2].", "E2 says nothing of liver; it says left kidney"),
    ],
)  # fmt: skip
def test_places_are_those_that_a_tool_gave(
    target: str, place: str | None, answer: str, reason: str | None
) -> None:
    problems = verify(answer, [INTAKE, placed(2, target, place)])
    assert [bool(reason and reason in p.reason) for p in problems] == ([True] if reason else [])


BRAIN = evidence(
    1, "intake", phrases.intake(1, "MR", "brain", (256, 256), (0.9, 0.9)),
    {"modality": "MR", "body_part": "brain", "view": None, "rows": 256, "columns": 256},
)  # fmt: skip


@pytest.mark.parametrize("said", ["frontal lobe", "Frontal lobe", "It is in the frontal lobe"])
def test_a_lobe_is_a_place_and_no_view(said: str) -> None:
    assert not verify(f"{said} [E2].", [BRAIN, placed(2, "lesion", "frontal lobe")])
    wrong = verify(f"{said} [E2].", [BRAIN, placed(2, "lesion", "parietal lobe")])
    assert "does not say frontal lobe; it says parietal lobe" in wrong[0].reason
    view = verify("This is a frontal image [E1].", [BRAIN])
    assert "does not say that the image is frontal" in view[0].reason


def test_what_is_absent_may_be_absent_from_a_zone() -> None:
    assert not verify("There is no nodule in the upper zone [E2].", [segmented(2, "nodule", False)])


@pytest.mark.parametrize(
    ("target", "place", "answer", "instead"),
    [
        ("cyst", "left kidney", "Liver [E2].", "Left kidney [E2]."),
        ("cyst", "liver", "The cyst is in the right kidney [E2].", "The cyst is in the liver [E2]."),
        ("lesion", "parietal lobe", "frontal lobe [E2].", "parietal lobe [E2]."),
        ("nodule", "anterior", "Posterior: the lung nodule is seen [E2].",
         "Anterior: the lung nodule is seen [E2]."),
        ("nodule", None, "The nodule is in the middle zone [E2].", ""),
        ("nodule", "upper zone", "The nodule in the middle zone is 900 mm [E2].", ""),
        ("nodule", "upper zone", "No, it is in the middle zone [E2].", ""),
    ],
)  # fmt: skip
def test_a_misread_place_is_mended_by_the_tools_own(
    target: str, place: str | None, answer: str, instead: str
) -> None:
    known = [INTAKE, placed(2, target, place)]
    (problem,) = mended(verify(answer, known), known)
    assert problem.instead == instead
    assert without(answer, [problem]) == instead


def test_a_misread_side_is_mended_only_where_the_question_allows() -> None:
    known = [INTAKE, segmented(2, "nodule", True, side="left")]
    answer = "The nodule is on the right, upper right of the picture [E2]."
    loose = evidence(
        2, "segment", known[1].content, {**known[1].values, "picture_position": "upper right"}
    )
    (problem,) = mended(verify(answer, [INTAKE, loose]), [INTAKE, loose])
    assert problem.instead == "The nodule is on the left, upper right of the picture [E2]."
    question = "Is there a nodule on the right?"
    answer = "Yes, there is a nodule on the right [E2]."
    (problem,) = mended(verify(answer, known, question), known, question)
    assert problem.instead == ""
    denied = "No nodule on the left [E2]."
    assert mended(verify(denied, known), known)[0].instead == ""


def ratio(value: float) -> Evidence:
    values: dict[str, Value] = {
        "quantity": "width_ratio", "target": "heart", "reference": "thorax", "value": value,
    }  # fmt: skip
    return evidence(
        2, "measure", phrases.measured(1, "width_ratio", "heart", "thorax", value, ""), values
    )


@pytest.mark.parametrize(
    ("value", "question", "answer", "instead"),
    [
        (0.47, "Is there cardiomegaly?", "Yes, there is cardiomegaly [E2].",
         "No, there is no cardiomegaly [E2]."),
        (0.55, "Is there cardiomegaly?", "No [E2].", "Yes, there is cardiomegaly [E2]."),
        (0.47, "What is wrong with the heart?", "Cardiomegaly is seen [E2].",
         "There is no cardiomegaly [E2]."),
        (0.47, "Is the heart of normal size?", "Cardiomegaly is seen [E2].", ""),
        (0.47, "Is there a nodule?", "Yes, there is a nodule [E2].", ""),
        (0.47, "Is there cardiomegaly?", "Yes, there is cardiomegaly [E1].", ""),
    ],
)  # fmt: skip
def test_a_settled_limit_is_read_for_the_planner(
    value: float, question: str, answer: str, instead: str
) -> None:
    known = [INTAKE, ratio(value)]
    (problem,) = mended(verify(answer, known, question), known, question)
    assert problem.instead == instead


@pytest.mark.parametrize(("value", "towards", "said"), [
    (5.7, "left", "There is midline shift to the left [E2]."),
    (5.7, None, "There is midline shift [E2]."),
])  # fmt: skip
def test_a_shift_is_told_with_its_side(value: float, towards: str | None, said: str) -> None:
    entry = measured(2, "midline_shift", "ventricles", None, value, "mm")
    known = [INTAKE, entry.model_copy(update={"values": {**entry.values, "towards": towards}})]
    (problem,) = mended(verify("There is no midline shift [E2].", known), known)
    assert problem.instead == said


@pytest.mark.parametrize(("error", "clear"), [(0.022, True), (0.03, True), (0.031, False)])
def test_a_limit_within_the_error_decides_nothing(error: float, clear: bool) -> None:
    entry = ratio(0.47)
    known = [INTAKE, entry.model_copy(update={"values": {**entry.values, "error": error}})]
    question, answer = "Is there cardiomegaly?", "Yes, there is cardiomegaly [E2]."
    (problem,) = mended(verify(answer, known, question), known, question)
    assert bool(problem.instead) == clear


@pytest.mark.parametrize(
    ("question", "answer", "thing"),
    [
        ("Is at least one platelet annotated in this smear?", "Yes [E2].", "platelet"),
        ("Are three or more platelets annotated?", "No, it is absent [E2].", "platelets"),
        ("How many platelets are there?", "The count of platelets is 23 [E5].", "platelets"),
        (
            "How many red blood cells are there?",
            "The count of red blood cells is 23 [E5].",
            "blood",
        ),
        ("", "No platelet [E2].", "platelet"),
        ("", "There is no evidence of a gallbladder [E3].", "gallbladder"),
        ("Does the image show a trachea?", "yes [E2].", "trachea"),
        ("Is it a PA or an AP projection?", "AP [E1].", "ap"),
        ("Who is it?\nAnswer with one of: a man, a woman.", "A woman [E2].", "woman"),
    ],
)
def test_what_no_list_of_terms_holds_must_be_in_the_evidence(
    question: str, answer: str, thing: str
) -> None:
    problems = verify(answer, SESSION, question)
    assert problems
    assert re.search(f"says nothing of .*{thing}", problems[0].reason)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is at least one platelet annotated in this smear?", "Yes [E9]."),
        ("How many platelets are there?", "The count of platelets is 23 [E9]."),
        ("Is the image of sufficient quality?", "Yes [E1]."),
        ("Is it a PA or an AP projection?", "PA [E1]."),
        ("Which image is larger? Answer first or second.", "The second [E2]."),
        ("", "There is no difference between the images [E2]."),
    ],
)
def test_what_the_evidence_speaks_of_may_be_said(question: str, answer: str) -> None:
    counted = measured(9, "count", "platelets", None, 23, "")
    assert not verify(answer, [*SESSION, counted], question)


@pytest.mark.parametrize(
    ("answer", "question", "sound"),
    [
        ("Yes [E1].", "Is this a chest X-ray?", None),
        ("Yes [E1].", "Was this image made by X-ray?", True),
        ("No [E1].", "Was this image made by X-ray?", False),
        ("Yes [E1].", "Is this an MRI?", False),
        ("No [E1].", "Is this an MRI?", True),
        ("No [E2].", "Is this picture of the chest?", False),
    ],
)
def test_a_yes_to_what_kind_of_image_it_is_is_held_to_its_kind(
    answer: str, question: str, sound: bool | None
) -> None:
    assert bool(verify(answer, SESSION, question)) == (sound is False)


def test_an_image_of_unknown_kind_is_not_said_to_be_none() -> None:
    unknown = evidence(1, "intake", phrases.intake(1, "OT", None, (480, 640), None),
                       {"modality": "OT", "body_part": None, "view": None})  # fmt: skip
    problems = verify("No [E1].", [unknown], "Is this an MRI?")
    assert problems[0].reason == "the evidence does not say what kind of image it is"


NO_HEADER = evidence(
    1, "intake", phrases.intake(1, "OT", None, (480, 640), None),
    {"modality": "OT", "body_part": None, "view": None},
)  # fmt: skip
ABSTAINS = "There is not enough evidence to answer this question."
LISTED = "Which imaging modality produced this image?\nAnswer with one of: X-ray, CT, ultrasound."


@pytest.mark.parametrize(
    ("question", "domain", "right"),
    [
        (LISTED, "chest-xray", "X-ray: The most similar cases are of chest-xray [E8]."),
        (LISTED, "fundus", ""),  # none of the alternatives
        ("What modality is it?", "abdomen-ct", "The most similar cases are of abdomen-ct [E8]."),
        ("Which body part is shown?", "chest-ct", "The most similar cases are of chest-ct [E8]."),
        ("Which organ does it show?\nAnswer with one of: blood, tissue.", "histology", ""),
        (
            "Was this image made by CT?",
            "chest-ct",
            "Yes: the most similar cases are of chest-ct [E8].",
        ),
        (
            "Was this image made by CT?",
            "brain-mr",
            "No: the most similar cases are of brain-mr [E8].",
        ),
        ("Is there a nodule?", "chest-ct", ""),
    ],
)
def test_cases_tell_the_kind_of_an_image_whose_file_is_silent(
    question: str, domain: str, right: str
) -> None:
    values: dict[str, Value] = {
        "total": 5,
        "closest": 0.9,
        "domain": domain,
        "cases with normal": 5,
    }
    content = phrases.similar(1, {"normal": 5}, 0.9, 5, domain)
    session = [NO_HEADER, evidence(8, "find_similar_cases", content, values)]
    problems = verify(ABSTAINS, session, question)
    assert without(ABSTAINS, mended(problems, session, question)) == (right or ABSTAINS)
    told = evidence(1, "intake", phrases.intake(1, "MR", "brain", (480, 640), None),
                    {"modality": "MR", "body_part": "brain", "view": None})  # fmt: skip
    assert verify(ABSTAINS, [told, session[1]], question) == [], "the file tells"
    assert verify(ABSTAINS, [NO_HEADER], question) == []


OF_TWO = [
    evidence(1, "intake", phrases.intake(1, "CT", "chest", (256, 256), (1.0, 1.0)),
             {"patient": "p", "study_date": "2019-05-02"}),
    evidence(2, "intake", phrases.intake(2, "CT", "chest", (256, 256), (1.0, 1.0)),
             {"patient": "p", "study_date": "2019-01-02"}, 2),
]  # fmt: skip
UNDATED = [entry.model_copy(update={"values": {"patient": "p"}}) for entry in OF_TWO]
GROWN = [
    measured(3, "area", "nodule", None, 316.5, "mm2", 1),
    measured(4, "area", "nodule", None, 158.2, "mm2", 2),
]


def settled(question: str, answer: str, known: list[Evidence]) -> str:
    return without(answer, mended(verify(answer, known, question), known, question))


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Has the nodule grown?", True),
        ("Is the nodule larger, smaller or unchanged?", True),
        ("Is there a new nodule?", True),
        ("How has it changed?", True),
        ("Is the left kidney larger than the right kidney?", False),
        ("Is the nodule larger than before?", True),
        ("Are there degenerative changes?", False),
        ("Is there a nodule?", False),
        ("Is the heart enlarged?", False),
    ],
)
def test_what_is_a_question_of_change(question: str, asked: bool) -> None:
    assert course.asks(question) is asked


@pytest.mark.parametrize(
    "answer",
    [
        "Yes, there is a nodule [E3].",
        "Yes [E4].",
        "There is not enough evidence to answer this question.",
    ],
)
def test_presence_is_no_answer_to_what_has_changed(answer: str) -> None:
    """Whoever asks whether it has grown would read the yes as "it has"."""
    sizes = "the nodule measures 316.5 mm2 now [E3] and 158.2 mm2 before [E4]."
    assert settled("Has the nodule grown?", answer, OF_TWO + GROWN) == f"Larger: {sizes}"
    turned = [OF_TWO[1].model_copy(update={"id": "E1", "arguments": {"image": 1}}),
              OF_TWO[0].model_copy(update={"id": "E2", "arguments": {"image": 2}})]  # fmt: skip
    sizes = "the nodule measures 158.2 mm2 now [E4] and 316.5 mm2 before [E3]."
    assert settled("Has the nodule grown?", answer, turned + GROWN) == f"Smaller: {sizes}"


def test_without_dates_sizes_are_told_and_no_course() -> None:
    told = "The nodule measures 316.5 mm2 in image 1 [E3] and 158.2 mm2 in image 2 [E4]."
    assert settled("Has it grown?", "Yes [E3].", UNDATED + GROWN) == told


def test_what_is_segmented_in_two_images_has_a_course_too() -> None:
    known = [*OF_TWO, segmented(3, "nodule", True), segmented(4, "nodule", False, image=2)]
    answer = settled("Is there a new nodule?", "Yes, there is a nodule [E3].", known)
    assert answer == "New: the nodule is seen now [E3]. It was not found before [E4]."
    both = [*OF_TWO, segmented(3, "nodule", True), segmented(4, "nodule", True, image=2)]
    answer = settled("Is there a new nodule?", "Yes, there is a nodule [E3].", both)
    assert answer == "Unchanged: the nodule measures 134.3 mm2 now [E3] and 134.3 mm2 before [E4]."
    # What is not there now is not new, whatever was before.
    gone = [*OF_TWO, segmented(3, "nodule", False)]
    assert verify("No, no nodule was found [E3].", gone, "Is there a new nodule?") == []


def test_the_course_of_one_thing_is_not_told_of_another() -> None:
    known = [*OF_TWO, *GROWN, segmented(5, "effusion", False)]
    said = "There is not enough evidence to answer this question."
    assert verify(said, known, "Has the effusion grown?") == []


def test_the_image_that_was_not_looked_at_is_named() -> None:
    (problem,) = verify("Yes [E3].", [*OF_TWO, GROWN[0]], "Has the nodule grown?")
    assert problem.reason == "does not say what has changed; image 2 was not looked at"
    assert course.unseen([*OF_TWO, GROWN[0]], "Has the nodule grown?") == [2]
    assert course.unseen(OF_TWO + GROWN, "Has the nodule grown?") == []
    assert course.unseen([*OF_TWO, GROWN[0]], "Is there a nodule?") == []
    assert course.unseen(OF_TWO, "Has the nodule grown?") == []  # an ordinary first answer
    # With one image there is nothing to compare with, and nothing to ask for.
    assert verify("Yes, there is a nodule [E2].", [OF_TWO[0], segmented(2, "nodule", True)],
                  "Is there a new nodule?") == []  # fmt: skip
