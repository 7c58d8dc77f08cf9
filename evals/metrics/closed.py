"""Closed questions: which letter, or which of few words, was chosen. Never guessed.

What cannot be read is None: wrong, and flagged as unparsed. Evaluators in use fail on plain
answers ("Option B", "B, because ..."), take the article "a" or the A of "DNA" for a letter, pick the
most similar option, or choose at random; each such case is a row in the tests.
"""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.evals.metrics.extract import after_markers, cleaned, wrapped
from overread.evals.metrics.presence import stated_presence

_BRACKETED = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_PUNCTUATION = re.compile(r"[^\w\s]|_")
_WORDS = {
    **dict.fromkeys(("yes", "yeah", "yep", "y", "true"), "yes"),
    **dict.fromkeys(("no", "nope", "n", "false"), "no"),
}
_YES_NO = frozenset({"yes", "no"})
# A letter that opens a text. "A" and "I" are words too: a sign, a verb or the end must follow.
_OPENING = re.compile(
    r"""^\W*(?:([A-Z])(?=[)\].:,;}"']|\s+[-\u2013]\s|\s*$|\s*\n|\s+(?:is|was|because|since|as)\b)"""
    r"|([a-z])(?=[)\].:]|\s*$))"
)
_NAMED_LETTER = re.compile(
    r"""\b(?:[Oo]ption|OPTION|[Cc]hoice|[Aa]nswer|[Ll]etter)\s*[(\["']?([A-Z])\b(?![-'])"""
    r"|[(\[]([A-Z])[)\]]|(?:^|\n)\s*([A-Z])[).:](?=\s|$)"
    r"|\b(?:I (?:would )?(?:say|think|choose|pick|select|go with)|is|be|shows?|suggests?|indicates?|"
    r"supports?|favou?rs|'s)(?: (?:most )?(?:likely|probably|clearly))? ([A-Z])(?=[.,;!]|\s*(?:$|\n))"
)
_AND_ANOTHER = re.compile(r"^\W*(?:or|and|nor|/|,|&)\W*(?:or\W+|and\W+|nor\W+)?[(\[]?[A-Z]\b(?!')")
_REJECTED = re.compile(
    r"^\W*(?:is|are|was|were|seems)\s+(?:not|incorrect|wrong|absent|unlikely|excluded|"
    r"ruled out|false)\b"
)
_NOT = re.compile(
    r"\b(?:not|nor|rather than|instead of|unlike|without|neither|isn't|no)\b", re.IGNORECASE
)
_CLAUSE_SIGN = re.compile(r"[,;:(\n]|\.(?!\d)")
_CLAUSE_END = re.compile(r"[.;!?\n]|,|\bbut\b|\bit is\b", re.IGNORECASE)
_SAID_NO = re.compile(r"\bno\b(?=\s*(?:$|[-,.:;!\n]))", re.IGNORECASE)
_SAID_YES = re.compile(r"\b(?:yes|yeah|yep)\b", re.IGNORECASE)
_OFFERED = re.compile(r"((?:[\w-]+, )*[\w-]+),? or (?:an? |the )?([\w-]+)", re.IGNORECASE)


def normalise(text: str) -> str:
    """Return a closed answer as the papers compare it.

    Lower case, without bracketed text, punctuation as spaces, synonyms of yes and no.
    Source: lmms-eval's SLAKE task; LLaVA-Med and MedEvalKit agree on plain words.

    >>> normalise("X-Ray (PA)."), normalise("Yep!")
    ('x ray', 'yes')
    """
    lowered = text.lower()
    for kept in (_BRACKETED.sub(" ", lowered), lowered):
        if words := " ".join(_PUNCTUATION.sub(" ", kept).split()):
            return _WORDS.get(words, words)
    return lowered.strip()


def same(left: str, right: str) -> bool:
    """Return whether two closed answers are the same after normalisation, spaces aside.

    >>> same("Xray", "x-ray")
    True
    """
    return normalise(left).replace(" ", "") == normalise(right).replace(" ", "")


def choice_letter(text: str, options: Sequence[str]) -> str | None:
    r"""Return the letter a text chooses, or None where it chooses none or several.

    Looked for, in this order: in ``\boxed{}`` or ``<answer>``; after the last marker ("the answer
    is"); at the beginning; "option B", "(B)" anywhere, if all agree; an option's own words, if one
    option alone is named and not denied.

    Args:
        text: Free text.
        options: In the order of their letters.

    >>> choice_letter("B, because of the T2 signal", ("cyst", "mass"))
    'B'
    >>> choice_letter("A nodule is seen in the DNA lab.", ("cyst", "mass")) is None
    True
    """
    inner = wrapped(text)
    if inner is not None:
        return _letter_in(cleaned(inner), options)
    text = cleaned(text)
    for piece in after_markers(text):
        if letter := _letter_in(piece, options):
            return letter
    return _letter_in(text, options)


def closed_option(text: str, options: Sequence[str], question: str = "") -> str | None:
    """Return the option a text gives as its answer, or None where that is not plain.

    Yes and no: an answer word ("Yes, ...", "... so no."), else what the text states about the thing
    the question asks for ("No evidence of effusion" answers "Is there an effusion?"). Other options:
    the same words; else the one option that is named and not denied.

    Args:
        text: Free text.
        options: The allowed answers.
        question: Lets a statement be read as yes or no.

    >>> closed_option("No evidence of effusion.", ("yes", "no"), "Is there an effusion?")
    'no'
    >>> closed_option("Normal.", ("yes", "no"), "Is there a fracture?") is None
    True
    """
    inner = wrapped(text)
    text = cleaned(text if inner is None else inner)
    by_name = {normalise(option): option for option in options}
    for piece in [*after_markers(text), text]:
        if found := _option_in(piece, by_name, question):
            return found
    bare = re.fullmatch(r"\W*([A-Z])\W*", text)
    place = ord(bare.group(1)) - ord("A") if bare else len(options)
    return options[place] if place < len(options) else None


def offered(question: str) -> tuple[str, ...]:
    """Return the alternatives that a question itself offers.

    >>> offered("Is this an axial or a coronal image?")
    ('axial', 'coronal')
    """
    found = _OFFERED.search(question)
    return (*found.group(1).split(", "), found.group(2)) if found else ()


def named_options(text: str, options: Sequence[str]) -> list[str]:
    """Return the options whose words a text says without denying them, each once, in order.

    Within a longer option a shorter one does not count ("left" in "left lung").

    >>> named_options("Not the liver but the left kidney.", ("liver", "left kidney", "kidney"))
    ['left kidney']
    """
    found: list[tuple[int, int, str]] = []
    for option in sorted(options, key=len, reverse=True):
        for match in re.finditer(rf"(?<!\w){_loose(option)}(?!\w)", text, re.IGNORECASE):
            if all(match.end() <= start or match.start() >= end for start, end, _ in found):
                found.append((match.start(), match.end(), option))
    kept = [
        option
        for start, end, option in sorted(found)
        if not _denied(text[:start]) and not _REJECTED.match(text[end:])
    ]
    return list(dict.fromkeys(kept))


def _loose(option: str) -> str:
    """Return a pattern of an option's words with any sign or space between them."""
    words = _PUNCTUATION.sub(" ", option).split()
    return r"[\W_]+".join(re.escape(word) for word in words) if words else re.escape(option)


def _denied(before: str) -> bool:
    """Return whether a denial stands between the beginning of the clause and its end here."""
    return _NOT.search(_CLAUSE_END.split(before)[-1]) is not None


def _letter_in(text: str, options: Sequence[str]) -> str | None:
    letters = {chr(ord("A") + place): option for place, option in enumerate(options)}
    whole = [letter for letter, option in letters.items() if same(text, option)]
    if len(whole) == 1 and len(text) > 1:
        return whole[0]
    opening = _OPENING.match(text)
    if opening and (letter := (opening.group(1) or opening.group(2)).upper()) in letters:
        return letter if _stands(letter, text, opening.start(), opening.end()) else None
    for letter, option in letters.items():
        if re.match(rf"\W*{letter}\s+{_loose(option)}(?!\w)", text, re.IGNORECASE):
            return letter
    said = set()
    for found in _NAMED_LETTER.finditer(text):
        letter = next(group for group in found.groups() if group)
        if letter in letters and _stands(letter, text, found.start(), found.end()):
            said.add(letter)
    if said:
        return said.pop() if len(said) == 1 else None
    named = [letter for letter, option in letters.items() if option in named_options(text, options)]
    return named[0] if len(named) == 1 else None


def _stands(letter: str, text: str, start: int, end: int) -> bool:
    """Return whether a letter is chosen: not denied, not one of several, not from a list of all."""
    rest = text[end:].lstrip(")]}\"'")
    following = rf"(?:^|[\s(]){chr(ord(letter) + 1)}[).:](?=\s)"
    return not (
        _denied(text[:start])
        or _AND_ANOTHER.match(rest)
        or _REJECTED.match(rest)
        or re.search(following, rest)
    )


def _option_in(text: str, by_name: dict[str, str], question: str) -> str | None:
    opening = _CLAUSE_SIGN.split(text, maxsplit=1)[0]
    for piece in (text, opening):
        if exact := next((name for name in by_name if same(piece, name)), None):
            return by_name[exact]
    if set(by_name) == _YES_NO:
        word = _yes_or_no(text, question)
        return by_name[word] if word else None
    named = named_options(text, list(by_name.values()))
    return named[0] if len(named) == 1 else None


def _yes_or_no(text: str, question: str) -> str | None:
    sentences = language.sentences(text)
    first = normalise(text).split(" ")[0] if text else ""
    if sentences and (lead := language.lead(sentences[0])):
        return lead
    if first in ("yeah", "yep", "true", "nope", "false"):
        return _WORDS[first]
    said = {"yes"} if _SAID_YES.search(text) else set()
    said |= {"no"} if _SAID_NO.search(text) else set()
    if said:
        return said.pop() if len(said) == 1 else None
    return stated_presence(text, question)
