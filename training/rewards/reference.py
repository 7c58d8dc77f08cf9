"""Read an example as the evaluation reads its items, so that rewards and metrics cannot differ."""

from typing import Any, cast, get_args

from overread.evals.items import Item, Kind
from overread.imaging.errors import InputError
from overread.training.examples import Example

_MARK = "Question: "
_EXTRA = ("unit", "tolerance", "quantity", "parts")


def question_of(example: Example) -> str:
    """Return the first question that a user asks, without the facts of the files above it.

    Raises:
        InputError: The example has no user message with words.
    """
    for message in example.messages:
        if message["role"] == "user":
            text = text_of(message["content"])
            if text.strip():
                return text.rsplit(_MARK, 1)[-1].strip()
    raise InputError(f"example '{example.id}' of '{example.dataset}' has no question")


def text_of(content: Any) -> str:
    """Return the words of a message's content, pictures left out.

    >>> text_of([{"type": "image"}, {"type": "text", "text": "Where?"}])
    'Where?'
    """
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or () if part["type"] == "text")


def item_of(example: Example, kind: Kind) -> Item:
    """Return an example as an item to be marked.

    Args:
        example: Its reference holds "answers", or "answer", and may hold "kind" (which wins),
            "options", "unit", "tolerance", "quantity" and "parts", as `score_answer` reads them.
        kind: How it is answered if the reference does not say.

    Raises:
        InputError: The reference has no answer, or its kind is unknown.
    """
    reference = example.reference
    answers = reference.get("answers") or [reference[k] for k in ("answer",) if k in reference]
    if not answers:
        raise InputError(
            f"example '{example.id}' of '{example.dataset}' has no reference answer; a "
            f"'{example.task}' reward needs reference.answers"
        )
    stated = reference.get("kind", kind)
    if stated not in get_args(Kind):
        raise InputError(
            f"example '{example.id}' of '{example.dataset}' is of the unknown kind '{stated}'; "
            f"choose from {', '.join(get_args(Kind))}"
        )
    return Item(
        id=example.id,
        question=str(reference.get("question") or question_of(example)),
        images=(),
        answers=tuple(str(answer) for answer in answers),
        kind=cast(Kind, stated),
        options=tuple(str(option) for option in reference.get("options") or ()),
        extra={name: reference[name] for name in _EXTRA if reference.get(name) is not None},
    )
