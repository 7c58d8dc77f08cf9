"""What a scripted planner says in several tests."""

from typing import Any


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"why": "look", "calls": [{"tool": tool, "arguments": arguments}]}


def answer(text: str) -> dict[str, Any]:
    return {"why": "enough", "answer": text}


NODULE = call("find", image=1, target="nodule")
YES = answer("Yes, there is a nodule [E2].")
QUESTION = "Is there a nodule?"
