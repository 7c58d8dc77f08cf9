"""The bundled planner's own way to train: its parts, its optimiser, its weights beside checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from overread.agent.architecture import build_model, load_tokenizer
from overread.agent.bundled import OURS, WEIGHTS
from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.errors import ConfigError
from overread.training import guards, planner_parts, sft
from overread.training.arguments import OurArguments
from overread.training.models import start_weights
from overread.training.planner_parts import PARTS, build
from overread.training.traces import write_sessions
from tests.training.sft_runs import tiny_model, write_config, write_mix


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


def prepare(folder: Path, tower: Any, **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = write_sessions((0, [("chest-xray", 7, 0)], 3))
    (folder / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    vision = folder / "v.safetensors"
    save_file({name: tensor.clone() for name, tensor in tower.state_dict().items()}, vision)
    mix = write_mix(folder, [{"source": "traces", "path": str(folder / "t.jsonl")}])
    return write_config(
        folder, "bundled", mix, vision=str(vision), lora_r=32, lora_alpha=64, lora_dropout=0.0,
        bf16=True, **keys,
    )  # fmt: skip


def train(config: Path) -> dict[str, torch.Tensor]:
    sft.main(["--config", str(config), "--resume"])
    return load_file(config.parent / "run" / "ours" / OURS)


@pytest.mark.slow
def test_a_rate_of_nothing_freezes_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner_parts, "build_model", lambda t: tiny_model(t).bfloat16())
    model = tiny_model(load_tokenizer()).bfloat16().model
    frozen = {"connector_rate": 0.0, "vision_rate": 0.0}
    ends = train(prepare(tmp_path, model.vision_model, max_steps=2, warmup_steps=0, **frozen))
    for part, before in (("vision_model", model.vision_model), ("connector", model.connector)):
        for name, tensor in before.state_dict().items():
            assert torch.equal(ends[f"model.{part}.{name}"], tensor), name
    assert any(bool(tensor.any()) for name, tensor in ends.items() if "lora_B" in name)


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small text part and tower in the place of the packaged ones."""
    monkeypatch.setattr(planner_parts, "build_model", lambda t: tiny_model(t).bfloat16())
    tower = tiny_model(load_tokenizer()).bfloat16().model.vision_model
    folders = [tmp_path / name for name in ("undisturbed", "stopped")]
    configs = [prepare(folder, tower, max_steps=6, save_steps=2) for folder in folders]
    undisturbed = train(configs[0])
    step = guards.Guarded.training_step

    def stops(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == 3:
            raise Killed
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(guards.Guarded, "training_step", stops)
        with pytest.raises(Killed):
            train(configs[1])
    stopped = train(configs[1])
    for name, tensor in undisturbed.items():
        assert torch.equal(tensor, stopped[name]), name
    first = load_file(folders[0] / "run" / "checkpoint-2" / "ours" / OURS)
    for part in PARTS:
        assert any(not torch.equal(first[n], undisturbed[n]) for n in first if part in n), part
    ends = [json.loads((folder / "run" / "log.json").read_text()) for folder in folders]
    losses = [[row["loss"] for row in end if "loss" in row] for end in ends]
    assert abs(losses[0][-1] - losses[1][-1]) < 1e-3
    said = read_manifest(folders[0] / "run" / "checkpoint-4" / "ours" / MANIFEST)
    assert any(line.hold("chest-xray", 7) for line in said.patients)


@pytest.mark.slow
def test_the_planner_itself_learns_and_resumes(tmp_path: Path) -> None:
    tower = build_model(load_tokenizer()).model.vision_model
    keys = {"save_steps": 1, "lr_scheduler_type": "constant"}  # a longer run, not a decayed rate
    keys |= {"per_device_train_batch_size": 1}  # a minute a session, where software does bfloat16
    first = train(prepare(tmp_path, tower, max_steps=1, **keys))
    second = train(prepare(tmp_path, tower, max_steps=2, **keys))
    for part in PARTS:
        assert any(not torch.equal(first[n], second[n]) for n in first if part in n), part


def test_a_start_is_a_file_a_run_or_what_the_package_holds(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    weights = tmp_path / "ours" / OURS
    weights.touch()
    assert start_weights(OurArguments(start=str(tmp_path))) == weights.parent
    assert start_weights(OurArguments(start=str(weights))) == weights
    assert start_weights(OurArguments(vision="v.safetensors")) is None
    assert start_weights(OurArguments()) == WEIGHTS
    with pytest.raises(ConfigError, match=f"holds no {OURS}"):
        start_weights(OurArguments(start="/"))


def test_weights_of_another_shape_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner_parts, "build_model", tiny_model)
    tokenizer = load_tokenizer()
    wrong = tmp_path / "wrong.safetensors"
    save_file({"model.connector.poem.weight": torch.zeros(2)}, wrong)
    with pytest.raises(ConfigError, match="does not fit the bundled planner"):
        build(tokenizer, start=wrong)
    with pytest.raises(ConfigError, match="no weights at"):
        build(tokenizer, start=tmp_path / "gone.safetensors")
    wrong.write_bytes(b"not tensors")
    with pytest.raises(ConfigError, match="no safetensors"):
        build(tokenizer, start=wrong)
