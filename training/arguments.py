"""Configuration of a training: a YAML file and flags, read into TRL's own dataclasses and ours.

Every key of TRL's is accepted, by its own name. A key that nobody knows is refused.
"""

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

import yaml

from overread.imaging.errors import ConfigError, OverreadError
from overread.training.examples import VIEW_SIZE


@dataclass
class OurArguments:
    """What is ours in the configuration of any trainer; every other key is TRL's.

    The help of each field is what `overread train sft --help-keys` shows.
    """

    mix: str = field(
        default="", metadata={"help": "Data: name of a mix of training/mixes, or its YAML file."}
    )
    resume: bool = field(
        default=False,
        metadata={"help": "Go on from the newest checkpoint; begin if there is none yet."},
    )
    vision: str | None = field(
        default=None,
        metadata={"help": "Bundled planner from scratch: safetensors of the pretrained tower."},
    )
    start: str | None = field(
        default=None,
        metadata={
            "help": "Weights to go on from: of the bundled planner, or the folder of an adapter. "
            "Without it and 'vision' the bundled planner goes on from the weights of this package."
        },
    )
    image_size: int = field(
        default=VIEW_SIZE, metadata={"help": "Edge of the square views shown, in pixels."}
    )
    longest: int | None = field(
        default=None,
        metadata={"help": "Leave examples of more tokens out; counted in the run folder."},
    )
    connector_rate: float = field(
        default=2.0,
        metadata={"help": "Bundled planner: learning rate of the connector, in learning_rate."},
    )
    vision_rate: float = field(
        default=0.2,
        metadata={"help": "Bundled planner: learning rate of the vision tower, in learning_rate."},
    )


@dataclass(frozen=True, slots=True)
class Parsed:
    """A configuration that was read.

    Attributes:
        arguments: One for each dataclass that was asked for, in order.
        text: Of the file, as given; "" without one.
        flags: As given, without `--config` and its file.
        stated: Keys that file or flags state.
    """

    arguments: tuple[Any, ...]
    text: str
    flags: tuple[str, ...]
    stated: frozenset[str]


def parse(arguments: Sequence[str], *types: type) -> Parsed:
    """Read `--config FILE` and flags into dataclasses, with TRL's parser; flags win.

    Args:
        arguments: Of the command line.
        types: Dataclasses: ours, and those of TRL.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value is not allowed.
    """
    path, flags = _config_of(arguments)
    text, keys = _read(path) if path else ("", {})
    known = {field.name for of in types for field in fields(of)} | {"env"}
    for key in keys:
        if key not in known:
            raise ConfigError(f"{path} has the unknown key '{key}'{_nearest(key, known)}")
    for flag in flags:
        name = flag.removeprefix("--").split("=")[0].replace("-", "_")
        if flag.startswith("--") and name.removeprefix("no_") not in known and name not in known:
            raise ConfigError(f"there is no key '{flag}'{_nearest(name, known)}")
    made = _parser(types)
    rest = [text for argument in arguments for text in _parts(argument)]
    try:
        found = tuple(made.parse_args_and_config(args=rest))
    except ConfigError as error:
        raise ConfigError(f"{path or 'the command line'}: {error}") from error
    except (ValueError, TypeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{path or 'the command line'}: {said}") from error
    _refuse_remote_code(found)
    stated = {flag.removeprefix("--").split("=")[0] for flag in flags if flag.startswith("--")}
    return Parsed(found, text, tuple(flags), frozenset(stated | set(keys)))


def run_script(main: Callable[[Sequence[str]], None]) -> None:
    """Run a trainer as `python -m`, which accelerate starts: an error is one sentence."""
    try:
        main(sys.argv[1:])
    except OverreadError as error:
        sys.stderr.write(f"overread: {error}\n")
        sys.exit(error.exit_code)


def _parser(types: Sequence[Any]) -> Any:
    from trl import TrlParser

    class Parser(TrlParser):
        def error(self, message: str) -> NoReturn:
            raise ConfigError(" ".join(message.split()))

    return Parser(types, allow_abbrev=False)


def _parts(argument: str) -> list[str]:
    """Return `--config=FILE` in two, which TRL's parser wants."""
    return argument.split("=", 1) if argument.startswith("--config=") else [argument]


def _config_of(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    rest = [text for argument in arguments for text in _parts(argument)]
    if "--config" not in rest:
        return None, rest
    place = rest.index("--config")
    if place + 1 == len(rest):
        raise ConfigError("--config needs the YAML file of a training")
    return Path(rest[place + 1]), rest[:place] + rest[place + 2 :]


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
        keys = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"the configuration {path} is not YAML: {said}") from error
    if not isinstance(keys, dict):
        raise ConfigError(f"the configuration {path} must be 'key: value' lines")
    return text, {str(key): value for key, value in keys.items()}


def _nearest(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else "; remove it"


def _refuse_remote_code(found: Sequence[Any]) -> None:
    if any(getattr(arguments, "trust_remote_code", False) for arguments in found):
        raise ConfigError(
            "trust_remote_code is never allowed here: remove it from the configuration"
        )
