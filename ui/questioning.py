"""Put a question from the command line: check what was given, start the planner, print."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from overread.agent.answer import Answer
from overread.agent.assistant import Assistant
from overread.agent.intake import check_question, register
from overread.ui.planner_start import is_running, start_planner
from overread.ui.printing import print_question


def put_question(
    assistant: Assistant,
    question: str,
    images: Sequence[Path],
    session: str | None,
    console: Console,
    start: bool = True,
) -> tuple[Answer, float]:
    """Ask, and print what happens.

    Args:
        assistant: Whom to ask.
        question: In words.
        images: Files or folders.
        session: To continue; a new one if None.
        console: Where to print.
        start: Start the planner when it is not running.

    Returns:
        The answer, and the seconds from asking to the first event.

    Raises:
        OverreadError: One clear sentence.
    """
    config = assistant.config
    events = assistant.stream(question, images, session)
    if not is_running(config):
        # Bad input is told now, not after the minute that the planner takes to start.
        check_question(question, config.agent.max_question_chars)
        register(assistant.resources, images, config.agent.max_images)
    start_planner(config, allowed=start)
    return print_question(events, console, assistant.resources.artifacts)
