"""Which findings an image may show, by words or by a trained classifier, with probabilities."""

from typing import Annotated, Literal

import numpy as np
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from overread.imaging.errors import InputError
from overread.imaging.study import Image
from overread.imaging.vocabulary import DOMAINS
from overread.index.domains import UNKNOWN, domain_of, identify
from overread.index.records import picture
from overread.tools.base import ToolContext, ToolResult, Value
from overread.tools.border import make_tool
from overread.tools.fence import clean
from overread.tools.segment import ImageNumber
from overread.tools.zero_shot import Scored, score

VERSION = "classify 1"
_DEFAULT_TOP = 5


class ClassifyArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber
    labels: list[Annotated[str, Field(min_length=1, max_length=80)]] = Field(
        default_factory=list,
        max_length=24,
        description="Findings to weigh, in words; those known for this kind of image if absent.",
    )
    by: Literal["words", "classifier"] = Field(
        "words", description="By words alone, or by the image classifier that is installed."
    )
    top: int = Field(_DEFAULT_TOP, ge=1, le=24, description="How many to tell.")


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def classify(
        image: int, labels: list[str] | None = None, by: str = "words", top: int = _DEFAULT_TOP
    ) -> tuple[str, ToolResult]:
        view = context.image(image)
        if by == "classifier":
            found, name, told = _trained(context, view, labels or [])
        else:
            found, name, told = _zero_shot(context, view, labels or [])
        best = found[:top]
        values: dict[str, Value] = {"by": by, "calibrated": told}
        for place, item in enumerate(best, start=1):
            values[f"finding {place}"] = item.label
            values[f"lead {place}"] = round(item.lead, 3)
            values[f"probability {place}"] = (
                None if item.probability is None else round(item.probability, 2)
            )
        result = ToolResult(
            version=f"{VERSION}, {name}",
            image=str(view.ref),
            values=values,
            confidence=None
            if best[0].probability is None
            else round(max(best[0].probability, 1 - best[0].probability), 2),
        )
        return _said(image, by, best, bool(told)), result

    return make_tool(
        classify,
        name="classify",
        description="Weigh which findings an image may show, with probabilities; it tells no place.",
        arguments=ClassifyArgs,
    )


def _zero_shot(
    context: ToolContext, view: Image, labels: list[str]
) -> tuple[list[Scored], str, bool]:
    """Return findings by words, the embedder's name, and whether every one is calibrated."""
    if context.embedder is None:
        raise InputError("there is no embedder here to weigh findings with")
    embedder = context.embedder()
    domain = domain_of(view.modality, view.body_part)
    if domain == UNKNOWN:
        domain = identify(view, embedder).domain
    named = tuple(dict.fromkeys(clean(label).strip().casefold() for label in labels if label))
    if not named:
        named = DOMAINS[domain][1] if domain in DOMAINS else ()
    if not named:
        raise InputError("it is not known which findings this image may show; give labels")
    found = score(embedder, picture(view), named, domain, view.modality, view.body_part or "")
    return found, embedder.name, all(item.probability is not None for item in found)


def _trained(
    context: ToolContext, view: Image, labels: list[str]
) -> tuple[list[Scored], str, bool]:
    """Return the classifier's labels. Whether it is calibrated is not known, so it is not."""
    classifier = context.classifier()
    if classifier is None:
        raise InputError("no image classifier is installed; set agent.classifier to its folder")
    wanted = {clean(label).strip().casefold() for label in labels}
    if unknown := wanted - {label.casefold() for label in classifier.labels}:
        raise InputError(
            f"the classifier does not know '{min(unknown):.60}'; it knows "
            f"{', '.join(classifier.labels)[:600]}"
        )
    probabilities = classifier.probabilities(picture(view))
    order = np.argsort(-probabilities)
    found = [
        Scored(classifier.labels[n], float(probabilities[n]), float(probabilities[n]))
        for n in order
        if not wanted or classifier.labels[n].casefold() in wanted
    ]
    return found, classifier.name, False


def _said(image: int, by: str, found: list[Scored], calibrated: bool) -> str:
    parts = [
        f"{item.label} {item.probability:.2f}"
        if item.probability is not None
        else f"{item.label} lead {item.lead:.3f}"
        for item in found
    ]
    note = "" if calibrated else "; not calibrated"
    return f"classify image {image} by {by}: {', '.join(parts)}{note}"
