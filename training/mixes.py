"""Data mixes: a YAML file of sources with weights, resolved into examples with counts and a hash."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from overread.imaging.errors import InputError
from overread.training import manifest
from overread.training.curation import Curation, curate
from overread.training.examples import (
    Example,
    FileRef,
    Line,
    Pair,
    PhantomRef,
    of_test_split,
)
from overread.training.guards import check_examples
from overread.training.sources import Source, load_source

_FOLDER = Path(__file__).parent / "mixes"


class Mix(BaseModel, frozen=True, extra="forbid"):
    """What a mix file says.

    Attributes:
        description: For people.
        seed: Of drawing and order.
        samples: Size of the training part. With it, a source that is too small for its share is
            gone through again. Without it, the mix is as large as it can be without repeating.
        sources: What is trained on. Either all have a weight, or none (all of everything).
        validation: What is only evaluated; patients must be others.
        curation: How the training part is thinned; None for not at all.
    """

    description: str = ""
    seed: int = 0
    samples: int | None = Field(default=None, ge=1)
    sources: tuple[Source, ...] = Field(min_length=1)
    validation: tuple[Source, ...] = ()
    curation: Curation | None = None

    @model_validator(mode="after")
    def _weights(self) -> "Mix":
        weighted = sum(source.weight is not None for source in self.sources)
        if weighted not in (0, len(self.sources)):
            raise ValueError("give all sources a weight, or none")
        if self.samples is not None and not weighted and len(self.sources) > 1:
            raise ValueError("'samples' needs a weight of each source")
        return self


@dataclass(frozen=True, slots=True)
class Resolved:
    """A mix with its examples.

    Attributes:
        name: Of the file. mix: What it says.
        train, validation: In the order of training.
        curated: What curation took away, by reason.
    """

    name: str
    mix: Mix
    train: list[Example]
    validation: list[Example]
    curated: dict[str, int]

    def summary(self) -> dict[str, Any]:
        """Return the mix with counts by part, dataset and task, and the hash of its examples."""
        return {
            "name": self.name,
            "mix": self.mix.model_dump(mode="json", exclude_defaults=True),
            "train": counts(self.train, _task),
            "validation": counts(self.validation, _task),
            "curated": self.curated,
            "sha256": digest([*self.train, *self.validation]),
        }


def mix_file(name: str) -> Path:
    """Return the file of a mix: one of ours by its name, or the user's own.

    Raises:
        InputError: There is none.
    """
    ours = sorted(path.stem for path in _FOLDER.glob("*.yaml"))
    path = _FOLDER / f"{name}.yaml" if name in ours else Path(name).expanduser()
    if not name or not path.is_file():
        raise InputError(
            f"there is no mix '{name}'; name a YAML file, or one of {', '.join(ours)}, by 'mix'"
        )
    return path


def read_mix(path: Path) -> Mix:
    """Read a mix file.

    Raises:
        InputError: It cannot be read, or says something that is not allowed; the message names
            the key.
    """
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"the mix {path} cannot be read: {said}") from error
    for part in ("sources", "validation"):
        _refuse_test(path, found.get(part) if isinstance(found, dict) else None)
    try:
        return Mix.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(key) for key in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            raise InputError(f"the mix {path} has the unknown key '{where}'; remove it") from error
        raise InputError(f"the mix {path}: {f'{where}: ' if where else ''}{why}") from error


def resolve(name: str) -> Resolved:
    """Return a mix with all its examples, checked: images are there, patients disjoint, no test.

    Raises:
        InputError: Something is missing, wrong or not allowed.
    """
    path = mix_file(name)
    mix = read_mix(path)
    loaded = [load_source(source) for source in mix.sources]
    train, curated = curate([example for part in loaded for example in part], mix.curation)
    chosen = _weigh(mix, _regrouped(loaded, train))
    validation = [
        example
        for source in mix.validation
        for example in _limited(load_source(source), source.limit, mix.seed)
    ]
    _refuse_leaks(path, chosen, validation)
    check_examples([*chosen, *validation], f"the mix {path}")
    return Resolved(path.stem, mix, chosen, validation, curated)


def digest(lines: Iterable[Example | Pair]) -> str:
    """Return the SHA-256 of examples in their order."""
    found = hashlib.sha256()
    for line in lines:
        found.update(line.model_dump_json().encode() + b"\n")
    return found.hexdigest()


def manifest_lines(lines: Iterable[Example | Pair]) -> list[str]:
    """Return the lines by which evaluations know the examples again; see `contamination`.

    Phantoms are named by patient, files by the item's fingerprint.
    """
    lines = list(lines)
    refs = [ref for line in lines for ref in line.images if isinstance(ref, PhantomRef)]
    patients = sorted({(ref.domain, ref.patient) for ref in refs})
    prints = {line.fingerprint for line in lines if isinstance(line, Example) and line.fingerprint}
    return [*manifest.lines_of(patients), *sorted(prints)]


def _refuse_test(path: Path, sources: Any) -> None:
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict) and source.get("split") == "test":
            raise InputError(
                f"the mix {path} asks for the test split of '{source.get('source')}', which is for "
                "evaluation alone; choose train or validation"
            )


def _refuse_leaks(path: Path, train: Sequence[Example], validation: Sequence[Example]) -> None:
    """Refuse test patients, and patients of both parts."""
    for example in [*train, *validation]:
        if of_test_split(example):
            raise InputError(
                f"the mix {path} holds '{example.id}' of the test patient {example.patient}, "
                "who is for evaluation alone; remove it"
            )
    both = {example.patient for example in train} & {example.patient for example in validation}
    if both:
        raise InputError(
            f"the mix {path} has the patient {min(both)} in training and in validation"
            f"{f' ({len(both)} patients)' if len(both) > 1 else ''}; a patient belongs to one"
        )


def _regrouped(loaded: Sequence[list[Example]], kept: Sequence[Example]) -> list[list[Example]]:
    """Return the kept examples by source; equal objects of two sources stay in both."""
    there = {id(example) for example in kept}
    return [[example for example in part if id(example) in there] for part in loaded]


def _weigh(mix: Mix, parts: list[list[Example]]) -> list[Example]:
    """Return the training part: shares by weight, in an order of the seed."""
    parts = [
        _limited(part, source.limit, mix.seed)
        for part, source in zip(parts, mix.sources, strict=True)
    ]
    weights = [source.weight for source in mix.sources]
    if all(weight is not None for weight in weights):
        whole = sum(weight or 0 for weight in weights)
        shares = [(weight or 0) / whole for weight in weights]
        most = min(len(part) / share for part, share in zip(parts, shares, strict=True))
        total = mix.samples if mix.samples is not None else most
        parts = [
            _drawn(part, round(total * share), mix.seed)
            for part, share in zip(parts, shares, strict=True)
        ]
    elif mix.samples is not None:
        parts = [_drawn(part, mix.samples, mix.seed) for part in parts]
    chosen = [example for part in parts for example in part]
    random.Random(mix.seed).shuffle(chosen)
    return chosen


def _limited(part: list[Example], limit: int | None, seed: int) -> list[Example]:
    return part if limit is None else _drawn(part, min(limit, len(part)), seed)


def _drawn(part: list[Example], number: int, seed: int) -> list[Example]:
    """Return so many: whole rounds through the part, then a sample without repeating."""
    if not part:
        return []
    rounds, rest = divmod(number, len(part))
    return part * rounds + random.Random(seed).sample(part, rest)


def _task(example: Example) -> str:
    return example.task


def counts(examples: Sequence[Line], task_of: Callable[[Line], str]) -> dict[str, Any]:
    """Return how many there are, of whom, and of which tasks, as a run folder notes them."""
    by_task = Counter((example.dataset, task_of(example)) for example in examples)
    return {
        "examples": len(examples),
        "distinct": len({(example.dataset, example.id) for example in examples}),
        "patients": len({example.patient for example in examples}),
        "images": len({_key(ref) for example in examples for ref in example.images}),
        "by_dataset_and_task": {
            f"{dataset}/{task}": number for (dataset, task), number in sorted(by_task.items())
        },
    }


def _key(ref: PhantomRef | FileRef) -> str:
    return json.dumps(ref.model_dump(mode="json"), sort_keys=True)
