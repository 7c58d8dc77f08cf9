"""What a drafted report says in the place of an answer that sums it up wrongly.

A draft is written by program from the findings. A planner that adds its own summary ("No abnormality
was found") and has misread them leaves the reader with "A draft report is ready" and no content, once
its sentence is removed; the draft's impression is the summary that it should have given.
"""

from collections.abc import Sequence

from overread.agent import language
from overread.agent.ledger import cited
from overread.tools.base import Evidence


def impression(sentence: str, evidence: Sequence[Evidence], question: str) -> list[str]:
    """Return a draft's impression, cited, for a sentence that sums up findings.

    It is the newest draft of the image that the sentence's evidence is of. Whoever uses it verifies it.

    Args:
        sentence: Of an answer.
        evidence: All of the session.
        question: One that asks for a finding by name is not answered by an impression.
    """
    drafts = [entry for entry in evidence if entry.tool == "generate_report"]
    images = {_image(entry) for entry in cited(sentence, evidence)} or {*map(_image, drafts)}
    own = [entry for entry in drafts if images == {_image(entry)}]
    summary = str(own[-1].values.get("impression") or "") if own else ""
    of_finding = any(mention.term.kind == "finding" for mention in language.mentions(question))
    sums_up = any(mention.term.kind == "finding" for mention in language.mentions(sentence))
    if not summary or of_finding or not sums_up:
        return []
    told = [text.rstrip(" .") for text in language.sentences(summary)]
    return [" ".join(f"{text} [{own[-1].id}]." for text in told)]


def _image(entry: Evidence) -> object:
    return entry.arguments.get("image")
