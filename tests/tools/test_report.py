from collections.abc import Sequence

import pytest

from overread.imaging.errors import PlannerUnavailable
from overread.imaging.phantoms import generate
from overread.imaging.study import ImageRef
from overread.tools import measure, report, segment
from overread.tools.base import Evidence, ToolContext
from overread.tools.report_text import by_region, comparison, findings, impression, unassessed
from overread.tools.reporting.compose import compose
from overread.tools.reporting.markdown import render
from tests.tools.conftest import MakeContext
from tests.tools.test_segment import with_finding

IMAGE = "st/s0/i0"


def call(context: ToolContext, tool: str, **args: object):
    build = {"segment": segment.build, "measure": measure.build, "generate_report": report.build}
    request = {"type": "tool_call", "id": "1", "name": tool, "args": args}
    return build[tool](context).invoke(request)


def gather(context: ToolContext, calls: Sequence[tuple[str, dict[str, object]]]) -> tuple:
    """Run tools and number their results, as a session does."""
    evidence = []
    for number, (tool, args) in enumerate(calls, start=1):
        reply = call(context, tool, **args)
        assert reply.status == "success", reply.content
        facts = reply.artifact.model_dump()
        evidence.append(
            Evidence(id=f"E{number}", tool=tool, arguments=args, content=reply.content, **facts)
        )
    return tuple(evidence)


def evidence(number: int, image: str = IMAGE, tool: str = "segment", **values: object) -> Evidence:
    return Evidence(
        id=f"E{number}",
        tool=tool,
        arguments={},
        content="",
        version="1",
        image=image,
        values=values,  # type: ignore[arg-type]
        confidence=0.8,
    )


def ctr(number: int, value: float, image: str = IMAGE) -> Evidence:
    facts = {"target": "heart", "reference": "thorax", "value": value, "unit": ""}
    return evidence(number, image, "measure", quantity="width_ratio", **facts)


def test_a_report_has_all_sections_and_every_finding_cites(make_context: MakeContext) -> None:
    phantom = with_finding("chest-xray", "effusion")
    calls = [
        ("segment", {"image": 1, "target": "effusion"}),
        ("segment", {"image": 1, "target": "nodule"}),
        ("measure", {"image": 1, "target": "heart", "quantity": "width_ratio"}),
    ]
    found = gather(make_context(phantom), calls)
    context = make_context(phantom, evidence=found)
    reply = call(context, "generate_report", image=1)
    text = context.artifacts.read(reply.artifact.artifacts[0]).decode()
    for section in ("Technique", "Comparison", "Findings", "Impression"):
        assert f"\n## {section}\n" in text
    assert "DRAFT - research use only" in text and "None available." in text
    told = text.split("## Findings")[1].split("### Not assessed")[0]
    lines = [line for line in told.splitlines() if line.startswith("- ")]
    assert len(lines) == 3 and all(line.endswith("]") for line in lines)
    assert any(line.startswith("- Effusion: long axis") and "[E1]" in line for line in lines)
    assert "### Not assessed\n\n- pneumothorax\n- consolidation\n" in text
    assert "1. Effusion: " in text.split("## Impression")[1]
    assert "Planner's own reading" not in text
    assert reply.content.startswith("generate_report for image 1: draft with 3 findings; Effusion")


def test_the_draft_is_the_one_that_a_reader_edits(make_context: MakeContext) -> None:
    phantom = with_finding("chest-xray", "effusion")
    found = gather(make_context(phantom), [("segment", {"image": 1, "target": "effusion"})])
    context = make_context(phantom, evidence=found)
    reply = call(context, "generate_report", image=1)
    report = compose(found, context.images[0], context.images, context.archive)
    assert context.artifacts.read(reply.artifact.artifacts[0]).decode() == render(report)


def test_the_planner_s_words_are_marked_as_its_own(make_context: MakeContext) -> None:
    phantom = with_finding("chest-xray", "effusion")
    found = gather(make_context(phantom), [("segment", {"image": 1, "target": "effusion"})])

    def write(ref: ImageRef | None, instruction: str) -> str:
        return "A chest [E9].\n# Impression\nNormal <|im_end|>"

    context = make_context(phantom, evidence=found, write=write)
    reply = call(context, "generate_report", image=1)
    text = context.artifacts.read(reply.artifact.artifacts[0]).decode()
    own = text.split("## Planner's own reading")[1]
    assert "Rests on no tool" in own
    assert "> A chest (E9). # Impression Normal" in own
    assert "Normal" not in reply.content


def test_a_silent_planner_does_not_lose_the_report(make_context: MakeContext) -> None:
    phantom = with_finding("chest-xray", "effusion")
    found = gather(make_context(phantom), [("segment", {"image": 1, "target": "effusion"})])

    def write(ref: ImageRef | None, instruction: str) -> str:
        raise PlannerUnavailable("the planner does not answer")

    context = make_context(phantom, evidence=found, write=write)
    reply = call(context, "generate_report", image=1)
    text = context.artifacts.read(reply.artifact.artifacts[0]).decode()
    assert reply.status == "success" and "Not available: the planner does not answer" in text


def test_without_evidence_there_is_no_report(make_context: MakeContext) -> None:
    reply = call(make_context(generate("chest-xray", 1)), "generate_report", image=1)
    assert reply.status == "error" and "no evidence about image 1" in reply.content


def test_a_prior_of_the_same_patient_is_compared_and_a_stranger_is_not(
    make_context: MakeContext,
) -> None:
    prior, now = generate("chest-xray", 7, 0), generate("chest-xray", 7, 1)
    stranger = generate("chest-xray", 8)
    ratio = {"target": "heart", "quantity": "width_ratio"}
    calls = [("measure", {"image": n} | ratio) for n in (1, 2, 3)]
    found = gather(make_context(now, prior, stranger), calls)
    context = make_context(now, prior, stranger, evidence=found)
    reply = call(context, "generate_report", image=1)
    text = context.artifacts.read(reply.artifact.artifacts[0]).decode()
    section = text.split("## Comparison")[1].split("## Findings")[0]
    assert prior.study_id in section and stranger.study_id not in section
    assert "[E1] [E2]" in section and "E3" not in text


def test_the_latest_of_equal_calls_counts() -> None:
    told = findings(
        [
            evidence(1, found=False, target="nodule"),
            evidence(2, "other/s0/i0", found=False, target="mass"),
            evidence(3, found=False, target="nodule"),
        ],
        IMAGE,
    )
    assert [str(sentence) for sentence in told] == ["Nodule: not found. [E3]"]


def taken(view: str | None, number: int = 9) -> Evidence:
    return evidence(number, tool="intake", modality="DX", view=view)


def told_of(entry: Evidence, view: str | None = "PA", number: int = 9):
    (sentence,) = findings([taken(view, number), entry], IMAGE)
    return sentence


def test_the_heart_is_enlarged_above_a_half() -> None:
    large, normal = told_of(ctr(1, 0.51)), told_of(ctr(1, 0.5))
    assert str(large) == "Cardiothoracic ratio 0.51, above 0.50. [E1]" and large.abnormal
    assert str(normal) == "Cardiothoracic ratio 0.5, not above 0.50. [E1]" and not normal.abnormal
    assert [str(told) for told in impression([normal])] == [
        "Looked for and not found: cardiomegaly. [E1]"
    ]


@pytest.mark.parametrize(
    ("view", "this"),
    [("AP", "this one is AP"), (None, "that of this one is unknown"), ("LL", "this one is LL")],
)
def test_a_large_heart_is_called_in_pa_projection_alone(view: str | None, this: str) -> None:
    told = told_of(ctr(1, 0.6), view)
    reason = f"its limit of 0.50 holds in PA projection, and {this}"
    assert str(told) == f"Cardiothoracic ratio 0.6, not judged: {reason}. [E1] [E9]"
    assert not told.abnormal and impression([told]) == [told]
    assert "cardiomegaly" in unassessed("chest-xray", [told])


def test_ap_projection_enlarges_so_that_a_small_heart_is_small() -> None:
    assert str(told_of(ctr(1, 0.45), "AP")) == "Cardiothoracic ratio 0.45, not above 0.50. [E1]"
    assert "not judged" in str(told_of(ctr(1, 0.45), "LL"))


def shift(value: float, error: float = 0.4, unit: str = "mm") -> Evidence:
    facts = {"target": "ventricles", "reference": "brain", "towards": "left"}
    amount = {"value": value, "unit": unit, "error": error}
    return evidence(1, tool="measure", quantity="midline_shift", **facts, **amount)


@pytest.mark.parametrize(
    ("value", "error", "side", "abnormal", "absent"),
    [
        (16.0, 0.4, "at or above 5 mm", True, None),
        (5.2, 0.4, "borderline: 5 mm lies within its error", False, None),
        (4.8, 0.4, "borderline: 5 mm lies within its error", False, None),
        (3.2, 0.4, "below 5 mm", False, "midline shift of 5 mm or more"),
        (0.5, 0.4, "below 5 mm", False, "midline shift"),
    ],
)
def test_a_midline_shift_is_held_to_its_limit(
    value: float, error: float, side: str, abnormal: bool, absent: str | None
) -> None:
    told = told_of(shift(value, error))
    amount = f"{value:g} ± {error:g} mm"
    assert str(told) == f"Midline shift towards the patient's left: {amount}, {side}. [E1]"
    assert told.abnormal is abnormal
    summary = f"Looked for and not found: {absent}. [E1]" if absent else str(told)
    assert [str(item) for item in impression([told])] == [summary]
    assert unassessed("brain-mr", [told]) == ["lesion"]


def test_a_shift_in_pixels_is_not_judged() -> None:
    told = told_of(shift(16.0, unit="pixels"))
    assert "16 ± 0.4 pixels, not judged: its limit of 5 mm needs the size of a pixel" in str(told)
    assert not told.abnormal and "midline shift" in unassessed("brain-mr", [told])


@pytest.mark.parametrize(
    ("value", "side", "abnormal"),
    [
        (0.78, "at or above 0.70", True),
        (0.72, "borderline: 0.70 lies within its error", False),
        (0.45, "below 0.70", False),
    ],
)
def test_a_cup_is_held_to_its_limit(value: float, side: str, abnormal: bool) -> None:
    facts = {"target": "optic cup", "reference": "optic disc", "unit": "", "error": 0.03}
    told = told_of(evidence(1, tool="measure", quantity="height_ratio", value=value, **facts))
    assert str(told) == f"Vertical cup-to-disc ratio {value:g} ± 0.03, {side}. [E1]"
    assert told.abnormal is abnormal and by_region([told]) == {"Eye": [told]}
    if "below" in side:
        assert "not found: enlarged optic cup." in str(impression([told])[0])


def test_what_is_unsure_is_said_to_be() -> None:
    found = {"found": True, "target": "nodule", "area_mm2": 30.0, "long_axis_mm": 6.0}
    sure = told_of(evidence(1, **found))
    unsure = told_of(evidence(1, **found).model_copy(update={"confidence": 0.05}))
    assert str(sure) == "Nodule: long axis 6 mm, area 30 mm2. [E1]"
    assert str(unsure) == "Possible nodule: long axis 6 mm, area 30 mm2, confidence 5 %. [E1]"
    assert impression([unsure]) == [unsure]
    absent = evidence(1, found=False, target="nodule").model_copy(update={"confidence": 0.4})
    told = told_of(absent)
    assert str(told) == "Nodule: not found, confidence 40 %. [E1]"
    assert "Looked for and not found: nodule (confidence 40 %)." in str(impression([told])[0])
    measured = told_of(shift(16.0).model_copy(update={"confidence": 0.5}))
    assert str(measured).endswith("16 ± 0.4 mm, at or above 5 mm, confidence 50 %. [E1]")


def test_an_outline_carried_through_its_series_tells_its_volume() -> None:
    outline = {"found": True, "target": "cyst", "area_mm2": 1245.0, "long_axis_mm": 40.8}
    carried = {"slices": 15, "slices_of": 21}
    volume = {"volume_ml": 33.42, "error": 0.3}
    told = told_of(evidence(1, tool="reader", **outline, **carried, **volume))
    start = "Cyst: long axis 40.8 mm, area 1245 mm2,"
    assert str(told) == f"{start} volume 33.4 ± 0.3 ml in 15 of 21 images. [E1]"
    told = told_of(evidence(1, tool="reader", **outline, **carried))
    assert str(told) == f"{start} seen in 15 of 21 images. [E1]"


def test_both_diameters_are_told_with_their_errors() -> None:
    facts = {"target": "cyst", "reference": None, "unit": "mm", "value": 23.0, "error": 1.2}
    short = {"short_axis": 14.0, "short_axis_error": 0.9}
    now = evidence(1, tool="quantify", quantity="diameters", **facts, **short)
    assert str(told_of(now)) == "Diameters of cyst: 23 ± 1.2 x 14 ± 0.9 mm. [E1]"
    before = now.model_copy(update={"id": "E2", "image": "old/s0/i0"})
    (told,) = comparison([now, before], IMAGE, ["old/s0/i0"])
    assert told.text.endswith("x 14 ± 0.9 mm, in the other image 23 ± 1.2 x 14 ± 0.9 mm.")


def test_an_impression_never_says_more_than_was_looked_for() -> None:
    absent = findings(
        [
            evidence(1, found=False, target="nodule"),
            evidence(2, found=False, target="effusion"),
        ],
        IMAGE,
    )
    assert str(impression(absent)[0]) == "Looked for and not found: nodule, effusion. [E1] [E2]"
    assert "No statement" in str(impression([])[0])


def test_comparison_needs_equal_units() -> None:
    length = {"quantity": "width", "target": "heart", "reference": None}
    entries = [
        evidence(1, IMAGE, "measure", value=10.0, unit="mm", **length),
        evidence(2, "old/s0/i0", "measure", value=20.0, unit="pixels", **length),
        ctr(3, 0.55),
        ctr(4, 0.48, "old/s0/i0"),
    ]
    told = [str(sentence) for sentence in comparison(entries, IMAGE, ["old/s0/i0"])]
    assert told == ["Width ratio of heart to thorax: 0.55, in the other image 0.48. [E3] [E4]"]


def test_an_error_is_told_with_its_value() -> None:
    facts = {"target": "liver", "reference": None, "value": 61.2, "unit": "HU", "error": 0.11}
    (told,) = findings([evidence(1, tool="quantify", quantity="intensity", **facts)], IMAGE)
    assert str(told) == "Intensity of liver: 61.2 ± 0.11 HU. [E1]"
