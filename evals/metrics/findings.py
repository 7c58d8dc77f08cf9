"""Findings of a report by rules: what, on which side, present or absent; and their F1.

Runs everywhere, needs no model. The vocabulary and the reading of negations are the agent's own
(`overread.agent.terms`, `overread.agent.language`); added is what reports say and answers do not:
what has resolved, what is unchanged, what cannot be excluded, a heart of normal size. As in CheXbert's
commonest use, what is uncertain counts as present.
"""

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from overread.agent import language

Side = Literal["left", "right", ""]


class Finding(NamedTuple):
    """One statement. What lies on both sides is two statements."""

    name: str
    side: Side
    present: bool


class FindingScores(NamedTuple):
    """Agreement of two reports, 0..1 but for the count.

    Attributes:
        precision, recall, f1: Over statements: name, side and presence must agree.
        present_f1: Over the names of what is present, whatever the side; 1 where both reports name
            nothing present.
        sides: Share of the findings present in both whose sides agree; None if there is none.
        invented: How many findings the candidate says are present and the reference does not.
    """

    precision: float
    recall: float
    f1: float
    present_f1: float
    sides: float | None
    invented: int = 0


# Words of the vocabulary that say how something looks, not what it is.
_NO_FINDING = frozenset({"normality", "abnormality", "benign"})
_MIDLINE = frozenset({"cardiomegaly"})
_CHANGES = (
    # "no change in the effusion", "not changed" deny a change, not the finding.
    (r"\b(?:no|without)(?: (?:\w+ly|significant|relevant|interval|definite|obvious|other))* (?:change|increase|decrease|growth)s?\b(?: in| of)?", "unchanged"),
    (r"\bnot(?: \w+)? (?:changed|increased|decreased|enlarging)\b", "unchanged"),
    (r"\b(?:cannot|can not|can't|could not)(?: be)?(?: \w+ly)? (?:excluded?|ruled out|rule out)\b", "possibly"),
    (r"\bnot(?: \w+ly)? (?:excluded|ruled out)\b", "possible"),
    (r"\bclear of\b", "free of"),
    # A new noun phrase with its own degree ends a denial: "no nodule and small effusion".
    (r"(?:,| and|, and) (?=(?:a )?(?:small|mild|moderate|large|stable|unchanged|persistent) )", ". "),
)  # fmt: skip
_REWRITES = tuple((re.compile(found, re.IGNORECASE), words) for found, words in _CHANGES)
_RESOLVED = re.compile(
    r"\b(?:resolved|resolution of|no longer|has cleared|have cleared|disappeared|removal of)\b",
    re.IGNORECASE,
)
_ALL_RESOLVED = re.compile(
    r"\b(?:have|both)(?: \w+ly| now| since)? (?:resolved|cleared|disappeared)\b", re.IGNORECASE
)
_NORMAL_HEART = re.compile(
    r"\b(?:heart|cardiac|cardiomediastinal)\b(?!.*\b(?:not|abnormal|enlarged)\b)"
    r".*\b(?:normal|unremarkable|within normal limits)\b|\bnormal (?:heart|cardiac)\b",
    re.IGNORECASE,
)
_CLEAR_LUNGS = re.compile(
    r"\blungs?(?: fields?)? (?:is|are|remains?)(?: \w+ly)? clear(?! of)\b|\bclear lungs\b",
    re.IGNORECASE,
)
_PART = re.compile(r",|;|\band\b|\bor\b|\bwith\b|\bplus\b", re.IGNORECASE)


def extract(report: str, names: Collection[str] | None = None) -> frozenset[Finding]:
    """Return the statements of a report.

    What is said to be both present and absent, on the same side or denied without a side, counts
    as present; what is stated on a side is not also stated without one.

    Args:
        report: Its findings and impression, without other sections.
        names: Keep these findings only; all by default.

    >>> sorted(extract("Small left effusion. No pneumothorax."))
    [Finding(name='effusion', side='left', present=True), Finding(name='pneumothorax', side='', present=False)]
    """
    found: set[Finding] = set()
    for pattern, words in _REWRITES:
        report = pattern.sub(words, report)
    for sentence in language.sentences(report):
        for clause in language.clauses(sentence):
            found |= _in_clause(clause)
    if names is not None:
        found = {finding for finding in found if finding.name in names}
    return frozenset(_reconciled(found))


def compare(candidate: str, reference: str) -> FindingScores:
    """Return how far two reports state the same findings.

    An empty candidate scores 0 everywhere. Two reports without any statement agree fully.

    >>> compare("Left effusion.", "Right effusion. No nodule.").present_f1
    1.0
    """
    if not candidate.strip():
        return FindingScores(0.0, 0.0, 0.0, 0.0, None)
    said, true = extract(candidate), extract(reference)
    precision, recall, f1 = _agreement(said, true)
    said_there = {finding.name for finding in said if finding.present}
    true_there = {finding.name for finding in true if finding.present}
    both = said_there & true_there
    right = sum(_sides(said, name) == _sides(true, name) for name in both)
    return FindingScores(
        precision,
        recall,
        f1,
        _agreement(said_there, true_there)[2],
        right / len(both) if both else None,
        len(said_there - true_there),
    )


def _agreement(said: Collection[object], true: Collection[object]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of two sets; all 1 where both are empty."""
    if not said and not true:
        return 1.0, 1.0, 1.0
    shared = len(set(said) & set(true))
    if not shared:
        return 0.0, 0.0, 0.0
    precision, recall = shared / len(said), shared / len(true)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _sides(findings: frozenset[Finding], name: str) -> set[Side]:
    return {finding.side for finding in findings if finding.name == name and finding.present}


def _in_clause(clause: str) -> set[Finding]:
    mentions = [m for m in language.mentions(clause) if m.term.kind == "finding"]
    parts = _parts(clause)
    told = [(m, part) for part in parts for m in _findings_in(part)]
    # A part may read a term otherwise than the whole ("shift of the midline, and ..."): then the
    # clause as a whole decides.
    if [m.term for m, _ in told] != [m.term for m in mentions]:
        told = [(m, clause) for m in mentions]
    all_gone = _ALL_RESOLVED.search(clause) is not None
    found: set[Finding] = set()
    for (_, part), mention in zip(told, mentions, strict=True):
        name = mention.term.name
        if name in _NO_FINDING:
            continue
        gone = all_gone or _RESOLVED.search(part) is not None
        sides = _sides_near(part, parts, clause)
        if name in _MIDLINE or not sides:
            sides = frozenset({""})
        present = not (mention.negated or gone)
        found |= {Finding(name, side, present) for side in sides}  # type: ignore[arg-type]
    if _NORMAL_HEART.search(clause) and not any(f.name == "cardiomegaly" for f in found):
        found.add(Finding("cardiomegaly", "", False))
    if _CLEAR_LUNGS.search(clause):
        found.add(Finding("consolidation", "", False))
    return found


def _findings_in(text: str) -> list[language.Mention]:
    return [m for m in language.mentions(text) if m.term.kind == "finding"]


def _parts(clause: str) -> list[str]:
    """Split a clause so that each part names a finding; what names none joins the part before."""
    parts: list[str] = []
    for piece in _PART.split(clause):
        if parts and not (_findings_in(piece) and _findings_in(parts[-1])):
            parts[-1] = f"{parts[-1]}, {piece}"
        else:
            parts.append(piece)
    return parts


def _sides_near(part: str, parts: list[str], clause: str) -> frozenset[str]:
    """Return the sides of a part; where it has none, those of the last part before that has."""
    everywhere = language.sides(clause)
    if len(everywhere) < 2 or part not in parts:
        return everywhere
    for earlier in reversed(parts[: parts.index(part) + 1]):
        if near := language.sides(earlier):
            return near
    return frozenset()


def _reconciled(found: set[Finding]) -> set[Finding]:
    present = {finding.name for finding in found if finding.present}
    sided = {(finding.name, finding.present) for finding in found if finding.side}
    return {
        finding
        for finding in found
        if not (not finding.side and (finding.name, finding.present) in sided)
        and not (not finding.side and not finding.present and finding.name in present)
        and not (not finding.present and finding._replace(present=True) in found)
    }
