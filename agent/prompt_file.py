"""Prompts that were optimised for a planner: a JSON file that its profile names."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from overread.imaging.errors import ConfigError


class Demo(BaseModel, frozen=True, extra="forbid"):
    """One worked example, shown to the planner before every question. It has no image.

    Attributes:
        user: What the planner read: facts, question, and in a later step what came before.
        reply: What it should say to that.
    """

    user: str = Field(min_length=1)
    reply: str = Field(min_length=1)


class PromptFile(BaseModel, frozen=True, extra="forbid"):
    """What takes the place of a profile's own prompts.

    Attributes:
        system: The system prompt; `{tools}` stands for the list of tools.
        writing: The system prompt where a tool lets the planner describe an image.
        demos: Worked examples, in order.
        made: How the file came about; only people read it.
    """

    system: str = Field(min_length=1)
    writing: str = Field(min_length=1)
    demos: tuple[Demo, ...] = ()
    made: dict[str, Any] = Field(default_factory=dict)


def load_prompts(path: Path) -> PromptFile:
    """Load a file of prompts.

    Raises:
        ConfigError: It is not there or is none.
    """
    try:
        return PromptFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the prompts {path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"the prompts {path}: {f'{where}: ' if where else ''}{first['msg']}"
        ) from error
