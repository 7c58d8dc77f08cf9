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
from overread.agent.prompts import Message
from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.imaging.errors import ConfigError, InputError, NoUsableReply, OverreadError
from overread.training.asking import Asker
from overread.training.examples import Example, Pair, missing_images, open_image, write_lines
from overread.training.noise import STEPS, Noise, noised
from overread.training.pair_context import Context, ContextPool
from overread.training.pair_journal import Done, Head, PairJournal
from overread.training.pair_kinds import Said, Trial, mark, pairs_of
from overread.training.pair_prompts import Form
from overread.training.rewards.reference import item_of

MARKED = ("choice", "closed", "number", "open")
"""Kinds of answers that are right or wrong; a report is neither."""

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
    forms: Sequence[Form],
    pool: ContextPool | None,
    out: Path,
    settings: Settings,
    corrections: Sequence[Pair] = (),
    progress: Progress | None = None,
) -> Built:
    """Ask, or go on asking, and write the pairs.

    Args:
        examples: Of the training and validation splits.
        asker: The model to be aligned, or one like it.
        forms: Each example is asked in every one that it can be asked in.
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
    marked = [(example, item) for example in examples if (item := _item(example)) is not None]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    journal_path = out.with_name(f"{out.name}.journal")
    with held(
        out.with_name(f".{out.name}.lock"), f"another process builds {out}; choose another --out"
    ):
        journal = PairJournal(journal_path, _head(marked, asker, forms, pool, settings))
        try:
            waiting = [row for row in marked if _name(row[0]) not in journal.done]
            run = _Run(asker, forms, pool, settings, journal, progress, len(marked))
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
        skipped=len(examples) - len(marked),
        outcomes=dict(sorted(outcomes.items())),
    )


def check_splits(rows: Iterable[Example | Pair]) -> None:
    """Refuse what must never be learnt from.

    Raises:
        InputError: A row is of the test split, or a patient is in two splits.
    """
    splits: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.split == "test":
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
        forms: Sequence[Form],
        pool: ContextPool | None,
        settings: Settings,
        journal: PairJournal,
        progress: Progress | None,
        total: int,
    ) -> None:
        self._asker, self._forms, self._pool = asker, forms, pool
        self._settings, self._journal = settings, journal
        self._progress, self._total = progress, total

    async def all(self, waiting: Sequence[tuple[Example, Item]]) -> None:
        """Ask a few at a time; the first failure ends the others, and what is done is kept."""
        queue = iter(waiting)

        async def work() -> None:
            for example, item in queue:
                self._journal.append(await self._one(example, item))
                if self._progress is not None:
                    self._progress(len(self._journal.done), self._total)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._settings.concurrency, len(waiting))):
                    group.create_task(work())
        except* OverreadError as errors:
            raise errors.exceptions[0] from None
        finally:
            await self._asker.close()

    async def _one(self, example: Example, item: Item) -> Done:
        right = wrong = None
        if self._pool is not None and example.images:
            pool = self._pool
            right = await in_thread(lambda: pool.retrieved(example))
            wrong = await in_thread(lambda: pool.wrong(example, item))
        pairs: list[Pair] = []
        outcomes: Counter[str] = Counter()
        for form in self._forms:
            trial = await self._trial(example, item, form, right, wrong)
            if trial is None:
                continue
            pairs += pairs_of(trial)
            for name in ("alone", "helped", "misled", "blind"):
                said: Said | None = getattr(trial, name)
                if said is not None:
                    outcomes[f"{form.name}: {name} {_outcome(said)}"] += 1
        return Done(example=_name(example), pairs=pairs, outcomes=dict(outcomes))

    async def _trial(
        self, example: Example, item: Item, form: Form, right: Context | None, wrong: Context | None
    ) -> Trial | None:
        messages = form.prompt(example, None)
        if messages is None:
            return None
        alone = await self._ask(example, item, form, messages)
        helped = misled = blind = noise = None
        if right is not None and (told := form.prompt(example, right)) is not None:
            helped = await self._ask(example, item, form, told)
        if wrong is not None and alone.right and (told := form.prompt(example, wrong)) is not None:
            misled = await self._ask(example, item, form, told)
        if example.images:
            step = Noise(step=self._settings.noise_step, seed=self._settings.seed)
            noise = step.of(_name(example))
            asked = (helped or alone).messages
            blind = await self._ask(example, item, form, asked, noise)
        return Trial(example, item, form, alone, helped, misled, blind, noise)

    async def _ask(
        self,
        example: Example,
        item: Item,
        form: Form,
        messages: list[Message],
        noise: Noise | None = None,
    ) -> Said:
        pictures = await in_thread(lambda: [open_image(ref) for ref in example.images])
        if noise is not None:
            pictures = [noised(picture, noise) for picture in pictures]
        try:
            reply = await self._asker.reply(messages, pictures, form.name == "agent")
        except NoUsableReply:
            return Said(messages, "", None, None)
        return mark(item, form, messages, reply)


def _outcome(said: Said) -> str:
    if said.score is None:
        return "unreadable"
    return "right" if said.right else "wrong" if said.wrong else "between"


def _name(example: Example) -> str:
    return f"{example.dataset}:{example.id}"


def _item(example: Example) -> Item | None:
    """Return an example as it is marked; None where nothing says that an answer is wrong."""
    if not (example.reference.get("answers") or example.reference.get("answer")):
        return None
    item = item_of(example, "open")
    return item if item.kind in MARKED else None


def _head(
    marked: Sequence[tuple[Example, Item]],
    asker: Asker,
    forms: Sequence[Form],
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
            "forms": ", ".join(form.name for form in forms),
            "reports": None if pool is None else pool.digest(),
            "noise_step": settings.noise_step,
            "seed": settings.seed,
        },
    )
