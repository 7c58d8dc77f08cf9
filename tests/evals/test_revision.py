"""The revision that figures are told to be from."""

import subprocess
from pathlib import Path

import pytest

from overread.evals.revision import revision

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the source is no git checkout")
def test_it_is_that_of_the_source_wherever_it_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    told = revision()
    assert told is not None
    assert head.startswith(told.removesuffix("+").rpartition("-g")[2])


def test_without_git_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert revision() is None
