"""Make up pictures for teaching; off by default, and marked as synthetic wherever they go."""

from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from overread.imaging.errors import InputError
from overread.imaging.synthetic import to_png
from overread.tools.base import ToolContext, ToolResult
from overread.tools.border import make_tool
from overread.tools.fence import clean

VERSION = "synthesise 2"
OFF = (
    "making synthetic images is off; where it is wanted, set synthesis.enabled = true in "
    "overread.toml, or OVERREAD_SYNTHESIS__ENABLED=true"
)


class SynthesiseArgs(BaseModel, extra="forbid"):
    """What the planner fills in; the descriptions are its prompt."""

    what: str = Field(
        min_length=1, max_length=300, description="In words, such as 'chest X-ray with effusion'."
    )
    count: int = Field(1, ge=1, le=8, description="How many.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Another seed makes another picture.")


def build(context: ToolContext) -> BaseTool:
    """Make the tool."""

    def synthesise(what: str, count: int = 1, seed: int = 0) -> tuple[str, ToolResult]:
        if context.generator is None:
            raise InputError(OFF)
        generator, words = context.generator(), " ".join(clean(what).split())
        artifacts, shows = [], words
        for own in range(seed, seed + count):
            found = generator.make(words, own)
            shows = found.shows
            facts = {"engine": generator.name, "shows": shows, "words": words, "seed": own}
            name = f"synthetic image of {shows:.60}, seed {own}"
            artifacts.append(
                context.artifacts.put(to_png(found.picture, facts), "synthetic", name, ".png")
            )
        result = ToolResult(
            version=f"{VERSION}, {generator.name}",
            values={"synthetic": True, "what": shows, "images": count, "seed": seed},
            artifacts=tuple(artifacts),
        )
        made = "one synthetic image" if count == 1 else f"{count} synthetic images"
        return f"synthesise {made} of {shows}: made by {generator.name}, of no patient", result

    return make_tool(
        synthesise,
        name="synthesise",
        description="Make up pictures for teaching, marked as synthetic; only if asked for them.",
        arguments=SynthesiseArgs,
    )
