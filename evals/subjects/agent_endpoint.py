"""The Overread agent through its own chat endpoint: files as they are, evidence read back."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai

from overread.agent.ledger import weakest
from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.evals.patience import is_passing
from overread.evals.subjects.agent import told
from overread.evals.subjects.base import Reply
from overread.imaging.errors import OverreadError, UnreadableImage
from overread.imaging.sniff import Kind, kind_of
from overread.tools.base import Evidence

_TYPES = {
    Kind.PNG: "image/png",
    Kind.JPEG: "image/jpeg",
    Kind.TIFF: "image/tiff",
    Kind.DICOM: "application/dicom",
}


class AgentEndpointSubject:
    """Sends each file whole, so that the agent has its spacing and its header."""

    def __init__(self, url: str, model: str, api_key: str | None = None,
                 timeout_s: float = 600.0) -> None:  # fmt: skip
        """Prepare; nothing is sent yet.

        Args:
            url: Base URL, ending in /v1.
            model: Its name there.
            api_key: Sent along.
            timeout_s: For an answer of all its steps.
        """
        self.name = "agent-endpoint"
        self.identity: Mapping[str, Any] = {
            "kind": "agent-endpoint",
            "url": url,
            "model": model,
        }
        self._url, self._model, self._key, self._timeout_s = url, model, api_key, timeout_s
        self._client: openai.AsyncOpenAI | None = None

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`.

        Raises:
            UnreadableImage: A file is of a kind that the endpoint does not read.
            OverreadError: The endpoint refused the question.
        """
        urls = await in_thread(lambda: [_data_url(path) for path in item.images])
        content: list[Any] = [
            *({"type": "image_url", "image_url": {"url": url}} for url in urls),
            {"type": "text", "text": prompt},
        ]
        try:
            reply = await self._open().chat.completions.create(
                model=self._model, messages=[{"role": "user", "content": content}]
            )
        except openai.APIStatusError as error:
            if is_passing(error):
                raise
            raise OverreadError(
                f"the endpoint refused the question (HTTP {error.status_code}): {error.message}"
            ) from error
        text = (reply.choices[0].message.content or "").strip()
        details: dict[str, Any] = (reply.model_extra or {}).get("overread") or {}
        evidence = [Evidence.model_validate(entry) for entry in details.get("evidence", [])]
        least = weakest(text, evidence)
        return Reply(
            text=text,
            confidence=None if least is None else least.confidence,
            abstained=bool(details.get("abstained")),
            evidence=told(text, evidence),
            removed=len(details.get("removed", [])),
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = openai.AsyncOpenAI(
                base_url=self._url, api_key=self._key or "none", timeout=self._timeout_s,
                max_retries=0,
            )  # fmt: skip
        return self._client


def _data_url(path: Path) -> str:
    kind = kind_of(path)
    if kind not in _TYPES:
        raise UnreadableImage(f"{path} is not DICOM, PNG, JPEG or TIFF; the endpoint reads these")
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(path.read_bytes()).decode()}"
