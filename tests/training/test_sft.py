"""Trainings of seconds on a tiny model, by the command that users give."""

import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerState
from trl import ModelConfig, SFTConfig

from overread.agent.architecture import IMAGE_SIZE, IMAGE_TOKENS, build_processor, load_tokenizer
from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.errors import ConfigError, InputError
from overread.training import guards, sft
from overread.training.arguments import OurArguments, parse
from overread.training.collate import PlannerCollator, TurnCollator, encode, image_marks, turns
from overread.training.guards import TrainingStopped, checkpoints
from overread.training.planner_parts import IGNORED
from overread.training.sources import example_of_trace
from overread.training.traces import write_sessions
from tests.training.kill import kill_at_a_checkpoint
from tests.training.sft_runs import save_base, write_config, write_mix


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    return write_sessions((0, [("chest-xray", 7, 0)], 3))


def run(config: Path, *flags: str) -> None:
    sft.main(["--config", str(config), *flags])


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in json.loads((folder / "log.json").read_text()) if "loss" in row]


def test_labels_are_the_learnt_replies_and_nothing_else(lines: list[dict]) -> None:
    tokenizer = load_tokenizer()
    marks = image_marks(tokenizer)
    image = tokenizer.convert_tokens_to_ids("<image>")
    for number, line in enumerate(lines):
        row = encode(example_of_trace(line, str(number), "train"), tokenizer, marks)
        replies = [m["content"] for m in line["messages"] if m["role"] == "assistant"]
        learnt = [r for r, mark in zip(replies, line["learn"], strict=True) if mark]
        kept = [label for label in row["labels"] if label != IGNORED]
        assert tokenizer.decode(kept) == "".join(f"{reply}<|im_end|>" for reply in learnt)
        assert row["input_ids"].count(image) == IMAGE_TOKENS * len(row["images"])


def test_other_models_get_a_row_for_each_learnt_reply(lines: list[dict]) -> None:
    for number, line in enumerate(lines):
        example = example_of_trace(line, str(number), "train")
        rows = turns(example)
        assert len(rows) == sum(line["learn"])
        for row in rows:
            shown = row["prompt"].count('{"type": "image"}')
            assert len(row["images"]) == shown
            assert json.loads(row["completion"])[0]["role"] == "assistant"


def test_other_models_see_a_sessions_images_once(lines: list[dict]) -> None:
    """Later messages of a session are plain text, before which TRL would put the images again."""
    tokenizer = load_tokenizer()
    made = [turns(example_of_trace(line, str(n), "train")) for n, line in enumerate(lines)]
    row = max(
        (row for rows in made for row in rows), key=lambda row: len(json.loads(row["prompt"]))
    )
    assert len(json.loads(row["prompt"])) > 2
    batch = TurnCollator(build_processor(tokenizer), None, IMAGE_SIZE)([row])
    assert batch["pixel_values"].shape[:2] == (1, len(row["images"]))


def test_a_view_depends_on_its_place_alone(lines: list[dict]) -> None:
    tokenizer = load_tokenizer()
    example = example_of_trace(lines[0], "0", "train")
    row = encode(example, tokenizer, image_marks(tokenizer))
    rows = [{**row, "place": place} for place in (4, 5)]
    together = PlannerCollator(0, seed=1)(rows)["pixel_values"]
    alone = PlannerCollator(0, seed=1)(rows[1:])["pixel_values"]
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize(
    ("keys", "flags", "said"),
    [
        ({"learning_rat": 1}, [], "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({}, ["--max_step", "3"], "no key '--max_step'; did you mean 'max_steps'"),
        ({"max_steps": "many"}, [], "invalid int value: 'many'"),
        ({"trust_remote_code": True}, [], "trust_remote_code is never allowed"),
        ({"mix": "nowhere"}, [], "no mix 'nowhere'"),
        ({"model_name_or_path": "/nowhere"}, [], "/nowhere is no model folder"),
        ({"load_in_4bit": True}, [], "4 bits is trained by an adapter alone: set use_peft"),
        ({"packing": True}, [], "TRL refuses this: Packing is not supported"),
        ({"longest": 9}, [], "'longest' is of the bundled planner"),
        (
            {"load_in_4bit": True, "model_name_or_path": "bundled"},
            [],
            "the bundled planner is not trained in 4 bits",
        ),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_sentence(
    keys: dict[str, Any], flags: list[str], said: str, base: Path, tmp_path: Path
) -> None:
    mix = write_mix(tmp_path, [{"source": "phantoms", "task": "closed", "patients": 1}])
    config = write_config(
        tmp_path, keys.pop("model_name_or_path", base), keys.pop("mix", mix), **keys
    )
    with pytest.raises(InputError, match=said) as caught:
        run(config, *flags)
    assert "\n" not in str(caught.value)


def test_bitsandbytes_is_tried_before_any_work_starts(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is made to fail as it does where its kernels are missing."""
    import bitsandbytes

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel for this device")

    monkeypatch.setattr(bitsandbytes.nn, "Linear4bit", broken)
    config = write_config(tmp_path, base, "no mix is looked for", load_in_4bit=True, use_peft=True)
    with pytest.raises(ConfigError, match=r"4 bits does not work on this .*no kernel"):
        run(config)
    assert not (tmp_path / "run").exists()


def test_flags_win_over_the_file_and_env_is_taken(base: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, base, "m", weight_decay=0.1)
    found = parse(
        [f"--config={config}", "--weight_decay", "0.3", "--resume"],
        OurArguments, SFTConfig, ModelConfig,
    )  # fmt: skip
    ours, trl, model = found.arguments
    assert (ours.resume, trl.weight_decay, trl.max_steps) == (True, 0.3, 4)
    assert model.model_name_or_path == str(base)
    assert {"weight_decay", "max_steps", "resume"} <= found.stated


@pytest.mark.slow
def test_a_run_learns_and_leaves_a_folder_that_says_what_it_is(base: Path, tmp_path: Path) -> None:
    part = {"source": "phantoms", "task": "closed", "patients": 7, "limit": 4}
    mix = write_mix(tmp_path, validation=[{**part, "split": "validation"}])
    config = write_config(tmp_path, base, mix, eval_strategy="steps", eval_steps=4, max_steps=6)
    run(config)
    out = tmp_path / "run"
    before, after = load_file(base / "model.safetensors"), load_file(out / "model.safetensors")
    for part_ in ("text_model", "vision_model", "connector"):
        assert any(not torch.equal(before[n], after[n]) for n in before if part_ in n), part_
    assert [path.name for path in checkpoints(out)] == [
        "checkpoint-2",
        "checkpoint-4",
        "checkpoint-6",
    ]
    assert not (out / guards.SAVING).exists()
    assert (out / "config.yaml").read_text() == config.read_text()
    counts = json.loads((out / "mix.json").read_text())
    assert counts["train"]["by_dataset_and_task"].keys() == {"phantoms/closed", "phantoms/report"}
    told = json.loads((out / "environment.json").read_text())
    assert told["seed"] == 3
    assert "trl" in told["packages"]
    assert {line.split for line in read_manifest(out / MANIFEST).patients} == {
        "train",
        "validation",
    }
    assert any((out / "runs").rglob("events.out.tfevents.*"))
    card = (out / "README.md").read_text()
    for text in (counts["sha256"][:16], told["git"], "step 1 to 6", "Validation patients"):
        assert text in card
    with pytest.raises(InputError, match=r"holds checkpoint-6 .*--resume"):
        run(config)
    other = write_mix(tmp_path, seed=9)
    with pytest.raises(InputError, match="holds a run on other data"):
        run(write_config(tmp_path, base, other), "--resume")


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [False, True])
def test_a_killed_run_goes_on_to_the_same_end(base: Path, tmp_path: Path, adapter: bool) -> None:
    """kill -9 at a random step after a checkpoint; the same command again."""
    keys: dict[str, Any] = {"max_steps": 12, "save_steps": 3, "save_total_limit": 2}
    if adapter:
        keys |= {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj", "v_proj"]}
    folders = {name: tmp_path / name for name in ("undisturbed", "killed")}
    configs = {}
    for name, folder in folders.items():
        folder.mkdir()
        configs[name] = write_config(folder, base, write_mix(folder), **keys)
    run(configs["undisturbed"], "--resume")
    command = [sys.executable, "-m", "overread.training.sft", "--config", str(configs["killed"])]
    out = folders["killed"] / "run"
    kill_at_a_checkpoint([*command, "--resume"], out)
    assert len(checkpoints(out)) < 4
    run(configs["killed"], "--resume")
    ends = [losses(folder / "run")[-1] for folder in folders.values()]
    assert abs(ends[0] - ends[1]) < 1e-3
    name = "adapter_model.safetensors" if adapter else "model.safetensors"
    first, second = (load_file(folder / "run" / name) for folder in folders.values())
    for key in first:
        assert torch.allclose(first[key].float(), second[key].float(), atol=1e-5), key


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    base: Path, tmp_path: Path
) -> None:
    config = write_config(
        tmp_path, base, write_mix(tmp_path), learning_rate=1e38, max_grad_norm=0, max_steps=9,
        warmup_steps=2, save_steps=1,
    )  # fmt: skip
    said = r"loss of step 3 is not a number; .*checkpoint-2 is kept"
    with pytest.raises(TrainingStopped, match=said) as caught:
        run(config)
    assert "\n" not in str(caught.value)
    for kept in checkpoints(tmp_path / "run"):
        tensors = load_file(kept / "model.safetensors")
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    class Saving:
        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            raise AssertionError("a checkpoint was begun")

    class Trainer(guards.Guarded, Saving):
        args = SFTConfig(str(tmp_path), use_cpu=True)
        state = TrainerState(global_step=7)
        model = torch.nn.Linear(2, 2)

    with torch.no_grad():
        Trainer.model.bias[1] = float("nan")
    said = "the weight bias is not a number and checkpoint-7 was not written"
    with pytest.raises(TrainingStopped, match=said):
        Trainer()._save_checkpoint(None, None)


@pytest.mark.slow
def test_a_full_disk_stops_before_a_checkpoint_is_begun(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, base, write_mix(tmp_path))
    usage = shutil.disk_usage(tmp_path)

    def nearly_full(path: Path) -> Any:
        return usage._replace(free=1000) if checkpoints(tmp_path / "run") else usage

    monkeypatch.setattr(guards.shutil, "disk_usage", nearly_full)
    with pytest.raises(TrainingStopped, match=r"is full: checkpoint-4 .*checkpoint-2 is kept"):
        run(config)
    monkeypatch.undo()
    run(config, "--resume")
    assert len(losses(tmp_path / "run")) == 4


@pytest.mark.slow
def test_a_write_that_fails_midway_leaves_whole_checkpoints(base: Path, tmp_path: Path) -> None:
    """The kernel refuses every file of more than a megabyte once the first checkpoint is there."""
    config = write_config(tmp_path, base, write_mix(tmp_path), max_steps=2, save_steps=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    made = guards.Guarded._check_room

    def limited(self: Any, out: Path, name: str) -> None:
        made(self, out, name)
        if checkpoints(out):
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guards.Guarded, "_check_room", limited)
        try:
            with pytest.raises(
                TrainingStopped, match=r"checkpoint-2 could not be written.*-1 is kept"
            ):
                run(config)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path / "run").count(guards.SAVING) == 0
    run(config, "--resume")
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-1", "checkpoint-2"]


@pytest.mark.slow
def test_qlora_trains_the_adapter_on_this_machine(base: Path, tmp_path: Path) -> None:
    config = write_config(
        tmp_path, base, write_mix(tmp_path), load_in_4bit=True, use_peft=True, lora_r=4,
        lora_target_modules=["q_proj", "v_proj"], dtype="bfloat16", bf16=True, gradient_checkpointing=True,
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )  # fmt: skip
    run(config)
    early = load_file(tmp_path / "run" / "checkpoint-2" / "adapter_model.safetensors")
    late = load_file(tmp_path / "run" / "checkpoint-4" / "adapter_model.safetensors")
    assert all(not torch.equal(early[name], late[name]) for name in late)
    assert all(np.isfinite(losses(tmp_path / "run")))
