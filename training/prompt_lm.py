"""The model that writes new prompts for an optimiser: any OpenAI-compatible endpoint, as DSPy's LM.

DSPy would ask through LiteLLM and keep replies in a disk cache of pickles, which run code when they
are read, in the user's home. Neither is used: requests go through the client that the agent uses,
to the one endpoint that is named, and replies are kept as JSON in the folder of the search.
"""

import os
import threading
from collections import Counter
from typing import Any

import dspy
import openai
from dspy import lm15

from overread.agent.config import PlannerConfig
from overread.evals.kept import Kept, key_of
from overread.imaging.errors import PlannerUnavailable

_TEMPERATURE, _MAX_TOKENS = 0.0, 1024


def quiet() -> None:
    """Turn off what DSPy and LiteLLM would keep on disk, fetch or report.

    LiteLLM fetches a list of prices when it is first imported unless told to use its own copy.
    """
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DO_NOT_TRACK": "1"}
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)


class EndpointEngine:
    """One endpoint behind DSPy's engine interface."""

    def __init__(self, config: PlannerConfig, model: str, replies: Kept) -> None:
        """Prepare the client; nothing is sent yet."""
        self._model = model
        self._replies = replies
        self._url = config.url
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._client = openai.OpenAI(
            base_url=config.url,
            api_key=config.api_key or "none",
            timeout=config.timeout_s,
            max_retries=1,
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "EndpointEngine":
        """Return itself: optimisers copy models."""
        return self

    def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the reply to a request of text.

        Raises:
            PlannerUnavailable: There is none.
        """
        messages = [{"role": m.role, "content": m.text or ""} for m in request.messages]
        if request.system is not None:
            system = request.system
            text = system if isinstance(system, str) else "\n".join(p.text for p in system)
            messages.insert(0, {"role": "system", "content": text})
        limits = {
            "temperature": request.config.temperature or _TEMPERATURE,
            "max_tokens": request.config.max_tokens or _MAX_TOKENS,
        }
        key = self._key(messages, limits)
        found = self._replies.get(key)
        if found is None:
            found = {"reply": self._ask(messages, limits)}
            self._replies.put(key, found)
        return lm15.Response(
            id=None,
            model=self._model,
            message=lm15.Message.assistant([lm15.TextPart(str(found["reply"]) or " ")]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=0, output_tokens=0, total_tokens=0),
        )

    def stream(self, request: lm15.Request) -> Any:
        """Return the events of a whole reply."""
        return lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _key(self, messages: list[dict[str, str]], limits: dict[str, Any]) -> str:
        """Return the key of a request; above temperature 0 asking again may give another reply."""
        key = key_of("prompt", self._model, messages, limits)
        if not limits["temperature"]:
            return key
        with self._lock:
            self._asked[key] += 1
            return key_of(key, self._asked[key])

    def _ask(self, messages: list[dict[str, str]], limits: dict[str, Any]) -> str:
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=messages,  # type: ignore[arg-type]
                **limits,
            )
        except openai.OpenAIError as error:
            raise PlannerUnavailable(
                f"the model that writes prompts at {self._url} gave no reply: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        return reply.choices[0].message.content or ""


def language_model(
    config: PlannerConfig, model: str, replies: Kept, temperature: float = _TEMPERATURE
) -> Any:
    """Return a DSPy LM of a served model."""
    engine = EndpointEngine(config, model, replies)
    return dspy.LM(model, engine=engine, temperature=temperature, cache=False, num_retries=0)
