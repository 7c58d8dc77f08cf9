"""One configuration: defaults < overread.toml < OVERREAD_* in the environment < flags."""

import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from overread.imaging.errors import ConfigError


class PlannerConfig(BaseModel, extra="forbid"):
    """Which planner, where it is served, and how long we wait for it."""

    profile: str = Field(
        default="bundled", description="Name of a profile, or path of a profile TOML."
    )
    host: str = Field(
        default="127.0.0.1", description="Where the planner listens; loopback by default."
    )
    port: int = Field(default=8077, ge=1, le=65535)
    api_key: str | None = Field(
        default=None, description="Sent to a remote endpoint; never logged."
    )
    base_url: str | None = Field(
        default=None, description="Any OpenAI-compatible endpoint instead."
    )
    timeout_s: float = Field(default=120.0, gt=0, description="For one planner step.")
    start_timeout_s: float = Field(
        default=600.0, gt=0, description="For the server to become ready."
    )

    @property
    def url(self) -> str:
        """The OpenAI-compatible endpoint to call."""
        return self.base_url or f"http://{self.host}:{self.port}/v1"


class AgentConfig(BaseModel, extra="forbid"):
    """Budgets of one question."""

    max_steps: int = Field(
        default=6, ge=1, le=50, description="Planner steps before it must answer."
    )
    tool_timeout_s: float = Field(default=60.0, gt=0)
    max_question_chars: int = Field(default=4000, ge=1)
    max_images: int = Field(
        default=5, ge=1, le=32, description="Of a session; a planner that takes fewer lowers it."
    )
    tools: list[str] | None = Field(
        default=None, description="Names of the tools in play; the profile's own by default."
    )
    classifier: str | None = Field(
        default=None, description="Folder of a transformers image classifier, for `classify`."
    )
    verify: bool = Field(default=True, description="Hold answers against their evidence.")


class IndexConfig(BaseModel, extra="forbid"):
    """The retrieval index."""

    embedder: str = Field(
        default="bundled", description="'bundled', or a model name or local folder."
    )
    embedders: dict[str, str] = Field(
        default_factory=dict,
        description="Embedders of single domains, by name or local folder, such as "
        "{'histology': '/models/pathology'}; the others take 'embedder'.",
    )
    passages: Literal["sentences", "tower"] = Field(
        default="sentences",
        description="What embeds the texts of a new index: the packaged sentence encoder where it "
        "is installed, or the text tower of the domain's embedder.",
    )
    url: str | None = Field(
        default=None, description="A Chroma server; embedded in the data folder if unset."
    )
    exclude_same_patient: bool = True
    selection: Literal["adaptive", "fixed"] = Field(
        default="adaptive",
        description="Keep similar cases up to the first drop and above a floor, or 'fixed_k'.",
    )
    fixed_k: int = Field(default=5, ge=1, le=24)
    route: bool = Field(
        default=True,
        description="Search the image's own domain; if false, all domains that share 'embedder'.",
    )


class SegmenterConfig(BaseModel, extra="forbid"):
    """What outlines structures."""

    model: str = Field(
        default="bundled",
        description="'bundled', or the folder of a SAM-family checkpoint or of a MONAI bundle.",
    )
    words: Literal["own", "saliency"] = Field(
        default="own",
        description="Only the segmenter's own names; or any words, by where the embedder "
        "('index.embedder') finds them. The latter is coarse.",
    )


class ApiConfig(BaseModel, extra="forbid"):
    """The agent's own chat endpoint (`overread serve --agent`)."""

    host: str = Field(
        default="127.0.0.1", description="Where it listens; others than loopback need a key."
    )
    port: int = Field(default=8766, ge=1, le=65535)
    api_key: str | None = Field(
        default=None, min_length=1, description="Asked of clients; never logged."
    )
    max_body_mb: int = Field(default=64, ge=1, description="Largest request, images included.")
    max_running: int = Field(default=8, ge=1, description="Questions answered at the same time.")
    max_waiting: int = Field(default=256, ge=0, description="Requests that wait for their turn.")


class McpConfig(BaseModel, extra="forbid"):
    """The tools over the Model Context Protocol (`overread serve --mcp`)."""

    folders: list[Path] = Field(
        default_factory=list, description="Folders from which clients may open images."
    )
    api_key: str | None = Field(
        default=None, min_length=1, description="Asked of HTTP clients; never logged."
    )
    max_upload_mb: int = Field(default=64, ge=1, description="Largest image sent as content.")
    max_artifact_mb: int = Field(default=16, ge=1, description="Largest file sent back.")
    max_sessions: int = Field(
        default=64, ge=1, description="Sessions remembered; the oldest are dropped."
    )


class SynthesisConfig(BaseModel, extra="forbid"):
    """Making up pictures (`synthesise`)."""

    enabled: bool = Field(default=False, description="Allow it; what is made is always marked.")
    model: str = Field(
        default="phantoms", description="'phantoms', or the folder of a diffusers pipeline."
    )


class Config(BaseSettings):
    """Everything a user can set. Nested names join with two underscores in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="OVERREAD_", env_nested_delimiter="__", toml_file="overread.toml", extra="forbid"
    )

    data_dir: Path = Field(
        default=Path("~/.local/share/overread"),
        description="Index, sessions, artifacts, assembled models.",
    )
    planner: PlannerConfig = PlannerConfig()
    agent: AgentConfig = AgentConfig()
    index: IndexConfig = IndexConfig()
    segmenter: SegmenterConfig = SegmenterConfig()
    api: ApiConfig = ApiConfig()
    mcp: McpConfig = McpConfig()
    synthesis: SynthesisConfig = SynthesisConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def data(self) -> Path:
        """The data folder with `~` expanded."""
        return self.data_dir.expanduser()


def load_config(**flags: Any) -> Config:
    """Load the configuration; flags that are None do not count.

    Raises:
        ConfigError: A value or a key is not allowed.
    """
    try:
        return Config(**{name: value for name, value in flags.items() if value is not None})
    except (ValidationError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise ConfigError(f"overread.toml cannot be read: {error}") from error
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting '{where}': {first['msg']} (from overread.toml, OVERREAD_* or a flag)"
        ) from error


def ensure_data_dir(config: Config) -> Path:
    """Create the data folder (mode 0700) and check that it can be written.

    Raises:
        ConfigError: It cannot.
    """
    folder = config.data
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Nameless: two sessions that open the folder at once must not remove each other's file.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(
            f"the data folder {folder} cannot be written ({error.strerror}); "
            "set OVERREAD_DATA_DIR to a folder you own"
        ) from error
    return folder
