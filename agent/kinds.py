"""What kind of image it is, where the file does not say and similar cases do.

Whoever asks for the modality or the organ of a picture without a header, and is told that there is not
enough evidence beside five cases of one kind, is not told what was found.
"""

import re
from collections.abc import Sequence

from overread.agent import language
from overread.agent.asked import in_listed_words, kind_asked, offered
from overread.agent.ledger import citations
from overread.agent.neighbours import of_one_image
from overread.imaging.study import UNSTATED
from overread.index.domains import UNKNOWN
from overread.tools.base import Evidence

_ASKS = {
    "modality": re.compile(
        r"\b(?:which|what) (?:(?:imaging|image) )?(?:modality|technique)\b"
        r"|\bhow was (?:this|the) (?:image|picture) (?:made|acquired|taken|produced)\b",
        re.IGNORECASE,
    ),
    "body_part": re.compile(
        r"\b(?:which|what) (?:body (?:part|region)|organ|part of the body)\b", re.IGNORECASE
    ),
}


def untold(answer: str, evidence: Sequence[Evidence], question: str) -> str | None:
    """Return why an answer that abstains from telling the kind of an image withholds it.

    Args:
        answer: Says that there is not enough evidence.
        evidence: All of the session.
        question: As asked.
    """
    cases = _cases(evidence)
    if cases is None or not told(answer, evidence, question):
        return None
    return f"{cases.id} tells what kind of image the similar cases are"


def told(sentence: str, evidence: Sequence[Evidence], question: str) -> list[str]:
    """Return what similar cases tell of the kind of an image whose file is silent, cited.

    Only where it is an answer: a yes or no, or one of the alternatives that the question lists.
    Whoever uses it verifies it.

    Args:
        sentence: Of an answer; one that claims something is not in need of this.
        evidence: All of the session.
        question: As asked.
    """
    if citations(sentence):
        return []
    cases, asked = _cases(evidence), kind_asked(question)
    keys = [key for key, pattern in _ASKS.items() if pattern.search(question)]
    if asked is not None:
        keys = [asked.term.kind.replace(" ", "_")]
    if cases is None or len(keys) != 1 or keys[0] not in _ASKS or not _silent(evidence, keys[0]):
        return []
    text = f"the most similar cases are of {cases.values['domain']} [{cases.id}]."
    if asked is not None:
        kinds = {m.term for m in language.mentions(text) if m.term.kind == asked.term.kind}
        return [f"{'Yes' if asked.term in kinds else 'No'}: {text}"] if kinds else []
    text = text[0].upper() + text[1:]
    listed = in_listed_words(question, text)
    return [listed] if listed != text or not offered(question) else []


def _cases(evidence: Sequence[Evidence]) -> Evidence | None:
    """Return the cases of one domain that were found, in a session of one image."""
    found = [
        entry
        for entry in of_one_image(evidence)
        if entry.values.get("domain") not in (None, UNKNOWN)
    ]
    return found[-1] if found else None


def _silent(evidence: Sequence[Evidence], key: str) -> bool:
    """Whether the file does not tell: what it tells needs no cases."""
    intake = [entry for entry in evidence if entry.tool == "intake"]
    return bool(intake) and all(entry.values.get(key) in (UNSTATED, None, "") for entry in intake)
