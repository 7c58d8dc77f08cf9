"""When two images are compared at all, how far the result is believed, and on which scale."""

from dataclasses import replace

import numpy as np
import pytest

from overread.agent import changes
from overread.imaging.phantoms import generate
from overread.tools.base import Evidence, ToolContext
from overread.tools.compare import build
from overread.tools.registration import PICTURES, register, trust
from tests.tools.conftest import MakeContext, image_of


def call(context: ToolContext, **args: object):
    request = {"type": "tool_call", "id": "1", "name": "compare", "args": args}
    return build(context).invoke(request)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"pixels": np.full((256, 256), 40, np.float32)}, "image 2 is blank"),
        ({"pixels": np.eye(1, dtype=np.float32)}, "image 2 has 1 x 1 pixels"),
        ({"view": "lateral"}, "image 1 is PA and image 2 is lateral"),
        ({"body_part": "knee"}, "image 1 is of the chest and image 2 of the knee"),
        ({"spacing_mm": None}, "pixel size of only one"),
    ],
)
def test_an_image_that_is_no_match_is_refused(
    make_context: MakeContext, facts: dict, reason: str
) -> None:
    phantoms = generate("chest-xray", 7, 1), generate("chest-xray", 7)
    now, before = (replace(image_of(phantom), view="PA") for phantom in phantoms)
    reply = call(make_context(*phantoms, images=[now, replace(before, **facts)]), image=1, prior=2)
    assert reply.status == "error" and reason in reply.content


def test_frontal_views_are_compared(make_context: MakeContext) -> None:
    phantoms = generate("chest-xray", 7, 1), generate("chest-xray", 7)
    images = [
        replace(image_of(p), view=view) for p, view in zip(phantoms, ("PA", "AP"), strict=True)
    ]
    assert call(make_context(*phantoms, images=images), image=1, prior=2).status == "success"


def with_nodule(make_context: MakeContext, pixels: np.ndarray | None = None) -> ToolContext:
    """Return a context of a phantom that has a nodule and one that has none, or of other pixels."""
    phantoms = (generate("chest-ct", patient, visit) for patient in range(9) for visit in (0, 1))
    phantom = next(phantom for phantom in phantoms if "nodule" in phantom.masks)
    other = replace(phantom, study_id="other", masks={})
    images = [image_of(phantom), image_of(other)]
    if pixels is not None:
        images[1] = replace(images[1], pixels=pixels)
    return make_context(phantom, other, images=images)


def test_images_that_are_hardly_alike_tell_of_no_change(make_context: MakeContext) -> None:
    noise = np.random.default_rng(0).normal(0, 300, (256, 256)).astype(np.float32)
    assert "nodule new" in call(with_nodule(make_context), image=1, prior=2).content
    reply = call(with_nodule(make_context, noise), image=1, prior=2, target="nodule")
    assert "hardly alike" in reply.content and "below 0.65 it cannot be told" in reply.content
    assert reply.artifact.confidence == 0.0
    assert not [key for key in reply.artifact.values if key.startswith("nodule")]
    entry = Evidence(
        id="E1", tool="compare", arguments={}, content=reply.content, version="1",
        values=reply.artifact.values,
    )  # fmt: skip
    for word in ("new", "resolved", "larger", "smaller", "unchanged", "stable"):
        assert changes.check(f"The nodule is {word} [E1].", [entry], [entry]), word


@pytest.mark.parametrize(
    ("likeness", "share"), [(0.6, 0.0), (0.65, 0.5), (0.775, 0.75), (0.95, 1.0)]
)
def test_trust_grows_with_likeness(likeness: float, share: float) -> None:
    assert trust(likeness, PICTURES) == pytest.approx(share)


def test_confidence_is_that_of_the_masks_times_that_of_the_registration(
    make_context: MakeContext,
) -> None:
    context = make_context(generate("ultrasound", 6, 1), generate("ultrasound", 6, 0))
    result = call(context, image=1, prior=2).artifact
    likeness = register(context.image(1), context.image(2)).likeness
    assert 0.65 < likeness < 0.85
    assert result.confidence == pytest.approx(0.9 * trust(likeness, PICTURES), abs=0.006)


@pytest.mark.parametrize(("grown", "fate"), [(1.0, "unchanged"), (1.3, "larger")])
@pytest.mark.parametrize("finer", ["now", "before"])
def test_without_pixel_size_sizes_are_on_the_scale_of_the_registration(
    make_context: MakeContext, grown: float, fate: str, finer: str
) -> None:
    def drawn(radius: float, factor: int) -> tuple[np.ndarray, np.ndarray]:
        y, x = (np.mgrid[: 192 * factor, : 192 * factor] + 0.5) / factor
        pixels = np.zeros(x.shape, np.float32)
        pixels[((y - 96) / 80) ** 2 + ((x - 92) / 65) ** 2 < 1] = 400
        pixels[((y - 60) / 15) ** 2 + ((x - 120) / 22) ** 2 < 1] = 700
        mask = (y - 115) ** 2 + (x - 75) ** 2 < radius**2
        pixels[mask] = 900
        return pixels, mask

    first, second = (2, 1) if finer == "now" else (1, 2)
    phantom = generate("brain-mr", 3)
    phantoms, images = [], []
    for name, (pixels, mask) in {"a": drawn(9 * grown, first), "b": drawn(9, second)}.items():
        phantoms.append(replace(phantom, study_id=name, masks={"lesion": mask}))
        images.append(replace(image_of(phantoms[-1]), pixels=pixels, spacing_mm=None))
    reply = call(make_context(*phantoms, images=images), image=1, prior=2, target="lesion")
    assert f"lesion {fate}" in reply.content
    assert reply.artifact.values["lesion 1 ratio since 2"] == pytest.approx(grown, rel=0.04)
    assert "lengths are in pixels of the later image" in reply.content
