"""Ask a model for replies: the served planner, any OpenAI-compatible endpoint, or one in this process."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import PIL.Image
from langchain_core.tools import BaseTool
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from overread.agent.config import Config
from overread.agent.context import tools_in_play
from overread.agent.planner import Planner
from overread.agent.profiles import Profile, load_profile
from overread.agent.prompts import Message
from overread.agent.resources import Resources
from overread.agent.steps import step_schema
from overread.agent.threads import in_thread
from overread.imaging.errors import ConfigError, OverreadError
from overread.imaging.render import data_url
from overread.tools.registry import build_tools

T = TypeVar("T")

LONGEST = 160
"""Tokens of a reply at most; answers are short, and a reply without an end is worth nothing."""


ReplyForm = Literal["words", "answer", "step"]
"""What a reply is to be: free words, an answering step of the agent, or the step that it chooses."""


class Asker(Protocol):
    """A model that replies greedily.

    Attributes:
        name: Which model, for journals and reports.
    """

    name: str

    async def reply(
        self, messages: Sequence[Message], pictures: Sequence[PIL.Image.Image], form: ReplyForm
    ) -> str:
        """Return the reply to messages whose image parts stand for the pictures, in order.

        Args:
            messages: Ending with the user's.
            pictures: One an image part.
            form: Of the reply.

        Raises:
            PlannerUnavailable: A server gave no reply.
        """
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


class EndpointAsker:
    """Asks through the planner's own client; an agent's step is constrained as it is when served."""

    def __init__(self, config: Config, profile: Profile) -> None:
        """Prepare the client; nothing is sent yet."""
        self.name = f"{config.planner.url}#{profile.request_model}"
        self._planner = Planner(config.planner, profile)
        self._config = config
        self._tools: list[BaseTool] | None = None

    async def reply(
        self, messages: Sequence[Message], pictures: Sequence[PIL.Image.Image], form: ReplyForm
    ) -> str:
        """As `Asker.reply`."""
        told = await in_thread(lambda: _with_urls(messages, pictures))
        if form != "words" and self._planner.profile.tool_calls == "schema":
            tools = await in_thread(self._tools_in_play) if form == "step" else ()
            reply, _ = await self._planner.step(told, step_schema(tools))
        else:
            reply, _ = await self._planner.write(told, LONGEST)
        return reply

    async def close(self) -> None:
        """As `Asker.close`."""
        await self._planner.close()

    def _tools_in_play(self) -> list[BaseTool]:
        if self._tools is None:
            names = tools_in_play(self._config, self._planner.profile)
            self._tools = build_tools(Resources(self._config).tool_context(()), names)
        return self._tools


class ProcessAsker:
    """Asks a transformers model in this process, one question at a time."""

    def __init__(self, name: str, model: Any, processor: Any, longest: int = LONGEST) -> None:
        """Take a model ready for greedy decoding and its processor."""
        self.name = name
        self._model, self._processor, self._longest = model, processor, longest
        self._lock = threading.Lock()

    async def reply(
        self, messages: Sequence[Message], pictures: Sequence[PIL.Image.Image], form: ReplyForm
    ) -> str:
        """As `Asker.reply`; a step is not constrained here."""

        def work() -> str:
            with self._lock:
                return self._generate(messages, pictures)

        return await in_thread(work)

    async def close(self) -> None:
        """As `Asker.close`."""

    def _generate(self, messages: Sequence[Message], pictures: Sequence[PIL.Image.Image]) -> str:
        import torch

        from overread.training.greedy import Prompt, inputs_of

        prompt = Prompt(list(messages), list(pictures))
        inputs = inputs_of(self._model, self._processor, prompt)
        with torch.inference_mode():
            out = self._model.generate(**inputs, max_new_tokens=self._longest, do_sample=False)
        new = out[0, inputs["input_ids"].shape[1] :]
        return str(self._processor.decode(new, skip_special_tokens=True)).strip()


async def for_each(
    rows: Iterable[T], work: Callable[[T], Awaitable[None]], concurrency: int, asker: Asker
) -> None:
    """Work on rows, a few at a time; the first failure ends the others. The asker is closed.

    Args:
        rows: Taken in order.
        work: Done for each.
        concurrency: Rows at the same time.
        asker: What the work asks.

    Raises:
        OverreadError: The first of the work's.
    """
    queue = iter(rows)

    async def worker() -> None:
        for row in queue:
            await work(row)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except* OverreadError as errors:
        raise errors.exceptions[0] from None
    finally:
        await asker.close()


@contextmanager
def shown(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, if that is a terminal, that is told the rows done and their total."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def make_asker(text: str, config: Config, start: Callable[[Config], object] | None = None) -> Asker:
    """Return a model to ask.

    Args:
        text: "URL#MODEL", "local:FOLDER" (a transformers model or a finished training run), else
            the name or file of a planner profile.
        config: Of the planner.
        start: Makes sure that a profile's server answers; None where it does already.

    Raises:
        ConfigError: There is no such profile, or no model in the folder.
        PlannerUnavailable: The server did not start.
    """
    if text.startswith("local:"):
        folder = Path(text.removeprefix("local:")).expanduser()
        return ProcessAsker(text, *_load(folder))
    url, mark, model = text.partition("#")
    if mark:
        profile = load_profile(config.planner.profile)
        profile = profile.model_copy(update={"served_name": model, "adapter": None})
        planner = config.planner.model_copy(update={"base_url": url})
        return EndpointAsker(config.model_copy(update={"planner": planner}), profile)
    planner = config.planner.model_copy(update={"profile": text})
    chosen = config.model_copy(update={"planner": planner})
    profile = load_profile(text)
    if start is not None:
        start(chosen)
    return EndpointAsker(chosen, profile)


def _load(folder: Path) -> tuple[Any, Any]:
    from overread.training.trained import find, load

    if not folder.is_dir():
        raise ConfigError(f"there is no model folder {folder}")
    return load(find(folder))


def _with_urls(messages: Sequence[Message], pictures: Sequence[PIL.Image.Image]) -> list[Message]:
    """Return messages in which each image part carries its picture as a `data:` URL."""
    waiting = iter(pictures)
    told: list[Message] = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = [
                part
                if part["type"] == "text"
                else {"type": "image_url", "image_url": {"url": data_url(next(waiting))}}
                for part in content
            ]
        told.append({**message, "content": content})
    return told
