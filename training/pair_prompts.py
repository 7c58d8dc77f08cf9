"""How a pair's prompt reads: a direct question, or the agent's last step with evidence before it.

The context of a direct question is quoted above it. The agent's stands where it stands when served: as
the evidence line that `find_similar_cases` gave, after the step that called the tool.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from overread.agent.ledger import CITATION
from overread.agent.prompts import Message, evidence_line
from overread.agent.steps import Step, ToolCall
from overread.evals.items import Item
from overread.tools.similar import described, quoted
from overread.training.examples import Example
from overread.training.pair_context import Context

TOOL_TASK = "tool_use"
_CITED = re.compile(rf"\s*(?:{CITATION.pattern})+")
_MARK = "Question: "
_LOOK_WHY = "Compare with known cases and their reports."


@dataclass(frozen=True, slots=True)
class Form:
    """A way of asking.

    Attributes:
        name: "direct" or "agent".
        prompt: From an example and a context (None for none) to messages; image parts stand for
            the example's images.
        words: The answer in a reply; None where the reply is of no use.
        gold: The reference worded as a reply; None where no honest wording is known.
    """

    name: Literal["direct", "agent"]
    prompt: Callable[[Example, Context | None], list[Message]]
    words: Callable[[str], str | None]
    gold: Callable[[Item], str | None]


def form_of(example: Example) -> Form:
    """Return how an example is asked: as a step of the agent if it is one of its questions."""
    return AGENT if example.task == TOOL_TASK else DIRECT


def asked(example: Example) -> list[Message]:
    """Return an example's messages without the replies that it teaches at the end."""
    messages = list(example.messages)
    while messages and messages[-1]["role"] == "assistant":
        messages.pop()
    return messages


def _direct(example: Example, context: Context | None) -> list[Message]:
    """Return the question, the reports above it."""
    messages = asked(example)
    if context is None:
        return messages
    content = messages[-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    place = max(i for i, part in enumerate(parts) if part["type"] == "text")
    above, mark, question = str(parts[place]["text"]).rpartition(_MARK)
    told = f"{above}{quoted(list(context.hits))}\n{mark}{question}"
    parts[place] = {"type": "text", "text": told}
    return [*messages[:-1], {**messages[-1], "content": parts}]


def _agent(example: Example, context: Context | None) -> list[Message]:
    """Return the session as it stands when the tool has given its evidence."""
    messages = asked(example)
    if context is None:
        return messages
    call = ToolCall(tool="find_similar_cases", arguments={"image": 1, "with_reports": True})
    told = described(1, list(context.hits), with_reports=True)
    line = evidence_line(f"E{len(example.images) + 1}", told)  # intake gave one an image
    return [
        *messages,
        {"role": "assistant", "content": Step(why=_LOOK_WHY, calls=(call,)).text()},
        {"role": "user", "content": line},
    ]


def _answer_of_step(reply: str) -> str | None:
    try:
        return Step.model_validate(json.loads(reply)).answer
    except (ValueError, ValidationError):
        return None


def in_form_of(reply: str, other: str) -> str:
    """Return an answering step with the reason and the citation of another; other replies as they are.

    What a pair prefers is then what is said, not how. An answer without context has the reason of
    a step that calls a tool, and cites the file: a planner that learns to prefer these answers where
    it had called, and cites what does not bear it.
    """
    try:
        step = Step.model_validate(json.loads(reply))
        like = Step.model_validate(json.loads(other))
    except (ValueError, ValidationError):
        return reply
    if step.answer is None or like.answer is None:
        return reply
    cited = CITATION.search(like.answer)
    answer = _CITED.sub(f" {cited.group()}" if cited else "", step.answer)
    return Step(why=like.why, answer=answer).text()


def calls_tools(reply: str) -> bool:
    """Return whether a reply is a step of the agent that calls tools."""
    try:
        return Step.model_validate(json.loads(reply)).calls is not None
    except (ValueError, ValidationError):
        return False


def _reference(item: Item) -> str:
    """Return the first accepted answer; of a choice the letter with its option's words."""
    answer = item.answers[0]
    if item.kind == "choice" and answer in item.letters:
        return f"{answer}. {item.options[item.letters.index(answer)]}"
    return answer


DIRECT = Form("direct", _direct, lambda reply: reply.strip() or None, _reference)

# The reference has no wording as a step: an answer of the agent cites what it rests on, and a cited
# context need not bear the truth.
AGENT = Form("agent", _agent, _answer_of_step, lambda item: None)
