"""Where examples come from: phantoms, agent traces, copies of public sets, users' corrections."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from overread.agent.config import load_config
from overread.agent.prompts import DIRECT_SYSTEM
from overread.evals.items import Item, Kind
from overread.imaging.errors import InputError
from overread.imaging.phantoms.seeds import Case
from overread.imaging.phantoms.truth import Split
from overread.training.corrections import read_corrections
from overread.training.examples import (
    Example,
    FileRef,
    Message,
    PhantomRef,
    as_parts,
    read_lines,
)
from overread.training.phantom_examples import phantom_examples
from overread.training.traces import IMAGE

QUESTION = "Question: {question}"

_TASK_OF: dict[Kind, str] = {
    "choice": "closed", "closed": "closed", "open": "open", "number": "measurement",
    "report": "report", "boxes": "grounding", "mask": "segmentation", "retrieval": "retrieval",
}  # fmt: skip


class Source(BaseModel, frozen=True, extra="forbid"):
    """One source of a mix, as its YAML says.

    Attributes:
        source: What kind it is; "examples" is a file of `overread.training.examples.Example`.
        name: What its examples are called in counts; by default kind or benchmark.
        split: Of the patients. The test split is for evaluation alone.
        path: File of traces, feedback or examples.
        benchmark, place: Name in the registry, and the folder of the copy.
        benchmark_split: As the benchmark calls it; `split` if None.
        patients: How many phantoms.
        task: Only examples of this task.
        weight: Share of the mix; see `overread.training.mixes.Mix`.
        limit: At most so many examples, drawn by the mix's seed.
        template: Words of a question: "{question}" and "{options}" are filled in.
        system: System prompt of questions.
        focus: Of traces: more of those that choose tools; see `focused`.
    """

    source: Literal["phantoms", "traces", "benchmark", "feedback", "examples"]
    name: str = ""
    split: Literal["train", "validation"] = "train"
    path: Path | None = None
    benchmark: str | None = None
    place: Path | None = None
    benchmark_split: str | None = None
    patients: int = Field(default=1000, ge=1)
    task: str | None = None
    weight: float | None = Field(default=None, gt=0)
    limit: int | None = Field(default=None, ge=1)
    template: str = QUESTION
    system: str = DIRECT_SYSTEM
    focus: bool = False

    @property
    def label(self) -> str:
        """What its examples are called in counts."""
        return self.name or self.benchmark or self.source


def load_source(source: Source) -> list[Example]:
    """Return all examples of a source, before weights and limits.

    Raises:
        InputError: A file or a copy is missing or wrong, or nothing is left.
    """
    examples = _LOADERS[source.source](source)
    if source.task is not None:
        tasks = sorted({example.task for example in examples})
        examples = [example for example in examples if example.task == source.task]
        if not examples:
            raise InputError(
                f"the source '{source.label}' has no task '{source.task}'; it has "
                f"{', '.join(tasks) or 'no examples'}"
            )
    if not examples:
        raise InputError(f"the source '{source.label}' has no examples")
    return examples


def focused(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a mix for learning to choose: sessions with tools, each also cut after its first step.

    Chats without tools, and sessions that the file's own facts answer, are thinned.
    """
    kept = []
    chats = facts = 0
    for line in lines:
        if "tools" not in line["messages"][0]["content"]:
            chats += 1
            kept += [line] if chats % 6 == 0 else []
        elif '"calls"' not in line["messages"][2]["content"]:
            facts += 1
            kept += [line] if facts % 4 == 0 else []
        else:
            kept += [line, {**line, "messages": line["messages"][:3], "learn": line["learn"][:1]}]
    return kept


def example_of_trace(line: dict[str, Any], name: str, split: Split) -> Example:
    """Return a line of `overread.training.traces` as an example."""
    as_png = "modality unknown" in json.dumps(line["messages"][1])
    images = [
        PhantomRef(domain=domain, patient=number, visit=visit, as_png=as_png)
        for domain, number, visit in (line["cases"][place] for place in _shown(line["messages"]))
    ]
    domain, number, _ = line["cases"][0]
    with_tools = "tools" in line["messages"][0]["content"]
    return Example(
        id=name,
        dataset="traces",
        task="tool_use" if with_tools else "chat",
        patient=Case(domain, number, 0, 0).patient_id,
        split=split,
        messages=as_parts(line["messages"]),
        images=list(images),
        learn=line["learn"],
    )


def _shown(messages: Sequence[Message]) -> list[int]:
    return [
        int(part["image_url"]["url"].removeprefix(IMAGE))
        for message in messages
        if not isinstance(message["content"], str)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def _phantoms(source: Source) -> list[Example]:
    cache = load_config().data / "training"
    examples = phantom_examples(source.split, source.patients, cache)
    if source.template == QUESTION and source.system == DIRECT_SYSTEM:
        return examples
    return [
        example if example.task == "tool_use" else _reworded(example, source)
        for example in examples
    ]


def _reworded(example: Example, source: Source) -> Example:
    question = example.messages[1]["content"][-1]["text"].removeprefix("Question: ")
    options = example.reference.get("options", ())
    asked = _asked(source, question, options, len(example.images))
    return example.model_copy(update={"messages": [*asked, example.messages[-1]]})


def _traces(source: Source) -> list[Example]:
    path = _path(source)
    try:
        lines = [json.loads(text) for text in _lines(path)]
        chosen = focused(lines) if source.focus else lines
        return [
            example_of_trace(line, f"{path.stem}-{number}", source.split)
            for number, line in enumerate(chosen)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds a line that is no trace: {error}") from error


def _benchmark(source: Source) -> list[Example]:
    from overread.evals.benchmarks.loading import load

    if source.benchmark is None:
        raise InputError("a source of kind 'benchmark' needs 'benchmark', a name in the registry")
    split = source.benchmark_split or source.split
    if "test" in split.lower():
        raise InputError(
            f"the source '{source.label}' asks for the split '{split}', which is for evaluation "
            "alone; choose a training split"
        )
    found = load(source.benchmark, source.place, split, limit=source.limit)
    return [_of_item(item, source) for item in found.items if item.answers]


def _of_item(item: Item, source: Source) -> Example:
    options = [
        f"{letter}. {text}" for letter, text in zip(item.letters, item.options, strict=True)
    ] if item.kind == "choice" else list(item.options)  # fmt: skip
    reference = {
        "kind": item.kind, "answers": list(item.answers), "options": list(item.options),
        "question": item.question, **item.extra,
    }  # fmt: skip
    asked = _asked(source, item.question, options, len(item.images))
    return Example(
        id=item.id,
        dataset=source.label,
        task=_TASK_OF[item.kind],
        patient=f"{source.label}:{item.cluster or item.id}",
        split=source.split,
        messages=[*asked, {"role": "assistant", "content": item.answers[0]}],
        images=[FileRef(path=path) for path in item.images],
        reference=reference,
        fingerprint=item.fingerprint(),
    )


def _feedback(source: Source) -> list[Example]:
    """Return what users who agreed say that answers should have been."""
    return [
        Example(
            id=pair.id,
            dataset=source.label,
            task="correction",
            patient=pair.patient,
            split=source.split,
            messages=[*pair.messages, {"role": "assistant", "content": pair.chosen}],
            images=pair.images,
            reference={"answers": [pair.chosen], "kind": "open"},
        )
        for pair in read_corrections(_path(source)).pairs
        if pair.split == source.split
    ]


def _examples(source: Source) -> list[Example]:
    return list(read_lines(_path(source), Example))


def _asked(source: Source, question: str, options: Sequence[str], images: int) -> list[Message]:
    try:
        text = source.template.format(question=question, options=", ".join(options))
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(
            f"the template of '{source.label}' asks for {error}; "
            "it may use {question} and {options}"
        ) from error
    parts: list[Message] = [{"type": "image"}] * images
    return [
        {"role": "system", "content": source.system},
        {"role": "user", "content": [*parts, {"type": "text", "text": text}]},
    ]


def _path(source: Source) -> Path:
    if source.path is None:
        raise InputError(f"the source '{source.label}' of kind '{source.source}' needs a 'path'")
    return source.path


def _lines(path: Path) -> list[str]:
    try:
        return [text for text in path.read_text("utf-8").splitlines() if text.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


_LOADERS: dict[str, Callable[[Source], list[Example]]] = {
    "phantoms": _phantoms,
    "traces": _traces,
    "benchmark": _benchmark,
    "feedback": _feedback,
    "examples": _examples,
}
