"""How a pair's prompt reads: a direct question, or the agent's last step with evidence before it.

The context of a direct question is quoted above it. The agent's stands where it stands when served: as
the evidence line that `find_similar_cases` gave, after the step that called the tool.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from overread.agent.profiles import Profile
from overread.agent.prompts import Entry, Message, evidence_line, planner_messages
from overread.agent.steps import Step, ToolCall
from overread.evals.items import Item
from overread.imaging.phantoms import generate
from overread.imaging.study import Image
from overread.tools import phrases
from overread.tools.similar import described, quoted
from overread.training.examples import Example, PhantomRef
from overread.training.pair_context import Context
from overread.training.phantom_cache import session_image
from overread.training.rewards.reference import question_of

FormName = Literal["direct", "agent"]

_MARK = "Question: "
_LOOK_WHY = "Compare with known cases and their reports."


@dataclass(frozen=True, slots=True)
class Form:
    """A way of asking.

    Attributes:
        name: "direct" or "agent".
        prompt: From an example and a context (None for none) to messages; image parts stand for
            the example's images. None where the example cannot be asked so.
        words: The answer in a reply; None where the reply is of no use.
        gold: The reference worded as a reply; None where no honest wording is known.
    """

    name: FormName
    prompt: Callable[[Example, Context | None], list[Message] | None]
    words: Callable[[str], str | None]
    gold: Callable[[Item], str | None]


def direct_form() -> Form:
    """Return the form of questions put to the bare VLM."""
    return Form("direct", _direct, lambda reply: reply.strip() or None, _reference)


def agent_form(profile: Profile) -> Form:
    """Return the form of the agent's answering step.

    The reference has no wording here: an answer of the agent cites what it rests on, and a cited
    context need not bear the truth.
    """

    def prompt(example: Example, context: Context | None) -> list[Message] | None:
        return _agent(example, context, profile.system)

    return Form("agent", prompt, _answer_of_step, lambda item: None)


def _direct(example: Example, context: Context | None) -> list[Message]:
    """Return the example's messages up to its last question, the reports above that question."""
    messages = list(example.messages)
    while messages and messages[-1]["role"] == "assistant":
        messages.pop()
    if context is None:
        return messages
    content = messages[-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    place = max(i for i, part in enumerate(parts) if part["type"] == "text")
    above, mark, question = str(parts[place]["text"]).rpartition(_MARK)
    told = f"{above}{quoted(list(context.hits))}\n{mark}{question}"
    parts[place] = {"type": "text", "text": told}
    return [*messages[:-1], {**messages[-1], "content": parts}]


def _agent(example: Example, context: Context | None, system: str) -> list[Message] | None:
    facts = _facts(example)
    if facts is None:
        return None
    transcript = [Entry("question", question_of(example))]
    if context is not None:
        call = ToolCall(tool="find_similar_cases", arguments={"image": 1, "with_reports": True})
        told = described(1, list(context.hits), with_reports=True)
        transcript += [
            Entry("step", Step(why=_LOOK_WHY, calls=(call,)).text()),
            Entry("results", evidence_line("E2", told)),
        ]
    messages = planner_messages(system, ["image"], [evidence_line("E1", facts)], transcript)
    return [_without_urls(message) for message in messages]


def _facts(example: Example) -> str | None:
    """Return what intake says of a phantom's file; None for other images, whose files may differ."""
    if len(example.images) != 1 or not isinstance(example.images[0], PhantomRef):
        return None
    ref = example.images[0]
    image: Image = session_image(generate(ref.domain, ref.patient, ref.visit), ref.as_png)
    return phrases.intake(1, image.modality, image.body_part, image.shape, image.spacing_mm)


def _without_urls(message: Message) -> Message:
    if isinstance(message["content"], str):
        return message
    parts = [p if p["type"] == "text" else {"type": "image"} for p in message["content"]]
    return {**message, "content": parts}


def _answer_of_step(reply: str) -> str | None:
    try:
        return Step.model_validate(json.loads(reply)).answer
    except (ValueError, ValidationError):
        return None


def _reference(item: Item) -> str:
    """Return the first accepted answer; of a choice the letter with its option's words."""
    answer = item.answers[0]
    if item.kind == "choice" and answer in item.letters:
        return f"{answer}. {item.options[item.letters.index(answer)]}"
    return answer
