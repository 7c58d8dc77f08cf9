"""Draft a structured report of an image from the evidence gathered so far."""

from langchain_core.tools import BaseTool
from pydantic import BaseModel

from overread.imaging.errors import InputError, OverreadError
from overread.imaging.study import Image
from overread.tools import phrases, report_text
from overread.tools.base import Evidence, ToolContext, ToolResult
from overread.tools.border import make_tool
from overread.tools.fence import clean
from overread.tools.reporting.compose import compose
from overread.tools.reporting.markdown import render
from overread.tools.segment import ImageNumber

VERSION = "generate_report 3"
_OWN_READING = "Describe this image in one or two sentences. Do not give measurements."
_OWN_READING_CHARS = 600


class ReportArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def generate_report(image: int) -> tuple[str, ToolResult]:
        picture = context.image(image)
        reference = str(picture.ref)
        if not report_text.findings(context.evidence, reference):
            raise InputError(
                f"there is no evidence about image {image} yet; segment or measure first"
            )
        report = compose(context.evidence, picture.ref, context.images, context.archive)
        sentences = [told for region in report.findings for told in region.statements]
        more = [*_similar(context.evidence, picture), *_own_reading(context, picture)]
        text = "\n".join([render(report), *more]).rstrip() + "\n"
        artifact = context.artifacts.put(
            text.encode(), "report", f"draft report of image {image}", ".md"
        )
        summary = " ".join(told.text for told in report.impression)
        sure = [
            entry.confidence
            for entry in context.evidence
            if entry.image == reference and entry.confidence is not None
        ]
        cited = sorted({name for sentence in sentences for name in sentence.evidence})
        result = ToolResult(
            version=VERSION,
            image=reference,
            values={
                "sentences": len(sentences),
                "impression": summary,
                "rests_on": ", ".join(cited),
            },
            confidence=min(sure) if sure else None,
            artifacts=(artifact,),
        )
        return phrases.reported(image, len(sentences), summary), result

    return make_tool(
        generate_report,
        name="generate_report",
        description="Write a draft report from what the other tools have found so far.",
        arguments=ReportArgs,
    )


def _similar(evidence: tuple[Evidence, ...], picture: Image) -> list[str]:
    own = [e for e in evidence if e.tool == "find_similar_cases" and e.image == str(picture.ref)]
    if not own:
        return []
    first_line = clean(own[-1].content).splitlines()[0]
    return [
        "## Similar cases",
        "",
        f"Other patients, not findings of this one: {first_line} [{own[-1].id}]",
        "",
    ]


def _own_reading(context: ToolContext, picture: Image) -> list[str]:
    """Return the planner's own words on the image, marked as resting on no tool."""
    if context.write is None:
        return []
    try:
        words = clean(context.write(picture.ref, _OWN_READING))
    except OverreadError as error:
        return ["## Planner's own reading", "", f"Not available: {error}"]
    words = " ".join(words.replace("[", "(").replace("]", ")").split())[:_OWN_READING_CHARS]
    return [
        "## Planner's own reading",
        "",
        "Rests on no tool and is not verified:",
        "",
        f"> {words or '(empty)'}",
    ]
