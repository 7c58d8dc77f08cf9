"""`overread demo`: everything at once, on data that come with the installed packages."""

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overread.imaging.errors import ConfigError, InputError
from overread.ui.commands.index_build import file_progress
from overread.ui.files import replace_file
from overread.ui.options import Profile, config_from
from overread.ui.terminal import RESEARCH_USE, err, out

if TYPE_CHECKING:
    from overread.agent.assistant import Assistant

DICOM = "RG1_UNCR.dcm"
"""A chest radiograph of pydicom-data; its patient is not named."""

PHANTOM = ("chest-xray", 66192, 1)
"""Domain, patient and visit, of the test split: no model was trained on this synthetic patient."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question of the demo."""

    title: str
    image: Path
    question: str


def demo(
    profile: Profile = None,
    session_prefix: Annotated[
        str, typer.Option(help="Of the sessions; with the same one a killed run goes on.")
    ] = "demo",
) -> None:
    """Start the planner, index the demo cases, and ask three questions.

    The images: a real DICOM chest radiograph, a real photograph of a retina, and a synthetic chest
    radiograph for which a report is drafted. A second run indexes nothing again.
    """
    from overread.agent.assistant import Assistant
    from overread.ui.planner_start import start_planner
    from overread.ui.questioning import put_question

    config = config_from(profile=profile)
    with Assistant.from_config(config) as assistant:
        _index(assistant)
        start_planner(config, allowed=True)
        sessions = Sessions(assistant.resources.data / "demo.json", session_prefix)
        waited = []
        for number, example in enumerate(examples(assistant.resources.data / "demo"), start=1):
            out.rule(f"{number}. {example.title}")
            out.print(f"{example.image}", soft_wrap=True)
            out.print(f"[bold]Question[/]  {example.question}")
            session = sessions.name(number)
            _, first = put_question(assistant, example.question, [example.image], session, out)
            sessions.finished(session)
            waited.append(first)
    out.rule()
    out.print(f"From asking to the first event: {', '.join(f'{s:.2f}' for s in waited)} s.")
    out.print("Open the app:           [bold].venv/bin/overread chat[/]")
    out.print('Ask about your image:   [bold].venv/bin/overread ask IMAGE "QUESTION"[/]')
    out.print("Stop the planner:       [bold].venv/bin/overread serve --stop[/]")
    out.print(f"[yellow]{RESEARCH_USE}[/]")


class Sessions:
    """Names of the demo's sessions: fixed, so that a killed question is found again.

    A question that was answered gets a new name the next time, and so is asked afresh.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        """Remember answered sessions at `path`."""
        self._path = path
        self._prefix = prefix
        self._answered: list[str] = json.loads(path.read_bytes()) if path.exists() else []

    def name(self, number: int) -> str:
        """Return the session of question `number`: the first one that was not answered."""
        for run in range(1, len(self._answered) + 2):
            name = f"{self._prefix}-{number}" + (f"-{run}" if run > 1 else "")
            if name not in self._answered:
                return name
        raise InputError(f"{self._path} is damaged; delete it")

    def finished(self, name: str) -> None:
        """Remember that a session was answered."""
        self._answered.append(name)
        replace_file(self._path, json.dumps(self._answered).encode())


def examples(folder: Path) -> Iterator[Example]:
    """Yield the demo's questions.

    Raises:
        ConfigError: A package whose image is asked about is not installed.
    """
    yield Example("A real chest radiograph (DICOM)", _dicom(), "Is there cardiomegaly?")
    yield Example(
        "A real photograph of a retina (JPEG)",
        _packaged("skimage", "data/retina.jpg"),
        "Find cases that look like this one.",
    )
    from overread.imaging.phantoms import generate, write

    phantom = write(generate(*PHANTOM), folder)
    yield Example("A synthetic chest radiograph (DICOM)", phantom, "Write a report of this image.")


def _dicom() -> Path:
    from pydicom.data import get_testdata_file

    found = get_testdata_file(DICOM, download=False)
    if found is None:
        raise ConfigError(
            f"the demo's image {DICOM} is in pydicom-data: pip install 'overread[demo]'"
        )
    return Path(str(found))


def _packaged(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    path = Path(str(spec.origin)).parent / name if spec else Path(name)
    if not path.is_file():
        raise ConfigError(f"the demo's image {name} is not in {package}; reinstall {package}")
    return path


def _index(assistant: "Assistant") -> None:
    """Index the demo's cases; done once, it only looks."""
    from overread.index.demo import build_demo_index

    resources = assistant.resources
    with err.status("looking at the demo cases"):
        index = resources.make_index()
    with file_progress() as bar:
        task = bar.add_task("indexing the demo cases", total=None, rate="")
        summary = build_demo_index(
            resources.data / "demo",
            index,
            resources.archive,
            resources.pseudonymiser,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    err.print(
        f"{summary.images} demo images are indexed: {summary.added} added, "
        f"{summary.already} were there"
    )
