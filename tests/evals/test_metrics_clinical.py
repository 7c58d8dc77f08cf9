"""CheXbert on a checkpoint in the published layout with weights made here; RadGraph's F1."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from overread.evals.metrics.chexbert import CONDITIONS, CheXbert, label_f1
from overread.evals.metrics.radgraph import load_annotator, radgraph_f1
from overread.imaging.errors import ConfigError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "left", "effusion", "no", "heart", "."]
BLANK, POSITIVE, NEGATIVE, UNCERTAIN = range(4)


def checkpoint(classes: dict[str, int]) -> dict[str, Any]:
    """Return a checkpoint whose heads give fixed classes, under the published names."""
    torch.manual_seed(0)
    bert = BertModel(_config())
    state = {f"module.bert.{name}": value for name, value in bert.state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(32)[None]  # as old releases saved
    for place, condition in enumerate(CONDITIONS):
        size = 2 if condition == "no finding" else 4
        bias = torch.zeros(size)
        bias[classes.get(condition, BLANK)] = 1
        state[f"module.linear_heads.{place}.weight"] = torch.zeros(size, 8)
        state[f"module.linear_heads.{place}.bias"] = bias
    return state


def _config() -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=512,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _config().save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    return tmp_path


CLASSES = {"oedema": POSITIVE, "fracture": UNCERTAIN, "pneumonia": NEGATIVE}


def _as_pth(folder: Path) -> None:
    whole = {"epoch": 3, "model_state_dict": checkpoint(CLASSES)}
    torch.save(whole, folder / "chexbert.pth")


def _as_safetensors(folder: Path) -> None:
    save_file(checkpoint(CLASSES), folder / "chexbert.safetensors")


@pytest.mark.parametrize("save", [_as_pth, _as_safetensors])
def test_chexbert_reads_the_published_layout(save: Callable[[Path], None], folder: Path) -> None:
    save(folder)
    labels = CheXbert(folder).labels(["left effusion.", "", "no heart"] * 7)
    assert labels[:3] == [{"oedema", "fracture"}, set(), {"oedema", "fracture"}]
    assert len(labels) == 21


def test_chexbert_labels_come_from_the_text(folder: Path) -> None:
    state = checkpoint({})
    torch.manual_seed(1)
    head = torch.randn(4, 8) * 5
    state["module.linear_heads.0.weight"] = head
    torch.save({"model_state_dict": state}, folder / "chexbert.pth")
    bert = BertModel(_config()).eval()
    bert.load_state_dict(
        {
            name.removeprefix("module.bert."): value
            for name, value in state.items()
            if name.startswith("module.bert.") and "position_ids" not in name
        }
    )
    texts = {"left effusion .": [2, 5, 6, 9, 3], "no heart": [2, 7, 8, 3], "no": [2, 7, 3]}
    for text, ids in texts.items():
        with torch.inference_mode():
            first = bert(torch.tensor([ids])).last_hidden_state[0, 0]
        scores = head @ first + state["module.linear_heads.0.bias"]
        expected = int(scores.argmax()) in (POSITIVE, UNCERTAIN)
        assert (CONDITIONS[0] in CheXbert(folder).labels([text])[0]) is expected


def test_chexbert_says_what_is_missing(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no checkpoint, chexbert\.pth"):
        CheXbert(folder)
    with pytest.raises(ConfigError, match="needs a model folder"):
        CheXbert(folder / "nowhere")
    state = checkpoint({})
    del state["module.linear_heads.0.bias"]
    torch.save({"model_state_dict": state}, folder / "chexbert.pth")
    with pytest.raises(ConfigError, match=r"does not fit its config\.json"):
        CheXbert(folder)


def test_chexbert_refuses_pickled_code(folder: Path) -> None:
    torch.save({"model_state_dict": Path("x")}, folder / "chexbert.pth")
    with pytest.raises(ConfigError, match="no checkpoint of plain weights"):
        CheXbert(folder)


@pytest.mark.parametrize(
    ("candidate", "reference", "value"),
    [
        ("", "", 1),
        ("oedema", "", 0),
        ("", "oedema", 0),
        ("oedema", "oedema", 1),
        ("oedema", "fracture", 0),
        ("oedema fracture", "oedema", 2 / 3),
        ("oedema", "oedema fracture", 2 / 3),
        ("oedema fracture", "oedema pneumonia", 1 / 2),
        ("oedema fracture pneumonia", "oedema", 1 / 2),
        ("oedema fracture pneumonia", "oedema pneumonia", 4 / 5),
    ],
)
def test_label_f1(candidate: str, reference: str, value: float) -> None:
    said, true = frozenset(candidate.split()), frozenset(reference.split())
    assert label_f1(said, true) == pytest.approx(value)


def annotation(*entities: str) -> dict[str, Any]:
    """Return an annotation; "effusion:P>" is an entity that is present and has a relation."""
    rows = {}
    labels = {"P": "Observation::definitely present", "N": "Observation::definitely absent"}
    for number, entity in enumerate(entities, 1):
        words, label = entity.rstrip(">").split(":")
        relations = [["located_at", "9"]] if entity.endswith(">") else []
        rows[str(number)] = {
            "tokens": words, "label": labels[label], "start_ix": number, "end_ix": number,
            "relations": relations,
        }  # fmt: skip
    return {"text": "", "entities": rows}


@pytest.mark.parametrize(
    ("candidate", "reference", "value"),
    [
        (["effusion:P"], ["effusion:P"], 1),
        (["Effusion:P"], ["effusion:P"], 1),
        (["effusion:P"], ["effusion:N"], 0),
        (["effusion:P>"], ["effusion:P"], 0),
        (["effusion:P>", "nodule:N"], ["effusion:P>"], 2 / 3),
        (["effusion:P>"], ["effusion:P>", "nodule:N"], 2 / 3),
        (["effusion:P", "mass:P"], ["effusion:P", "nodule:N"], 1 / 2),
        (["effusion:P", "effusion:P"], ["effusion:P"], 1),
        ([], ["effusion:P"], 0),
        (["effusion:P"], [], 0),
        ([], [], 0),
    ],
)
def test_radgraph_f1_is_the_partial_reward(
    candidate: list[str], reference: list[str], value: float
) -> None:
    assert radgraph_f1(annotation(*candidate), annotation(*reference)) == pytest.approx(value)


def test_radgraph_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no archive of the model"):
        load_annotator(tmp_path)
