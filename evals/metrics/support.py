"""Whether what an answer says is borne by its evidence: hallucination, and quality of citations.

One claim is one sentence; abstention and mere advice claim nothing. The agent's own verifier holds
claims against evidence, so this measures what it can see: findings, structures, sides, numbers,
counts, positions, kinds of image, negation, and a yes or no read together with the question.

It sees whether the evidence says so, not whether it is so: a tool that is wrong bears a wrong
answer. Nor does it weigh evidence that says the contrary elsewhere. A sentence of words outside the
verifier's vocabulary ("aspergilloma") is unsupported where the evidence uses none of them, and
`unchecked`, neither supported nor hallucinated, where it uses one; without any evidence nothing
supports it. Evidence without `values` is judged by its words. A subject that was never given
tools has no evidence, and every claim of its answers is unsupported: read hallucination among
subjects that cite.

Source of the citation measures: Gao et al., Enabling large language models to generate text with
citations, EMNLP (2023), with the verifier in the place of the entailment model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from overread.agent import topics
from overread.agent.language import spoken
from overread.agent.ledger import citations, cited
from overread.agent.verifier import claims, verify
from overread.imaging.errors import InputError
from overread.tools.base import Evidence

_BLANK = Evidence(id="E1", tool="", arguments={}, content="", version="")
_READ = ("id", "tool", "arguments", "content", "version", "image", "values")


@dataclass(frozen=True, slots=True)
class Support:
    """What of an answer is borne by evidence. Counts, so that runs can be added up.

    Attributes:
        supported: Claims that some of the evidence bears, cited or not.
        unsupported: Claims that none bears.
        unchecked: Claims in which nothing can be checked.
        cited_well: Claims that are borne by what they cite.
        cited_badly: Claims that cite nothing, or nothing that bears them.
        citations: Made by checked claims; ids that do not exist included.
        bearing: Citations that bear their claim alone, or that it would not stand without.
    """

    supported: int
    unsupported: int
    unchecked: int
    cited_well: int
    cited_badly: int
    citations: int
    bearing: int

    @property
    def hallucination(self) -> float | None:
        """Return the share of checked claims without support; None if there are none."""
        return _share(self.unsupported, self.supported + self.unsupported)

    @property
    def citation_precision(self) -> float | None:
        """Return the share of citations that bear their claim; None if there are none."""
        return _share(self.bearing, self.citations)

    @property
    def citation_recall(self) -> float | None:
        """Return the share of claims borne by what they cite; None if there are none."""
        return _share(self.cited_well, self.cited_well + self.cited_badly)


def support(answer: str, evidence: Sequence[Mapping[str, Any]], question: str = "") -> Support:
    """Hold an answer against its evidence, claim by claim.

    Args:
        answer: Cites evidence as `[E2]`.
        evidence: As in `Record.evidence`: "id", "tool" and "content", better also "values" and
            "arguments" as the tool gave them.
        question: Read together with a leading yes or no.

    Raises:
        InputError: An entry of the evidence lacks a field, or an id comes twice.

    >>> found = {"id": "E1", "tool": "note", "content": "There is a nodule in the left lung."}
    >>> told = support("There is a nodule [E1]. There is an effusion.", [found])
    >>> told.hallucination, told.citation_precision, told.citation_recall
    (0.5, 1.0, 0.5)
    """
    entries = _entries(evidence)
    verdicts = [_judge(claim, entries, question) for claim in claims(answer)]
    totals = [sum(column) for column in zip(*verdicts, strict=True)] or [0] * 7
    return Support(*totals)


def _judge(claim: str, entries: Sequence[Evidence], question: str) -> tuple[int, ...]:
    """Return the seven counts of `Support` for one claim."""
    own = cited(claim, entries)
    intake = [entry for entry in entries if entry.tool == "intake"]

    def borne_by(some: Sequence[Evidence]) -> bool:
        return _passes(claim, some, intake, question)

    # What even empty evidence bears, and nothing denies, says nothing that can be checked. To share a
    # word with the evidence is enough for an answer to stand, but shows no support.
    vague = topics.is_of_nothing(claim, [_BLANK]) or _passes(claim, [_BLANK], [], question)
    if vague and borne_by(entries):
        return 0, 0, 1, 0, int(not own), 0, 0
    well = borne_by(own)
    supported = well or borne_by(entries) or any(borne_by([entry]) for entry in entries)
    bearing = 0
    for entry in own if well else ():
        others = [other for other in own if other is not entry]
        bearing += borne_by([entry]) or not borne_by(others)
    made = len(citations(claim))
    return int(supported), int(not supported), 0, int(well), int(not well), made, bearing


def _passes(
    claim: str, some: Sequence[Evidence], intake: Sequence[Evidence], question: str
) -> bool:
    """Whether a claim would pass the verifier if it cited just these; of none, nothing does.

    Facts of the file ("intake") need no citation, as in the verifier itself.
    """
    if not some:
        return False
    names = "".join(f"[{entry.id}]" for entry in some)
    known = [*some, *(entry for entry in intake if entry not in some)]
    return not verify(f"{spoken(claim)} {names}", known, question)


def _entries(evidence: Sequence[Mapping[str, Any]]) -> list[Evidence]:
    entries: list[Evidence] = []
    for place, entry in enumerate(evidence, 1):
        fields = {name: entry[name] for name in _READ if name in entry}
        try:
            entries.append(Evidence.model_validate({"arguments": {}, "version": ""} | fields))
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise InputError(
                f"entry {place} of the evidence has no usable {field}; give id, tool and content "
                "as the agent's answer holds them"
            ) from error
    ids = [entry.id for entry in entries]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise InputError(f"the evidence has {twice} twice; number it E1, E2, ...")
    return entries


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
