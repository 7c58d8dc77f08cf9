"""Does an export answer as the model that was trained? Greedy answers to the same prompts, counted.

The trained model runs in this process, its adapter beside the base; the export is served by vLLM on
a free port with the profile that lies in it, as a user would serve it.
"""

import asyncio
import json
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from overread.agent.config import Config, PlannerConfig
from overread.agent.profiles import Profile, load_profile
from overread.agent.prompts import Entry, direct_messages, evidence_line, planner_messages
from overread.agent.vllm_command import fitting
from overread.imaging.errors import InputError, PlannerUnavailable
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.render import data_url, for_planner
from overread.training.greedy import Divergence, Greedy, Prompt, divergence, in_process, served
from overread.training.trained import Trained, load, load_folder

REPORT = "check.json"
PROMPTS, LONGEST = 50, 64
_START_TIMEOUT_S = 1200.0
_AT_ONCE = 8

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A prompt that was answered otherwise.

    Attributes:
        prompt: Its number. here, there: The whole answers.
        words: The two tokens as text. first: Where they part.
    """

    prompt: int
    here: str
    there: str
    words: tuple[str, str]
    first: Divergence


@dataclass(frozen=True, slots=True)
class Check:
    """What came out.

    Attributes:
        how: How the export was run.
        prompts: Asked. same: Answered with the same tokens.
        differences: The others.
        misread: Prompts of which the server counted other tokens than the processor: template or
            image size differ, and no comparison means anything.
    """

    how: str
    prompts: int
    same: int
    differences: tuple[Difference, ...]
    misread: int

    @property
    def ties(self) -> int:
        """Return how many differences rounding explains."""
        return sum(difference.first.is_tie for difference in self.differences)

    @property
    def agrees(self) -> bool:
        """Whether every difference is such a tie, and the prompts were the same."""
        return not self.misread and self.ties == len(self.differences)


def check(
    trained: Trained,
    export: Path,
    facts: dict[str, Any],
    prompts: Sequence[Prompt],
    progress: Progress = lambda text: None,
) -> Check:
    """Compare an export with what was trained, and write `check.json` into it.

    vLLM 0.32 has no bitsandbytes, so weights of that kind are run in this process, too.

    Args:
        trained: The run.
        export: The folder.
        facts: What `export.verify` returns of it.
        prompts: To ask.
        progress: Told what is being done.

    Raises:
        InputError: There is nothing to serve in it.
        PlannerUnavailable: The server did not start, or broke off.
    """
    if facts["kind"] in ("ours", "aligned"):
        raise InputError(
            "the bundled planner's own tensors are no model; check --merge or --adapter"
        )
    progress("answering in this process, as trained")
    profile = load_profile(str(export / "profile.toml"))
    is_served = facts["format"] != "bnb"
    wide = is_served and fitting(profile, profile.model).dtype == "float32"
    here, processor = _here(trained, prompts, wide)
    if not is_served:
        how = f"in this process, bitsandbytes with {facts['bits']} bits"
        progress(how)
        model, own = load_folder(export)
        there = [in_process(model, own, prompt, LONGEST) for prompt in prompts]
    else:
        how = "served by vLLM, " + ("base and adapter" if facts["kind"] == "adapter" else "merged")
        progress(how)
        there = serve_and_ask(export / "profile.toml", prompts)
    found = compare(how, here, there, processor.tokenizer)
    write_whole(export / REPORT, json.dumps(asdict(found), indent=2) + "\n", mode=ORDINARY)
    return found


def compare(how: str, here: Sequence[Greedy], there: Sequence[Greedy], tokenizer: Any) -> Check:
    """Compare answers, prompt by prompt."""
    differences = []
    for number, (ours, theirs) in enumerate(zip(here, there, strict=True)):
        first = divergence(ours, theirs)
        if first is not None:
            both = tuple(
                "(end)" if token is None else tokenizer.decode([token])
                for token in (first.here, first.there)
            )
            differences.append(
                Difference(
                    prompt=number,
                    here=tokenizer.decode([token.id for token in ours.tokens]),
                    there=tokenizer.decode([token.id for token in theirs.tokens]),
                    words=(both[0], both[1]),
                    first=first,
                )
            )
    misread = sum(
        ours.prompt_tokens != theirs.prompt_tokens for ours, theirs in zip(here, there, strict=True)
    )
    same = len(here) - len(differences)
    return Check(how, len(here), same, tuple(differences), misread)


def serve_and_ask(profile_path: Path, prompts: Sequence[Prompt]) -> list[Greedy]:
    """Serve a profile on a free port, ask, and stop the server whatever happens.

    Raises:
        ConfigError: vLLM or memory is missing.
        PlannerUnavailable: It did not start, or broke off.
    """
    from overread.agent.serving import ensure_server, stop

    with tempfile.TemporaryDirectory() as data:
        planner = PlannerConfig(
            profile=str(profile_path), port=_free_port(), start_timeout_s=_START_TIMEOUT_S
        )
        config = Config(data_dir=Path(data), planner=planner)
        try:
            ensure_server(config)
            return asyncio.run(_ask(config, load_profile(str(profile_path)), prompts))
        finally:
            stop(config)


def phantom_prompts(number: int, profile: Profile, seed: int = 0) -> list[Prompt]:
    """Return prompts about phantoms of validation patients, each once.

    Every other one is the bare question; the rest is the first step of the agent, as it is served.

    Args:
        number: How many.
        profile: Whose system prompt and picture size are used.
        seed: Which phantoms.
    """
    from overread.evals.benchmarks.generated import questions
    from overread.imaging.phantom_image import phantom_image

    prompts = []
    for place, (phantom, question) in enumerate(questions(number, seed, "validation")):
        picture = for_planner(phantom_image(phantom), profile.image_size).convert("RGB")
        urls = [data_url(picture)]
        if place % 2:
            messages = direct_messages(urls, question.text)
        else:
            seen = evidence_line("E1", f"image 1: modality {phantom.modality}")
            entries = [Entry("question", question.text)]
            messages = planner_messages(
                profile.system.strip(), urls, [seen], entries, profile.demos
            )
        prompts.append(Prompt(messages, [picture]))
    return prompts


def _here(trained: Trained, prompts: Sequence[Prompt], wide: bool) -> tuple[list[Greedy], Any]:
    """Answer with the trained weights, in float32 where the server computes in it, too."""
    model, processor = load(trained)
    model = model.float() if wide else model
    return [in_process(model, processor, prompt, LONGEST) for prompt in prompts], processor


async def _ask(config: Config, profile: Profile, prompts: Sequence[Prompt]) -> list[Greedy]:
    import openai

    from overread.agent.server_process import last_words
    from overread.agent.serving import log_file

    gate = asyncio.Semaphore(_AT_ONCE)
    client = openai.AsyncOpenAI(
        base_url=config.planner.url, api_key="none", timeout=config.planner.timeout_s
    )

    async def one(prompt: Prompt) -> Greedy:
        async with gate:
            return await served(client, profile.request_model, prompt, LONGEST)

    try:
        async with client:
            return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))
    except openai.OpenAIError as error:
        raise PlannerUnavailable(
            f"the served export broke off ({' '.join(str(error).split())[:200]}); its log ends: "
            f"{last_words(log_file(config))}"
        ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
