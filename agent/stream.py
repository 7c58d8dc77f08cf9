"""The answer inside a step's JSON, while it is still being written."""

from collections.abc import Callable

from pydantic_core import from_json


class AnswerStream:
    """Takes pieces of a step's JSON and passes on the new text of its `answer`."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        """Pass text to `on_text`."""
        self._on_text = on_text
        self._reply = ""
        self._sent = 0

    def feed(self, piece: str) -> None:
        """Take a piece.

        >>> stream = AnswerStream(lambda text: print(repr(text)))
        >>> for piece in ('{"why": "x", "ans', 'wer": "Yes', ' [E2].', '"}'):
        ...     stream.feed(piece)
        'Yes'
        ' [E2].'
        """
        self._reply += piece
        try:
            step = from_json(self._reply, allow_partial="trailing-strings")
        except ValueError:  # not JSON: the step parser says so when the reply is complete
            return
        answer = step.get("answer") if isinstance(step, dict) else None
        if isinstance(answer, str) and len(answer) > self._sent:
            fresh, self._sent = answer[self._sent :], len(answer)
            self._on_text(fresh)
