"""The planner before any training: the packaged language model, and an adapter without effect."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from overread.agent.bundled import OURS
from overread.imaging.errors import InputError
from overread.training.experiments.untrained_planner import write
from overread.training.trained import find


def test_nothing_is_learnt_and_nothing_is_written_over(tmp_path: Path) -> None:
    out = tmp_path / "base"
    folder = write(out)
    assert find(out).kind == "ours"
    weights = load_file(folder / OURS)
    ups = [tensor for name, tensor in weights.items() if "lora_B" in name]
    assert ups and not any(tensor.any() for tensor in ups)
    with pytest.raises(InputError, match="already"):
        write(out)
