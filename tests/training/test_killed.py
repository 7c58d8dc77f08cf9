"""kill -9 in the middle of DPO and of GRPO; the same command again ends where an undisturbed run does.

That of SFT is in `test_sft`.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from overread.training.examples import write_lines
from tests.training.kill import kill_at_a_checkpoint
from tests.training.test_dpo import TEXT, pair
from tests.training.tiny_planner import save_planner
from tests.training.tiny_vlm import make_model, make_processor

STEPS = 12


def dpo_command(folder: Path, out: Path) -> list[str]:
    model, path = folder / "model", folder / "pairs.jsonl"
    if not model.is_dir():
        processor = make_processor([TEXT])
        make_model(processor).save_pretrained(model)
        processor.save_pretrained(model)
        write_lines(path, [*(pair(n, "look") for n in range(3)), *(pair(n) for n in range(3, 6))])
    flags = (
        f"--model_name_or_path {model} --pairs {path} --output_dir {out} --use_peft "
        "--lora_target_modules q_proj v_proj --use_cpu --bf16 false --gradient_checkpointing false "
        f"--max_steps {STEPS} --save_steps 1 --save_total_limit 2 --logging_steps 1 --report_to none "
        "--dtype float32 --per_device_train_batch_size 2 --learning_rate 5e-3 --resume "
        "--balance false"
    )
    return [sys.executable, "-m", "overread.training.dpo", *flags.split()]


def grpo_command(folder: Path, out: Path) -> list[str]:
    base = folder / "planner"
    if not base.is_dir():
        save_planner(base)
    return [sys.executable, "-m", "tests.training.grpo_runs", str(base), str(out), str(STEPS)]


def last_loss(out: Path) -> float:
    state = json.loads((out / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())
    return [row["loss"] for row in state["log_history"] if "loss" in row][-1]


@pytest.mark.slow
@pytest.mark.parametrize("command_of", [dpo_command, grpo_command])
def test_a_killed_run_goes_on_to_the_same_end(
    command_of: Callable[[Path, Path], list[str]], tmp_path: Path
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    commands = {out: command_of(tmp_path, out) for out in (undisturbed, killed)}
    subprocess.run(commands[undisturbed], check=True, stderr=subprocess.DEVNULL)
    kill_at_a_checkpoint(commands[killed], killed)
    assert len(list(killed.glob(f"checkpoint-{STEPS}"))) == 0
    subprocess.run(commands[killed], check=True, stderr=subprocess.DEVNULL)
    assert abs(last_loss(undisturbed) - last_loss(killed)) < 1e-3
    first, second = (
        {
            name: tensor
            for file in (out / f"checkpoint-{STEPS}").glob("*.safetensors")
            for name, tensor in load_file(file).items()
        }
        for out in (undisturbed, killed)
    )
    assert first.keys() == second.keys() and first
    for name, tensor in first.items():
        assert torch.allclose(tensor.float(), second[name].float(), atol=1e-5), name
