"""Hold an answer against its evidence, by program. What fails is named, never mended silently."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from overread.agent import (
    changes,
    counts,
    course,
    drafts,
    kinds,
    language,
    limits,
    neighbours,
    places,
    polarity,
    topics,
)
from overread.agent.asked import beside_the_point, kind_asked, without_list
from overread.agent.language import Mention
from overread.agent.ledger import citations, cited
from overread.agent.quantities import agrees, measured, quantities
from overread.agent.terms import Term
from overread.tools.base import Evidence

_ABSTAINS = re.compile(
    r"\b(?:(?:not enough|insufficient|no sufficient|too little) (?:evidence|information)|"
    r"(?:cannot|can't|can not|could not) (?:be )?(?:say|said|tell|told|determined?|assess(?:ed)?|"
    r"answer(?:ed)?|decided?|judged?|measured?|confirm(?:ed)?|reliably|exclude[d]?)|unable to|"
    r"do(?:es)? not (?:know|decide|answer))\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:radiologist|physician|doctor|clinician|medical device|second opinion|qualified|"
    r"please|research|for diagnosis|consult|checked|double-check)\b",
    re.IGNORECASE,
)
_PIECES = re.compile(
    r"[;,]|\b(?:but|and|however|although|because|since|though|while)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence of an answer that its evidence does not bear.

    Attributes:
        sentence: As in the answer.
        reason: Without a full stop, e.g. "E2 did not find a nodule".
        instead: What its evidence bears in its place (place, side, verdict of a limit, impression), or "".
    """

    sentence: str
    reason: str
    instead: str = ""


def verify(answer: str, evidence: Sequence[Evidence], question: str = "") -> list[Problem]:
    """Return what is wrong with an answer; at most one problem a sentence, in order.

    Args:
        answer: Cites evidence as `[E2]`.
        evidence: All of the session.
        question: Read together with a leading yes or no; what is left of the answer must answer it.
    """
    said = language.sentences(answer)
    reasons = {sentence: _check(sentence, evidence, question) for sentence in said}
    left = [text for text in said if not reasons[text] and not _claims_nothing(text)]
    if left and (
        reason := _of_cases_alone(left, evidence, question)
        or _beside_the_point(" ".join(left), evidence, question)
        or neighbours.unsaid(" ".join(left), evidence, question)
    ):
        reasons |= dict.fromkeys(left, reason)
    if abstains(answer) and (
        reason := neighbours.unsaid(answer, evidence, question)
        or kinds.untold(answer, evidence, question)
        or course.unsaid(answer, evidence, question)
    ):
        reasons |= dict.fromkeys(said, reason)
    return [Problem(sentence, reason) for sentence in said if (reason := reasons[sentence])]


def mended(
    problems: Sequence[Problem], evidence: Sequence[Evidence], question: str = ""
) -> list[Problem]:
    """Return problems with what may stand in place of a sentence that misread its evidence.

    A planner that cites a tool and gives another place, the other side, the wrong side of a settled
    limit or the wrong one of two sizes, has misread it; the tool's own word can be put there, a draft's
    impression where findings are summed up, what similar cases show where they are asked for, and two
    sizes where it is asked what has changed. Taken only where it then passes.
    """
    result = []
    for problem in problems:
        candidates = [
            *places.mended(problem.sentence, evidence),
            *limits.verdicts(problem.sentence, evidence, question),
            *changes.mended(problem.sentence, evidence),
            *drafts.impression(problem.sentence, evidence, question),
            *neighbours.told(problem.sentence, evidence, question),
            *kinds.told(problem.sentence, evidence, question),
            *course.told(evidence, question),
        ]
        sound = (text for text in candidates if not verify(text, evidence, question))
        result.append(replace(problem, instead=next(sound, "")))
    return result


def without(answer: str, problems: Sequence[Problem]) -> str:
    """Return an answer with what failed mended or removed; "" when no claim is left.

    A lead ("Yes,") goes with its sentence. What remains without saying anything goes too.
    """
    if not problems:
        return answer
    instead = {problem.sentence: problem.instead for problem in problems}
    put = [instead.get(sentence, sentence) for sentence in language.sentences(answer)]
    kept = list(dict.fromkeys(sentence for sentence in put if sentence))
    return " ".join(kept) if any(not _claims_nothing(sentence) for sentence in kept) else ""


def claims(answer: str) -> list[str]:
    """Return the sentences of an answer that claim something: not abstention, not mere advice.

    >>> claims("There is a nodule [E2]. Please have a radiologist check this.")
    ['There is a nodule [E2].']
    """
    return [sentence for sentence in language.sentences(answer) if not _claims_nothing(sentence)]


def abstains(answer: str) -> bool:
    """Return whether an answer says that it has none, and claims nothing beside.

    >>> abstains("There is not enough evidence."), abstains("Yes [E2].")
    (True, False)
    """
    found = language.sentences(answer)
    return all(_claims_nothing(sentence) for sentence in found) and (
        not found or any(_ABSTAINS.search(sentence) for sentence in found)
    )


def _claims_nothing(sentence: str) -> bool:
    """Whether every piece of a sentence abstains or is mere advice."""
    text = language.spoken(sentence)
    if language.lead(sentence):
        return False
    pieces = [piece for piece in _PIECES.split(text) if piece.strip()]
    excused = False
    for piece in pieces:
        if _ABSTAINS.search(piece):
            excused = True
        elif language.mentions(piece) or quantities(piece) or language.sides(piece):
            return False
    return excused or bool(_ADVICE.search(text))


def _check(sentence: str, evidence: Sequence[Evidence], question: str) -> str | None:
    if _claims_nothing(sentence):
        return None
    names = citations(sentence)
    if not names:
        return "cites no evidence"
    known = {entry.id for entry in evidence}
    if unknown := [name for name in names if name not in known]:
        return f"cites {unknown[0]}, which does not exist"
    own = cited(sentence, evidence)
    intake = [entry for entry in evidence if entry.tool == "intake" and entry not in own]
    return (
        _check_numbers(sentence, own)
        or counts.miscounted(sentence, own)
        or counts.too_many(sentence, own)
        or neighbours.denied(sentence, own)
        or _check_mentions(sentence, own, intake)
        or places.check_sides(sentence, own)
        or places.check_position(sentence, own)
        or places.check_place(sentence, own)
        or _check_lead(sentence, own, question)
        or _check_kind(sentence, [*own, *intake], question)
        or changes.check(sentence, own, evidence)
        or _check_amount(sentence, own, question)
        or _check_topic(sentence, own, question)
        or _check_sweeping(sentence, own, evidence)
    )


def _check_numbers(sentence: str, own: Sequence[Evidence]) -> str | None:
    numbers = [number for entry in own for number in measured(entry)]
    for claim in quantities(language.spoken(sentence)):
        if not agrees(claim, numbers):
            unit = f" {claim.unit}" if claim.unit else ""
            where = ", ".join(entry.id for entry in own)
            limit = {"more": "more than ", "less": "less than ", None: ""}[claim.compared]
            return f"{limit}{claim.value:g}{unit} is not what {where} says"
    return None


def _check_mentions(
    sentence: str, own: Sequence[Evidence], intake: Sequence[Evidence]
) -> str | None:
    said = language.mentions(sentence)
    has_finding = any(mention.term.kind == "finding" for mention in said)
    of_others = polarity.speaks_of_others(sentence)
    for mention in said:
        usable = [entry for entry in own if polarity.concerns(entry, mention.image)]
        kind = mention.term.kind
        if kind == "finding":
            reason = _check_finding(mention, usable, of_others)
        elif has_finding:
            continue  # "a nodule in the left lung on the chest X-ray": the finding is the claim
        elif kind == "structure":
            reason = _check_structure(mention, usable)
        else:
            reason = polarity.check_kind(mention, [*usable, *intake])
        if reason:
            return reason
    return None


def _check_structure(mention: Mention, own: Sequence[Evidence]) -> str | None:
    if not polarity.named(mention.term, own):
        told = sorted(places.given_by(own))
        return _absent(mention.term.name, own) + (f"; it says {' and '.join(told)}" if told else "")
    stances = [polarity.stance(entry, mention.term, of_others=False) for entry in own]
    found = [stance.found for stance in stances if stance is not None]
    if found and not any(found) and not mention.negated:
        where = ", ".join(entry.id for entry in own)
        return f"{where} did not find {mention.term.name}"
    return None


def _check_finding(mention: Mention, own: Sequence[Evidence], of_others: bool) -> str | None:
    name = mention.term.name
    stances = [
        (entry, stance)
        for entry in own
        if (stance := polarity.stance(entry, mention.term, of_others)) is not None
    ]
    if not stances:
        return _absent(name, own)
    where = ", ".join(entry.id for entry, _ in stances)
    if not mention.negated:
        bearing = [(entry, stance) for entry, stance in stances if stance.found is not False]
        if not bearing:
            return f"{where} did not find {name}"
        given = [stance for _, stance in bearing if polarity.allows(stance, mention.sides)]
        if mention.sides and not given:
            told = sorted({side for _, stance in bearing for side in stance.sides})
            wrong = "the patient's " + " and ".join(told) if told else "no side"
            return f"{where} puts the {name} on {wrong}" if told else f"{where} gives no side"
        return None
    for entry, stance in stances:
        if stance.found and (not mention.sides or not stance.sides or stance.sides & mention.sides):
            return f"{entry.id} did find {name}"
    return None


def _check_lead(sentence: str, own: Sequence[Evidence], question: str) -> str | None:
    word = language.lead(sentence)
    if word is None:
        return None
    asked = [m for m in language.mentions(question) if m.term.kind == "finding"]
    said = [m for m in language.mentions(sentence) if m.term.kind == "finding"]
    for mention in asked[:1]:
        affirmed = (word == "yes") != mention.negated
        for other in said:
            same_side = other.sides == mention.sides or not other.sides or not mention.sides
            if other.term == mention.term and same_side and other.negated == affirmed:
                return f"begins with {word.capitalize()} but says the opposite"
        claim = Mention(mention.term, not affirmed, mention.sides, mention.image)
        usable = [entry for entry in own if polarity.concerns(entry, mention.image)]
        return _check_finding(claim, usable, of_others=False)
    for other in said[:1]:
        if other.negated == (word == "yes"):
            return f"begins with {word.capitalize()} but says the opposite"
    return None


def _check_kind(sentence: str, known: Sequence[Evidence], question: str) -> str | None:
    """Hold a yes or no to "Is this an MRI?" against what kind of image it is."""
    word, asked = language.lead(sentence), kind_asked(question)
    return (
        polarity.check_kind(replace(asked, negated=word == "no"), known) if word and asked else None
    )


def _of_cases_alone(left: Sequence[str], evidence: Sequence[Evidence], question: str) -> str | None:
    """Hold an answer that rests on similar cases alone against a question of what is in this image."""
    own = [entry for sentence in left for entry in cited(sentence, evidence)]
    of_image = bool(_things(question)) and not polarity.speaks_of_others(question)
    if own and of_image and all(map(polarity.is_of_cases, own)):
        return f"{', '.join(dict.fromkeys(entry.id for entry in own))} is of other cases"
    return None


def _beside_the_point(answer: str, evidence: Sequence[Evidence], question: str) -> str | None:
    if course.concerns(evidence, question):
        return course.unsaid(answer, evidence, question)
    return beside_the_point(question, answer)


def _things(question: str) -> list[Term]:
    """Return the findings and structures that a question names ("which body part" names none)."""
    terms = [mention.term for mention in language.mentions(without_list(question))]
    return [t for t in terms if t.kind in ("finding", "structure") and t.name != "body"]


def _check_amount(sentence: str, own: Sequence[Evidence], question: str) -> str | None:
    """Hold a bare number ("5 [E2].") against what the question wants the number of."""
    if language.mentions(sentence) or not quantities(language.spoken(sentence)):
        return None
    asked = _things(question)
    of_others = polarity.speaks_of_others(question)
    if not asked or any(polarity.bears_on(entry, asked, of_others) for entry in own):
        return None
    return _absent(asked[0].name, own)


def _check_topic(sentence: str, own: Sequence[Evidence], question: str) -> str | None:
    thing = topics.unspoken(sentence, own, question)
    if thing is None and topics.is_of_nothing(sentence, own):
        thing = "this"
    return _absent(thing, own) if thing else None


def _check_sweeping(
    sentence: str, own: Sequence[Evidence], evidence: Sequence[Evidence]
) -> str | None:
    """Hold "no abnormality" against all that was found in the image, not only what is cited."""
    images = {entry.arguments.get("image") for entry in own}
    others = [entry for entry in evidence if entry.arguments.get("image") in images]
    for mention in language.mentions(sentence):
        if mention.term.name == "abnormality" and mention.negated:
            return _check_finding(mention, others, polarity.speaks_of_others(sentence))
    return None


def _absent(name: str, own: Sequence[Evidence]) -> str:
    where = ", ".join(entry.id for entry in own) or "the cited evidence"
    return f"{where} says nothing of {name}"
