"""What a claim says is there, in words that no list of terms holds: its evidence must use them too.

`terms` knows the findings that tools report and models like to say. Of anything else ("a platelet",
"a gallbladder") only grammar tells that it is claimed; a tool that never spoke of it bears nothing.
"""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.agent.asked import offered
from overread.agent.places import says_place
from overread.agent.polarity import named
from overread.agent.quantities import quantities
from overread.tools.base import Evidence
from overread.tools.segment import BASIS

_THING = r"((?:[\w'-]+ ){0,3}?[\w'-]+)"
_SEEN = "visible|present|absent|seen|shown|found|detected|annotated|marked|evident|identified"
_SHOW = "show|see|contain|have|find|demonstrate"
_END = (
    r"(?= (?:is|are|was|were|in|on|at|of|to|with|within|from|near|by|or|and|that|which|here|there|"
    rf"{_SEEN})\b|\s*[,.;:?!]|\s*$)"
)
_NUMBER = r"(?:one|two|three|\d+)"
_SOME = rf"(?:at least {_NUMBER}|more than {_NUMBER}|{_NUMBER} or more|any|an?|the|some)"
_SIGNS = r"(?:(?:evidence|signs?|suspicion|history|presence|features|findings?) of )?"
# What is said to lie behind what is seen.
_MEANS = (
    r"(?:consistent|compatible|in keeping) with|suspicious (?:for|of)|suspicion of|suggest(?:s|ing|ive of)?|"
    r"indicat(?:es?|ing|ive of)|due to|because of|caused by|secondary to|represents?|representing|means|"
    r"(?:most )?(?:likely|probably)|diagnos(?:is of|ed (?:with|as))"
)


def _patterns(*texts: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text, re.IGNORECASE) for text in texts)


_CLAIMED = _patterns(
    rf"\bthere (?:is|are|was|were) (?:no|not)? ?(?:{_SOME} )?{_SIGNS}{_THING}{_END}",
    rf"(?:^|[,;:] |\bwith )(?:no|without) (?:{_SOME} )?{_SIGNS}{_THING}{_END}",
    r"\b(?:count|number|area|length|width|height|volume|diameter|size) of (?:the )?"
    rf"{_THING}(?= (?:is|are|was|were)\b)",
    rf"\b(?:{_MEANS}) (?:an? |the )?{_THING}{_END}",
)
_ASKED = _patterns(
    rf"^\W*(?:is|are|was|were) there (?:{_SOME} )?{_SIGNS}{_THING}{_END}",
    rf"^\W*(?:is|are|was|were) {_SOME} {_SIGNS}{_THING} (?:{_SEEN})\b",
    rf"^\W*(?:does|do|can|could)\b[^?]*?\b(?:{_SHOW}) (?:{_SOME} )?{_SIGNS}{_THING}{_END}",
)
_COUNTED = _patterns(rf"\bhow many {_THING}{_END}", rf"\bnumber of {_THING}{_END}")
_SHORT = 3
# What is asked or said of every image, and stands for no thing in it.
_PLAIN = frozenset(
    {
        "abnormality", "answer", "anything", "be", "case", "change", "difference", "disease", "doubt",
        "evidence", "examination", "finding", "first", "image", "it", "neighbour", "not", "nothing",
        "one", "other", "pathology", "patient", "picture", "prior", "problem", "question", "region",
        "second", "side", "sign", "something", "study", "that", "the", "these", "this", "to", "what",
    }
)  # fmt: skip
# What shows evidence: a sentence of these alone ("See the outline") points to it, and claims nothing.
_POINTS = frozenset(
    {
        "below", "box", "contour", "draft", "drawing", "drawn", "listed", "marked", "mask", "outline",
        "outlined", "overlay", "report", "result", "segmentation", "segmenter", "tool", "written",
    }
)  # fmt: skip
# To share one of these with the evidence is to share nothing.
_EMPTY = _PLAIN | {
    "about", "absent", "also", "been", "before", "between", "both", "detected", "does", "found", "from", "have",
    "here", "identified", "likely", "none", "now", "present", "probably", "seem", "seen", "shown", "than", "there",
    "they", "visible", "were", "which", "with",
}  # fmt: skip


def unspoken(sentence: str, own: Sequence[Evidence], question: str) -> str | None:
    """Return the thing that a sentence claims and its evidence never speaks of; None if there is none.

    Args:
        sentence: Of an answer. A bare yes or no claims what the question asks about, a bare number
            so many of what it asks the number of, one of the alternatives that it offers that one.
        own: The evidence that it cites.
        question: As asked.

    >>> unspoken("Yes [E2].", [], "Is at least one platelet annotated in this smear?")
    'platelet'
    """
    text = language.spoken(sentence)
    things = [found[1] for pattern in _CLAIMED for found in pattern.finditer(text)]
    if language.lead(sentence):
        things += [found[1] for pattern in _ASKED for found in pattern.finditer(question)]
    if not language.mentions(text):
        if not things and quantities(text):
            things = [found[1] for pattern in _COUNTED for found in pattern.finditer(question)]
        said = set(_words(text))
        choices = [" ".join(words) for words in offered(question)]
        things += [choice for choice in choices if said & set(_words(choice))]
    strange = [
        thing
        for thing in things
        if not (_is_known(thing, own) or thing[0].isdigit() or _PLAIN & set(_words(thing)))
    ]
    if not strange:
        return None
    told = _told(own)
    return next((thing.lower() for thing in strange if not told & set(_words(thing))), None)


def _is_known(thing: str, own: Sequence[Evidence]) -> bool:
    """Whether a thing is a term that others check, or a structure that the evidence names."""
    terms = [mention.term for mention in language.mentions(thing)]
    return any(term.kind != "structure" or named(term, own) for term in terms)


def is_of_nothing(sentence: str, own: Sequence[Evidence]) -> bool:
    """Return whether a sentence has no word that its evidence uses, nor any that `language` can read.

    >>> is_of_nothing("Urgent surgery is needed [E2].", [])
    True
    >>> is_of_nothing("See the outline [E2].", [])
    False
    """
    text = language.spoken(sentence)
    readers = (language.mentions, language.sides, language.lead, quantities, says_place)
    if any(read(text) for read in readers):
        return False
    said = {word for word in _words(text) if len(word) > _SHORT} - _EMPTY
    return bool(said - _POINTS) and not said & _told(own)


def _told(own: Sequence[Evidence]) -> set[str]:
    """Return the words that tools used, in what they said and in values, what they quote included."""
    texts = [entry.content for entry in own]
    # What a confidence is of is no word on the image.
    values = [item for entry in own for item in entry.values.items() if item[0] != BASIS]
    texts += [f"{name} {value}" for name, value in values]
    return set(_words(" ".join(texts).replace("_", " ")))


def _words(text: str) -> list[str]:
    """Return words in lower case, without the s of a plural.

    >>> _words("Red blood cells")
    ['red', 'blood', 'cell']
    """
    return [word.removesuffix("s") for word in re.findall(r"[a-z][\w'-]+", text.lower())]
