"""The score of an answer in words, by the kind of its item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from overread.evals.items import Item
from overread.evals.metrics import findings, open_text
from overread.evals.metrics.closed import choice_letter, closed_option, normalise, offered, same
from overread.evals.metrics.extract import after_markers, cleaned, wrapped
from overread.evals.metrics.reports import body, overlap_scores
from overread.imaging.errors import InputError
from overread.imaging.vocabulary import DOMAINS

_YES_NO = ("yes", "no")
_KNOWN = frozenset(name for _, names in DOMAINS.values() for name in names)


@dataclass(frozen=True, slots=True)
class Scores:
    """What an answer is worth.

    Attributes:
        values: By metric name, each 0..1. "unparsed" is 1 where no answer could be read: such an
            answer is wrong, stays in the denominator, and can be counted.
        main: Which of `values` decides.
        parsed: The answer as it was read; None if unparsed.
    """

    values: Mapping[str, float]
    main: str
    parsed: str | None


def score_answer(item: Item, answer: str) -> Scores:
    """Score an answer in words.

    What an item may say in `extra`: for numbers "tolerance" (relative, 0.2 by default), "unit"
    ("mm") and "quantity" ("count": exact up to 10, number words allowed); for open questions
    "parts" (true: the reference is a list such as "effusion, nodule" or "none"; all of it must be
    named and no other finding; "parts" then decides).

    Args:
        item: Of kind "choice", "closed", "open", "number" or "report".
        answer: Free text; may be empty.

    Raises:
        InputError: The item is of another kind, or its reference does not fit its kind.
    """
    if item.kind not in _SCORERS:
        raise InputError(
            f"item '{item.id}' of kind '{item.kind}' is not answered in words; use its own metric."
        )
    if not item.answers:
        raise InputError(f"item '{item.id}' has no reference answer.")
    return _SCORERS[item.kind](item, answer)


def read_closed(item: Item, answer: str) -> str | None:
    """Return a closed answer as one of the item's options, None where that is not plain.

    Without options, those of a yes/no reference are known; else the question's own alternatives
    ("axial or coronal?") if the reference is one of them. Where none is known, the words count as
    they stand, after normalisation.
    """
    options = item.options
    if not options and all(normalise(reference) in _YES_NO for reference in item.answers):
        options = _YES_NO
    if not options:
        own = offered(item.question)
        options = own if any(same(item.answers[0], option) for option in own) else ()
    if options:
        return closed_option(answer, options, item.question)
    inner = wrapped(answer)
    text = cleaned(answer if inner is None else inner)
    return normalise((after_markers(text) or [text])[0]) or None


def _choice(item: Item, answer: str) -> Scores:
    if item.answers[0] not in item.letters:
        raise InputError(
            f"item '{item.id}': the reference '{item.answers[0]}' is not one of the letters of its "
            f"{len(item.options)} options."
        )
    return _marked(choice_letter(answer, item.options), lambda said: said in item.answers)


def _closed(item: Item, answer: str) -> Scores:
    return _marked(
        read_closed(item, answer), lambda said: any(same(said, true) for true in item.answers)
    )


def _number(item: Item, answer: str) -> Scores:
    count = item.extra.get("quantity") == "count"
    tolerance = float(item.extra.get("tolerance", open_text.NUMBER_TOLERANCE))
    try:
        references = [float(reference) for reference in item.answers]
    except ValueError as error:
        raise InputError(f"item '{item.id}': the reference {item.answers} is no number.") from error
    said = open_text.number_in(answer, str(item.extra.get("unit", "")), count)
    right = any(open_text.number_is_right(said, true, tolerance, count) for true in references)
    return _marked(None if said is None else f"{said:g}", lambda _: right)


def _marked(parsed: str | None, is_right: Callable[[str], bool]) -> Scores:
    accuracy = float(parsed is not None and is_right(parsed))
    values = {"accuracy": accuracy, "unparsed": float(parsed is None)}
    return Scores(values, "accuracy", parsed)


def _open(item: Item, answer: str) -> Scores:
    inner = wrapped(answer)
    said = cleaned(answer if inner is None else inner)
    best = max((open_text.overlap(said, true) for true in item.answers), key=lambda o: o.f1)
    values = {
        "exact": float(any(open_text.exact(said, true) for true in item.answers)),
        "token_precision": best.precision,
        "token_recall": max(open_text.overlap(said, true).recall for true in item.answers),
        "token_f1": best.f1,
        "bleu1": open_text.bleu(said, item.answers),
        "unparsed": float(not said),
    }
    if item.extra.get("parts"):
        values["parts"] = float(any(_names_only(said, true) for true in item.answers))
    return Scores(values, "parts" if "parts" in values else "token_f1", said or None)


def _names_only(said: str, reference: str) -> bool:
    """Return whether every part is named and no other finding of the vocabulary is affirmed.

    Else whoever lists all findings there are would always be right.
    """
    named = {finding.name for finding in findings.extract(said, _KNOWN) if finding.present}
    parts = set(reference.split(", "))
    others = named - parts if parts & {*_KNOWN, "none"} else set()
    return open_text.names_all(said, reference) and not others


def _report(item: Item, answer: str) -> Scores:
    said = body(answer)
    compared = [findings.compare(said, body(reference)) for reference in item.answers]
    best = max(compared, key=lambda scores: scores.f1)
    values = {
        "findings_f1": best.f1,
        "findings_precision": best.precision,
        "findings_recall": best.recall,
        "present_f1": best.present_f1,
        "invented": float(best.invented),
        **overlap_scores(answer, item.answers),
        "unparsed": float(not said),
    }
    if best.sides is not None:
        values["sides"] = best.sides
    return Scores(values, "findings_f1", said or None)


_SCORERS: dict[str, Callable[[Item, str], Scores]] = {
    "choice": _choice,
    "closed": _closed,
    "number": _number,
    "open": _open,
    "report": _report,
}
