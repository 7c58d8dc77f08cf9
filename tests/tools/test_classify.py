"""Findings by words and by a real, tiny transformers classifier."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification, ViTImageProcessor

from overread.imaging.errors import ConfigError
from overread.imaging.phantoms import generate
from overread.tools import zero_shot
from overread.tools.base import ToolContext
from overread.tools.classifier import load_classifier
from overread.tools.classify import build
from tests.tools.conftest import MakeContext, image_of

CHEST = ("nodule", "effusion", "pneumothorax", "consolidation", "cardiomegaly")


def call(context: ToolContext, **args: object):
    request = {"type": "tool_call", "id": "1", "name": "classify", "args": {"image": 1} | args}
    return build(context).invoke(request)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A classifier of two layers with weights of its own seed, saved as others publish theirs."""
    import torch

    torch.manual_seed(0)
    labels = {0: "Effusion", 1: "No finding", 2: "Mass"}
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        image_size=32, patch_size=16, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    folder = tmp_path / "classifier"
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_the_findings_of_the_domain_are_weighed(make_context: MakeContext) -> None:
    reply = call(make_context(generate("chest-xray", 5)))
    assert reply.status == "success", reply.content
    values = reply.artifact.values
    assert {values[f"finding {n}"] for n in range(1, 6)} == set(CHEST)
    leads = [values[f"lead {n}"] for n in range(1, 6)]
    assert leads == sorted(leads, reverse=True)
    # This embedder has no fitted curves: nothing is passed off as a probability.
    assert values["calibrated"] is False and values["probability 1"] is None
    assert reply.artifact.confidence is None and reply.content.endswith("; not calibrated")


def test_fitted_curves_make_probabilities(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    curves = {f"chest-xray/{name}": [2.0, -1.0] for name in CHEST}
    file = tmp_path / "curves.json"
    file.write_text(json.dumps({"thumbnail": curves}))
    monkeypatch.setattr(zero_shot, "CALIBRATION", file)
    zero_shot._calibration.cache_clear()
    try:
        values = call(make_context(generate("chest-xray", 5))).artifact.values
    finally:
        zero_shot._calibration.cache_clear()
    for n in range(1, 6):
        lead = values[f"lead {n}"]
        expected = 1 / (1 + math.exp(-(2 * lead - 1)))
        assert values[f"probability {n}"] == pytest.approx(expected, abs=0.006)
    assert values["calibrated"] is True


def test_the_bundled_embedder_has_curves_for_every_finding_it_was_judged_on() -> None:
    from overread.imaging.vocabulary import DOMAINS
    from overread.index.embedder import BUNDLED, identity

    name = identity("open_clip", BUNDLED)
    for domain, (_, findings) in DOMAINS.items():
        for finding in findings:
            fitted = zero_shot.curve(name, finding, domain)
            assert fitted is not None and fitted[0] > 0, (domain, finding)


def test_own_labels_and_fewer_of_them(make_context: MakeContext) -> None:
    reply = call(make_context(generate("chest-xray", 5)), labels=["Rib fracture", "mass"], top=1)
    values = reply.artifact.values
    assert values["finding 1"] in ("rib fracture", "mass") and "finding 2" not in values


def test_a_trained_classifier_is_asked(make_context: MakeContext, tiny: Path) -> None:
    classifier = load_classifier(tiny)
    context = make_context(generate("chest-xray", 5), classifier=lambda: classifier)
    reply = call(context, by="classifier")
    values = reply.artifact.values
    told = [values[f"probability {n}"] for n in (1, 2, 3)]
    assert sum(told) == pytest.approx(1.0, abs=0.02) and told == sorted(told, reverse=True)
    assert reply.artifact.version.startswith("classify 1, transformers-classifier@")
    assert call(context, by="classifier", labels=["mass"]).artifact.values["finding 1"] == "Mass"
    assert "does not know 'cyst'" in call(context, by="classifier", labels=["cyst"]).content


def test_the_classifier_gives_what_transformers_gives(tiny: Path) -> None:
    import torch

    from overread.index.records import picture

    view = picture(image_of(generate("chest-xray", 5)))
    model = ViTForImageClassification.from_pretrained(tiny).eval()
    pixels = AutoImageProcessor.from_pretrained(tiny)(images=view, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**pixels).logits[0].softmax(0).numpy()
    assert np.allclose(load_classifier(tiny).probabilities(view), expected, atol=1e-5)


def test_folders_without_a_safe_model_are_refused(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        load_classifier(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no config\.json"):
        load_classifier(tmp_path / "empty")
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="safetensors"):
        load_classifier(tiny)


def test_what_cannot_be_weighed_is_said(make_context: MakeContext) -> None:
    phantom = generate("histology", 5)
    assert "give labels" in call(make_context(phantom)).content
    assert "agent.classifier" in call(make_context(phantom), by="classifier").content
    bare = make_context(phantom, embedder=None)
    assert "no embedder" in call(bare, labels=["mitosis"]).content
