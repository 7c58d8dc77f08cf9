"""Hold an answer against its evidence, by program. What fails is named, never repaired silently."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from overread.agent import language, polarity
from overread.agent.asked import beside_the_point
from overread.agent.language import Mention
from overread.agent.ledger import citations, cited
from overread.agent.quantities import agrees, measured, quantities
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
_POSITION = re.compile(
    r"\b(upper|lower|middle|cent(?:er|re|ral))?[ -]?(left|right)?(?: (?:part|half|side|corner))?"
    r" of the (?:picture|image)\b",
    re.IGNORECASE,
)
# Words that can only mean a place, which a tool must have given; and words that mean other things
# too, and are wrong only where a tool gave another one of them.
_PLACE = re.compile(
    r"\b(?:(?:upper|middle|lower) zone|(?:frontal|parietal|occipital|temporal) lobe|"
    r"(?:supero|infero)(?:nasal|temporal))\b",
    re.IGNORECASE,
)
_MAYBE_PLACE = re.compile(
    r"\b(?:anterior|posterior|superficial|deep|liver|left kidney|right kidney)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence of an answer that its evidence does not bear.

    Attributes:
        sentence: As in the answer.
        reason: Without a full stop, e.g. "E2 did not find a nodule".
    """

    sentence: str
    reason: str


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
    if left and (reason := beside_the_point(question, " ".join(left))):
        reasons |= dict.fromkeys(left, reason)
    return [Problem(sentence, reason) for sentence in said if (reason := reasons[sentence])]


def without(answer: str, problems: Sequence[Problem]) -> str:
    """Return an answer without the sentences that failed; "" when no claim is left.

    A lead ("Yes,") goes with its sentence. What remains without saying anything goes too.
    """
    bad = {problem.sentence for problem in problems}
    if not bad:
        return answer
    kept = [sentence for sentence in language.sentences(answer) if sentence not in bad]
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
        or polarity.miscounted(sentence, own)
        or _check_mentions(sentence, own, intake)
        or _check_sides(sentence, own)
        or _check_position(sentence, own)
        or _check_place(sentence, own)
        or _check_lead(sentence, own, question)
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
        places = sorted(_places(own))
        return _absent(mention, own) + (f"; it says {' and '.join(places)}" if places else "")
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
        return _absent(mention, own)
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


def _check_sides(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check sides said without a finding ("It is on the left [E2].")."""
    said = language.sides(language.spoken(sentence))
    if not said or any(m.term.kind == "finding" for m in language.mentions(sentence)):
        return None
    known = frozenset(side for entry in own for side in polarity.sides_of(entry))
    if missing := sorted(said - known):
        where = ", ".join(entry.id for entry in own)
        told = f"; it says {' and '.join(sorted(known))}" if known else ""
        return f"{where} does not say {missing[0]}{told}"
    return None


def _check_position(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check "upper left of the picture" against the place that a tool gave."""
    for found in _POSITION.finditer(language.spoken(sentence)):
        words = {word.lower()[:4] for word in found.groups() if word}
        places = [str(entry.values.get("picture_position") or "") for entry in own]
        given = [{word[:4] for word in place.lower().split()} for place in places if place]
        if words and not any(words <= place for place in given):
            where = ", ".join(entry.id for entry in own)
            return f"{where} does not place it at the {found.group().strip()}"
    return None


def _check_place(sentence: str, own: Sequence[Evidence]) -> str | None:
    """Check a zone, lobe, organ or quadrant against the place that a tool gave."""
    if any(m.negated for m in language.mentions(sentence) if m.term.kind == "finding"):
        return None
    spoken = language.spoken(sentence)
    given = _places(own)
    sure = {found.lower() for found in _PLACE.findall(spoken)}
    maybe = {found.lower() for found in _MAYBE_PLACE.findall(spoken)}
    wrong = sure - given
    if any(_MAYBE_PLACE.fullmatch(place) for place in given) and not maybe & given:
        wrong |= maybe
    if not wrong:
        return None
    where = ", ".join(entry.id for entry in own) or "the cited evidence"
    told = f"; it says {' and '.join(sorted(given))}" if given else ""
    return f"{where} does not say {min(wrong)}{told}"


def _places(own: Sequence[Evidence]) -> set[str]:
    return {str(entry.values["place"]) for entry in own if entry.values.get("place")}


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


def _absent(mention: Mention, own: Sequence[Evidence]) -> str:
    where = ", ".join(entry.id for entry in own) or "the cited evidence"
    return f"{where} says nothing of {mention.term.name}"
