"""Find benchmarks: ours, and folders of specs offered through `overread.benchmarks`.

A distribution offers a folder by an entry point that names either a package (its folder) or an
object that is the folder's path:

    [project.entry-points."overread.benchmarks"]
    ward = "ward_benchmarks"
"""

import sys
import tomllib
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from overread.evals.benchmarks.schema import Spec
from overread.imaging.errors import ConfigError

GROUP = "overread.benchmarks"
_OURS = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the benchmarks, sorted.

    Raises:
        ConfigError: A distribution's folder cannot be found, or a name is offered twice.
    """
    return sorted(_files(tuple(sys.path)))


def spec(name: str) -> Spec:
    """Return a benchmark's spec by its name, or from a TOML file of the user's.

    Raises:
        ConfigError: There is no such benchmark, or its file is wrong.
    """
    if name.endswith(".toml"):
        return read_spec(Path(name).expanduser())
    files = _files(tuple(sys.path))
    if name not in files:
        raise ConfigError(
            f"there is no benchmark '{name}'; there are {', '.join(sorted(files))}, "
            "or give a .toml file"
        )
    found = read_spec(files[name])
    if found.name != name:
        raise ConfigError(f"the benchmark in {files[name]} calls itself '{found.name}'; rename one")
    return found


def read_spec(path: Path) -> Spec:
    """Read a spec.

    Raises:
        ConfigError: The file cannot be read or says something that is not allowed.
    """
    try:
        return Spec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(f"the benchmark {path}: {where}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"the benchmark {path} cannot be read: {error}") from error


@lru_cache(maxsize=4)
def _files(path: tuple[str, ...]) -> dict[str, Path]:
    """Return the spec files by name; metadata of all distributions are read once a process."""
    found = {file.stem: file for file in sorted(_OURS.glob("*.toml"))}
    for entry in entry_points(group=GROUP):
        for file in sorted(_folder(entry).glob("*.toml")):
            other = found.setdefault(file.stem, file)
            if other != file:
                raise ConfigError(
                    f"the benchmark '{file.stem}' is offered by {other} and by {file}; "
                    "uninstall one of them"
                )
    return found


def _folder(entry: EntryPoint) -> Path:
    try:
        offered = entry.load()
        if isinstance(offered, ModuleType):
            offered = offered.__path__[0]
        folder = Path(offered)
    except Exception as error:  # a plug-in may fail in any way
        raise ConfigError(
            f"the benchmarks '{entry.name}' ({entry.value}) do not load: "
            f"{type(error).__name__}: {error}; uninstall their distribution"
        ) from error
    if not folder.is_dir():
        raise ConfigError(f"the benchmarks '{entry.name}' ({entry.value}) name {folder}, no folder")
    return folder
