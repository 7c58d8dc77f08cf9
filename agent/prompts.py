"""What the planner reads: one rendering for the agent, the training traces and the evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from overread.agent.prompt_file import Demo

Message = dict[str, Any]

DIRECT_SYSTEM = "Answer from the images alone, in a few words."


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a session's transcript; small and JSON-able, so checkpoints can carry it.

    Attributes:
        kind: "question" (the user's words; the first one stands under the images), "step" (the
            planner's own JSON), "results" (tool sentences, each already led by its `[E..]`),
            "problems" (what the verifier, the budget or the parser objects to).
        text: As rendered.
    """

    kind: Literal["question", "step", "results", "problems"]
    text: str


def evidence_line(evidence_id: str, content: str) -> str:
    """Return `[E2] content`."""
    return f"[{evidence_id}] {content}"


def planner_messages(
    system: str,
    image_urls: Sequence[str],
    intake: Sequence[str],
    transcript: Sequence[Entry],
    demos: Sequence[Demo] = (),
) -> list[Message]:
    """Render a session for the chat endpoint.

    Args:
        system: The profile's system prompt.
        image_urls: `data:` URLs, in the order of the image numbers.
        intake: One evidence line an image ("[E1] image 1: modality CR, ...").
        transcript: Oldest first; the first entry is a question.
        demos: Worked examples, told before the session.
    """
    if not transcript or transcript[0].kind != "question":
        raise ValueError("a transcript starts with a question")
    facts = "".join(f"{line}\n" for line in intake)
    opening: list[Message] = [
        *({"type": "image_url", "image_url": {"url": url}} for url in image_urls),
        {"type": "text", "text": f"{facts}Question: {transcript[0].text}"},
    ]
    messages: list[Message] = [
        {"role": "system", "content": system},
        *demo_messages(demos),
        {"role": "user", "content": opening},
    ]
    for entry in transcript[1:]:
        if entry.kind == "step":
            messages.append({"role": "assistant", "content": entry.text})
        else:
            text = f"Question: {entry.text}" if entry.kind == "question" else entry.text
            messages.append({"role": "user", "content": text})
    return messages


def demo_messages(demos: Sequence[Demo]) -> list[Message]:
    """Render worked examples as turns that went before."""
    return [
        message
        for demo in demos
        for message in (
            {"role": "user", "content": demo.user},
            {"role": "assistant", "content": demo.reply},
        )
    ]


def direct_messages(
    image_urls: Sequence[str], question: str, system: str = DIRECT_SYSTEM
) -> list[Message]:
    """Render a question put to the bare VLM: no tools, no evidence."""
    content: list[Message] = [
        *({"type": "image_url", "image_url": {"url": url}} for url in image_urls),
        {"type": "text", "text": f"Question: {question}"},
    ]
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": content},
    ]


def for_template(messages: Sequence[Message]) -> list[Message]:
    """Return chat messages in the form of transformers' templates, images given beside them."""
    told: list[Message] = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        told.append(
            {
                "role": message["role"],
                "content": [p if p["type"] == "text" else {"type": "image"} for p in parts],
            }
        )
    return told
