"""Errors in the shape of the OpenAI protocol: a status, and one sentence with a code."""

from typing import Any

from pydantic import ValidationError

from overread.imaging.errors import (
    ConfigError,
    IndexMismatch,
    InputError,
    NoUsableReply,
    OverreadError,
    PlannerUnavailable,
)

RETRY_AFTER_S = 5
"""How long a client should wait for a planner that is down or a queue that is full."""


class ApiError(OverreadError):
    """A request that is refused before a question is asked.

    Attributes:
        status: Of HTTP.
        code: For programs, as OpenAI's are ("invalid_api_key").
        param: The field of the request, when it is one.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        """Take what the reply will say."""
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


def explain(error: Exception) -> ApiError:
    """Return what a client is told about an error. A bug is told as such, without its words."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, NoUsableReply):
        return ApiError(422, "no_usable_reply", str(error))
    if isinstance(error, PlannerUnavailable):
        return ApiError(503, "planner_unavailable", str(error))
    if isinstance(error, ConfigError | IndexMismatch):
        return ApiError(500, "configuration", str(error))
    if isinstance(error, InputError):
        return ApiError(400, "invalid_input", str(error))
    if isinstance(error, ValidationError):
        return _invalid(error)
    return ApiError(500, "internal_error", "the agent failed; its log on the server says why")


def body_of(error: ApiError) -> dict[str, Any]:
    """Return the JSON of a reply that tells an error.

    >>> body_of(ApiError(404, "model_not_found", "there is no such model", "model"))["error"]["type"]
    'invalid_request_error'
    """
    kind = "rate_limit_error" if error.status == 429 else "invalid_request_error"
    if error.status >= 500:
        kind = "server_error"
    told = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    return {"error": told}


def headers_of(error: ApiError) -> dict[str, str]:
    """Return the headers of a reply that tells an error."""
    if error.status in (429, 503):
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}


def _invalid(error: ValidationError) -> ApiError:
    """Say what is wrong first, and where; never the value, which may be an image or a name."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    at = f"'{where}' cannot be used" if where else "the body is no chat request"
    return ApiError(400, "invalid_request", f"{at}: {first['msg']}", where or None)
