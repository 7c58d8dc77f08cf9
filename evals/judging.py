"""The judge of a run: which answers it is asked about, and what becomes of its verdicts."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from overread.agent.threads import in_thread
from overread.evals.items import Item
from overread.evals.kept import Kept, key_of
from overread.evals.marking import Marks
from overread.evals.metrics.judge import Judge, Verdict
from overread.evals.patience import Patience, ServerGone
from overread.imaging.errors import OverreadError

JUDGE = "judge"
"""Name of its score: 1 for right, 0 for wrong."""

_JUDGED = ("open",)  # the rubric asks for one answer; a report is many statements
_VERSION = 1


class Judging:
    """Asks a judge, waits while it is away, and keeps its verdicts."""

    def __init__(self, judge: Judge, kept: Kept | None, patience: Patience) -> None:
        """Prepare; nothing is sent yet.

        Args:
            judge: To be asked; it is closed with this.
            kept: Earlier verdicts; None to ask afresh.
            patience: For its server. While it is away items stay open, as with a subject's server.
        """
        self._judge, self._kept, self._patience = judge, kept, patience

    @property
    def identity(self) -> Mapping[str, Any]:
        """Return what decides the verdicts."""
        return self._judge.identity

    def judges(self, item: Item) -> bool:
        """Whether the rubric suits the item."""
        return item.kind in _JUDGED

    async def add(self, item: Item, answer: str, marks: Marks, decides: bool) -> Marks:
        """Return marks with the judge's score, or with the reason why it has none.

        Args:
            item: That was answered.
            answer: In words.
            marks: By the metrics.
            decides: Whether the judge's score is the one that decides.

        Raises:
            ServerGone: The judge is away for good.
            OverreadError: There is no verdict, and it would have decided.
        """
        try:
            verdict = await self._verdict(item, answer)
        except ServerGone:
            raise
        except OverreadError as error:
            if decides:
                raise
            return marks._replace(failed_scores={JUDGE: str(error)})
        values = {**marks.values, JUDGE: float(verdict.correct)}
        return marks._replace(values=values, main=JUDGE if decides else marks.main)

    async def close(self) -> None:
        """Close the connections."""
        await self._judge.close()

    async def _verdict(self, item: Item, answer: str) -> Verdict:
        key = key_of(_VERSION, dict(self.identity), item.question, item.answers, answer)
        if self._kept is not None and (found := self._kept.get(key)) is not None:
            try:
                return Verdict.model_validate(found)
            except ValidationError:  # damaged: ask anew
                pass
        verdict = await self._patience.ask(
            lambda: self._judge.grade(item.question, item.answers, answer)
        )
        if (kept := self._kept) is not None:  # written through to the disk, which takes its time
            await in_thread(lambda: kept.put(key, verdict.model_dump()))
        return verdict
