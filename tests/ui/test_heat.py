"""Heat maps for the viewer: made again from the evidence, in the image's own pixels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from overread.agent.assistant import Assistant
from overread.agent.config import Config
from overread.agent.intake import register
from overread.agent.profiles import load_profile
from overread.imaging.errors import UnknownReference
from overread.tools.base import Evidence
from overread.tools.explain import build
from overread.ui.desk import Desk
from overread.ui.layers import evidence_facts, heat_of
from overread.ui.rooms import Room


@pytest.fixture
def desk(data_dir: Path) -> Iterator[Desk]:
    with Assistant(Config(data_dir=data_dir), load_profile("bundled")) as assistant:
        yield Desk.of(assistant, [])


def test_explained_evidence_is_drawn_on_its_image(desk: Desk, chest: Path) -> None:
    resources = desk.assistant.resources
    (ref,) = register(resources, [chest], 1)
    arguments = {"image": 1, "finding": "effusion"}
    tool = build(resources.tool_context((ref,)))
    reply = tool.invoke({"type": "tool_call", "id": "1", "name": "explain", "args": arguments})
    entry = Evidence(
        id="E1",
        tool="explain",
        arguments=arguments,
        content=reply.content,
        **reply.artifact.model_dump(),
    )
    room = Room(id="s-1", images=[str(ref)], evidence=[entry])
    facts = evidence_facts(desk, entry)
    assert facts["heat"] is True and facts["layers"] == []
    layer = heat_of(desk, room, entry, "")
    rows, columns = resources.archive.load(ref).shape
    assert layer.mode == "RGBA" and layer.size == (columns, rows)
    alpha = np.asarray(layer)[..., 3]
    x, y = entry.values["hottest x"], entry.values["hottest y"]
    assert alpha[y, x] == alpha.max() > 150 and alpha.min() == 0
    with pytest.raises(UnknownReference, match="no case 'case 1'"):
        heat_of(desk, room, entry, "case 1")
    other = entry.model_copy(update={"tool": "segment"})
    with pytest.raises(UnknownReference, match="no heat map"):
        heat_of(desk, room, other, "")
