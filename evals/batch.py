"""One command's worth of runs: a benchmark, some subjects, each in a folder of its own."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from overread.agent.config import Config
from overread.evals.benchmarks.loading import load
from overread.evals.benchmarks.prompts import prompt
from overread.evals.benchmarks.registry import spec as benchmark_spec
from overread.evals.contamination import check, manifests_beside
from overread.evals.items import Item, Kind
from overread.evals.judging import JUDGE, Judging
from overread.evals.kept import Kept
from overread.evals.metrics.judge import Judge, make_judge
from overread.evals.patience import LIMIT_S, Patience
from overread.evals.records import Record
from overread.evals.reply_cache import ReplyCache
from overread.evals.run_spec import RunSpec, surroundings
from overread.evals.runs import CONCURRENCY, Run, evaluate, refuse_second
from overread.evals.subjects.base import Subject
from overread.evals.subjects.factory import Items, ablations, make_subject, weight_folders
from overread.imaging.errors import InputError

POOL = 2000
"""Items of a training split that a baseline looks at, drawn with seed 0."""

_TRAIN = ("train", "training", "dev", "validation", "val")


class Request(BaseModel, frozen=True, extra="forbid"):
    """What is asked of `run_all`; JSON, so that other machines can be asked for a part of it.

    Attributes:
        benchmark, place, split, limit, seed: As `registry.load` takes them.
        subjects: As `make_subject` takes them.
        out: Folder; each subject has a folder below it.
        epochs: Times that each item is asked, each time with the next seed.
        resume: Go on with what is there.
        concurrency: Questions at the same time.
        engine: "ray" spreads the items over the machines of a Ray cluster.
        shards: Parts for "ray"; one a machine by default.
        fresh: Ask anew even what was answered before.
        training_manifest: More fingerprints of training items.
        allow_contaminated: Ask items that are in a training manifest, too.
        patience_s: Seconds that a server may be away.
        judge: URL#MODEL of who judges open answers, too.
    """

    benchmark: str
    place: str | None = None
    split: str | None = None
    limit: int | None = None
    seed: int = 0
    subjects: tuple[str, ...]
    out: Path
    epochs: int = 1
    resume: bool = False
    concurrency: int = CONCURRENCY
    engine: Literal["local", "ray"] = "local"
    shards: int | None = None
    fresh: bool = False
    training_manifest: Path | None = None
    allow_contaminated: bool = False
    patience_s: float = LIMIT_S
    judge: str | None = None


class Watch(Protocol):
    """Told how a batch goes on."""

    def started(self, subject: str, done: int, total: int) -> None:
        """A subject's turn begins."""

    def recorded(self, record: Record) -> None:
        """An item has its record."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A benchmark as it is asked.

    Attributes:
        items: In order.
        prompts: Wording by id.
        metrics: Kind of item to the score that decides.
        left_out: Rows that are no item, id to reason; they are recorded as failed.
        split: Which one.
        train: As in `Items`.
    """

    items: Sequence[Item]
    prompts: Mapping[str, str]
    metrics: Mapping[Kind, str]
    left_out: Mapping[str, str]
    split: str
    train: Callable[[], Sequence[Item] | None]


def with_ablations(subjects: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
    """Return the subjects, each agent followed by itself without each part.

    Raises:
        InputError: There is no agent among them, or no such part.
    """
    if not parts:
        return tuple(dict.fromkeys(subjects))
    if "agent" not in subjects:
        raise InputError("only the agent can be ablated; add --subject agent")
    found: list[str] = []
    for text in subjects:
        found += ablations(text, parts) if text == "agent" else [text]
    return tuple(dict.fromkeys(found))


def run_all(
    request: Request,
    config: Config,
    watch: Watch,
    start: Callable[[Config], object] | None = None,
) -> list[Run]:
    """Run every subject and return the runs, in their order.

    Args:
        request: What to run.
        config: Of planner, agent, index and data folder.
        watch: Told how it goes on.
        start: As in `make_subject`.

    Raises:
        InputError: The benchmark, a subject, the judge or the folder cannot be used, or items are
            contaminated.
        PlannerUnavailable: A server is away; what was recorded is kept.
    """
    judge = judge_of(request)
    loaded = load_benchmark(request, config)
    if judge is None and JUDGE in loaded.metrics.values():
        raise InputError(f"a judge decides in {request.benchmark}; add --judge URL#MODEL")
    if not loaded.items:
        raise InputError(f"the benchmark {request.benchmark} has no items in this split")
    folders = [request.out / slug(text) for text in request.subjects]
    for folder in folders:
        refuse_second(folder, request.resume)
    marks = [_check(text, loaded, request, config) for text in request.subjects]
    runs: list[Run] = []
    for text, folder, marked in zip(request.subjects, folders, marks, strict=True):
        runs.append(_run_one(request, text, loaded, config, folder, marked, watch, start))
    return runs


def load_benchmark(request: Request, config: Config) -> Loaded:
    """Load the items of a request.

    Raises:
        InputError: As `registry.load`.
    """
    work = config.data / "evals" / "benchmarks"
    found = load(
        request.benchmark, request.place, request.split, request.limit, request.seed, work,
        strict=False,
    )  # fmt: skip

    def train() -> Sequence[Item] | None:
        spec = benchmark_spec(request.benchmark)
        names = [name for name in _TRAIN if name in spec.splits and name != found.split]
        if not names:
            return None
        return load(request.benchmark, request.place, names[0], POOL, 0, work, strict=False).items

    prompts = {item.id: prompt(item, found.spec) for item in found.items}
    left_out = {row.id: row.reason for row in found.left_out}
    return Loaded(found.items, prompts, found.spec.metric, left_out, found.split, train)


def slug(subject: str) -> str:
    """Return a subject's folder name.

    >>> slug("endpoint:http://127.0.0.1:8000/v1#qwen"), slug("agent/no-tools")
    ('endpoint-http-127.0.0.1-8000-v1-qwen', 'agent-no-tools')
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")


def spec_of(request: Request, loaded: Loaded, subject: Subject, marked: "Marked") -> RunSpec:
    """Return what is noted of a run."""
    return RunSpec(
        benchmark=request.benchmark,
        place=request.place,
        split=loaded.split,
        limit=request.limit,
        seed=request.seed,
        epochs=request.epochs,
        subject=subject.name,
        identity=dict(subject.identity),
        items=len(loaded.items) + len(loaded.left_out),
        judge=judge.identity if (judge := judge_of(request)) else None,
        contaminated=marked.contaminated,
        manifests=marked.manifests,
        **surroundings(),
    )


def cache_of(request: Request, config: Config) -> ReplyCache | None:
    """Return where replies are kept, or None if all is to be asked anew."""
    return None if request.fresh else ReplyCache(_replies(config))


def _replies(config: Config) -> Path:
    """Return where what models replied is kept, a judge's verdicts too."""
    return config.data / "evals" / "replies"


def judge_of(request: Request) -> Judge | None:
    """Return the judge of a request, if it names one.

    Raises:
        InputError: It is not of the form URL#MODEL.
    """
    return make_judge(request.judge) if request.judge else None


def judging_of(request: Request, config: Config) -> Judging | None:
    """Return what asks the judge of a request in one run.

    Raises:
        InputError: As `judge_of`.
    """
    judge = judge_of(request)
    if judge is None:
        return None
    kept = None if request.fresh else Kept(_replies(config))
    return Judging(judge, kept, Patience(request.patience_s))


@dataclass(frozen=True, slots=True)
class Marked:
    """How many items are contaminated, by which manifests."""

    contaminated: int
    manifests: tuple[str, ...]


def _check(text: str, loaded: Loaded, request: Request, config: Config) -> Marked:
    manifests = manifests_beside(weight_folders(text, config))
    if request.training_manifest is not None:
        manifests.append(request.training_manifest)
    found = check(loaded.items, manifests, text, request.allow_contaminated)
    return Marked(len(found), tuple(str(path) for path in manifests))


def _run_one(
    request: Request,
    text: str,
    loaded: Loaded,
    config: Config,
    folder: Path,
    marked: Marked,
    watch: Watch,
    start: Callable[[Config], object] | None,
) -> Run:
    items = Items(loaded.items, loaded.train)
    subject = make_subject(text, config, items, concurrency=request.concurrency, start=start)
    spec = spec_of(request, loaded, subject, marked)
    common: dict[str, Any] = {
        "on_start": lambda done: watch.started(text, done, spec.items * spec.epochs),
        "on_record": watch.recorded,
    }
    if request.engine == "ray":
        from overread.evals.shards import evaluate_on_ray

        return evaluate_on_ray(request, text, spec, loaded, config, folder, **common)
    return evaluate(
        spec, loaded.items, loaded.prompts, subject, folder,
        resume=request.resume, concurrency=request.concurrency, cache=cache_of(request, config),
        judging=judging_of(request, config), patience_s=request.patience_s,
        left_out=loaded.left_out, metrics=loaded.metrics,
        **common,
    )  # fmt: skip
