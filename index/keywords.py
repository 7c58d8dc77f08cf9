"""Words of a query: which are worth looking for, how Chroma finds them, how much a text's weigh."""

import math
import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_EMPTY_WORDS = frozenset(
    {"and", "any", "are", "for", "from", "has", "not", "the", "there", "this", "was", "were", "with"}
)  # fmt: skip
CANDIDATES = 512
"""Texts that are ranked by their words, at most."""


def keywords(text: str) -> list[str]:
    """Return the words of a query worth looking for, lower case, each once; short ones in capitals.

    >>> keywords("No effusion on the left; a CT")
    ['effusion', 'left', 'ct']
    """
    found = [word for word in _WORD.findall(text) if len(word) > 2 or word.isupper()]
    words = dict.fromkeys(word.lower() for word in found if len(word) > 1)
    return [word for word in words if word not in _EMPTY_WORDS]


def spelled(word: str) -> list[dict[str, str]]:
    """Chroma's `$contains` heeds case: ask for the word as it stands in a sentence or a heading."""
    return [{"$contains": form} for form in dict.fromkeys((word, word.capitalize(), word.upper()))]


def weigh(words: Sequence[str], texts: Sequence[str]) -> tuple[list[float], float]:
    """Return the weight of the words that each text has, and that of all words together.

    A word weighs more the fewer of the texts have it; it may go on in the text ("effusion" is in
    "effusions").

    Args:
        words: Lower case.
        texts: To be searched.
    """
    has = [
        [word for word in words if re.search(rf"\b{re.escape(word)}", text, re.IGNORECASE)]
        for text in texts
    ]
    frequency = Counter(word for there in has for word in there)
    weight = {word: math.log(1 + len(texts) / max(frequency[word], 1)) for word in words}
    return [sum(weight[word] for word in there) for there in has], sum(weight.values())
