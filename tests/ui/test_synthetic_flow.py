"""A made-up picture on its way through the parts: nowhere is it taken for a real one."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from overread.agent.config import Config
from overread.agent.intake import describe, register
from overread.agent.resources import Resources
from overread.evals.items import Item
from overread.evals.subjects.pictures import load_images
from overread.imaging.errors import InputError
from overread.index.ingest import build_index
from overread.ui.feedback import FeedbackStore
from overread.ui.slices import study_facts

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def made(run: Run, tmp_path: Path) -> Path:
    """A picture as the command writes it."""
    folder = tmp_path / "made"
    done = run(
        "synthesise", "fundus with exudate", "--out", folder, OVERREAD_SYNTHESIS__ENABLED="true"
    )
    assert done.returncode == 0, done.stderr
    assert "of no patient" in done.stdout and "Research use only" in done.stderr
    return folder / "synthetic-0.png"


def test_the_command_is_off_until_it_is_allowed(run: Run, tmp_path: Path) -> None:
    done = run("synthesise", "fundus", "--out", tmp_path / "made")
    assert done.returncode == 2 and "synthesis.enabled = true" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "made").exists()


def test_what_is_not_understood_is_not_made(run: Run, tmp_path: Path) -> None:
    done = run(
        "synthesise", "knee MR with tear", "--out", tmp_path / "made", OVERREAD_SYNTHESIS__ENABLED="true"
    )  # fmt: skip
    assert done.returncode == 2 and "do not know 'knee'" in done.stderr
    assert not (tmp_path / "made").exists()


def test_it_is_labelled_wherever_it_is_stored(made: Path, data_dir: Path) -> None:
    resources = Resources(Config(data_dir=data_dir))
    (ref,) = register(resources, [made], 1)
    content, result = describe(resources, ref, 1)
    assert content.endswith("synthetic: made by a program, of no patient")
    assert result.values["synthetic"] is True
    assert study_facts(resources.archive, ref.study_id)["title"] == "Synthetic image"

    index = resources.make_index()
    build_index(made.parent, index, resources.archive, resources.pseudonymiser)
    assert [facts["source"] for _, facts in index.entries()] == ["synthetic"]


def test_nothing_is_learnt_or_measured_on_it(made: Path, data_dir: Path) -> None:
    resources = Resources(Config(data_dir=data_dir))
    (ref,) = register(resources, [made], 1)
    store = FeedbackStore(data_dir / "feedback", resources)
    assert not store.note("ada", "s-1:0", "What is it?", "A retina.", [str(ref)], thumb="up")
    assert not store.file("ada").exists()
    with pytest.raises(InputError, match="was made up by a program"):
        load_images(Item("q", "What is it?", (made,), ("retina",), "open"))
