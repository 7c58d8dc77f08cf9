import sys
from pathlib import Path

import pytest

from overread.imaging.errors import ConfigError, OverreadError
from overread.imaging.phantoms import generate
from overread.tools.registry import build_tools, tool_names
from tests.tools.conftest import MakeContext

PLUGIN = """
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from overread.tools.base import ToolContext, ToolResult
from overread.tools.border import make_tool


class Args(BaseModel, extra="forbid"):
    image: int


def build(context: ToolContext) -> BaseTool:
    def count_pixels(image: int) -> tuple[str, ToolResult]:
        picture = context.image(image)
        pixels = picture.shape[0] * picture.shape[1]
        return f"{pixels} pixels", ToolResult(version="1", values={"pixels": pixels})

    return make_tool(count_pixels, name="count_pixels", description="Count.", arguments=Args)
"""


def install(folder: Path, distribution: str, code: str, entry_points: str) -> None:
    """Lay a distribution out as an installer does, on a folder of the path."""
    (folder / f"{distribution}_plugin.py").write_text(code)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[overread.tools]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.endswith("_plugin")]:
        del sys.modules[name]


def call(tool: object, **args: object) -> object:
    return tool.invoke({"type": "tool_call", "id": "1", "name": "x", "args": args})


def test_our_own_tools_come_through_the_same_door() -> None:
    assert {"segment", "measure", "find_similar_cases", "generate_report"} <= set(tool_names())


def test_a_stranger_s_tool_is_found_and_works(site: Path, make_context: MakeContext) -> None:
    install(site, "acme", PLUGIN, "count_pixels = acme_plugin:build")
    context = make_context(generate("chest-xray", 1))
    assert "count_pixels" in tool_names()
    (tool,) = build_tools(context, ["count_pixels"])
    reply = call(tool, image=1)
    assert (reply.status, reply.content) == ("success", "65536 pixels")
    assert call(tool, image=2).content.startswith("there is no image 2")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no licence file')", "RuntimeError: no licence file"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError"),
        ("build = None", "TypeError"),
        ("def build(context): return 'text'", "not a tool named 'broken'"),
        (PLUGIN, "not a tool named 'broken'"),
    ],
)
def test_a_broken_plug_in_is_named(
    site: Path, make_context: MakeContext, code: str, reason: str
) -> None:
    install(site, "acme", code, "broken = acme_plugin:build")
    with pytest.raises(OverreadError, match="'broken' of acme") as caught:
        build_tools(make_context(generate("chest-xray", 1)))
    assert reason in str(caught.value)


def test_two_offers_of_one_name_are_refused(site: Path, make_context: MakeContext) -> None:
    install(site, "acme", PLUGIN, "count_pixels = acme_plugin:build")
    install(site, "bolt", PLUGIN, "count_pixels = bolt_plugin:build")
    with pytest.raises(ConfigError, match=r"offered by \w+ .* and by \w+"):
        build_tools(make_context(generate("chest-xray", 1)))


def test_a_stranger_cannot_replace_our_tool_in_silence(site: Path) -> None:
    install(site, "acme", PLUGIN, "segment = acme_plugin:build")
    with pytest.raises(ConfigError, match="'segment' is offered by"):
        tool_names()


def test_an_unknown_name_lists_what_there_is(make_context: MakeContext) -> None:
    with pytest.raises(ConfigError, match=r"no tool .x-ray.; installed are .*segment"):
        build_tools(make_context(generate("chest-xray", 1)), ["x-ray"])


def test_names_choose_the_tools(make_context: MakeContext) -> None:
    tools = build_tools(make_context(generate("chest-xray", 1)), ["segment", "measure"])
    assert [tool.name for tool in tools] == ["measure", "segment"]
