"""One agent in several arms on the same questions, and an index of its own to ask."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from overread.agent.config import Config
from overread.agent.context import BuildTools
from overread.agent.resources import Resources
from overread.evals.benchmarks.prompts import prompt
from overread.evals.benchmarks.schema import Spec
from overread.evals.items import Item
from overread.evals.records import Record
from overread.evals.retrieval.agent import TracedAgent
from overread.evals.run_spec import RunSpec, surroundings
from overread.evals.runs import Run, evaluate
from overread.evals.subjects.factory import agent_identity
from overread.imaging.errors import InputError
from overread.index.ingest import build_index
from overread.index.store import CaseIndex
from overread.index.tuning import tune
from overread.tools.registry import build_tools

RETRIEVAL = "find_similar_cases"


@dataclass(frozen=True, slots=True)
class Arm:
    """A way in which the agent retrieves.

    Attributes:
        name: In tables, and of its folder.
        policy: Fields of `IndexConfig` that are set.
        without: As in `ablated`.
    """

    name: str
    policy: Mapping[str, Any] = field(default_factory=dict)
    without: str = ""


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked.

    Attributes:
        name: Of the set. items: Its questions. spec: Words their prompts, and says what decides.
    """

    name: str
    items: Sequence[Item]
    spec: Spec


def with_index(config: Config, manifests: Sequence[Path], folder: Path) -> Config:
    """Fill and tune an index below a folder; return a configuration that uses it alone.

    The cut is fitted on the index's own cases, as `overread index tune` does, where a domain has
    enough of them. The planner stays the one that is served for the given configuration. What is there is not
    embedded again.

    Args:
        config: The user's.
        manifests: Of the cases.
        folder: Data folder of the evaluation.

    Raises:
        InputError: A manifest cannot be read, or a file of it could not be indexed.
    """
    planner = config.planner.model_copy(update={"base_url": config.planner.url})
    embedded = config.index.model_copy(update={"url": None})
    ours = config.model_copy(update={"data_dir": folder, "planner": planner, "index": embedded})
    done, digest = folder / "indexed.json", _digest(manifests)
    if done.is_file() and json.loads(done.read_text()) == digest:
        return ours
    resources = Resources(ours)
    index = resources.make_index()
    for manifest in manifests:
        summary = build_index(manifest, index, resources.archive, resources.pseudonymiser)
        if summary.quarantined:
            first = summary.quarantined[0]
            raise InputError(f"{first.path} could not be indexed: {first.reason}")
    _tune(index, folder / "tuned.json")
    done.write_text(json.dumps(digest))
    return ours


def _tune(index: CaseIndex, noted: Path) -> None:
    """Fit the cut of each domain and note what came of it."""
    found = []
    for domain in index.domains():
        with suppress(InputError):  # too few cases: the default stays
            found.append(tuned := tune(index, domain))
            index.remember(domain, tuned.cut)
    noted.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n")


def run_arm(
    arm: Arm,
    questions: Questions,
    config: Config,
    folder: Path,
    concurrency: int,
    build: BuildTools = build_tools,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Run:
    """Ask what has no record yet in an arm's folder, and return the whole run.

    Args:
        arm: How to retrieve.
        questions: To be asked.
        config: From `with_index`.
        folder: Of all arms; each has one below it.
        concurrency: Questions at the same time.
        build: Makes the tools.
        on_record: Called after each record.

    Raises:
        InputError: The folder holds another run.
        PlannerUnavailable: The planner is away; the records so far are kept.
    """
    policy = config.index.model_copy(update=dict(arm.policy))
    chosen = config.model_copy(update={"index": policy})
    subject = TracedAgent(arm.name, chosen, agent_identity(chosen), arm.without, build)
    spec = RunSpec(
        benchmark=questions.name,
        limit=len(questions.items),
        subject=arm.name,
        identity=dict(subject.identity),
        items=len(questions.items),
        **surroundings(),
    )
    prompts = {item.id: prompt(item, questions.spec) for item in questions.items}
    return evaluate(
        spec, questions.items, prompts, subject, folder / arm.name,
        metrics=questions.spec.metric, resume=True, concurrency=concurrency, on_record=on_record,
    )  # fmt: skip


def run_arms(
    arms: Sequence[Arm], questions: Questions, config: Config, folder: Path, concurrency: int
) -> dict[str, Run]:
    """Ask all arms in turn; see `run_arm`."""
    runs = {}
    for arm in track(arms, questions.name, console=Console(stderr=True)):
        runs[arm.name] = run_arm(arm, questions, config, folder, concurrency)
    return runs


def has_retrieved(record: Record) -> bool:
    """Whether the agent got similar cases."""
    return any(entry["tool"] == RETRIEVAL for entry in record.evidence)


def _digest(manifests: Sequence[Path]) -> list[str]:
    return [hashlib.sha256(manifest.read_bytes()).hexdigest() for manifest in manifests]
