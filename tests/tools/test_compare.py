"""Registration of known movements, and changes of phantoms whose change is known."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from overread.imaging.phantoms import generate
from overread.imaging.phantoms.drawn import Drawn
from overread.imaging.phantoms.export import to_dicom
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import Image
from overread.tools.base import ToolContext
from overread.tools.change import Lesion, follow
from overread.tools.compare import build
from overread.tools.geometry import regions
from overread.tools.registration import onto, register, shown_onto
from tests.tools.conftest import MakeContext, TruthSegmenter, image_of


def call(context: ToolContext, **args: object):
    request = {"type": "tool_call", "id": "1", "name": "compare", "args": args}
    return build(context).invoke(request)


def moved(image: Image, shift: tuple[float, float], turn: float, scale: float) -> tuple:
    """Return an image moved by a known transform, and the mover of its masks."""
    transform = sitk.Similarity2DTransform()
    rows, columns = image.shape
    down, across = image.spacing_mm or (1.0, 1.0)
    transform.SetCenter((columns * across / 2, rows * down / 2))
    transform.SetTranslation(shift)
    transform.SetAngle(math.radians(turn))
    transform.SetScale(scale)

    def move(array, blank: float):
        grid = sitk.GetImageFromArray(np.asarray(array, np.float32))
        grid.SetSpacing((across, down))
        return sitk.GetArrayFromImage(sitk.Resample(grid, transform, sitk.sitkLinear, blank))

    pixels = move(image.pixels, float(image.pixels.min()))
    return replace(image, pixels=pixels), lambda mask: move(mask, 0.0) >= 0.5


@pytest.mark.parametrize(
    ("domain", "target", "shift", "turn", "scale"),
    [
        ("chest-xray", "heart", (14.0, -9.0), 4.0, 1.06),
        ("brain-mr", "ventricles", (-6.0, 8.0), -7.0, 0.95),
        ("abdomen-ct", "liver", (11.0, 5.0), 3.0, 1.0),
    ],
)
def test_a_known_movement_is_found(
    domain: str, target: str, shift: tuple[float, float], turn: float, scale: float
) -> None:
    phantom = generate(domain, 5)
    current = image_of(phantom)
    prior, move = moved(current, shift, turn, scale)
    found = register(current, prior)
    assert found.likeness > max(found.before, 0.9)
    assert abs(found.turn) == pytest.approx(abs(turn), abs=1.0)
    assert found.scale == pytest.approx(1 / scale, abs=0.02)
    mask, back = phantom.masks[target], onto(found, move(phantom.masks[target]), prior, current)
    assert 2 * (mask & back).sum() / (mask.sum() + back.sum()) > 0.9
    assert shown_onto(found, prior, current).shape == current.shape


def test_registration_repeats_itself() -> None:
    current = image_of(generate("chest-xray", 5))
    prior = image_of(generate("chest-xray", 6))
    first, second = register(current, prior), register(current, prior)
    assert first.transform.GetParameters() == second.transform.GetParameters()
    assert first.likeness == second.likeness


def test_images_without_structure_are_left_where_they_are() -> None:
    blank = replace(image_of(generate("chest-xray", 5)), pixels=np.zeros((64, 64), np.float32))
    found = register(blank, blank)
    assert (found.shift, found.turn, found.scale) == (0.0, 0.0, 1.0)


def lesion(row: float, column: float, diameter: float) -> Lesion:
    return Lesion((row, column), diameter, diameter)


def test_findings_are_paired_by_place_each_once() -> None:
    now = [lesion(10, 10, 12.0), lesion(50, 50, 8.0), lesion(90, 20, 6.0)]
    before = [lesion(48, 52, 8.2), lesion(11, 9, 10.0), lesion(90, 90, 5.0)]
    told = follow(now, before, [one.place for one in before], (1.0, 1.0))
    assert [(one.fate, one.now, one.before) for one in told] == [
        ("larger", now[0], before[1]),
        ("unchanged", now[1], before[0]),
        ("new", now[2], None),
        ("resolved", None, before[2]),
    ]
    assert told[0].ratio == pytest.approx(1.2)
    assert [one.fate for one in follow([], before[:1], [(0.0, 0.0)], (1.0, 1.0))] == ["resolved"]
    assert follow([], [], [], (1.0, 1.0)) == []


@pytest.mark.parametrize(
    ("factor", "fate"), [(1.2, "larger"), (1.0, "unchanged"), (0.8, "smaller")]
)
def test_the_fate_goes_by_the_mean_diameter(factor: float, fate: str) -> None:
    (one,) = follow([lesion(5, 5, 10 * factor)], [lesion(5, 5, 10.0)], [(5.0, 5.0)], (1.0, 1.0))
    assert one.fate == fate


def test_changes_of_phantoms_are_told_as_they_were_made(make_context: MakeContext) -> None:
    from overread.imaging.phantoms.compare import change

    seen: dict[str, int] = {}
    for patient in range(40):
        now, before = generate("chest-ct", patient, 1), generate("chest-ct", patient, 0)
        masks = [p.masks.get("nodule") for p in (now, before)]
        if max((regions(mask) for mask in masks if mask is not None), default=0) != 1:
            continue  # the truth is told of all nodules together
        first, second = (Drawn.__new__(Drawn) for _ in range(2))
        for drawn, phantom in ((first, now), (second, before)):
            object.__setattr__(drawn, "masks", phantom.masks)
            object.__setattr__(drawn, "spacing_mm", phantom.spacing_mm)
        truth = change("nodule", first, second)
        if truth is None:
            continue
        reply = call(make_context(now, before), image=1, prior=2, target="nodule")
        assert reply.status == "success", reply.content
        assert reply.artifact.values.get(f"nodule {truth} since 2") == 1, (patient, reply.content)
        assert f"nodule {truth}, long axis" in reply.content
        assert reply.artifact.values["same patient as 2"] is True
        seen[truth] = seen.get(truth, 0) + 1
        if sum(seen.values()) >= 8:
            break
    assert len(seen) >= 2, seen


def test_several_earlier_images_and_all_findings(make_context: MakeContext) -> None:
    phantoms = [generate("chest-xray", 7, visit) for visit in (2, 1, 0)]
    reply = call(make_context(*phantoms), image=1, prior=2, more=[3, 2])
    assert reply.content.count("compare image 1 with earlier image") == 2
    for name in ("nodule", "effusion", "pneumothorax", "consolidation"):
        assert reply.content.count(name) >= 2
    assert [artifact.kind for artifact in reply.artifact.artifacts] == ["contact_sheet"]
    assert reply.artifact.values["summary"] == reply.content


def dated(make_context: MakeContext, folder: Path, visits: tuple[int, ...]) -> ToolContext:
    """Return a context of one patient's visits as DICOM files, which tell when they were."""
    phantoms = [generate("chest-ct", 3, visit) for visit in visits]
    pseudonymiser, studies = Pseudonymiser(folder / "secret"), []
    for number, phantom in enumerate(phantoms):
        to_dicom(phantom).save_as(folder / f"{number}.dcm", enforce_file_format=True)
        studies += read_studies([folder / f"{number}.dcm"], pseudonymiser)
    context = make_context(phantoms[0])
    context.archive.add(studies)
    masks = {s.id: p.masks for s, p in zip(studies, phantoms, strict=True)}
    truth, refs = TruthSegmenter(masks), tuple(study.images[0].ref for study in studies)
    return replace(context, images=refs, segmenter=lambda: truth)


def test_dates_tell_which_image_is_the_latest(make_context: MakeContext, tmp_path: Path) -> None:
    right = call(dated(make_context, tmp_path, (1, 0)), image=1, prior=2)
    turned = call(dated(make_context, tmp_path, (0, 1)), image=1, prior=2)
    assert right.artifact.values["days since 2"] == 180
    assert turned.artifact.values["days since 1"] == 180
    assert "By the dates" not in right.content
    end = " By the dates of the studies image 2 is the latest."
    swapped = right.content.replace("image 1 with earlier image 2", "image 2 with earlier image 1")
    assert turned.content == swapped + end


def test_the_latest_of_three_is_compared_with_the_others(
    make_context: MakeContext, tmp_path: Path
) -> None:
    reply = call(dated(make_context, tmp_path, (1, 2, 0)), image=1, prior=2, more=[3])
    values = reply.artifact.values
    assert (values["days since 1"], values["days since 3"]) == (180, 360)
    assert "compare image 2 with earlier image 1:" in reply.content
    assert "compare image 2 with earlier image 3:" in reply.content


def test_without_dates_the_order_is_that_of_who_asks(make_context: MakeContext) -> None:
    reply = call(make_context(*[generate("chest-ct", 3, v) for v in (0, 1)]), image=1, prior=2)
    assert "compare image 1 with earlier image 2" in reply.content
    assert not [key for key in reply.artifact.values if key.startswith("days")]


def test_strangers_are_called_so(make_context: MakeContext) -> None:
    context = make_context(generate("chest-xray", 7), generate("chest-xray", 8))
    reply = call(context, image=1, prior=2)
    assert "do not say that both are of one patient" in reply.content


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"image": 1, "prior": 1}, "cannot be compared with itself"),
        ({"image": 1, "prior": 3}, "only images of one kind"),
        ({"image": 1, "prior": 9}, "there is no image 9"),
        ({"image": 1, "prior": 2, "target": "femur"}, "femur"),
        ({"image": 1, "prior": 2, "more": [1, 2, 3, 2]}, "argument more"),
    ],
)
def test_what_cannot_be_compared(make_context: MakeContext, args: dict, reason: str) -> None:
    context = make_context(
        generate("chest-xray", 7), generate("chest-xray", 7, 1), generate("chest-ct", 7)
    )
    reply = call(context, **args)
    assert reply.status == "error" and reason in reply.content
