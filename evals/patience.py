"""Ask again while a server is away, so that its absence costs time and never an item."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
import openai

from overread.imaging.errors import OverreadError, PlannerUnavailable

T = TypeVar("T")

LIMIT_S = 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_TIMEOUTS = 3


class ServerGone(PlannerUnavailable):
    """Nothing answered for too long: the run stops, and the items that are left stay open."""


class Patience:
    """Repeats questions that failed because the server was away. One for all questions of a run."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """Wait at most `limit_s` seconds without any answer to any question."""
        self._limit_s = limit_s
        self._last_answer = time.monotonic()

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a question.

        Raises:
            ServerGone: No question was answered for the limit.
            OverreadError: This question cannot be answered: the server refused it, or took too long
                over it three times.
        """
        began = time.monotonic()
        pause, timeouts = _FIRST_PAUSE_S, 0
        while True:
            try:
                answer = await question()
            except Exception as error:
                if not is_passing(error):
                    raise
                timeouts += _is_timeout(error)
                if timeouts >= _TIMEOUTS:
                    raise OverreadError(
                        f"no reply in {_TIMEOUTS} attempts: {_sentence(error)}"
                    ) from error
                away = time.monotonic() - max(began, self._last_answer)
                if away > self._limit_s:
                    raise ServerGone(
                        f"the server gave no answer for {away:.0f} s: {_sentence(error)}"
                    ) from error
                await asyncio.sleep(min(pause, max(self._limit_s - away, 0.0) + 0.01))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._last_answer = time.monotonic()
                return answer


def is_passing(error: BaseException) -> bool:
    """Whether the same question may be answered later: the server is away or overloaded.

    A request that the server refused (HTTP 4xx), or a reply that is no answer, stays what it is.
    """
    cause = transport_error(error)
    if isinstance(cause, openai.APIStatusError):
        return cause.status_code in (408, 409, 429) or cause.status_code >= 500
    return isinstance(
        cause, openai.APIConnectionError | httpx2.TransportError | TimeoutError | ConnectionError
    )


def _is_timeout(error: BaseException) -> bool:
    return isinstance(
        transport_error(error), openai.APITimeoutError | httpx2.TimeoutException | TimeoutError
    )


def transport_error(error: BaseException) -> BaseException:
    """Return the failure of the transport behind an error, or the error itself."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, openai.OpenAIError | httpx2.HTTPError | TimeoutError | ConnectionError):
            return seen
        seen = seen.__cause__
    return error


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, OverreadError) else str(transport_error(error))
