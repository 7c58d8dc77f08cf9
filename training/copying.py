"""How often a model copies what a context says against the image: measured before and after DPO.

    python -m overread.training.copying --model bundled --split validation --patients 300 \
        --out runs/copying/sft.json

Each question is asked alone, with the reports that the index retrieves, and, where it was right alone,
with reports of similar patients that give another answer.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from overread.agent.config import load_config
from overread.agent.serving import ensure_server
from overread.evals.items import Item
from overread.imaging.errors import InputError, OverreadError
from overread.imaging.files import ORDINARY, write_whole
from overread.index.embedder import load_embedder
from overread.training.asking import Asker, for_each, make_asker, shown
from overread.training.examples import Example
from overread.training.pair_context import ContextPool, open_pool, says_as
from overread.training.trials import item_to_mark, try_example

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exposure:
    """What became of one question's answer.

    Attributes:
        id: "dataset:id". patient: What intervals resample together.
        alone: Whether it is right without a context.
        retrieved: Whether it is right with the retrieved reports; None without any.
        wrong: Whether it is right with a wrong context; None where that was not asked.
        copied: Whether it then says what the wrong context says; None likewise.
    """

    id: str
    patient: str
    alone: bool
    retrieved: bool | None = None
    wrong: bool | None = None
    copied: bool | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its counts; the rate is None where nothing could be counted."""

    hits: int
    of: int

    @property
    def rate(self) -> float | None:
        """0..1."""
        return self.hits / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Copying:
    """The measures.

    Attributes:
        copied: Of the questions right alone that met a wrong context: those answered as it says.
        misled: Of the same: those answered wrongly in any way.
        over_reliance: Of the wrong answers with retrieved reports: those that were right alone.
            Source: RULE, arXiv:2407.05131, and MMed-RAG, arXiv:2410.13085, speak of it so.
        helped: Of the questions wrong alone: those right with retrieved reports.
        alone, retrieved: Right answers without and with retrieved reports, of the same questions.
    """

    copied: Share
    misled: Share
    over_reliance: Share
    helped: Share
    alone: Share
    retrieved: Share

    def shares(self) -> dict[str, Share]:
        """Return the measures by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def summarise(rows: Sequence[Exposure]) -> Copying:
    """Return the measures of some questions."""
    told = [row for row in rows if row.wrong is not None and row.alone]
    met = [row for row in rows if row.retrieved is not None]
    failed = [row for row in met if not row.retrieved]
    unknown = [row for row in met if not row.alone]
    return Copying(
        copied=Share(sum(bool(row.copied) for row in told), len(told)),
        misled=Share(sum(not row.wrong for row in told), len(told)),
        over_reliance=Share(sum(row.alone for row in failed), len(failed)),
        helped=Share(sum(bool(row.retrieved) for row in unknown), len(unknown)),
        alone=Share(sum(row.alone for row in met), len(met)),
        retrieved=Share(sum(bool(row.retrieved) for row in met), len(met)),
    )


def measure(
    examples: Sequence[Example],
    asker: Asker,
    pool: ContextPool,
    concurrency: int = 8,
    progress: Progress | None = None,
) -> list[Exposure]:
    """Ask, and return what became of each question that can be marked, in order.

    Args:
        examples: Of any split: nothing is learnt here.
        asker: The model; closed at the end.
        pool: Of training patients' reports.
        concurrency: Questions at the same time.
        progress: Called with the number done and their total.

    Raises:
        InputError: No example can be marked.
        PlannerUnavailable: The model gave no reply.
    """
    marked = [(example, item) for example in examples if (item := item_to_mark(example))]
    if not marked:
        raise InputError("none of the examples has an answer that is right or wrong")
    rows: dict[int, Exposure] = {}

    async def work(row: tuple[int, tuple[Example, Item]]) -> None:
        place, (example, item) = row
        trial = await try_example(example, item, asker, pool, None)
        misled, context = trial.misled, trial.wrong_context
        copied = None
        if misled is not None and context is not None:
            copied = not misled.right and says_as(item, context, misled.words or "")
        rows[place] = Exposure(
            id=f"{example.dataset}:{example.id}",
            patient=example.patient,
            alone=trial.alone.right,
            retrieved=None if trial.helped is None else trial.helped.right,
            wrong=None if misled is None else misled.right,
            copied=copied,
        )
        if progress is not None:
            progress(len(rows), len(marked))

    asyncio.run(for_each(enumerate(marked), work, concurrency, asker))
    return [rows[place] for place in range(len(marked))]


def table(found: Copying) -> Table:
    """Return the measures as counts and shares."""
    made = Table("questions", "of", "share")
    for name, share in found.shares().items():
        rate = "-" if share.rate is None else f"{100 * share.rate:.1f} %"
        made.add_row(name, f"{share.hits} of {share.of}", rate)
    return made


def main() -> int:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled", help="As of 'overread train pairs'.")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--reports", type=int, default=700, help="Patients of the contexts.")
    parser.add_argument("--task", choices=("direct", "agent"), default="agent")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/copying.json"))
    args = parser.parse_args()
    try:
        rows = _run(args)
    except OverreadError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    found = summarise(rows)
    measures = {
        name: {**asdict(share), "rate": share.rate} for name, share in found.shares().items()
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    told = {"model": args.model, "measures": measures, "rows": [asdict(row) for row in rows]}
    write_whole(args.out, json.dumps(told, indent=1), mode=ORDINARY)
    Console().print(table(found))
    return 0


def _run(args: argparse.Namespace) -> list[Exposure]:
    from overread.training.phantom_examples import phantom_examples

    config = load_config()
    examples = [
        example
        for example in phantom_examples(args.split, args.patients, config.data / "training")
        if (example.task == "tool_use") == (args.task == "agent")
    ]
    embedder = load_embedder(config.index.embedder)
    pool = open_pool(config.data / "training" / "reports", embedder, args.reports)
    with shown("questions") as progress:
        asker = make_asker(args.model, config, ensure_server)
        return measure(examples, asker, pool, args.concurrency, progress)


if __name__ == "__main__":
    raise SystemExit(main())
