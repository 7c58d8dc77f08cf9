"""DPO on a tiny vision-language model: what is learnt, from which images, and that a kill costs nothing."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from trl import DPOConfig, ModelConfig
from trl.trainer.utils import add_fused_lm_head

from overread.imaging.errors import ConfigError, InputError
from overread.training.arguments import parse
from overread.training.dpo import DpoArguments, _drop_reference, read_pairs
from overread.training.dpo import main as dpo
from overread.training.dpo_collate import PairCollator, rejected_pictures
from overread.training.dpo_trainer import PairTrainer, lighten_head, make_trainer, rows_of
from overread.training.examples import VIEW_SIZE, Pair, PhantomRef, open_image, write_lines
from overread.training.guards import TrainingStopped
from overread.training.master_adamw import MasterAdamW
from overread.training.noise import Noise
from tests.training.tiny_vlm import make_model, make_processor

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
LORA = {"r": 4, "lora_alpha": 8, "target_modules": r".*text_model.*\.(q_proj|v_proj|up_proj)"}
TEXT = "Answer from the image. Question: Is there a mass? yes no"


def pair(number: int, kind: str = "use_context", **more: object) -> Pair:
    ref = PhantomRef(domain="fundus", patient=(1, 3, 4)[number % 3])
    content = [{"type": "image"}, {"type": "text", "text": "Question: Is there a mass?"}]
    facts: dict[str, Any] = {
        "id": f"{number}-{kind}", "dataset": "d", "kind": kind, "patient": f"p{number}",
        "split": "train", "images": [ref], "chosen": "yes", "rejected": "no",
        "messages": [
            {"role": "system", "content": "Answer from the image."},
            {"role": "user", "content": content},
        ],
    }  # fmt: skip
    if kind == "look":
        noise = Noise(seed=number).facts()
        facts |= {"rejected": "yes", "rejected_images": [ref], "noise": noise}
    return Pair.model_validate(facts | more)


@pytest.fixture(scope="module")
def processor() -> Any:
    return make_processor([TEXT])


Make = Callable[..., PairTrainer]


@pytest.fixture
def trainer_of(processor: Any, tmp_path: Path) -> Make:
    def make(pairs: list[Pair], dtype: torch.dtype = torch.float32, **keys: Any) -> PairTrainer:
        settings: dict[str, Any] = {
            "output_dir": str(tmp_path / "run"), "max_steps": 4, "per_device_train_batch_size": 2,
            "learning_rate": 5e-3, "use_cpu": True, "bf16": dtype == torch.bfloat16,
            "gradient_checkpointing": False, "report_to": "none", "logging_steps": 1,
            "max_length": 128, "save_strategy": "no", "disable_tqdm": True,
        }  # fmt: skip
        config = DPOConfig(**(settings | keys))
        model = make_model(processor).to(dtype)
        lora = LoraConfig(**LORA)
        return make_trainer(model, processor, pairs, [], config, VIEW_SIZE, peft_config=lora)[0]

    return make


def logged(trainer: PairTrainer, name: str) -> list[float]:
    return [row[name] for row in trainer.state.log_history if name in row]


def weights(trainer: PairTrainer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}


@pytest.mark.parametrize("precompute", [True, False])
def test_margins_rise_and_the_adapter_alone_changes(trainer_of: Make, precompute: bool) -> None:
    pairs = [pair(n) for n in range(4)]
    trainer = trainer_of(pairs, precompute_ref_log_probs=precompute)
    before = weights(trainer)
    trainer.train()
    margins, after = logged(trainer, "rewards/margins"), weights(trainer)
    assert margins[0] == pytest.approx(0, abs=1e-4)
    assert margins == sorted(margins) and margins[-1] > 0.005
    assert logged(trainer, "loss")[-1] < logged(trainer, "loss")[0]
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed and all("lora_" in name for name in changed)


def test_look_pairs_teach_though_their_words_are_the_same(trainer_of: Make) -> None:
    trainer = trainer_of([pair(n, "look") for n in range(4)], max_steps=6, learning_rate=2e-2)
    trainer.train()
    assert logged(trainer, "logps/chosen")[0] != logged(trainer, "logps/rejected")[0]
    assert logged(trainer, "grad_norm")[0] > 0
    assert logged(trainer, "rewards/margins")[-1] > logged(trainer, "rewards/margins")[0]


def test_without_its_own_image_a_look_pair_would_teach_nothing(trainer_of: Make) -> None:
    blunted = [pair(n, "look", rejected_images=None, noise=None) for n in range(2)]
    trainer = trainer_of(blunted, max_steps=1)
    trainer.train()
    assert logged(trainer, "grad_norm")[0] == pytest.approx(0, abs=1e-6)


def test_bfloat16_is_trained_over_float32_copies(trainer_of: Make) -> None:
    trainer = trainer_of([pair(n) for n in range(4)], torch.bfloat16, learning_rate=1e-2)
    trainer.train()
    assert isinstance(trainer.optimizer.optimizer, MasterAdamW)  # type: ignore[union-attr]
    assert {p.dtype for p in trainer.model.parameters()} == {torch.bfloat16}
    assert logged(trainer, "rewards/margins")[-1] > 0


def test_each_half_of_a_batch_has_its_own_images(processor: Any) -> None:
    pairs = [pair(0, "look"), pair(1)]
    rows = [{"pair": p.model_dump_json(), "ref_chosen_logps": 1.0, "ref_rejected_logps": 2.0}
            for p in pairs]  # fmt: skip
    batch = PairCollator(processor, 128, VIEW_SIZE)(rows)
    seen = [open_image(p.images[0]) for p in pairs]
    (hidden,) = rejected_pictures(pairs[0], VIEW_SIZE)
    expected = processor.image_processor(
        [[seen[0]], [seen[1]], [hidden], [seen[1]]], return_tensors="pt"
    )["pixel_values"]
    assert torch.equal(batch["pixel_values"], expected)
    assert not torch.equal(batch["pixel_values"][0], batch["pixel_values"][2])
    ids = batch["input_ids"]
    assert torch.equal(ids[0], ids[2]) and not torch.equal(ids[1], ids[3])
    assert batch["ref_chosen_logps"].tolist() == [1.0, 1.0]
    assert batch["ref_rejected_logps"].tolist() == [2.0, 2.0]


def test_a_session_shows_its_image_once(processor: Any) -> None:
    """Later messages of a session are plain text, before which TRL would put the images again."""
    later = [
        {"role": "assistant", "content": "look"}, {"role": "user", "content": "[E2] a mass"},
    ]  # fmt: skip
    one = pair(0)
    session = one.model_copy(update={"messages": [*one.messages, *later]})
    batch = PairCollator(processor, 128, VIEW_SIZE)([{"pair": session.model_dump_json()}])
    assert batch["pixel_values"].shape[:2] == (2, 1)


def test_the_noise_of_a_pair_is_always_the_same() -> None:
    first, second = (rejected_pictures(pair(4, "look"), VIEW_SIZE)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != rejected_pictures(pair(7, "look"), VIEW_SIZE)[0].tobytes()


def test_the_light_head_gives_what_trls_gives(processor: Any) -> None:
    model = make_model(processor)
    outputs = ("log_probs", "entropy", "mean_logits", "is_top1")
    add_fused_lm_head(model, outputs=outputs)
    light = copy.deepcopy(model)
    light.forward = model.forward.__func__.__get__(light)
    lighten_head(light)
    lighten_head(light)
    rows = [{"pair": pair(n).model_dump_json()} for n in range(2)]
    batch = PairCollator(processor, 128, VIEW_SIZE)(rows)
    labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)
    found = [m(**batch, labels=labels, fused_lm_head=True, use_cache=False) for m in (model, light)]
    for name in ("loss", *outputs):
        theirs, ours = (getattr(one, name).detach().float() for one in found)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    gradients = []
    for one, net in zip(found, (model, light), strict=True):
        one.loss.backward()
        gradients.append(net.model.text_model.layers[0].self_attn.q_proj.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    trainer_of: Make, tmp_path: Path, dtype: torch.dtype
) -> None:
    pairs = [pair(n, kind) for n in range(3) for kind in ("look", "use_context")]
    keys: dict[str, Any] = {
        "save_strategy": "steps", "save_steps": 2, "precompute_ref_log_probs": True,
    }  # fmt: skip
    whole = trainer_of(pairs, dtype, output_dir=str(tmp_path / "whole"), **keys)
    whole.train()
    checkpoint = tmp_path / "whole" / "checkpoint-2"
    resumed = trainer_of(pairs, dtype, output_dir=str(tmp_path / "resumed"), **keys)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert logged(resumed, "loss") == pytest.approx(logged(whole, "loss"), abs=1e-6)
    ends = weights(whole), weights(resumed)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(trainer_of: Make) -> None:
    trainer = trainer_of([pair(n) for n in range(4)])
    with torch.no_grad():
        trainer._base_model().get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TrainingStopped, match="the loss of step 1 is not a number"):
        trainer.train()


def test_long_pairs_are_left_out_whole_and_counted(processor: Any) -> None:
    pairs = [pair(0), pair(1, chosen="yes " * 200)]
    rows, left_out = rows_of(pairs, processor, 128)
    assert (len(rows), left_out) == (1, 1)
    assert rows_of(pairs, processor, None)[1] == 0
    with pytest.raises(InputError, match="raise max_length"):
        rows_of(pairs, processor, 10)
    batch = PairCollator(processor, None, VIEW_SIZE)([rows[0]])
    assert batch["input_ids"].shape[1] <= rows[0]["length"] <= batch["input_ids"].shape[1] + 2


@pytest.mark.parametrize("name", ["dpo-bundled.yaml", "dpo-qlora-gpu.yaml"])
def test_the_configurations_are_read_by_trls_own_classes(name: str, tmp_path: Path) -> None:
    text = (CONFIGS / name).read_text().replace("bf16: true", "bf16: false")
    path = tmp_path / name  # bf16 is checked against the machine
    path.write_text(text)
    ours, config, model = parse(
        ["--config", str(path)], DpoArguments, DPOConfig, ModelConfig
    ).arguments
    assert config.beta == 0.1 and config.loss_type[0] == "sigmoid"
    assert ours.pairs == "runs/pairs/pairs.jsonl"
    assert config.precompute_ref_log_probs == (name == "dpo-bundled.yaml") == bool(ours.limits())
    assert model.load_in_4bit == (name == "dpo-qlora-gpu.yaml")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("bata: 0.1", "unknown key 'bata'; did you mean 'beta'"),
        ("mix: x", "remove 'mix'"),
        ("longest: 10", "use max_length"),
        ("load_best_model_at_end: true\neval_strategy: steps\nsave_steps: 500", "not supported"),
        ("precompute_ref_log_probs: false", "set precompute_ref_log_probs: true"),
        ("at_most: [looks=3]", "at_most has 'looks=3'; give KIND=NUMBER, a kind being one of look"),
        ("at_most: [look=0]", "at_most has 'look=0'"),
        ("pairs: nowhere.jsonl", "there are no pairs at 'nowhere.jsonl'"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(keys: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    base = f"output_dir: {tmp_path / 'run'}\nuse_cpu: true\nbf16: false\n"
    if "precompute" not in keys:
        base += "precompute_ref_log_probs: true\n"
    path.write_text(base + keys + "\n")
    with pytest.raises((ConfigError, InputError), match=said):
        dpo(["--config", str(path)])


def test_pairs_are_checked_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_lines(path, [pair(0), pair(1, split="test")])
    with pytest.raises(InputError, match="never learnt from"):
        read_pairs(path)
    gone = {"kind": "file", "path": str(tmp_path / "gone.png")}
    write_lines(path, [pair(0, images=[gone])])
    with pytest.raises(InputError, match=r"gone\.png"):
        read_pairs(path)


@pytest.mark.slow
def test_a_model_in_a_folder_is_trained_from_the_command_line(
    processor: Any, tmp_path: Path
) -> None:
    folder, path, out = tmp_path / "model", tmp_path / "pairs.jsonl", tmp_path / "run"
    make_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    held = pair(8, split="validation")
    write_lines(path, [*(pair(n, "look") for n in range(3)), pair(7), held])
    flags = (
        f"--model_name_or_path {folder} --pairs {path} --output_dir {out} --use_peft "
        "--lora_target_modules q_proj v_proj --use_cpu --bf16 false --gradient_checkpointing false "
        "--max_steps 2 --save_steps 1 --logging_steps 1 --report_to none --eval_strategy steps --eval_steps 2 "
        "--dtype float32 --per_device_train_batch_size 2"
    )
    with pytest.raises(InputError, match=r"all 4 pairs .* prefer the same of yes and no"):
        dpo(flags.split())
    flags += " --balance false"
    dpo(flags.split())
    assert (out / "adapter_model.safetensors").is_file()
    card = (out / "README.md").read_text()
    assert "dpo of" in card and "Reward margin" in card and "d/look 3, d/use_context 1" in card
    with pytest.raises(InputError, match="--resume"):
        dpo(flags.split())
    dpo([*flags.split(), "--resume", "--max_steps", "3"])
    assert (out / "checkpoint-3").is_dir()
    fewer = [*flags.replace(str(out), str(tmp_path / "fewer")).split(), "--at_most", "look=1"]
    dpo(fewer)
    assert "d/look 1, d/use_context 1" in (tmp_path / "fewer" / "README.md").read_text()


def test_what_does_not_learn_stays_so_when_the_reference_goes(processor: Any) -> None:
    adapted = get_peft_model(make_model(processor), LoraConfig(**LORA))
    adapted.add_adapter("ref", LoraConfig(**LORA))
    _drop_reference(adapted, ["lora_", "connector"])
    learns = {name: weight.requires_grad for name, weight in adapted.named_parameters()}
    assert any(learns.values()) and not any(".ref." in name for name in learns)
    for name, does in learns.items():
        assert does == ("lora_" in name or "connector" in name), name


@pytest.mark.slow
def test_the_bundled_planner_is_trained_in_all_its_parts(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from overread.agent.bundled import OURS, WEIGHTS
    from overread.evals.contamination import MANIFEST, read_manifest
    from overread.training.planner_parts import PARTS

    path, out = tmp_path / "pairs.jsonl", tmp_path / "run"
    write_lines(path, [pair(0, "look"), pair(1), pair(2, "look"), pair(3)])
    flags = (
        f"--config {CONFIGS / 'dpo-bundled.yaml'} --start {WEIGHTS / OURS} --pairs {path} "
        f"--output_dir {out} --max_steps 1 --save_steps 1 --logging_steps 1 --warmup_steps 0 "
        "--per_device_train_batch_size 1 --report_to none --connector_rate 0.5 --vision_rate 0.2 "
        "--balance false"
    )
    dpo(flags.split())
    start, end = load_file(WEIGHTS / OURS), load_file(out / "ours" / OURS)
    named = {name.replace(".default.", "."): tensor for name, tensor in end.items()}
    plain = {name.replace(".default.", "."): tensor for name, tensor in start.items()}
    assert named.keys() == plain.keys()  # the reference's copy is not among them
    for part in PARTS:
        assert any(not torch.equal(named[n], plain[n]) for n in named if part in n), part
    assert "fundus" in {line.domain for line in read_manifest(out / "ours" / MANIFEST).patients}
    card = (out / "README.md").read_text()
    assert "Reward margin 0.000 at step 1" in card
    dpo([*flags.split(), "--resume", "--max_steps", "2"])
    assert (out / "checkpoint-2" / "ours" / OURS).is_file()
