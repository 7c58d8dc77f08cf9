"""Heat maps: against the scores they split up, and covered where they are hot."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.imaging.phantoms import generate, labels_of
from overread.imaging.render import for_planner, placed
from overread.imaging.study import Image, ImageRef
from overread.index.embedder import load_embedder
from overread.index.explain import covered, heat_towards, on_image
from overread.index.records import picture
from overread.index.store import CaseIndex
from overread.tools.base import Evidence, ToolContext
from overread.tools.classifier import load_classifier
from overread.tools.explain import build
from overread.tools.similar import build as build_similar
from overread.tools.zero_shot import direction, leads
from tests.tools.conftest import MakeContext, ThumbnailEmbedder, image_of
from tests.tools.test_classify import tiny  # noqa: F401
from tests.tools.test_similar import record

PHANTOM = generate("chest-xray", 5)


def call(context: ToolContext, **args: object):
    request = {"type": "tool_call", "id": "1", "name": "explain", "args": {"image": 1} | args}
    return build(context).invoke(request)


def test_a_finding_has_the_lead_that_classify_tells(make_context: MakeContext) -> None:
    context = make_context(PHANTOM)
    reply = call(context, finding="Effusion")
    assert reply.status == "success", reply.content
    values = reply.artifact.values
    view, embedder = context.image(1), ThumbnailEmbedder()
    (lead,) = leads(embedder, picture(view), ("effusion",), view.modality, view.body_part or "")
    assert values["score"] == pytest.approx(lead, abs=6e-4)
    heat = heat_towards(
        embedder, picture(view), direction(embedder, "effusion", "CR", view.body_part or "")
    )
    on = on_image(heat, view)
    assert on[values["hottest y"], values["hottest x"]] == on.max()
    assert f"hottest at [{values['hottest x']}, {values['hottest y']}]" in reply.content
    (artifact,) = reply.artifact.artifacts
    assert artifact.kind == "heat"
    assert PIL.Image.open(io.BytesIO(context.artifacts.read(artifact))).size == (512, 512)


def test_covering_what_is_hot_takes_the_score_away(make_context: MakeContext) -> None:
    """On average: covering a place also makes something new, so single images may differ."""
    bundled = load_embedder("bundled")
    shown = [(domain, patient) for domain in ("chest-xray", "ultrasound") for patient in range(90)]
    found = []
    for phantom in (generate(*case) for case in shown[::15]):
        context = make_context(phantom, embedder=lambda: bundled)
        label = labels_of(phantom)[0]
        if label != "normal":
            found.append(call(context, finding=label).artifact.values)
    means = {
        name: np.mean([values[name] for values in found])
        for name in ("score", "without the hottest tenth", "without the coldest tenth")
    }
    assert len(found) >= 6
    assert means["without the hottest tenth"] < means["score"]
    assert means["without the hottest tenth"] < means["without the coldest tenth"]


def test_a_case_is_explained_by_its_number(make_context: MakeContext, tmp_path: Path) -> None:
    index = CaseIndex.open(tmp_path / "index", ThumbnailEmbedder(), create=True)
    others = [generate("chest-xray", n) for n in range(6, 12)]
    index.add([record(case) for case in others])
    context = make_context(PHANTOM, *others, index=lambda: index)
    assert "find them first" in call(context, neighbour=1).content
    asked = {"type": "tool_call", "id": "1", "name": "find_similar_cases", "args": {"image": 1}}
    similar = build_similar(context).invoke(asked).artifact
    entry = Evidence(
        id="E1", tool="find_similar_cases", arguments={}, content="", **similar.model_dump()
    )
    known = make_context(PHANTOM, *others, index=lambda: index, evidence=(entry,))
    reply = call(known, neighbour=1)
    values = reply.artifact.values
    assert (values["explained"], values["measure"]) == ("case 1", "similarity")
    assert values["score"] == pytest.approx(similar.values["closest"], abs=6e-3)
    (artifact,) = reply.artifact.artifacts
    shown = PIL.Image.open(io.BytesIO(known.artifacts.read(artifact)))
    assert shown.width > 3 * 384  # image, heat and case
    assert "E1 names no case 99" in call(known, neighbour=99).content


def test_a_classifier_s_gradient_is_that_of_its_logit(
    make_context: MakeContext,
    tiny: Path,  # noqa: F811
) -> None:
    import torch

    classifier = load_classifier(tiny)
    query = picture(image_of(PHANTOM))
    gradient = classifier.gradient(query, 0)
    assert gradient.shape == (512, 512) and gradient.min() >= 0 and gradient.max() > 0
    inputs = classifier._processor(images=query, return_tensors="pt")["pixel_values"]  # type: ignore[attr-defined]
    row, column = np.unravel_index(np.argmax(gradient), gradient.shape)
    row, column = row * 32 // 512, column * 32 // 512
    moved = []
    for channel in range(3):  # a step of one pixel, against the logit itself
        step = torch.zeros_like(inputs)
        step[0, channel, row, column] = 1e-2
        with torch.inference_mode():
            up, down = (
                classifier._model(pixel_values=inputs + sign * step).logits[0, 0]  # type: ignore[attr-defined]
                for sign in (1, -1)
            )
        moved.append(abs(float(up - down)) / 2e-2)
    assert gradient.max() == pytest.approx(max(moved), rel=0.1)
    context = make_context(PHANTOM, classifier=lambda: classifier)
    values = call(context, finding="effusion", by="classifier").artifact.values
    assert values["score"] == pytest.approx(classifier.probabilities(query)[0], abs=6e-4)
    assert "does not know 'cyst'" in call(context, finding="cyst", by="classifier").content


@pytest.mark.parametrize("embedder", [ThumbnailEmbedder, lambda: load_embedder("bundled")])
def test_a_blank_image_has_no_hottest_place(make_context: MakeContext, embedder) -> None:
    pixels = np.full((80, 200), 77, np.float32)
    blank = replace(image_of(PHANTOM), pixels=pixels, window=None)
    reply = call(make_context(PHANTOM, images=[blank], embedder=embedder), finding="nodule")
    assert reply.status == "success", reply.content
    assert reply.content.endswith(", the same everywhere") and "hottest" not in reply.content
    values = reply.artifact.values
    assert values["hottest x"] is values["hottest y"] is None
    assert isinstance(values["score"], float)


def test_a_flat_map_of_any_image_has_no_hottest_place(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(self: ThumbnailEmbedder, image: PIL.Image.Image) -> np.ndarray:
        return np.broadcast_to(self.embed_images([image])[0], (8, 8, 64)).copy()

    monkeypatch.setattr(ThumbnailEmbedder, "embed_patches", flat)
    assert call(make_context(PHANTOM), finding="nodule").content.endswith("the same everywhere")


def test_what_cannot_be_explained_is_said(make_context: MakeContext) -> None:
    context = make_context(PHANTOM)
    for args in ({}, {"finding": "mass", "neighbour": 1}):
        assert "one of the two" in call(context, **args).content
    assert "agent.classifier" in call(context, finding="mass", by="classifier").content
    assert "no embedder" in call(make_context(PHANTOM, embedder=None), finding="mass").content


def test_heat_lies_where_it_was_seen_whatever_the_shape_of_the_pixels() -> None:
    pixels = np.zeros((60, 200), np.float32)
    pixels[40:50, 150:170] = 200
    image = Image(ref=ImageRef("s", "s0", "i0"), pixels=pixels, spacing_mm=(2.0, 1.0))
    view = for_planner(image, 512)
    left, top, right, bottom = placed(image, 512)
    assert (right - left, bottom - top) == (512, 307)
    bright = np.asarray(view.convert("L"))
    assert bright[:top].max() == bright[bottom:].max() == 0
    heat = on_image(bright.astype(np.float32), image)
    assert heat.shape == (60, 200)
    assert np.corrcoef(heat.ravel(), pixels.ravel())[0, 1] > 0.95


def test_the_hottest_and_the_coldest_tenth_are_covered() -> None:
    shades = np.tile(np.arange(100, dtype=np.uint8), (100, 1))
    query = PIL.Image.fromarray(np.stack([shades] * 3, axis=-1))
    heat = shades.astype(np.float32)
    hot, cold = covered(lambda shown: float(np.asarray(shown).max()), query, heat, (0, 0, 100, 100))
    assert (hot, cold) == (89.0, 99.0)
