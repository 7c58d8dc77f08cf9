"""Word overlap of reports: BLEU-1 to BLEU-4, ROUGE-L and METEOR, on findings and impression alone.

Section labels are taken off both sides, as they would be counted as agreement. An empty report
scores 0 and stays in every mean. CIDEr is not here: it depends on the whole corpus.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from overread.evals.metrics.extract import cleaned, wrapped
from overread.evals.metrics.open_text import bleu, tokens

_LABELS = (
    "findings?|impressions?|conclusions?|technique|comparisons?|indications?|history|examination|"
    "exam|recommendations?|clinical information|procedure|similar cases|planner's own reading"
)
# "Findings:" at a beginning or after a sentence, or alone on a line, with Markdown's signs or not.
_LABEL = re.compile(
    rf"(?:(?:^|(?<=[.!?\s]))[ \t]*#*[ \t]*({_LABELS})[ \t]*:|^[ \t]*#*[ \t]*({_LABELS})[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_KEPT = {"finding": "findings", "impression": "impression", "conclusion": "impression"}
_BRACES = re.compile(r"^\{(.*)\}$", re.DOTALL)


def sections(report: str) -> dict[str, str]:
    """Return "findings" and "impression" of a report, each without its label; "" where absent.

    What stands before the first label is findings if no "Findings:" follows, so a report without
    labels is all findings. Other sections (indication, technique, comparison) are left out, as are
    citations and Markdown emphasis.

    >>> sections("**Findings:** Left effusion. Impression: {Effusion.}")
    {'findings': 'Left effusion.', 'impression': 'Effusion.'}
    """
    inner = wrapped(report)
    text = cleaned(report if inner is None else inner)
    labels = [
        found for found in _LABEL.finditer(text) if found.group(2) or _opens(text, found.start(1))
    ]
    found: dict[str, list[str]] = {"findings": [], "impression": []}
    ends = [*(label.start() for label in labels[1:]), len(text)]
    for label, end in zip(labels, ends, strict=False):
        name = (label.group(1) or label.group(2)).lower().rstrip("s")
        if name in _KEPT:
            body = " ".join(text[label.end() : end].split())
            found[_KEPT[name]].append(_BRACES.sub(r"\1", body).strip())
    if not found["findings"]:
        found["findings"] = [" ".join(text[: labels[0].start() if labels else None].split())]
    return {name: " ".join(filter(None, parts)) for name, parts in found.items()}


def body(report: str) -> str:
    """Return findings, then impression, as one text without labels.

    >>> body("Findings: Left effusion. Impression: Effusion.")
    'Left effusion. Effusion.'
    """
    return " ".join(filter(None, sections(report).values()))


def overlap_scores(candidate: str, references: Sequence[str]) -> dict[str, float]:
    """Return the word overlap of two reports by metric name, each 0..1.

    Args:
        candidate: With or without labels.
        references: At least one; the best counts, for BLEU all together.

    Returns:
        "bleu1" to "bleu4" (as `open_text.bleu`), "rouge_l" (F-measure of the longest common
        subsequence, no stemming; Lin, ACL workshop 2004) and "meteor_stem" (see `meteor_stem`).
    """
    said, true = body(candidate), [body(reference) for reference in references]
    scores = {f"bleu{order}": bleu(said, true, order) for order in range(1, 5)}
    rouge = _rouge().score_multi(true, said)["rougeL"].fmeasure if said else 0.0
    return scores | {"rouge_l": float(rouge), "meteor_stem": meteor_stem(said, true)}


def meteor_stem(candidate: str, references: Sequence[str]) -> float:
    """Return METEOR with its stages exact match and Porter stem; synonyms and paraphrases are off.

    The synonym stage needs WordNet's data, which no package carries; with it on some machines only,
    the same run would give two numbers. Hence the name of its own.
    Source: Lavie and Agarwal, WMT 2007 (alpha 0.9, beta 3, gamma 0.5), by NLTK.

    >>> round(meteor_stem("left effusions", ["left effusion"]), 4)
    0.9375
    """
    from nltk.translate.meteor_score import meteor_score

    true = [tokens(reference) for reference in references]
    return float(meteor_score(true, tokens(candidate), wordnet=_NoSynonyms()))


class _NoSynonyms:
    """Stands in for WordNet: no word has a synonym."""

    def synsets(self, word: str) -> list[object]:
        return []


def _opens(text: str, start: int) -> bool:
    """Return whether a label stands at the beginning of a line or right after a sentence."""
    before = text[:start].rstrip(" \t#*{")
    return not before or before[-1] in "\n.!?}:"


@lru_cache(maxsize=1)
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)
