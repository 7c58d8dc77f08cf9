"""Build what the planner sees and what tools may use, from the state of a session."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from langchain_core.tools import BaseTool

from overread.agent.config import Config
from overread.agent.ledger import GIVEN
from overread.agent.planner import Planner
from overread.agent.profiles import Profile
from overread.agent.prompts import Entry, Message, direct_messages, evidence_line, planner_messages
from overread.agent.resources import Resources
from overread.agent.state import State
from overread.agent.steps import argument_schema
from overread.agent.threads import in_thread
from overread.imaging.render import data_url, for_planner
from overread.imaging.study import ImageRef
from overread.tools.base import Evidence, ToolContext
from overread.tools.registry import build_tools

BuildTools = Callable[[ToolContext, Iterable[str] | None], list[BaseTool]]
_KEPT_PICTURES = 64
_CHARS_PER_TOKEN = 3.0


def tools_in_play(config: Config, profile: Profile) -> Sequence[str] | None:
    """Return the names of the tools that are offered: the configuration's, else the profile's."""
    return profile.tools if config.agent.tools is None else config.agent.tools


class Surroundings:
    """The planner, the tools and the pictures around a session; one for many sessions."""

    def __init__(
        self,
        config: Config,
        planner: Planner,
        resources: Resources,
        build: BuildTools = build_tools,
    ) -> None:
        """Hold the parts; `build` makes the tools for a context."""
        self.config = config
        self.planner = planner
        self.resources = resources
        self._build = build
        self._has_imported = False
        self._pictures: OrderedDict[str, str] = OrderedDict()

    async def tools(self, state: State) -> list[BaseTool]:
        """Return the tools in play, with the evidence so far.

        The first time, their modules are imported (seconds): that happens off the event loop.

        Raises:
            ConfigError: A configured tool is not installed.
        """
        loop = asyncio.get_running_loop()

        def write(ref: ImageRef | None, instruction: str) -> str:
            asked = asyncio.run_coroutine_threadsafe(self._write(ref, instruction), loop)
            return asked.result(self.config.planner.timeout_s + 5)

        context = self.resources.tool_context(
            tuple(ImageRef.parse(text) for text in state["images"]),
            tuple(Evidence.model_validate(item) for item in state["evidence"]),
            write,
        )
        names = tools_in_play(self.config, self.planner.profile)
        if self._has_imported:
            return self._build(context, names)
        built = await in_thread(lambda: self._build(context, names))
        self._has_imported = True
        return built

    async def messages(self, state: State, tools: Sequence[BaseTool]) -> list[Message]:
        """Render the session for the planner; the oldest questions are left out if it is long."""
        intake = [
            evidence_line(item["id"], item["content"])
            for item in state["evidence"]
            if item["tool"] in GIVEN
        ]
        entries = [Entry(item["kind"], item["text"]) for item in state["transcript"]]
        profile = self.planner.profile
        system = profile.system.strip()
        if "{tools}" in system:
            system = system.replace("{tools}", list_tools(tools))
        room = (profile.context - profile.max_output_tokens) * _CHARS_PER_TOKEN - len(system)
        room -= sum(len(demo.user) + len(demo.reply) for demo in profile.demos)
        urls = await self.pictures(state["images"])
        return planner_messages(system, urls, intake, recent(entries, room), profile.demos)

    async def pictures(self, refs: Sequence[str]) -> list[str]:
        """Return the images as the planner sees them, as `data:` URLs."""
        return [await self._picture(ref) for ref in refs]

    async def _picture(self, ref: str) -> str:
        if ref not in self._pictures:
            size = self.planner.profile.image_size

            def draw() -> str:
                image = self.resources.archive.load(ImageRef.parse(ref))
                return data_url(for_planner(image, size))

            self._pictures[ref] = await in_thread(draw)
        self._pictures.move_to_end(ref)
        url = self._pictures[ref]
        while len(self._pictures) > _KEPT_PICTURES:
            self._pictures.popitem(last=False)
        return url

    async def _write(self, ref: ImageRef | None, instruction: str) -> str:
        urls = [] if ref is None else await self.pictures([str(ref)])
        messages = direct_messages(urls, instruction, self.planner.profile.writing)
        return (await self.planner.write(messages))[0]


def list_tools(tools: Sequence[BaseTool]) -> str:
    """Return two lines a tool: name and what it does, then its arguments as JSON schema."""
    return "\n".join(
        f"- {tool.name}: {tool.description}\n"
        f"  arguments: {json.dumps(argument_schema(tool)['properties'])}"
        for tool in tools
    )


def recent(entries: Sequence[Entry], room: float) -> list[Entry]:
    """Return the latest questions with all that followed them, as far as they fit.

    Args:
        entries: A transcript, oldest first.
        room: Characters. The current question is kept whatever its length.
    """
    turns: list[list[Entry]] = []
    for entry in entries:
        if entry.kind == "question":
            turns.append([])
        turns[-1].append(entry)
    kept: list[Entry] = []
    for turn in reversed(turns):
        room -= sum(len(entry.text) for entry in turn)
        if kept and room < 0:
            break
        kept = [*turn, *kept]
    return kept
