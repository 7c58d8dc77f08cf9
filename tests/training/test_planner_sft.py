import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerControl, TrainerState, TrainingArguments

from overread.agent.architecture import IMAGE_TOKENS, build_model, load_tokenizer
from overread.agent.bundled import OURS
from overread.evals.contamination import MANIFEST, read_manifest
from overread.training import manifest, planner_sft
from overread.training.planner_sft import IGNORED, SaveOurs, encode, image_marks
from overread.training.traces import write_sessions


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    return write_sessions((0, [("chest-xray", 7, 0)], 3))


def test_labels_are_the_learnt_replies_and_nothing_else(lines: list[dict]) -> None:
    tokenizer = load_tokenizer()
    marks = image_marks(tokenizer)
    image = tokenizer.convert_tokens_to_ids("<image>")
    for line in lines:
        row = encode(line, tokenizer, marks)
        replies = [m["content"] for m in line["messages"] if m["role"] == "assistant"]
        learnt = [r for r, mark in zip(replies, line["learn"], strict=True) if mark]
        kept = [label for label in row["labels"] if label != IGNORED]
        assert tokenizer.decode(kept) == "".join(f"{reply}<|im_end|>" for reply in learnt)
        assert row["input_ids"].count(image) == IMAGE_TOKENS * len(row["images"])


def test_each_checkpoint_says_what_it_was_trained_on(tmp_path: Path) -> None:
    state, config = TrainerState(global_step=3), TrainingArguments(str(tmp_path), use_cpu=True)
    model = torch.nn.ModuleDict({"connector": torch.nn.Linear(2, 2)})
    saving = SaveOurs(manifest.lines_of([("fundus", 5)]))
    saving.on_save(config, state, TrainerControl(), model=model)
    ours = tmp_path / "checkpoint-3" / "ours"
    assert load_file(ours / OURS).keys() == {"connector.weight", "connector.bias"}
    (line,) = read_manifest(ours / MANIFEST).patients
    assert (line.domain, line.patients) == ("fundus", ((5, 5),))


@pytest.mark.slow
def test_training_changes_every_part_and_resumes(
    lines: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces, vision, out = tmp_path / "t.jsonl", tmp_path / "v.safetensors", tmp_path / "run"
    traces.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tower = build_model(load_tokenizer()).model.vision_model
    save_file({name: tensor.clone() for name, tensor in tower.state_dict().items()}, vision)

    def run(steps: int) -> dict[str, torch.Tensor]:
        arguments = f"x --traces {traces} --vision {vision} --out {out} --cpu --batch 2"
        arguments += f" --steps {steps} --save-steps 1 --threads 2"
        monkeypatch.setattr("sys.argv", arguments.split())
        planner_sft.main()
        return load_file(out / "ours" / OURS)

    first = run(2)
    second = run(3)
    for part in planner_sft.LEARNING_RATES:
        assert any(not torch.equal(first[name], second[name]) for name in first if part in name), (
            f"{part} did not learn"
        )
    assert (out / "checkpoint-3" / "ours" / MANIFEST).is_file()
    assert json.loads((out / "checkpoint-3" / "trainer_state.json").read_text())["global_step"] == 3
