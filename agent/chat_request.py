"""A chat request of the OpenAI protocol, and the question and images in it."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from overread.agent.chat_errors import ApiError
from overread.agent.intake import check_question
from overread.imaging.errors import InputError
from overread.tools.fence import clean

MODEL = "agent"
"""The one model that the endpoint serves."""

_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/tiff": ".tif",
    "application/dicom": ".dcm",
}
_DATA_URL = re.compile(r"data:([a-z/+.-]+)(?:;[a-z-]+=[^;,]*)*;base64,", re.IGNORECASE)

# Parameters that would change what the reply is; each with the values that ask for nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "prediction": (),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "web_search_options": (),
}


class TextPart(BaseModel):
    """Words."""

    type: Literal["text"]
    text: str


class ImageUrl(BaseModel):
    """Where an image is; only data URLs are read."""

    url: str


class ImagePart(BaseModel):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _as_parts(content: Any) -> Any:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [] if content is None else content


class ChatMessage(BaseModel):
    """One message; a plain string as content is one part of text."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part], BeforeValidator(_as_parts)] = []

    @property
    def text(self) -> str:
        """The words, part by part."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart)).strip()


class StreamOptions(BaseModel):
    """What a stream should say besides."""

    include_usage: bool = False


class ChatRequest(BaseModel, extra="allow"):
    """The body of POST /v1/chat/completions; other parameters are in `model_extra`."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream should end with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


@dataclass(frozen=True, slots=True)
class Asked:
    """What the agent is asked.

    Attributes:
        question: The last user message, after the text of system messages.
        images: Data URLs of all user messages, in order, each once.
        ignored: Names of parameters, and "messages[i]" of earlier turns whose text has no effect.
    """

    question: str
    images: tuple[str, ...]
    ignored: tuple[str, ...]


def parse(body: bytes, max_images: int, max_question_chars: int) -> tuple[ChatRequest, Asked]:
    """Return a request, and the question in it.

    Args:
        body: JSON.
        max_images: As in the agent's configuration.
        max_question_chars: As there, system messages included.

    Raises:
        ValidationError: The body is not a chat request.
        ApiError: It asks for another model, or for what the agent does not do.
        InputError: There is no question, it is too long, or there are too many images.
    """
    request = ChatRequest.model_validate_json(body)
    if request.model != MODEL:
        raise ApiError(
            404, "model_not_found", f"there is no such model here; the model is '{MODEL}'", "model"
        )
    given = {
        name: value for name, value in (request.model_extra or {}).items() if value is not None
    }
    for name, value in given.items():
        if name in _UNSUPPORTED and value not in _UNSUPPORTED[name]:
            raise ApiError(
                400,
                "unsupported_parameter",
                f"'{name}' is not supported: the agent chooses its own tools and writes one answer "
                "in plain text; leave it out",
                name,
            )
    ignored = sorted(name for name in given if name not in _UNSUPPORTED)
    places = [place for place, one in enumerate(request.messages) if one.role == "user"]
    if not places:
        raise InputError("no message has the role 'user'; the last such message is the question")
    rules = [one.text for one in request.messages if one.role in ("system", "developer")]
    question = check_question(clean(request.messages[places[-1]].text), max_question_chars)
    question = check_question(
        "\n".join([*(clean(rule) for rule in rules if rule), question]), max_question_chars
    )
    ignored += [
        f"messages[{place}]"
        for place, one in enumerate(request.messages)
        if one.role in ("user", "assistant") and one.text and place != places[-1]
    ]
    return request, Asked(question, _images(request.messages, max_images), tuple(ignored))


def _images(messages: Sequence[ChatMessage], limit: int) -> tuple[str, ...]:
    parts = [
        (message.role, part)
        for message in messages
        for part in message.content
        if isinstance(part, ImagePart)
    ]
    if any(role != "user" for role, _ in parts):
        raise InputError("only messages of the role 'user' may hold images")
    urls = tuple(dict.fromkeys(part.image_url.url for _, part in parts))
    if len(urls) > limit:
        raise InputError(
            f"{len(urls)} images were given; at most {limit} are allowed (agent.max_images, or the planner's profile)"
        )
    return urls


def write_images(urls: Sequence[str], folder: Path) -> list[Path]:
    """Decode data URLs to files of a folder, `image-1.png` and so on, and return their paths.

    Raises:
        InputError: A URL is not a data URL of a kind that is read; nothing is ever fetched.
    """
    paths = []
    for number, url in enumerate(urls, start=1):
        head = _DATA_URL.match(url)
        suffix = _SUFFIXES.get(head[1].lower()) if head else None
        if head is None or suffix is None:
            raise InputError(
                f"image {number} is not a base64 data URL of {', '.join(sorted(_SUFFIXES))}; "
                "addresses of the web and of files are never opened, put the image in the request"
            )
        try:
            data = base64.b64decode(url[head.end() :], validate=True)
        except (binascii.Error, ValueError):
            raise InputError(
                f"image {number} is not valid base64; encode the whole file again"
            ) from None
        path = folder / f"image-{number}{suffix}"
        path.write_bytes(data)
        paths.append(path)
    return paths
