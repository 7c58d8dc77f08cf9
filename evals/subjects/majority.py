"""The majority baseline: the most frequent answer to this type of question, images unseen."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from overread.evals.items import Item
from overread.evals.subjects.base import Reply
from overread.evals.subjects.pools import Pool, answer_text, say
from overread.imaging.errors import InputError


class MajoritySubject:
    """Counts answers in a pool; of equally frequent ones, the first in the alphabet."""

    def __init__(self, pool: Pool) -> None:
        """Count in `pool`."""
        self.name = "majority"
        self.identity: Mapping[str, Any] = {
            "kind": "majority", "pool": pool.name, "items": pool.digest(),
        }  # fmt: skip
        self._pool = pool

    async def answer(self, item: Item, prompt: str, seed: int) -> Reply:
        """As `Subject.answer`.

        Raises:
            InputError: The pool has no such question, and the item no options.
        """
        known = [answer_text(self._pool.items[place]) for place in self._pool.candidates(item)]
        return vote(item, Counter(known), "majority")

    async def close(self) -> None:
        """Nothing is held."""


def vote(item: Item, votes: Mapping[str, float], name: str) -> Reply:
    """Return the answer with most votes; its share is the confidence.

    Args:
        item: To be answered.
        votes: By answer in words. Answers that are not among a choice's options do not count. Where
            none counts, the first option is said, with no confidence.
        name: Of the baseline, for the message.

    Raises:
        InputError: There is no vote, and there are no options to guess from.
    """
    possible = {text: weight for text, weight in votes.items() if say(item, text) is not None}
    if not possible:
        guesses = item.letters if item.kind == "choice" else item.options
        if not guesses:
            raise InputError(
                f"the {name} baseline knows no answer to a question of kind '{item.kind}'"
            )
        return Reply(text=guesses[0], confidence=None)
    best = min(possible, key=lambda text: (-possible[text], text))
    total = sum(votes.values())  # 0 where no neighbour is in the least alike
    confidence = possible[best] / total if total else None
    return Reply(text=say(item, best) or "", confidence=confidence)
