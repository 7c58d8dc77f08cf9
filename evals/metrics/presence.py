"""What a statement answers to a yes/no question about something's presence."""

import re

from overread.agent import language

_PRESENCE = re.compile(
    r"^\W*(?:is|are|was|were)\s+there\b|\b(?:show|see|seen|present|visible|evident|demonstrate|have|"
    r"contain|identified)\b|^\W*(?:is|are|does|do)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:cannot|can't|can not|could not|unable|unclear|uncertain|not sure|insufficient|"
    r"impossible|not possible|don't know|do not know|indeterminate|not enough)\b",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"^\W*(?:there (?:is|are|was|were) )?(?:no|not any|without)(?: (?:evidence|signs?|indication) of)?\s+(.+)",
    re.IGNORECASE,
)
_STATES = re.compile(r"^\W*there (?:is|are|was|were) (?!no\b|not\b)(.+)", re.IGNORECASE)
_STOP = frozenset(
    [
        "there",
        "this",
        "that",
        "image",
        "picture",
        "patient",
        "seen",
        "present",
        "visible",
        "evident",
        "show",
        "shown",
        "shows",
        "evidence",
        "signs",
        "sign",
        "have",
        "does",
        "with",
        "from",
        "what",
        "which",
        "these",
        "those",
        "scan",
        "study",
    ]
)


def stated_presence(text: str, question: str) -> str | None:
    """Return "yes" or "no" where a statement plainly answers a question, else None.

    Clinical terms that question and statement share decide by their polarity; "normal" and
    "abnormal" are opposites. Else a sentence "(there is) no ..." or "there is ..." decides if it
    names a word of the question. Statements of not knowing, or in both directions, decide nothing.

    >>> stated_presence("The heart is normal.", "Is there a cardiac abnormality?")
    'no'
    >>> stated_presence("No abnormality.", "Is the chest normal?")
    'yes'
    >>> stated_presence("It cannot be determined.", "Is there a nodule?") is None
    True
    """
    if not _PRESENCE.search(question) or _UNSURE.search(text):
        return None
    asked = _polarities(question)
    told = _polarities(text)
    answers = {
        "yes" if told[name] == positive else "no"
        for name, positive in asked.items()
        if name in told
    }
    if not answers:
        answers = _by_words(text, question)
    return answers.pop() if len(answers) == 1 else None


def _polarities(text: str) -> dict[str, bool]:
    """Return findings and whether they are affirmed; "normality" is a denied abnormality.

    What is affirmed and denied in one text is left out.
    """
    said: dict[str, set[bool]] = {}
    for sentence in language.sentences(text):
        for mention in language.mentions(sentence):
            if mention.term.kind != "finding":
                continue
            opposite = mention.term.name == "normality"
            name = "abnormality" if opposite else mention.term.name
            said.setdefault(name, set()).add(mention.negated == opposite)
    return {name: values.pop() for name, values in said.items() if len(values) == 1}


def _by_words(text: str, question: str) -> set[str]:
    answers = set()
    asked = _content(question)
    for sentence in language.sentences(text):
        for pattern, answer in ((_DENIES, "no"), (_STATES, "yes")):
            found = pattern.match(sentence)
            if found and asked & _content(found.group(1)):
                answers.add(answer)
    return answers


def _content(text: str) -> set[str]:
    words = re.findall(r"[a-z]{4,}", text.lower())
    return {word.rstrip("s") for word in words if word not in _STOP}
