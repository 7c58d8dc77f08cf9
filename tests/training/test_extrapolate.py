"""Weights farther along the way that a run took."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from overread.agent.bundled import OURS
from overread.evals.contamination import MANIFEST
from overread.imaging.errors import InputError
from overread.training.extrapolate import extrapolated, write
from overread.training.trained import find


def run(folder: Path, *values: float) -> Path:
    (folder / "ours").mkdir(parents=True)
    save_file({"a": torch.tensor(values, dtype=torch.bfloat16)}, folder / "ours" / OURS)
    return folder


def test_twice_as_far_by_hand() -> None:
    before, after = {"a": torch.tensor([1.0, 2.0, -1.0])}, {"a": torch.tensor([1.5, 2.0, -2.0])}
    assert extrapolated(before, after, 2.0)["a"].tolist() == [2.0, 2.0, -3.0]
    assert extrapolated(before, after, 0.5)["a"].tolist() == [1.25, 2.0, -1.5]


@given(st.lists(st.floats(-8, 8, width=16), min_size=1, max_size=5))
def test_once_is_the_run_itself(values: list[float]) -> None:
    before = {"a": torch.zeros(len(values), dtype=torch.bfloat16)}
    after = {"a": torch.tensor(values, dtype=torch.bfloat16)}
    found = extrapolated(before, after, 1.0)["a"]
    assert found.dtype == torch.bfloat16 and torch.equal(found, after["a"])


def test_what_is_written_can_be_started_from(tmp_path: Path) -> None:
    start, last = run(tmp_path / "sft", 1.0, 2.0), run(tmp_path / "dpo", 2.0, 1.0)
    (last / "ours" / MANIFEST).write_text("# whom it learnt from\n")
    (last / "README.md").write_text("# dpo: its card\n")
    out = write(last, start, 3.0, tmp_path / "far")
    assert load_file(find(out).folder / OURS)["a"].tolist() == [4.0, -1.0]
    assert [path.read_text() for path in find(out).manifests()] == ["# whom it learnt from\n"] * 2
    card = (out / "README.md").read_text()
    assert "--by 3" in card and "its card" in card and "not a medical device" in card


def test_what_cannot_be_extrapolated_is_said(tmp_path: Path) -> None:
    start, last = run(tmp_path / "sft", 1.0), run(tmp_path / "dpo", 2.0, 1.0)
    with pytest.raises(InputError, match="not of one model"):
        write(last, start, 2.0, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="above 0"):
        write(last, last, 0.0, tmp_path / "out")
    with pytest.raises(InputError, match="there already"):
        write(last, last, 2.0, tmp_path)
    with pytest.raises(InputError, match="no training run"):
        write(tmp_path / "gone", last, 2.0, tmp_path / "out")
