"""The short texts that the terminal and the app share: a call, a time split, an answer's footer."""

import html
import re
from typing import Any

from overread.agent.answer import Answer, Usage
from overread.agent.ledger import cited, weakest
from overread.tools.base import Evidence
from overread.tools.limits import UNSURE, limit_of
from overread.tools.report_text import taken_in, view_of

_CITATION = re.compile(r"\\?\[(E[1-9][0-9]*)\\?\]")
_POWER = re.compile(r"\b(mm|cm)([23])\b")
_RAISED = {"2": "²", "3": "³"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#!|~^$])")


def call_text(arguments: dict[str, Any]) -> str:
    """Write a call's arguments for people.

    >>> call_text({"image": 1, "target": "nodule", "point": None})
    'image 1, nodule'
    """
    parts = []
    for name, value in arguments.items():
        if value is None or value == []:
            continue
        parts.append(str(value) if isinstance(value, str) else f"{name} {value}")
    return ", ".join(parts)


def told(evidence: Evidence) -> str:
    """Return what a tool said, with the error of what it measured where its words leave it out.

    The planner was trained on the words themselves, which write "mm2" and "1 findings".
    """
    said = evidence.content
    error, unit = evidence.values.get("error"), evidence.values.get("unit")
    if isinstance(error, int | float) and error and "±" not in said:
        spaced = f"± {error:g} {unit or ''}".rstrip().replace(" ", "\N{NO-BREAK SPACE}")
        said = f"{said} ({spaced})"
    said = _POWER.sub(lambda unit: f"{unit[1]}{_RAISED[unit[2]]}", said)
    return said.replace("with 1 findings", "with 1 finding")


def time_split(usage: Usage) -> str:
    """Say where the time went.

    >>> time_split(Usage(steps=2, tool_calls=1, seconds=3, model_seconds=2, tool_seconds=0.5))
    '3.0 s: planner 2.0 s in 2 steps, tools 0.5 s in 1 call, reading images 0.0 s, the rest 0.5 s'
    """
    rest = usage.seconds - usage.model_seconds - usage.tool_seconds - usage.intake_seconds
    return (
        f"{usage.seconds:.1f} s: planner {usage.model_seconds:.1f} s in {_count(usage.steps, 'step')}"
        f", tools {usage.tool_seconds:.1f} s in {_count(usage.tool_calls, 'call')}"
        f", reading images {usage.intake_seconds:.1f} s, the rest {max(0.0, rest):.1f} s"
    )


def caveats(answer: Answer) -> list[str]:
    """Say what a reader must know beside the answer: what it waits for, what was removed, what is unsure."""
    lines = []
    if answer.waiting == "clarify":
        lines.append("This is a question to you: reply to go on.")
    if answer.waiting == "sign_off":
        lines.append("This is a draft that awaits your sign-off.")
    for item in answer.removed:
        how = f"Mended to “{item.instead}”" if item.instead else "Removed"
        lines.append(f"{how}: “{item.sentence}” ({item.reason})")
    lines += _beyond_limits(answer)
    least = weakest(answer.text, answer.evidence)
    if least is not None and (least.confidence or 0.0) < UNSURE:
        lines.append(f"Unsure ({least.confidence:.0%}): look at {least.id} yourself.")
    return lines


def _beyond_limits(answer: Answer) -> list[str]:
    """Say why the limit of a cited measurement does not settle what it comes to in its image."""
    lines = []
    for entry in cited(answer.text, answer.evidence):
        limit = limit_of(entry.values)
        if limit is None or entry.image is None:
            continue
        view = view_of(taken_in(answer.evidence, entry.image))
        if obstacle := limit.obstacle(entry.values, view):
            lines.append(f"{limit.measure.capitalize()} ({entry.id}): {obstacle}.")
    return lines


def plain_markdown(text: str) -> str:
    r"""Escape a text so that Markdown shows it as it is: no links, pictures or HTML come alive.

    >>> plain_markdown("![x](http://host/a.png) <b>")
    '\\!\\[x\\]\\(http://host/a.png\\) &lt;b&gt;'
    """
    return _MARKDOWN.sub(r"\\\1", html.escape(text, quote=False))


def emphasise_citations(text: str, start: str, end: str) -> str:
    """Put marks around each citation.

    >>> emphasise_citations("Yes [E2].", "**", "**")
    'Yes **[E2]**.'
    """
    return _CITATION.sub(rf"{start}[\1]{end}", text)


def link_citations(text: str) -> str:
    r"""Make each citation of escaped Markdown a link to its evidence.

    >>> link_citations(r"Yes \[E2\].")
    'Yes [\\[E2\\]](#E2).'
    """
    return _CITATION.sub(r"[\[\1\]](#\1)", text)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
