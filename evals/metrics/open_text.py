"""Open questions: words shared with the reference, and numbers within a tolerance."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from num2words import num2words

from overread.evals.metrics.closed import named_options
from overread.evals.metrics.extract import after_markers, cleaned, wrapped

NUMBER_TOLERANCE = 0.2  # relative; as the size questions of medical VQA are commonly marked
EXACT_COUNT = 10  # counts up to here must be exact, as nobody counts more at a glance
_ARTICLES = frozenset({"a", "an", "the"})
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:\d+)?|\d+[^\W_]+")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:\s*(mm2|mm²|cm2|cm²|mm|cm)\b|(?!\w))")
_NOT_A_VALUE = re.compile(r"\b(?:image|figure|series|slice)\s*\d+\b", re.IGNORECASE)
_NUMBER_WORDS = {num2words(number): float(number) for number in range(21)}
_WORD_NUMBER = re.compile(
    rf"\b({'|'.join(sorted(_NUMBER_WORDS, key=len, reverse=True))})\b", re.IGNORECASE
)
_ABSENT = re.compile(r"\b(?:no|none)\b", re.IGNORECASE)
_NOTHING = ("none", "normal", "no abnormality", "nothing abnormal")
_UNIT_FACTORS = {
    ("cm", "mm"): 10.0, ("mm", "cm"): 0.1, ("cm2", "mm2"): 100.0, ("mm2", "cm2"): 0.01,
}  # fmt: skip


class Overlap(NamedTuple):
    """Shares of tokens, each 0..1, in this order on purpose: one evaluator in use swaps them."""

    precision: float
    recall: float
    f1: float


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and articles.

    As in SQuAD's script, but a hyphen parts words and a decimal stays one token.
    Source: Rajpurkar et al., SQuAD, EMNLP 2016.

    >>> tokens("The left-sided nodule, 12.4 mm.")
    ['left', 'sided', 'nodule', '12.4', 'mm']
    """
    return [word for word in _TOKEN.findall(text.lower()) if word not in _ARTICLES]


def exact(answer: str, reference: str) -> bool:
    """Return whether two texts have the same words in the same order."""
    return tokens(answer) == tokens(reference) != []


def overlap(answer: str, reference: str) -> Overlap:
    """Return precision, recall and F1 of an answer's tokens, counted with repetition.

    Empty answers score 0.

    >>> overlap("left lung", "left upper lung")
    Overlap(precision=1.0, recall=0.6666666666666666, f1=0.8)
    """
    said, true = Counter(tokens(answer)), Counter(tokens(reference))
    shared = (said & true).total()
    if not shared:
        return Overlap(0.0, 0.0, 0.0)
    precision, recall = shared / said.total(), shared / true.total()
    return Overlap(precision, recall, 2 * precision * recall / (precision + recall))


def bleu(answer: str, references: Sequence[str], order: int = 1) -> float:
    """Return sentence BLEU up to n-grams of `order`, uniform weights, without smoothing.

    An answer without any n-gram of some order in common scores 0.
    Source: Papineni et al., ACL 2002; n-gram counts and brevity penalty from NLTK.

    Args:
        answer: Free text.
        references: At least one.
        order: 1 to 4.
    """
    from nltk.translate.bleu_score import brevity_penalty, closest_ref_length, modified_precision

    said, true = tokens(answer), [tokens(reference) for reference in references]
    product = 1.0
    for size in range(1, order + 1):
        product *= float(modified_precision(true, said, size)) if len(said) >= size else 0.0
    if not product:
        return 0.0
    penalty = brevity_penalty(closest_ref_length(iter(true), len(said)), len(said))
    return float(penalty * product ** (1 / order))


def number_in(text: str, unit: str = "", count: bool = False) -> float | None:
    """Return the number an answer gives: after "answer is", else the first one.

    "Image 2", "T1" and "[E3]" are no numbers. A length in cm is read in mm where `unit` says so.

    Args:
        text: Free text.
        unit: Of the reference: "mm", "mm2", "cm", "cm2" or "".
        count: Number words count ("two"), and "no" or "none" is 0.

    >>> number_in("Image 1 shows a nodule of 1.2 cm.", "mm")
    12.0
    >>> number_in("There are two nuclei.", count=True)
    2.0
    """
    inner = wrapped(text)
    text = cleaned(text if inner is None else inner)
    for piece in [*after_markers(text), text]:
        piece = _NOT_A_VALUE.sub(" ", piece)
        if found := _NUMBER.search(piece):
            written = re.match(r"-?[\d,.]*\d", found.group())
            said_unit = (found.group(1) or "").replace("²", "2")
            value = float(written.group().replace(",", "")) if written else 0.0
            return value * _UNIT_FACTORS.get((said_unit, unit), 1.0)
        if count and (word := _WORD_NUMBER.search(piece)):
            return _NUMBER_WORDS[word.group(1).lower()]
        if count and _ABSENT.search(piece):
            return 0.0
    return None


def number_is_right(
    said: float | None, true: float, tolerance: float = NUMBER_TOLERANCE, count: bool = False
) -> bool:
    """Return whether a number is near enough: relative, or exact for counts up to 10.

    >>> number_is_right(60, 50), number_is_right(5, 4, count=True)
    (True, False)
    """
    if said is None:
        return False
    if count and true <= EXACT_COUNT:
        return said == true
    # The slack is for decimals that binary fractions cannot hold, such as 0.6 against 0.5 * 1.2.
    return abs(said - true) <= tolerance * abs(true) + 1e-9


def names_all(answer: str, reference: str) -> bool:
    """Return whether an answer names, and does not deny, every part of a list "effusion, nodule".

    The reference "none" is met by saying that nothing is abnormal.

    >>> names_all("A nodule and an effusion.", "effusion, nodule")
    True
    >>> names_all("An effusion, but no nodule.", "effusion, nodule")
    False
    """
    text = cleaned(answer)
    if reference == "none":
        return bool(named_options(text, _NOTHING))
    parts = reference.split(", ")
    return set(named_options(text, parts)) == set(parts)
