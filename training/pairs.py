"""Build preference pairs by running a model on questions whose answers are known.

Each example is asked alone, with retrieved reports, with wrong reports and with a noised image; the
replies make pairs as `pair_kinds` says. What is done is journalled example by example: the same command
goes on after a kill, and the finished file is written whole.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overread.agent.locks import held
from overread.evals.items import Item
from overread.imaging.errors import ConfigError, InputError
from overread.training.asking import Asker, for_each
from overread.training.examples import Example, Pair, missing_images, of_test_split, write_lines
from overread.training.noise import STEPS, Noise
from overread.training.pair_context import ContextPool
from overread.training.pair_journal import Done, Head, PairJournal
from overread.training.pair_kinds import Said, pairs_of
from overread.training.trials import item_to_mark, try_example

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the pairs beside the model.

    Attributes:
        noise_step: Of the noised images, 0..999.
        seed: Of their noise.
        concurrency: Examples asked at the same time.
    """

    noise_step: int = STEPS - 1
    seed: int = 0
    concurrency: int = 8


@dataclass(frozen=True, slots=True)
class Built:
    """What a run came to.

    Attributes:
        out: The file of pairs.
        pairs: In it.
        kinds, splits: How many pairs of each.
        duplicates: Pairs left out because another says the same.
        skipped: Examples that cannot be marked right or wrong.
        outcomes: How often which reply was right, wrong or unreadable, by form.
    """

    out: Path
    pairs: int
    kinds: dict[str, int]
    splits: dict[str, int]
    duplicates: int
    skipped: int
    outcomes: dict[str, int] = field(default_factory=dict)


def build_pairs(
    examples: Sequence[Example],
    asker: Asker,
    pool: ContextPool | None,
    out: Path,
    settings: Settings,
    corrections: Sequence[Pair] = (),
    progress: Progress | None = None,
) -> Built:
    """Ask, or go on asking, and write the pairs.

    Args:
        examples: Of the training and validation splits; of one that is there twice the first.
        asker: The model to be aligned, or one like it.
        pool: Of reports; without it only 'look' pairs are made.
        out: JSON lines; the journal lies beside it.
        settings: Of noise and concurrency.
        corrections: Added to the pairs.
        progress: Called with the examples done and their total.

    Raises:
        InputError: An example is of the test split, a patient is in two splits, an image is not
            there, or the journal was begun with other settings.
        ConfigError: The files cannot be written.
        PlannerUnavailable: The model gave no reply; what is done is kept.
    """
    check_splits([*examples, *corrections])
    if missing := missing_images([*examples, *corrections]):
        raise InputError(
            f"{len(missing)} images of the examples are not there, for example {missing[0]}"
        )
    distinct = {_name(example): example for example in examples}.values()
    marked = [
        (example, item) for example in distinct if (item := item_to_mark(example)) is not None
    ]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    journal_path = out.with_name(f"{out.name}.journal")
    with held(
        out.with_name(f".{out.name}.lock"), f"another process builds {out}; choose another --out"
    ):
        journal = PairJournal(journal_path, _head(marked, asker, pool, settings))
        try:
            waiting = [row for row in marked if _name(row[0]) not in journal.done]
            run = _Run(asker, pool, settings, journal, progress, len(marked))
            asyncio.run(run.all(waiting))
            done = [journal.done[_name(example)] for example, _ in marked]
        finally:
            journal.close()
        made = [pair for entry in done for pair in entry.pairs]
        kept = without_duplicates([*made, *corrections])
        write_lines(out, kept)
    outcomes: Counter[str] = Counter()
    for entry in done:
        outcomes.update(entry.outcomes)
    return Built(
        out=out,
        pairs=len(kept),
        kinds=dict(sorted(Counter(pair.kind for pair in kept).items())),
        splits=dict(sorted(Counter(pair.split for pair in kept).items())),
        duplicates=len(made) + len(corrections) - len(kept),
        skipped=len(distinct) - len(marked),
        outcomes=dict(sorted(outcomes.items())),
    )


def check_splits(rows: Iterable[Example | Pair]) -> None:
    """Refuse what must never be learnt from.

    Raises:
        InputError: A row is of the test split, or a patient is in two splits.
    """
    splits: dict[tuple[str, str], str] = {}
    for row in rows:
        if of_test_split(row):
            raise InputError(
                f"{row.dataset}:{row.id} is of the test split, which is never learnt from; choose "
                "the splits train and validation"
            )
        if splits.setdefault((row.dataset, row.patient), row.split) != row.split:
            raise InputError(
                f"patient {row.patient} of {row.dataset} is in both the training and the validation "
                "split; keep each patient in one"
            )


def without_duplicates(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the first of pairs that say the same: prompt, images and both replies.

    A pair whose replies are the same words and whose images are the same is no pair; of the kind
    'look' the rejected side's image is noise, which is what such a pair is about.
    """
    seen: set[str] = set()
    kept: list[Pair] = []
    for pair in pairs:
        if pair.chosen.strip() == pair.rejected.strip() and pair.noise is None:
            continue
        facts = pair.model_dump_json(
            include={"messages", "images", "chosen", "rejected", "rejected_images"}
        )
        if facts not in seen:
            seen.add(facts)
            kept.append(pair)
    return kept


class _Run:
    """Asks the examples that are waiting."""

    def __init__(
        self,
        asker: Asker,
        pool: ContextPool | None,
        settings: Settings,
        journal: PairJournal,
        progress: Progress | None,
        total: int,
    ) -> None:
        self._asker, self._pool = asker, pool
        self._settings, self._journal = settings, journal
        self._progress, self._total = progress, total

    async def all(self, waiting: Sequence[tuple[Example, Item]]) -> None:
        """Ask a few at a time; the first failure ends the others, and what is done is kept."""

        async def work(row: tuple[Example, Item]) -> None:
            self._journal.append(await self._one(*row))
            if self._progress is not None:
                self._progress(len(self._journal.done), self._total)

        await for_each(waiting, work, self._settings.concurrency, self._asker)

    async def _one(self, example: Example, item: Item) -> Done:
        noise = Noise(step=self._settings.noise_step, seed=self._settings.seed)
        trial = await try_example(
            example, item, self._asker, self._pool, noise.of(_name(example)), freely=True
        )
        replies = {
            "alone": trial.alone, "helped": trial.helped,
            "misled": trial.misled, "blind": trial.blind,
        }  # fmt: skip
        outcomes = Counter(
            f"{trial.form.name}: {name} {_outcome(said)}" for name, said in replies.items() if said
        )
        return Done(example=_name(example), pairs=pairs_of(trial), outcomes=dict(outcomes))


def _outcome(said: Said) -> str:
    if said.score is None:
        return "unreadable"
    return "right" if said.right else "wrong" if said.wrong else "between"


def _name(example: Example) -> str:
    return f"{example.dataset}:{example.id}"


def _head(
    marked: Sequence[tuple[Example, Item]],
    asker: Asker,
    pool: ContextPool | None,
    settings: Settings,
) -> Head:
    digest = hashlib.sha256()
    for example, _ in marked:
        digest.update(example.model_dump_json().encode())
    return Head(
        model=asker.name,
        settings={
            "examples": digest.hexdigest()[:16],
            "reports": None if pool is None else pool.digest(),
            "noise_step": settings.noise_step,
            "seed": settings.seed,
        },
    )
