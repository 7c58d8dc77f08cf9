"""Planner profiles: everything we know of a served model, as data. One TOML file a profile."""

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from overread.agent.prompt_file import Demo, load_prompts
from overread.agent.prompts import DIRECT_SYSTEM
from overread.imaging.errors import ConfigError

BUNDLED = "bundled"
_FOLDER = Path(__file__).parent / "profiles"
# What a profile may not switch on: foreign code, foreign hosts, the user's files.
_FORBIDDEN_FLAGS = ("--trust-remote-code", "--host", "--allowed-", "--load-format", "--api-key")


class Profile(BaseModel, frozen=True, extra="forbid"):
    """How a planner is served and spoken to.

    Attributes:
        name: As chosen by `planner.profile`.
        description: One line for `overread doctor`.
        status: What was really run with it ("tested on CPU", "not run on a GPU yet").
        model: "bundled", a local folder, or a hub id.
        served_name: The model name in requests.
        device: Where vLLM runs it.
        dtype: vLLM's --dtype.
        context: Tokens of prompt and reply together.
        max_output_tokens: Of one reply.
        max_images: In one request.
        image_size: Longest edge of the pictures sent, in pixels.
        kv_cache_gib: Memory for the KV cache on a CPU, in GiB.
        tool_calls: "schema" constrains the reply to a step; "native" uses the model's own calls.
        tool_parser: vLLM's --tool-call-parser; needed for "native".
        chat_template: Path of a Jinja file, relative to the profile's own; None for the model's.
        quantisation: vLLM's --quantization; None for none.
        lora: Adapters, name to folder or hub id.
        adapter: Which of them answers; None for the base model.
        max_lora_rank: Largest rank among them.
        flags: Further vLLM flags.
        system: The system prompt; `{tools}` stands for the list of tools.
        writing: The system prompt where a tool lets the planner describe an image.
        demos: Worked examples, shown before every question.
        tools: Names of the tools it is offered; all that are installed if None. `agent.tools` of
            the configuration takes its place.
        prompts: Path of a file of prompts (`overread train prompts`), relative to the profile's own;
            what it says takes the place of `system`, `writing` and `demos`.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    description: str
    status: str
    model: str = Field(min_length=1)
    served_name: str = Field(min_length=1)
    device: Literal["cpu", "gpu"]
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "bfloat16"
    context: int = Field(ge=512)
    max_output_tokens: int = Field(default=512, ge=16)
    max_images: int = Field(ge=1)
    image_size: int = Field(ge=32)
    kv_cache_gib: int = Field(default=1, ge=1)
    tool_calls: Literal["schema", "native"] = "schema"
    tool_parser: str | None = None
    chat_template: Path | None = None
    quantisation: str | None = None
    lora: dict[str, str] = Field(default_factory=dict)
    adapter: str | None = None
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = 16
    flags: tuple[str, ...] = ()
    system: str = Field(min_length=1)
    writing: str = Field(default=DIRECT_SYSTEM, min_length=1)
    demos: tuple[Demo, ...] = ()
    tools: tuple[str, ...] | None = None
    prompts: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Profile":
        if self.tool_calls == "native" and not self.tool_parser:
            raise ValueError("tool_calls = 'native' needs a tool_parser")
        if self.adapter is not None and self.adapter not in self.lora:
            raise ValueError(f"adapter '{self.adapter}' is not one of lora")
        if self.max_output_tokens >= self.context:
            raise ValueError("max_output_tokens must be below context")
        for flag in self.flags:
            if flag.startswith(_FORBIDDEN_FLAGS):
                raise ValueError(f"flag '{flag}' is not allowed in a profile")
        return self

    @property
    def request_model(self) -> str:
        """The model name that a request carries."""
        return self.adapter or self.served_name


def profile_names() -> list[str]:
    """Return the names of the profiles that come with Overread, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_profile(name_or_path: str) -> Profile:
    """Load a profile by its name, or from a TOML file of the user's.

    Raises:
        ConfigError: There is no such profile, or the file is not one.
    """
    path = _FOLDER / f"{name_or_path}.toml"
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path).expanduser()
    elif name_or_path not in profile_names():
        raise ConfigError(
            f"there is no planner profile '{name_or_path}'; there are {', '.join(profile_names())}, "
            "or give the path of a profile's .toml file"
        )
    try:
        profile = Profile.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(
            f"the planner profile {path} cannot be read ({error.strerror})"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the planner profile {path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"the planner profile {path}: {f'{where}: ' if where else ''}{message}"
        ) from error
    if profile.chat_template is not None:
        template = (path.parent / profile.chat_template).resolve()
        if not template.is_file():
            raise ConfigError(f"the planner profile {path}: there is no chat template {template}")
        profile = profile.model_copy(update={"chat_template": template})
    if profile.prompts is not None:
        place = (path.parent / profile.prompts).resolve()
        found = load_prompts(place)
        taken = {"system": found.system, "writing": found.writing, "demos": found.demos}
        profile = profile.model_copy(update={"prompts": place, **taken})
    return profile


def profile_toml(profile: Profile) -> str:
    """Return a profile as the text of its file.

    >>> tomllib.loads(profile_toml(load_profile("bundled")))["context"]
    4096
    """
    fields = profile.model_dump(mode="json", exclude_defaults=True)
    return "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items())


def _toml(value: Any) -> str:
    """Return a value as TOML: JSON's own forms, but for tables."""
    if isinstance(value, dict):
        pairs = (f"{_toml(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
