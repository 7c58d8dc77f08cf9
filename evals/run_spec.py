"""What a run is: everything that decides its numbers, and with what it was made."""

import json
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from overread.evals.revision import revision
from overread.imaging.errors import InputError

RUN_FILE = "run.json"
_VERSIONS = ("overread", "inspect_ai", "torch", "transformers")
# What two starts of one run must share; versions, commit and command may differ and are told.
_FIXED = (
    "benchmark", "place", "split", "limit", "seed", "epochs", "subject", "identity", "items", "judge",
)  # fmt: skip


class RunSpec(BaseModel, frozen=True, extra="forbid"):
    """What was run: enough to run it again.

    Attributes:
        benchmark, place, split, limit, seed: As given to the registry.
        epochs: Times that each item is asked.
        subject: Its name.
        identity: Of the subject.
        items: How many there are.
        contaminated: Items that are in the subject's training manifest, and were asked all the
            same.
        manifests: Training manifests that the items were held against.
        judge: Who judged open answers, under which rubric; None if nobody did.
        versions: Of the packages that matter.
        commit: Of the source, with "+" if it was changed, if it is a git checkout.
        command: As typed.
    """

    benchmark: str
    place: str | None = None
    split: str | None = None
    limit: int | None = None
    seed: int = 0
    epochs: int = 1
    subject: str
    identity: dict[str, Any]
    items: int
    contaminated: int = 0
    manifests: tuple[str, ...] = ()
    judge: dict[str, Any] | None = None
    versions: dict[str, str] = {}
    commit: str | None = None
    command: tuple[str, ...] = ()


def read_spec(folder: Path) -> RunSpec:
    """Return what was run in a folder.

    Raises:
        InputError: The folder holds no run, or its description is damaged.
    """
    path = folder / RUN_FILE
    try:
        return RunSpec.model_validate_json(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no run: {RUN_FILE} cannot be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path} is no description of a run: {where} {first['msg']}") from error


def check_same(before: RunSpec, spec: RunSpec, folder: Path) -> None:
    """Refuse to go on with a run as another one.

    Raises:
        InputError: What decides the numbers differs; the message names the first difference.
    """
    old, new = json.loads(before.model_dump_json()), json.loads(spec.model_dump_json())
    different = [name for name in _FIXED if old[name] != new[name]]
    if not different:
        return
    name = different[0]
    if name == "identity":
        keys = sorted(old[name].keys() | new[name].keys())
        changed = [key for key in keys if old[name].get(key) != new[name].get(key)]
        what = f"its subject differs in {', '.join(changed)}"
    elif name == "judge":
        what = f"its judge is {_judge(before)}, not {_judge(spec)}"
    else:
        what = f"its {name} is {old[name]}, not {new[name]}"
    raise InputError(f"{folder} holds another run: {what}; choose another --out")


def _judge(spec: RunSpec) -> str:
    return f"{spec.judge['model']}, rubric {spec.judge['rubric']}" if spec.judge else "none"


def surroundings() -> dict[str, Any]:
    """Return the fields of `RunSpec` that tell with what it was run: versions, commit, command."""
    return {"versions": _versions(), "commit": revision(), "command": tuple(sys.argv)}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
