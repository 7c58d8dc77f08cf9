"""Reward curves of GRPO: read from a run's log, told by thirds, and a fall is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overread.imaging.errors import InputError
from overread.training.experiments.reward_curves import curves_of, paired, plot, table, trend


def run(folder: Path, **rewards: list[float]) -> Path:
    """Write a checkpoint with a log; `phantoms_closed` becomes "raw/phantoms/closed"."""
    steps = max(len(values) for values in rewards.values())
    rows = [
        {"step": n + 1, "loss": 0.1}
        | {f"raw/{k.replace('_', '/')}": v[n] for k, v in rewards.items() if n < len(v)}
        for n in range(steps)
    ]
    place = folder / f"checkpoint-{steps}"
    place.mkdir(parents=True)
    (place / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    return folder


def test_a_trend_by_hand() -> None:
    values = [0.2, 0.4, 0.3, 0.9, 0.9, 0.9, 0.5, 0.7, 0.6]
    told = trend(np.stack([np.arange(9.0), np.array(values)], axis=1))
    assert (told.first, told.last, told.steps) == (pytest.approx(0.3), pytest.approx(0.6), 9)
    assert told.lowest == pytest.approx(0.3)
    assert told.error == pytest.approx(np.sqrt(0.01 / 3 + 0.01 / 3))
    assert not told.fell


def test_a_fall_beyond_chance_is_named(tmp_path: Path) -> None:
    falling = [0.8, 0.82, 0.79, 0.5, 0.4, 0.3, 0.1, 0.12, 0.09]
    steady = [0.5, 0.6, 0.4, 0.6, 0.5, 0.4, 0.5, 0.4, 0.55]
    curves = curves_of(run(tmp_path / "raw", phantoms_closed=falling, phantoms_report=steady))
    lines = list(table([("raw", curves)]))
    assert "**fell**" in next(line for line in lines if "phantoms/closed" in line)
    assert "**fell**" not in next(line for line in lines if "phantoms/report" in line)


def test_two_runs_are_told_apart_step_by_step(tmp_path: Path) -> None:
    swings = [0.1, 0.9, 0.2, 0.8, 0.5, 0.4]
    one = curves_of(run(tmp_path / "one", phantoms_closed=swings))
    two = curves_of(run(tmp_path / "two", phantoms_closed=[v + 0.1 for v in swings]))
    mean, error = paired(two["phantoms/closed"], one["phantoms/closed"])
    assert (mean, error) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12))
    assert list(table([("one", one), ("two", two)]))[-1].endswith("| +0.100 (± 0.000) |")
    with pytest.raises(InputError, match="3 steps in common"):
        paired(two["phantoms/closed"][3:], one["phantoms/closed"])


def test_the_newest_checkpoint_is_read_and_drawn(tmp_path: Path) -> None:
    run(tmp_path / "run", phantoms_closed=[0.1] * 6)
    run(tmp_path / "run", phantoms_closed=[0.1] * 12)
    curves = curves_of(tmp_path / "run")
    assert curves["phantoms/closed"].shape == (12, 2)
    plot([("one", curves)], tmp_path / "curves.png")
    assert len(Image.open(tmp_path / "curves.png").convert("RGB").getcolors(1 << 20)) > 10


def test_a_run_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trainer_state"):
        curves_of(tmp_path)
    run(tmp_path / "sft", other=[1.0] * 3)
    (tmp_path / "sft" / "checkpoint-3" / "trainer_state.json").write_text('{"log_history": []}')
    with pytest.raises(InputError, match="no raw rewards"):
        curves_of(tmp_path / "sft")
