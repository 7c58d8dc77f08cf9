"""Where in an image a finding or a likeness comes from: heat maps, with a check of each.

Four kinds: patches of the image against those words that `classify` weighs, patches against a
similar case, and of an image classifier its gradient (Simonyan, Vedaldi, Zisserman, Deep inside
convolutional networks, 2014) or its attention (`attention.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import PIL.Image
from langchain_core.tools import BaseTool
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.render import contact_sheet, heat_overlay, placed
from overread.imaging.study import Image
from overread.index.embedder import Embedder
from overread.index.explain import common_vector, covered, explain, heat_towards, on_image
from overread.index.records import picture
from overread.tools import cases
from overread.tools.base import Evidence, ToolContext, ToolResult, Value
from overread.tools.blank import is_blank
from overread.tools.border import make_tool
from overread.tools.fence import clean
from overread.tools.pictures import png
from overread.tools.segment import ImageNumber
from overread.tools.zero_shot import direction

VERSION = "explain 2"
TOOL = "explain"
SIMILAR = "find_similar_cases"
_TILE = 384
_FLAT = 1e-9
"""Range of heat that is none; gradients of a sure classifier may be as small as a millionth."""

By = Literal["words", "classifier", "attention"]


class ExplainArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    image: ImageNumber
    finding: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        None, description="Show where the image looks like this finding."
    )
    neighbour: int | None = Field(
        None, ge=1, description="Or where it is like this similar case: 1 for case 1."
    )
    by: By = Field(
        "words",
        description="A finding by words alone, by the image classifier installed, or by its "
        "attention (vision transformers).",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """A heat map and what stands behind it.

    Attributes:
        what: Finding, or "case 1". measure: Name of the score ("lead", "similarity", ...).
        score: Of the image as it is.
        hidden: The score with the hottest tenth of the image covered, then with the coldest.
        heat: float32 (rows, columns) of the image's picture (`records.picture`).
        model: Identity of what was asked.
        beside: Picture of the neighbour, if one is explained.
    """

    what: str
    measure: str
    score: float
    hidden: tuple[float, float]
    heat: NDArray[np.float32]
    model: str
    beside: PIL.Image.Image | None = None


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def explain(
        image: int, finding: str | None = None, neighbour: int | None = None, by: By = "words"
    ) -> tuple[str, ToolResult]:
        view = context.image(image)
        found = explained(context, view, finding, neighbour, by)
        values: dict[str, Value] = {
            "explained": found.what,
            "measure": found.measure,
            "score": round(found.score, 3),
        }
        told, places = _places(view, found)
        artifact = context.artifacts.put(
            png(_drawn(view, found)), "heat", f"heat of {found.what} in image {image}", ".png"
        )
        result = ToolResult(
            version=f"{VERSION}, {found.model}",
            image=str(view.ref),
            values=values | places,
            artifacts=(artifact,),
        )
        lead = f"explain {found.what} in image {image}: {found.measure} {found.score:.3f}"
        return f"{lead}, {told}", result

    return make_tool(
        explain,
        name=TOOL,
        description="Show as a heat map where an image looks like a finding or a similar case.",
        arguments=ExplainArgs,
    )


def _places(view: Image, found: Explained) -> tuple[str, dict[str, Value]]:
    """Return what the map says of places, in words and as values; of a flat map, that it says nothing."""
    heat = on_image(found.heat, view)
    if np.ptp(heat) < _FLAT:
        names = ("without the hottest tenth", "without the coldest tenth", "hottest x", "hottest y")
        return "the same everywhere", dict.fromkeys(names)
    y, x = (int(place) for place in np.unravel_index(heat.argmax(), heat.shape))
    told = (
        f"{found.hidden[0]:.3f} with the hottest tenth of the image covered, "
        f"{found.hidden[1]:.3f} with the coldest; hottest at [{x}, {y}]"
    )
    return told, {
        "without the hottest tenth": round(found.hidden[0], 3),
        "without the coldest tenth": round(found.hidden[1], 3),
        "hottest x": x,
        "hottest y": y,
    }


def explained(
    context: ToolContext, view: Image, finding: str | None, neighbour: int | None, by: By = "words"
) -> Explained:
    """Return where an image looks like a finding, or like a similar case.

    Args:
        context: With the evidence that names the cases.
        view: The image.
        finding: In words, or None.
        neighbour: Number of a case that was found for this image, or None.
        by: Of a finding: words, the classifier's gradient, or its attention.

    Raises:
        InputError: Not exactly one of the two was given, or it is not known.
        ConfigError: The embedder cannot tell where.
    """
    if (finding is None) == (neighbour is None):
        raise InputError("give a finding or a neighbour to explain, one of the two")
    if neighbour is not None:
        return _case(context, view, neighbour)
    label = clean(finding or "").strip().casefold()
    return _words(context, view, label) if by == "words" else _trained(context, view, label, by)


def _words(context: ToolContext, view: Image, label: str) -> Explained:
    if context.embedder is None:
        raise InputError("there is no embedder here to compare image and words with")
    embedder = context.embedder()
    towards = direction(embedder, label, view.modality, view.body_part or "")
    query = picture(view)
    heat = heat_towards(embedder, query, towards)
    return _checked(view, query, label, "lead", _product(embedder, towards), heat, embedder.name)


def _case(context: ToolContext, view: Image, number: int) -> Explained:
    index = context.index()
    found = [e for e in context.evidence if e.tool == SIMILAR and e.image == str(view.ref)]
    if index is None or not found:
        raise InputError("no similar cases of this image were found yet; find them first")
    values, name = found[-1].values, f"case {number}"
    other = picture(case_image(context, found[-1], name))
    domain = str(values["domain"])
    embedder, query = index.embedder_of(domain), picture(view)
    why = explain(embedder, query, other, common_vector(index, domain))
    score = _product(embedder, embedder.embed_images([other])[0])
    heat, model = why.heat, embedder.name
    return _checked(view, query, name, "similarity", score, heat, model, other)


def case_image(context: ToolContext, found: Evidence, name: str) -> Image:
    """Return the image that stands for a similar case: the middle one of its study.

    Raises:
        InputError: The evidence has no such case, or the archive no longer has it.
    """
    study = cases.studies(found.values).get(name)
    if study is None:
        raise InputError(f"{found.id} names no {name}; it names {found.values.get('total', 0)}")
    try:
        refs = context.archive.study(study).refs
        return context.archive.load(refs[len(refs) // 2])
    except UnknownReference:
        raise InputError(f"the archive no longer has {name}, so it cannot be compared") from None


def _trained(context: ToolContext, view: Image, label: str, by: By) -> Explained:
    classifier = context.classifier()
    if classifier is None:
        raise InputError("no image classifier is installed; set agent.classifier to its folder")
    names = [name.casefold() for name in classifier.labels]
    if label not in names:
        known = ", ".join(classifier.labels)[:600]
        raise InputError(f"the classifier does not know '{label:.60}'; it knows {known}")
    place, query = names.index(label), picture(view)

    def score(shown: PIL.Image.Image) -> float:
        return float(classifier.probabilities(shown)[place])

    where = classifier.attention if by == "attention" else classifier.gradient
    what, heat, model = classifier.labels[place], where(query, place), classifier.name
    return _checked(view, query, what, "probability", score, heat, model)


def _product(embedder: Embedder, towards: NDArray[np.float32]) -> Callable[..., float]:
    return lambda shown: float(embedder.embed_images([shown])[0] @ towards)


def _checked(
    view: Image,
    query: PIL.Image.Image,
    what: str,
    measure: str,
    score: Callable[[PIL.Image.Image], float],
    heat: NDArray[np.float32],
    model: str,
    beside: PIL.Image.Image | None = None,
) -> Explained:
    if is_blank(view):  # what a network makes of the edges of an empty picture is no place in it
        heat = np.full_like(heat, heat.mean())
    hidden = covered(score, query, heat, placed(view, query.width))
    return Explained(what, measure, score(query), hidden, heat, model, beside)


def _drawn(view: Image, found: Explained) -> PIL.Image.Image:
    """Return the heat over the image; for a case, the image, the heat and the case."""
    query = picture(view)
    heat = heat_overlay(query, found.heat)
    if found.beside is None:
        return heat
    captions = ["image", "alike here", f"{found.score:.2f} {found.what}"]
    return contact_sheet([query, heat, found.beside], captions, columns=3, tile=_TILE)
