"""Word overlap of reports: against the reference implementations and hand-computed values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import sentence_bleu
from nltk.translate.meteor_score import exact_match, stem_match
from rouge_score.rouge_scorer import RougeScorer

from overread.evals.metrics.open_text import bleu, tokens
from overread.evals.metrics.reports import body, meteor_stem, overlap_scores, sections

A = "There is a small left pleural effusion. No pneumothorax is seen."
PAIRS = [
    (A, A),
    (A, "Small left pleural effusion. No pneumothorax."),
    (A, "There is a small right pleural effusion. No pneumothorax is seen."),
    (A, "No pneumothorax is seen. There is a small left pleural effusion."),
    ("No pneumothorax is seen.", A),
    ("There are small left pleural effusions and no pneumothoraces are seen today", A),
    (A + " " + A, A),
    ("Nodule of 12.4 mm in the left upper zone, new.", "A 12.4 mm nodule in the left upper zone."),
    ("The heart is of normal size and the lungs are clear.", "The heart is enlarged."),
    ("Fracture of rib five", "Completely other words here today"),
]


@pytest.mark.parametrize(
    ("report", "findings", "impression"),
    [
        ("Findings: Left effusion. Impression: Effusion.", "Left effusion.", "Effusion."),
        ("FINDINGS:\nLeft effusion.\n\nIMPRESSION:\nEffusion.", "Left effusion.", "Effusion."),
        ("**Findings:** Left.\n**Impression:** Right.", "Left.", "Right."),
        ("## Findings\n\nLeft [E2].\n\n## Impression\n\nRight.", "Left.", "Right."),
        ("Findings: {Left.} Impression: {Right.}", "Left.", "Right."),
        ("<think>Findings: none.</think>Findings: Left.", "Left.", ""),
        ("Left effusion.", "Left effusion.", ""),
        ("Left effusion. Impression: Effusion.", "Left effusion.", "Effusion."),
        ("Indication: cough. Comparison: None. Findings: Left.", "Left.", ""),
        ("# Draft\n> DRAFT\n## Technique\nPA\n## Findings\nLeft.", "Left.", ""),
        ("Findings: Left. Conclusion: Right. Recommendation: CT.", "Left.", "Right."),
        ("No additional findings: the chest is clear.", "No additional findings: the chest is clear.", ""),
        ("Left effusion. Recommendation: CT.", "Left effusion.", ""),
        ("Findings: Impression:", "", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_sections(report: str, findings: str, impression: str) -> None:
    assert sections(report) == {"findings": findings, "impression": impression}


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(("candidate", "reference"), PAIRS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bleu_matches_nltk(candidate: str, reference: str, order: int) -> None:
    weights = (1 / order,) * order
    theirs = sentence_bleu([tokens(reference)], tokens(candidate), weights=weights)
    assert bleu(candidate, [reference], order) == pytest.approx(float(theirs), abs=1e-9)


@pytest.mark.parametrize(
    ("candidate", "references", "order", "value"),
    [
        ("a b c d", ["left"], 1, 0),
        ("one two three four", ["one two three four"], 4, 1),
        ("one two three", ["one two three"], 4, 0),
        ("one two", ["one two three four"], 1, 2.718281828 ** (1 - 2)),
        ("one one", ["one two"], 1, 1 / 2),
        ("one two nine", ["one two three"], 2, (2 / 3 * 1 / 2) ** 0.5),
        ("one nine", ["nine", "one"], 1, 1),
        ("one two five six", ["one two", "five six"], 2, (1 * 2 / 3) ** 0.5),
        ("", ["one"], 1, 0),
        ("one", [""], 1, 0),
    ],
)
def test_bleu_by_hand(candidate: str, references: list[str], order: int, value: float) -> None:
    assert bleu(candidate, references, order) == pytest.approx(value)


@pytest.mark.parametrize(("candidate", "reference"), PAIRS)
def test_rouge_matches_rouge_score(candidate: str, reference: str) -> None:
    theirs = RougeScorer(["rougeL"]).score(reference, candidate)["rougeL"].fmeasure
    assert overlap_scores(candidate, [reference])["rouge_l"] == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("candidate", "reference", "value"),
    [
        # (1 - 0.5 (chunks / matches)^3) * 10 P R / (R + 9 P), by hand
        ("left lung", "left lung", 1 - 0.5 / 8),
        ("left", "left", 1 - 0.5),
        ("left lung nodule", "left lung", (1 - 0.5 / 8) * (10 * 2 / 3) / (1 + 9 * 2 / 3)),
        ("left lung", "left lung nodule", (1 - 0.5 / 8) * (10 * 2 / 3) / (2 / 3 + 9)),
        ("lung left", "left lung", 1 - 0.5),
        ("left effusions", "left effusion", 1 - 0.5 / 8),
        ("consolidated", "consolidation", 1 - 0.5),
        ("tumour", "neoplasm", 0),
        ("right", "left", 0),
        ("", "left", 0),
        ("left", "", 0),
    ],
)
def test_meteor_by_hand(candidate: str, reference: str, value: float) -> None:
    assert meteor_stem(candidate, [reference]) == pytest.approx(value)


def test_meteor_uses_exact_and_stem_stages_alone() -> None:
    left, right = ["enlarged", "heart"], ["large", "heart"]
    assert len(exact_match(left, right)[0]) == 1
    assert len(stem_match(left, right)[0]) == 1
    assert meteor_stem("enlarged heart", ["large heart"]) == pytest.approx(0.5 * 0.5)


def test_best_reference_counts() -> None:
    scores = overlap_scores("left effusion", ["right nodule", "left effusion"])
    assert scores["rouge_l"] == 1
    assert scores["bleu1"] == 1


words = st.lists(st.sampled_from(["left", "right", "no", "effusion", "nodule"]), max_size=9)


@given(words.map(" ".join), words.map(" ".join))
def test_scores_lie_between_0_and_1(candidate: str, reference: str) -> None:
    assert all(0 <= value <= 1 for value in overlap_scores(candidate, [reference]).values())
    if len(candidate.split()) >= 4:
        same = overlap_scores(candidate, [candidate])
        assert [same["bleu4"], same["rouge_l"]] == pytest.approx([1, 1])


@given(st.text(max_size=60))
def test_labels_never_stay(text: str) -> None:
    assert body(f"Findings: {text}. Impression: {text}.").lower().count("impression:") <= 2 * (
        text.lower().count("impression:")
    )
