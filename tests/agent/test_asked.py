import pytest

from overread.agent.asked import beside_the_point, in_listed_words
from overread.agent.verifier import verify, without
from overread.tools.base import Evidence

CASES = "8 similar cases of histology were found; 8 with normal [E2]."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is at least one platelet annotated?", CASES),
        ("Which smear has more cells? Answer first or second.", CASES),
        ("Is this chest radiograph a PA or an AP projection?", "The chest [E1]."),
        (
            "Where is the lesion: frontal lobe, parietal lobe or occipital lobe?",
            "On the right [E2].",
        ),
        ("Does the patient have a nodule?", "The heart is seen [E2]."),
        ("Which image is a radiograph?\nAnswer with one of: first, second.", "X-ray [E3]."),
        (
            "How was it made?\nAnswer with one of: X-ray, light or dark field, CT.",
            "Histology [E2].",
        ),
    ],
)
def test_true_words_beside_the_point_are_named(question: str, answer: str) -> None:
    assert beside_the_point(question, answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there a nodule?", "Yes [E2]."),
        ("Is there a nodule?", "No nodule was found [E2]."),
        ("Is there a nodule?", "A nodule is seen on the left [E2]."),
        ("Is there a nodule or a mass?", "No [E2]."),
        ("Is the cyst on the left or the right?", "It is on the right [E2]."),
        ("Is the cyst on the left or the right?", "No cyst was found [E2]."),
        ("Where is the lesion: frontal lobe or parietal lobe?", "Parietal lobe [E2]."),
        ("What kind of image is this, MRI, fundus photograph or CT?", "MRI [E1]."),
        ("Is this an MRI or a CT?", "Magnetic resonance imaging [E1]."),
        ("Which organ or region is imaged?", "The abdomen [E1]."),
        ("Are there 2 or 3 nodules?", "Three nodules [E2]."),
        ("Which image is a radiograph?\nAnswer with one of: first, second.", "The first [E3]."),
        (
            "How was it made?\nAnswer with one of: X-ray, light or dark field, CT.",
            "Dark field [E2].",
        ),
        ("Is it a smear?\nAnswer with one of: no, yes.", "Yes [E2]."),
        ("Describe this image.", CASES),
        ("", CASES),
    ],
)
def test_what_may_answer_passes(question: str, answer: str) -> None:
    assert beside_the_point(question, answer) is None


def test_an_answer_beside_the_point_is_taken_out_whole() -> None:
    evidence = [
        Evidence(
            id="E1",
            tool="segment",
            arguments={"image": 1, "target": "heart"},
            content="segment heart in image 1: found",
            version="1",
            image="a/b/c",
            values={"target": "heart", "found": True},
        )
    ]
    answer = "The heart is seen [E1]. The heart is enlarged."
    problems = verify(answer, evidence, "Is this a PA or an AP projection?")
    assert [problem.reason for problem in problems] == [
        "does not say PA or AP projection",
        "cites no evidence",
    ]
    assert without(answer, problems) == ""
    assert verify("The heart is seen [E1].", evidence, "Is the heart seen?") == []
    assert verify("There is not enough evidence.", evidence, "Is it PA or AP?") == []


@pytest.mark.parametrize(
    ("listed", "answer", "said"),
    [
        ("CT, light microscopy", "Histology [E2].", "Light microscopy: Histology [E2]."),
        ("CT, light microscopy", "It is light microscopy [E2].", "It is light microscopy [E2]."),
        ("CT, MR", "Histology [E2].", "Histology [E2]."),
        ("a CT of the head, a CT of the chest", "CT [E2].", "CT [E2]."),
        ("yes, no", "There is a nodule [E2].", "There is a nodule [E2]."),
        ("chest, head", "There is not enough evidence.", "There is not enough evidence."),
    ],
)
def test_an_answer_takes_the_words_of_the_alternative_it_means(
    listed: str, answer: str, said: str
) -> None:
    question = f"What is it?\nAnswer with one of: {listed}."
    assert in_listed_words(question, answer) == said
    assert in_listed_words("What is it?", answer) == answer
