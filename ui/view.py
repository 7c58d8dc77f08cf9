"""What the app shows in one browser tab: plain data that knows nothing of Gradio or the agent."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overread.tools.base import Evidence

ChatMessage = dict[str, Any]


@dataclass(slots=True, eq=False)
class View:
    """One browser tab: its session, its conversation and what stands beside it.

    Attributes:
        session: Id of the agent's session; None before the first question.
        images: How many images the session has.
        why: The planner's reason for the step in progress.
        messages: For `gr.Chatbot`.
        pictures: Files and captions for the gallery: the images first, then what tools drew.
        evidence: Of the whole session, oldest first.
        report: The newest report file.
    """

    session: str | None = None
    images: int = 0
    why: str = ""
    messages: list[ChatMessage] = field(default_factory=list)
    pictures: list[tuple[Path, str]] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    report: Path | None = None
    _running: dict[int, ChatMessage] = field(default_factory=dict)
    _streaming: ChatMessage | None = None

    def say(self, text: str, role: str = "assistant") -> None:
        """Append a message."""
        self.messages.append({"role": role, "content": text})

    def show(self, path: Path, caption: str, role: str = "assistant") -> None:
        """Append a picture to the conversation."""
        self.messages.append({"role": role, "content": {"path": str(path), "alt_text": caption}})

    def fold(self, title: str, text: str) -> None:
        """Append a text that unfolds."""
        metadata = {"title": title, "status": "done"}
        self.messages.append({"role": "assistant", "content": text, "metadata": metadata})

    def start(self, call: int, title: str, why: str) -> None:
        """Append a tool call that runs."""
        metadata = {"title": title, "status": "pending"}
        message = {"role": "assistant", "content": why or "…", "metadata": metadata}
        self._running[call] = message
        self.messages.append(message)

    def finish(self, call: int, said: str, seconds: float, failed: bool) -> None:
        """Complete a tool call with what the tool said."""
        message = self._running.pop(call, None)
        if message is None:
            return
        message["content"] = f"{message['content']}\n\n{said}"
        title = message["metadata"]["title"] + (" · failed" if failed else "")
        message["metadata"] = {"title": title, "status": "done", "duration": round(seconds, 2)}

    def stream(self, text: str) -> None:
        """Append to the answer that is being written."""
        if self._streaming is None:
            self._streaming = {"role": "assistant", "content": ""}
            self.messages.append(self._streaming)
        self._streaming["content"] += text

    def drop_stream(self) -> None:
        """Take the unverified answer away again."""
        if self._streaming is not None:
            self.messages.remove(self._streaming)
            self._streaming = None

    def settle(self) -> None:
        """Leave no step shown as running."""
        for message in self._running.values():
            message["metadata"] = message["metadata"] | {"status": "done"}
        self._running.clear()

    def stop(self) -> None:
        """Say that the user stopped the question."""
        self.drop_stream()
        self.settle()
        self.say("Stopped. Ask again when you like.")
