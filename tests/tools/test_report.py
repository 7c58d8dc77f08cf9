from collections.abc import Sequence

from overread.imaging.errors import PlannerUnavailable
from overread.imaging.phantoms import generate
from overread.imaging.study import ImageRef
from overread.tools import measure, report, segment
from overread.tools.base import Evidence, ToolContext
from overread.tools.report_text import comparison, findings, impression
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


def test_the_heart_is_enlarged_above_a_half() -> None:
    (large,), (normal,) = findings([ctr(1, 0.51)], IMAGE), findings([ctr(1, 0.5)], IMAGE)
    assert str(large) == "Cardiothoracic ratio 0.51, above 0.50. [E1]" and large.abnormal
    assert str(normal) == "Cardiothoracic ratio 0.5, not above 0.50. [E1]" and not normal.abnormal


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
