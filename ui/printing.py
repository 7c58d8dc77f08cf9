"""A question on the terminal: the plan as it happens, the answer, the evidence, the files."""

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from overread.agent.answer import Answer
from overread.agent.events import (
    AnswerReady,
    Event,
    EvidenceAdded,
    Revising,
    SessionStarted,
    StepPlanned,
    ToolFinished,
    ToolStarted,
)
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Evidence
from overread.ui.terminal import RESEARCH_USE
from overread.ui.wording import call_text, caveats, emphasise_citations, time_split, told


def print_question(
    events: Iterator[Event], console: Console, artifacts: ArtifactStore
) -> tuple[Answer, float]:
    """Print a question as it is answered.

    Returns:
        The answer, and the seconds from the call to the first event.
    """
    began = time.perf_counter()
    first = None
    answer = None
    for event in events:
        first = time.perf_counter() - began if first is None else first
        print_event(event, console)
        if isinstance(event, AnswerReady):
            answer = event.answer
    assert answer is not None and first is not None, "the agent ends every question with an answer"
    print_answer(answer, console, artifacts)
    console.print(f"[dim]First event after {first:.2f} s.[/]")
    console.print(f"[yellow]{RESEARCH_USE}[/]")
    return answer, first


def print_event(event: Event, console: Console) -> None:
    """Print one event; tokens are left out, because the verifier may still change the answer."""
    match event:
        case SessionStarted():
            resumed = ", resumed where it stopped" if event.resumed else ""
            console.print(f"[dim]session {event.session}{resumed}[/]")
        case EvidenceAdded():
            _print_said(event.evidence, console)
        case StepPlanned():
            names = ", ".join(tool for tool, _ in event.calls) or "answer"
            why = f"  {escape(event.why)}" if event.why else ""
            console.print(
                f"[bold]{event.number}. {names}[/]{why} [dim]planned in {event.seconds:.2f} s[/]"
            )
        case ToolStarted():
            console.print(f"   → {event.tool}({escape(call_text(event.arguments))})")
        case ToolFinished():
            if event.evidence is not None:
                _print_said(event.evidence, console, event.seconds)
            else:
                console.print(f"   [red]no result:[/] {escape(event.error or '')}")
        case Revising():
            console.print(f"[yellow]revising:[/] {escape('; '.join(event.reasons))}")


def print_answer(answer: Answer, console: Console, artifacts: ArtifactStore) -> None:
    """Print the answer, the evidence table, the files and where the time went."""
    console.print()
    text = emphasise_citations(escape(answer.text), "[bold cyan]", "[/]")
    console.print(f"[bold]Answer[/]  {text}")
    for line in caveats(answer):
        console.print(f"        [yellow]{escape(line)}[/]")
    console.print(evidence_table(answer.evidence))
    for item in answer.evidence:
        for artifact in item.artifacts:
            path = _short(artifacts.path(artifact))
            console.print(f"{item.id} {artifact.name}: {path}", soft_wrap=True)
    console.print(f"[dim]{time_split(answer.usage)}[/]")


def evidence_table(evidence: tuple[Evidence, ...]) -> Table:
    """Return the evidence as a table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in ("", "tool", "what it said", "sure"):
        table.add_column(heading, overflow="fold")
    for item in evidence:
        sure = "" if item.confidence is None else f"{item.confidence:.0%}"
        table.add_row(f"[cyan]{item.id}[/]", item.tool, escape(told(item)), sure)
    return table


def _print_said(evidence: Evidence, console: Console, seconds: float | None = None) -> None:
    took = "" if seconds is None else f" [dim]({seconds:.2f} s)[/]"
    console.print(f"   [cyan]{evidence.id}[/] {escape(told(evidence))}{took}")


def _short(path: Path) -> Path:
    """Return a path from here on, when it is below this folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
