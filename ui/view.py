"""The messages of a conversation as a reader sees them: plain data that knows nothing of Gradio."""

from dataclasses import dataclass, field
from typing import Any

ChatMessage = dict[str, Any]

WAITING = "Planning the next step"


@dataclass(slots=True, eq=False)
class View:
    """A conversation that is being written.

    Attributes:
        messages: For `gr.Chatbot`; those of a room, changed in place.
        why: The planner's reason for the step in progress.
    """

    messages: list[ChatMessage] = field(default_factory=list)
    why: str = ""
    _running: dict[int, ChatMessage] = field(default_factory=dict)
    _streaming: ChatMessage | None = None

    def say(self, text: str, role: str = "assistant") -> None:
        """Append a message."""
        self.messages.append({"role": role, "content": text})

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

    def wait(self) -> None:
        """Show that the planner is at work, unless a step or the answer shows it already."""
        if not self._running and self._streaming is None:
            metadata = {"title": WAITING, "status": "pending"}
            self.messages.append({"role": "assistant", "content": "…", "metadata": metadata})

    def go_on(self) -> None:
        """Take the note that the planner is at work away."""
        if self.messages and self.messages[-1].get("metadata", {}).get("title") == WAITING:
            self.messages.pop()

    def settle(self) -> None:
        """Leave no step shown as running, those of a process that was killed neither."""
        self.go_on()
        for message in self.messages:
            if message.get("metadata", {}).get("status") == "pending":
                message["metadata"] = message["metadata"] | {"status": "done"}
        self._running.clear()

    def end(self, text: str) -> None:
        """Say the last word on a question, in the place of an unverified answer."""
        self.go_on()
        self.drop_stream()
        self.settle()
        self.say(text)
