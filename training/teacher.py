"""The written policy that the planner's first traces follow.

It knows a phantom's truth only to choose what to look at when a question is open; every answer is
worded from the evidence that the tools gave, so that the planner learns to report, not to guess.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from overread.agent.counts import counted
from overread.agent.feedback import NOT_ENOUGH
from overread.agent.steps import MAX_CALLS, Step, ToolCall
from overread.imaging.phantoms.truth import Phantom, Question
from overread.imaging.phantoms.words import SETTINGS, TERMS
from overread.imaging.vocabulary import DOMAINS
from overread.tools import phrases
from overread.tools.base import Evidence, Value
from overread.tools.phrases import number

ENLARGED_HEART = 0.5  # cardiothoracic ratio; Danzer 1919, as in radiology teaching
MIDLINE_SHIFT_MM = 3.0
_MODALITY = {"CR": "X-ray", "MR": "MRI", "CT": "CT", "US": "ultrasound"}


class NoAnswer(Exception):
    """The evidence that came back does not fit the plan; the trace is dropped."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to call, step by step, and how to word the answer from the evidence of those calls.

    Attributes:
        steps: Why, and the calls made together. Later steps see the earlier ones' evidence.
        answer: Takes all evidence of the question, in order (failed calls give None).
    """

    steps: tuple[tuple[str, tuple[ToolCall, ...]], ...]
    answer: Callable[[Sequence[Evidence | None]], str]


def _call(tool: str, **arguments: object) -> ToolCall:
    return ToolCall(tool=tool, arguments=arguments)


def _segment(target: str, image: int = 1) -> ToolCall:
    return _call("segment", image=image, target=target)


def _measure(target: str, quantity: str, reference: str = "", image: int = 1) -> ToolCall:
    arguments: dict[str, object] = {"image": image, "target": target, "quantity": quantity}
    if reference and quantity != "midline_shift":
        arguments["reference"] = reference
    return _call("measure", **arguments)


def _need(evidence: Evidence | None) -> Evidence:
    if evidence is None:
        raise NoAnswer
    return evidence


def _side(values: dict[str, Value]) -> str:
    return f" on the {values['patient_side']}" if values.get("patient_side") else ""


def _noun(domain: str, target: str) -> str:
    term = TERMS.get((domain, target))
    return term.noun if term else target


def _phrase(domain: str, target: str) -> str:
    term = TERMS.get((domain, target))
    return term.phrase if term else f"a {target}"


def plan(question: Question, phantom: Phantom, rng: np.random.Generator) -> Plan | None:
    """Return the plan for a phantom's question; None for questions the tools cannot serve."""
    kinds = {
        "presence": _presence,
        "side": _where,
        "location": _where,
        "size": _size,
        "count": _size,
        "ratio": _size,
        "modality": _what,
        "organ": _what,
        "compare": _compare,
    }
    make = kinds.get(question.content_type)
    return make(question, phantom, rng) if make else None


def _presence(question: Question, phantom: Phantom, rng: np.random.Generator) -> Plan:
    domain = phantom.domain
    if question.answer_type == "open":
        return _findings(phantom, rng)
    if question.quantity == "width_ratio":
        return Plan(
            (
                (
                    "Measure the heart against the thorax.",
                    (_measure("heart", "width_ratio", "thorax"),),
                ),
            ),
            _enlarged,
        )
    if question.quantity == "midline_shift":
        return Plan(
            (("Measure the midline shift.", (_measure("ventricles", "midline_shift"),)),), _shifted
        )
    noun, phrase = _noun(domain, question.target), _phrase(domain, question.target)

    def answer(evidence: Sequence[Evidence | None]) -> str:
        seen = _need(evidence[0])
        if seen.values["found"]:
            return f"Yes, there is {phrase}{_side(seen.values)} [{seen.id}]."
        return f"No, there is no {noun} [{seen.id}]."

    return Plan(((f"Look for {phrase}.", (_segment(question.target),)),), answer)


def _enlarged(evidence: Sequence[Evidence | None]) -> str:
    seen = _need(evidence[0])
    ratio = float(seen.values["value"] or 0)
    verdict = "Yes, the heart is enlarged" if ratio > ENLARGED_HEART else "No cardiomegaly"
    return f"{verdict}: the cardiothoracic ratio is {number(ratio)} [{seen.id}]."


def _shifted(evidence: Sequence[Evidence | None]) -> str:
    seen = _need(evidence[0])
    shift = float(seen.values["value"] or 0)
    verdict = "Yes, there is a" if shift >= MIDLINE_SHIFT_MM else "No relevant"
    return (
        f"{verdict} midline shift: it measures {number(shift)} {seen.values['unit']} [{seen.id}]."
    )


def _findings(phantom: Phantom, rng: np.random.Generator) -> Plan:
    """Look at what the picture suggests: its true findings, or what it most often could show."""
    calls = _survey(phantom)
    if len(calls) < MAX_CALLS and rng.random() < 0.35:
        calls = (*calls, _call("find_similar_cases", image=1))

    def answer(evidence: Sequence[Evidence | None]) -> str:
        return " ".join(_summary(phantom.domain, evidence))

    return Plan((("Check what looks abnormal.", calls),), answer)


def _survey(phantom: Phantom) -> tuple[ToolCall, ...]:
    """Check what is there, then what else could be, in the order of the vocabulary.

    Found and absent findings meet in one answer: a planner that never saw them mixed says that
    nothing is there when one of two is.
    """
    there = [finding.name for finding in phantom.findings]
    could_be = [name for name in DOMAINS[phantom.domain][1] if name not in there]
    calls = [_check(name) for name in (*there, *could_be)][:MAX_CALLS]
    return tuple(calls) or (_measure("nuclei", "count"),)


def _check(finding: str) -> ToolCall:
    if finding == "cardiomegaly":
        return _measure("heart", "width_ratio", "thorax")
    if finding == "midline shift":
        return _measure("ventricles", "midline_shift")
    return _segment(finding)


def _summary(domain: str, evidence: Sequence[Evidence | None]) -> list[str]:
    """Say each finding in a sentence, those that are absent at the end."""
    found: list[str] = []
    absent: list[str] = []
    for item in evidence:
        if item is None:
            raise NoAnswer
        values = item.values
        if item.tool == "segment" and values["found"]:
            text = f"{_noun(domain, str(values['target']))}{_side(values)} [{item.id}]."
            found.append(text[0].upper() + text[1:])
        elif item.tool == "segment":
            absent.append(f"No {_noun(domain, str(values['target']))} [{item.id}].")
        elif item.tool == "measure" and values["quantity"] == "count":
            found.append(f"The count of {values['target']} is {values['value']} [{item.id}].")
        elif item.tool == "measure":
            ratio = values["quantity"] == "width_ratio"
            limit = ENLARGED_HEART if ratio else MIDLINE_SHIFT_MM
            abnormal = float(values["value"] or 0) > limit
            name = "cardiomegaly" if ratio else "midline shift"
            amount = f"{number(float(values['value'] or 0))} {values['unit']}".strip()
            if abnormal:
                found.append(f"{name.capitalize()}, {amount} [{item.id}].")
            else:
                absent.append(f"No {name} ({amount}) [{item.id}].")
    if found:
        return [*found, *absent]
    cited = "".join(
        f"[{item.id}]" for item in evidence if item and item.tool != "find_similar_cases"
    )
    return [f"No abnormality was found {cited}.", *absent]


def _where(question: Question, phantom: Phantom, rng: np.random.Generator) -> Plan | None:
    if question.quantity == "midline_shift":

        def towards(evidence: Sequence[Evidence | None]) -> str:
            seen = _need(evidence[0])
            if not seen.values.get("towards"):
                raise NoAnswer
            return f"The midline is shifted to the {seen.values['towards']} [{seen.id}]."

        call = _measure("ventricles", "midline_shift")
        return Plan((("Measure the midline shift and its direction.", (call,)),), towards)
    noun = _noun(phantom.domain, question.target)

    def answer(evidence: Sequence[Evidence | None]) -> str:
        seen = _need(evidence[0])
        values = seen.values
        if not values["found"]:
            return f"No {noun} was found [{seen.id}]."
        side, within = values.get("patient_side"), f"{values['picture_position']} of the picture"
        if question.content_type == "location":
            if not values.get("place"):
                raise NoAnswer
            return f"{str(values['place']).capitalize()}: the {noun} is {within} [{seen.id}]."
        if not side:
            raise NoAnswer
        if question.target == "optic disc":
            return f"The {side} eye: the optic disc is {within} [{seen.id}]."
        return f"The {noun} is on the {side} [{seen.id}]."

    return Plan(((f"Find where the {noun} is.", (_segment(question.target),)),), answer)


def _size(question: Question, phantom: Phantom, rng: np.random.Generator) -> Plan:
    noun = _noun(phantom.domain, question.target)
    call = _measure(question.target, question.quantity, question.reference)
    names = {
        "long_axis": f"long axis of the {noun}",
        "area": f"area of the {noun}",
        "count": f"count of {TERMS[(phantom.domain, question.target)].plural}"
        if (phantom.domain, question.target) in TERMS
        else f"count of {question.target}",
        "width_ratio": "cardiothoracic ratio",
        "height_ratio": "cup-to-disc ratio",
        "midline_shift": "midline shift",
    }
    name = names[question.quantity]

    def answer(evidence: Sequence[Evidence | None]) -> str:
        if evidence[0] is None:
            seen = _need(evidence[-1])
            return f"No {noun} was found [{seen.id}], so it cannot be measured."
        seen = evidence[0]
        value = float(seen.values["value"] or 0)
        return f"The {name} is {number(value)} {seen.values['unit']}".rstrip() + f" [{seen.id}]."

    return Plan(((f"Measure the {name}.", (call,)),), answer)


def fallback(question: Question, image: int) -> tuple[str, tuple[ToolCall, ...]]:
    """Return the step that follows a measurement of something that was not found."""
    return "Make sure that it is absent.", (_segment(question.target, image),)


def _what(question: Question, phantom: Phantom, rng: np.random.Generator) -> Plan:
    """Modality and body part: from the file itself if it says, else from similar cases."""
    setting = SETTINGS[phantom.domain]
    asked_modality = question.content_type == "modality"

    def from_file(evidence: Sequence[Evidence | None]) -> str:
        facts = _need(evidence[0])
        if asked_modality:
            return f"{_MODALITY[str(facts.values['modality'])]} [{facts.id}]."
        return f"The {facts.values['body_part']} [{facts.id}]."

    def from_cases(evidence: Sequence[Evidence | None]) -> str:
        seen = _need(evidence[1])
        what = setting.modality if asked_modality else question.answer
        what = what[0].upper() + what[1:]
        return f"{what}: the most similar cases are of {seen.values['domain']} [{seen.id}]."

    if phantom.modality in _MODALITY:
        return Plan((), from_file)
    call = _call("find_similar_cases", image=1)
    return Plan((("The file does not say; compare with known cases.", (call,)),), from_cases)


def _compare(question: Question, phantom: Phantom, rng: np.random.Generator) -> Plan:
    noun = _noun(phantom.domain, question.target)
    calls = (_measure(question.target, "area"), _measure(question.target, "area", image=2))

    def answer(evidence: Sequence[Evidence | None]) -> str:
        now, prior = evidence[0], evidence[1]
        if now is not None and prior is not None:
            amount = [float(item.values["value"] or 0) for item in (now, prior)]
            ratio = (amount[0] / amount[1]) ** 0.5
            word = "Larger" if ratio > 1.1 else "Smaller" if ratio < 1 / 1.1 else "Unchanged"
            unit = now.values["unit"]
            return (
                f"{word}: the {noun} measures {number(amount[0])} {unit} now [{now.id}] and "
                f"{number(amount[1])} {unit} before [{prior.id}]."
            )
        absent = _need(evidence[-1])
        if now is not None:
            return phrases.came(noun, now.id, absent.id)
        if prior is not None:
            return phrases.went(noun, absent.id, prior.id)
        raise NoAnswer

    why = f"Measure the {noun} now and before."
    return Plan(((why, calls),), answer)


def report_plan(phantom: Phantom) -> Plan:
    """Look at the findings, draft the report, and give its impression."""
    calls = _survey(phantom)

    def answer(evidence: Sequence[Evidence | None]) -> str:
        draft = _need(evidence[-1])
        summary = " ".join(_summary(phantom.domain, evidence[:-1]))
        return f"A draft report is ready [{draft.id}]. {summary}"

    steps = (
        ("Gather findings for the report.", calls),
        ("Draft the report from the evidence.", (_call("generate_report", image=1),)),
    )
    return Plan(steps, answer)


def outline_plan(target: str, domain: str) -> Plan:
    """Outline a structure and give its size."""
    noun = _noun(domain, target)

    def answer(evidence: Sequence[Evidence | None]) -> str:
        seen = _need(evidence[0])
        values = seen.values
        if not values["found"]:
            return f"No {noun} was found [{seen.id}]."
        size = (
            f"{number(float(values['area_mm2'] or 0))} mm2"
            if "area_mm2" in values
            else f"{number(float(values['area_percent'] or 0))} % of the picture"
        )
        return f"The {noun} is outlined; its area is {size} [{seen.id}]."

    return Plan(((f"Outline the {noun}.", (_segment(target),)),), answer)


def similar_plan() -> Plan:
    """Show similar cases."""

    def answer(evidence: Sequence[Evidence | None]) -> str:
        seen = _need(evidence[0])
        counts = counted(seen)
        top = max(sorted(counts), key=lambda label: counts[label])
        total, domain = int(seen.values["total"] or 0), str(seen.values["domain"])
        return f"{phrases.neighbours(total, domain, top, counts[top])} [{seen.id}]."

    return Plan(
        (("Search the index for similar cases.", (_call("find_similar_cases", image=1),)),), answer
    )


def abstain_plan() -> Plan:
    """Say that the images cannot answer."""
    return Plan((), lambda evidence: NOT_ENOUGH)


def answer_step(text: str, calls_made: bool) -> Step:
    """Return the final step."""
    if text == NOT_ENOUGH:
        return Step(why="The images cannot answer this.", answer=text)
    why = "The evidence answers the question." if calls_made else "The file itself answers this."
    return Step(why=why, answer=text)
