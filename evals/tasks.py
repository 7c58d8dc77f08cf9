"""An evaluation as an inspect_ai task: a sample an item, a solver that asks, a scorer that marks."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

from overread.agent.threads import in_thread
from overread.evals.items import Item, Kind
from overread.evals.journal import Journal, Key
from overread.evals.judging import JUDGE, Judging
from overread.evals.marking import Marks, mark
from overread.evals.patience import Patience, ServerGone
from overread.evals.records import Record
from overread.evals.reply_cache import ReplyCache, reply_key
from overread.evals.subjects.base import Reply, Subject
from overread.imaging.errors import ConfigError, OverreadError

logger = logging.getLogger(__name__)


@dataclass
class Asking:
    """What one run shares between its samples.

    Attributes:
        benchmark: Its name.
        subject: Who is asked.
        items: By id, in order.
        prompts: The wording of an item by its id.
        metrics: Kind of item to the score that decides, where it is not the usual one.
        seed: Of epoch 1; epoch n has seed + n - 1.
        journal: Where records go; what is in it is not asked again.
        cache: Of replies; None to ask afresh.
        patience: For servers that are away.
        on_record: Called after each record that was written.
        judging: Who judges open answers beside the metrics.
        fatal: What ended the run before its last item: server, disk or model are not there.
    """

    benchmark: str
    subject: Subject
    items: Mapping[str, Item]
    prompts: Mapping[str, str]
    metrics: Mapping[Kind, str]
    seed: int
    journal: Journal
    cache: ReplyCache | None
    patience: Patience
    on_record: Callable[[Record], None]
    judging: Judging | None = None
    fatal: OverreadError | None = None
    _outcomes: dict[Key, "_Outcome"] = field(default_factory=dict)

    async def ask(self, key: Key) -> "_Outcome":
        """Return a reply, or why there is none.

        Raises:
            ServerGone: The server is away for good; the item stays open.
            ConfigError: The subject cannot be asked at all.
        """
        began = time.perf_counter()
        try:
            reply, reason = await self._reply(key), ""
        except (ServerGone, ConfigError) as error:
            self.fatal = error
            raise
        except OverreadError as error:
            reply, reason = None, str(error)
        except Exception as error:  # a bug that one item brings out must not end the run
            logger.exception("item %s failed", key[0])
            reply, reason = None, _internal(error)
        outcome = _Outcome(reply, reason, time.perf_counter() - began)
        self._outcomes[key] = outcome
        return outcome

    async def record(self, key: Key) -> Record:
        """Mark the reply to an item and write the record.

        Raises:
            ServerGone: The judge is away for good; the item stays open.
            ConfigError: The disk is full or gone.
        """
        outcome = self._outcomes.pop(key)
        item = self.items[key[0]]
        marks, reason = Marks({}, ""), outcome.reason
        if outcome.reply is not None:
            try:
                marks = await self._mark(item, outcome.reply)
            except ServerGone as error:
                self.fatal = error
                raise
            except OverreadError as error:
                reason = str(error)
            except Exception as error:  # as above
                logger.exception("item %s could not be marked", key[0])
                reason = _internal(error)
        record = self._record(item, key[1], outcome, marks, reason)
        try:
            self.journal.append(record)
        except OverreadError as error:
            self.fatal = error
            raise
        self.on_record(record)
        return record

    async def _reply(self, key: Key) -> Reply:
        item, seed = self.items[key[0]], self.seed + key[1] - 1
        prompt = self.prompts[item.id]
        name = await in_thread(lambda: _key(self.subject, item, prompt, seed))
        if self.cache is not None and (kept := self.cache.get(name)) is not None:
            return kept
        reply = await self.patience.ask(lambda: self.subject.answer(item, prompt, seed))
        if (cache := self.cache) is not None:  # written through to the disk, which takes its time
            await in_thread(lambda: cache.put(name, reply))
        return reply

    async def _mark(self, item: Item, reply: Reply) -> Marks:
        metric = self.metrics.get(item.kind)
        if self.judging is None or not self.judging.judges(item):
            return await in_thread(lambda: mark(item, reply, metric))
        decides = metric == JUDGE
        marks = await in_thread(lambda: mark(item, reply, None if decides else metric))
        return await self.judging.add(item, reply.text, marks, decides)

    def _record(
        self, item: Item, epoch: int, outcome: "_Outcome", marks: Marks, reason: str
    ) -> Record:
        reply = outcome.reply or Reply("")
        return Record(
            benchmark=self.benchmark,
            subject=self.subject.name,
            item=item.id,
            epoch=epoch,
            status="failed" if reason else "scored",
            reason=reason,
            question=item.question,
            images=tuple(str(path) for path in item.images),
            reference=item.answers,
            options=item.options,
            answer=reply.text,
            parsed=marks.parsed,
            scores=dict(marks.values),
            main=marks.main,
            failed_scores=dict(marks.failed_scores),
            confidence=reply.confidence,
            abstained=reply.abstained,
            evidence=reply.evidence,
            calls=tuple(reply.detail.get("calls", ())),
            cluster=item.cluster,
            slices=dict(item.slices),
            fingerprint=_fingerprint(item),
            seconds=round(outcome.seconds, 3),
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    reply: Reply | None
    reason: str
    seconds: float


def build_task(asking: Asking, epochs: int) -> Task:
    """Return the task of a run.

    Items that are in the journal are samples too and take their record from there, so that
    inspect's last log of a run shows the whole of it.

    Args:
        asking: What the samples share.
        epochs: Times that each item is asked, each time with another seed.
    """
    samples = [_sample(item, asking.prompts[item.id]) for item in asking.items.values()]
    return Task(
        dataset=MemoryDataset(samples, name=asking.benchmark),
        solver=ask_subject(asking),
        scorer=mark_reply(asking),
        epochs=epochs,
        name=asking.benchmark,
        metadata={"subject": asking.subject.name},
    )


@solver
def ask_subject(asking: Asking) -> Solver:
    """Ask the subject unless the item is recorded."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        key = (str(state.sample_id), state.epoch)
        if key in asking.journal.records:
            state.output.completion = asking.journal.records[key].answer
            return state
        outcome = await asking.ask(key)
        state.output.completion = outcome.reply.text if outcome.reply else ""
        return state

    return solve


@scorer(metrics=[accuracy(), stderr()])
def mark_reply(asking: Asking) -> Scorer:
    """Mark the reply unless the item is recorded; a failed item counts as 0 and says so."""

    async def score(state: TaskState, target: Target) -> Score:
        key = (str(state.sample_id), state.epoch)
        record = asking.journal.records.get(key) or await asking.record(key)
        return Score(
            value=record.value,
            answer=record.answer,
            explanation=record.reason or None,
            metadata={"status": record.status, "main": record.main, "scores": record.scores},
        )

    return score


def _sample(item: Item, prompt: str) -> Sample:
    # The images are asked by the subject, not by inspect: its logs hold no picture of a patient.
    details: dict[str, Any] = {"kind": item.kind, "slices": dict(item.slices)}
    return Sample(id=item.id, input=prompt, target=list(item.answers), metadata=details)


def _key(subject: Subject, item: Item, prompt: str, seed: int) -> str:
    try:
        return reply_key(subject, item, prompt, seed)
    except OSError as error:
        raise OverreadError(
            f"an image of the item cannot be read: {error.filename} ({error.strerror})"
        ) from error


def _fingerprint(item: Item) -> str:
    try:
        return item.fingerprint()
    except OSError:  # the record says already that the image cannot be read
        return ""


def _internal(error: Exception) -> str:
    return f"internal error ({type(error).__name__}: {str(error)[:200]})"


def by_id(items: Sequence[Item]) -> dict[str, Item]:
    """Return items by id, in their order.

    Raises:
        OverreadError: Two items have one id.
    """
    found: dict[str, Item] = {}
    for item in items:
        if item.id in found:
            raise OverreadError(
                f"two items of the benchmark have the id '{item.id}'; make the ids unique"
            )
        found[item.id] = item
    return found
