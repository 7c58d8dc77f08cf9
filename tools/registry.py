"""Find tools through the entry-point group `overread.tools`: ours and anyone's."""

import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from langchain_core.tools import BaseTool

from overread.imaging.errors import ConfigError, OverreadError
from overread.tools.base import ToolContext

GROUP = "overread.tools"


def tool_names() -> list[str]:
    """Return the names of the installed tools, sorted.

    Raises:
        ConfigError: Two distributions offer a tool of one name.
    """
    return sorted(_offers())


def build_tools(context: ToolContext, names: Iterable[str] | None = None) -> list[BaseTool]:
    """Build the tools in play, in the order of their names.

    Args:
        context: Handed to each tool's `build`.
        names: Which tools; all that are installed if None.

    Raises:
        ConfigError: A name is not installed, or is offered twice.
        OverreadError: A plug-in cannot be imported or does not build a tool of its own name.
    """
    offers = _offers()
    wanted = sorted(offers if names is None else set(names))
    if unknown := [name for name in wanted if name not in offers]:
        raise ConfigError(
            f"there is no tool '{unknown[0]}'; installed are {', '.join(sorted(offers)) or 'none'}"
        )
    return [_build(offers[name], context) for name in wanted]


def _offers() -> dict[str, EntryPoint]:
    return _scan(tuple(sys.path))


@lru_cache(maxsize=4)
def _scan(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Read the metadata of all distributions on a path: 0.1 s, so once a process, not a step."""
    offers: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        other = offers.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ConfigError(
                f"the tool '{entry.name}' is offered by {_origin(other)} and by {_origin(entry)}; "
                "uninstall one of them"
            )
    return offers


def _build(entry: EntryPoint, context: ToolContext) -> BaseTool:
    try:
        tool = entry.load()(context)
    except OverreadError:
        raise
    except Exception as error:  # a plug-in may fail in any way
        raise OverreadError(
            f"the tool '{entry.name}' of {_origin(entry)} does not load: "
            f"{type(error).__name__}: {error}; uninstall it or leave it out of agent.tools"
        ) from error
    if not isinstance(tool, BaseTool) or tool.name != entry.name:
        raise OverreadError(
            f"the tool '{entry.name}' of {_origin(entry)} built {tool!r:.80}, "
            f"not a tool named '{entry.name}'"
        )
    return tool


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name if entry.dist else 'an unknown distribution'} ({entry.value})"
