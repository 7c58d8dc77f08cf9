"""Supervised fine-tuning of the bundled planner on traces, with TRL.

    python -m overread.training.planner_sft --traces runs/traces/train.jsonl \
        --vision runs/vision/vision.safetensors --out runs/sft --steps 600

Trains LoRA on the text part, the connector and the vision tower, in bfloat16 with float32 master
weights. Checkpoints; the same command resumes. `--export` writes what is ours of the last
checkpoint to the folder of the bundled planner.
"""

import argparse
import json
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image as PILImage
from safetensors.torch import load_file, save_file
from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from overread.agent.architecture import IMAGE_SIZE, build_model, build_processor, load_tokenizer
from overread.agent.bundled import OURS, WEIGHTS, write_manifest
from overread.imaging.phantoms import generate
from overread.imaging.render import for_planner
from overread.training import manifest
from overread.training.master_adamw import MasterAdamW
from overread.training.phantom_cache import session_image
from overread.training.traces import IMAGE

IGNORED = -100
_PREFIX = "base_model.model."  # what PEFT puts before the names
LORA = LoraConfig(
    r=32,
    lora_alpha=64,
    target_modules=r".*text_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)",
)
LEARNING_RATES = {"lora_": 5e-4, "connector": 1e-3, "vision_model": 1e-4}


def encode(
    line: dict[str, Any], tokenizer: PreTrainedTokenizerBase, image_text: str
) -> dict[str, Any]:
    """Tokenise a trace; labels only on the assistant messages marked to be learnt.

    The split at message borders equals what the server sees: a prompt, then a reply.
    """
    ids: list[int] = []
    labels: list[int] = []
    learn = iter(line["learn"])

    def add(text: str, learnt: bool = False) -> None:
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        ids.extend(tokens)
        labels.extend(tokens if learnt else [IGNORED] * len(tokens))

    images: list[int] = []
    for message in line["messages"]:
        content = message["content"]
        if not isinstance(content, str):
            parts = []
            for part in content:
                if part["type"] == "image_url":
                    images.append(int(part["image_url"]["url"].removeprefix(IMAGE)))
                    parts.append(image_text)
                else:
                    parts.append(part["text"])
            content = "".join(parts)
        add(f"<|im_start|>{message['role']}\n")
        if message["role"] == "assistant":
            add(f"{content}<|im_end|>", learnt=next(learn))
            add("\n")
        else:
            add(f"{content}<|im_end|>\n")
    cases = [line["cases"][i] for i in images]
    as_png = "modality unknown" in json.dumps(line["messages"][1])
    return {
        "input_ids": ids,
        "labels": labels,
        "length": len(ids),
        "images": [json.dumps([*case, as_png]) for case in cases],
    }


class Collator:
    """Pads a batch and draws its phantoms anew: cheaper than storing pixels."""

    def __init__(self, pad: int, seed: int) -> None:
        """Pad with token `pad`; light brightness changes come from `seed`."""
        self._pad = pad
        self._rng = np.random.default_rng(seed)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask, labels (n, longest) and pixel_values."""
        longest = max(len(row["input_ids"]) for row in rows)

        def padded(key: str, value: int) -> torch.Tensor:
            return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in rows])

        ids = padded("input_ids", self._pad)
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        most = max(len(row["images"]) for row in rows)
        pixels = torch.zeros(len(rows), most, 3, IMAGE_SIZE, IMAGE_SIZE)
        shown = torch.zeros(len(rows), most, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.bool)
        for i, row in enumerate(rows):
            for j, case in enumerate(row["images"]):
                pixels[i, j] = self._view(json.loads(case))
                shown[i, j] = True
        return {
            "input_ids": ids,
            "attention_mask": (torch.arange(longest)[None] < lengths[:, None]).long(),
            "labels": padded("labels", IGNORED),
            "pixel_values": pixels.to(torch.bfloat16),
            "pixel_attention_mask": shown,
        }

    def _view(self, case: list[Any]) -> torch.Tensor:
        domain, patient, visit, as_png = case
        picture = for_planner(session_image(generate(domain, patient, visit), as_png), IMAGE_SIZE)
        unit = torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32) / 255.0)
        unit = unit.pow(float(self._rng.uniform(0.85, 1.2)))
        return unit.permute(2, 0, 1) * 2 - 1


def focused(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a mix for learning to choose: sessions with tools, each also cut after its first step.

    Chats without tools, and sessions that the file's own facts answer, are thinned.
    """
    kept = []
    chats = facts = 0
    for line in lines:
        if "tools" not in line["messages"][0]["content"]:
            chats += 1
            kept += [line] if chats % 6 == 0 else []
        elif '"calls"' not in line["messages"][2]["content"]:
            facts += 1
            kept += [line] if facts % 4 == 0 else []
        else:
            kept += [line, {**line, "messages": line["messages"][:3], "learn": line["learn"][:1]}]
    return kept


def load_dataset(
    paths: Iterable[Path], tokenizer: PreTrainedTokenizerBase, longest: int, focus: bool
) -> Dataset:
    """Return the traces that fit, tokenised, in random order; `focus` takes the `focused` mix."""
    image_text = image_marks(tokenizer)
    rows = []
    for path in paths:
        lines = [json.loads(text) for text in path.read_text().splitlines()]
        for line in focused(lines) if focus else lines:
            row = encode(line, tokenizer, image_text)
            if row["length"] <= longest:
                rows.append(row)
    random.Random(0).shuffle(rows)
    return Dataset.from_list(rows)


def trained_on(traces: Iterable[Path], earlier: Path) -> list[str]:
    """Return the lines of the manifest: the patients of traces, and what earlier weights knew."""
    lines = (json.loads(text) for path in traces for text in path.read_text().splitlines())
    patients = ((domain, number) for line in lines for domain, number, _ in line["cases"])
    return [*manifest.lines_of(patients), *manifest.inherited(earlier)]


def image_marks(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the processor puts in the place of one image."""
    processor = build_processor(tokenizer)
    blank = PILImage.new("RGB", (IMAGE_SIZE, IMAGE_SIZE))
    ids = processor(text=["<image>"], images=[[blank]])["input_ids"][0]
    return str(tokenizer.decode(ids))


def build(vision: Path, tokenizer: PreTrainedTokenizerBase, start: Path | None = None) -> PeftModel:
    """Return the planner to be trained, with the pretrained tower or all of an earlier run."""
    model = build_model(tokenizer)
    if start is None:
        model.model.vision_model.load_state_dict(load_file(vision))
    torch.manual_seed(0)
    adapted = get_peft_model(model, LORA, autocast_adapter_dtype=False)
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_(any(part in name for part in LEARNING_RATES))
    if start is not None:
        ours = {f"{_PREFIX}{name}": tensor for name, tensor in load_file(start).items()}
        if adapted.load_state_dict(ours, strict=False).unexpected_keys:
            raise ValueError(f"{start} is not of this architecture")
    return adapted


def optimizer_for(model: PeftModel) -> MasterAdamW:
    """Return AdamW with a learning rate for each part."""
    groups = [
        {
            "params": [p for n, p in model.named_parameters() if part in n and p.requires_grad],
            "lr": rate,
        }
        for part, rate in LEARNING_RATES.items()
    ]
    return MasterAdamW(groups, weight_decay=0.01, betas=(0.9, 0.98))


class SaveOurs(TrainerCallback):
    """Writes connector and vision tower beside each adapter that TRL saves."""

    def __init__(self, known: list[str]) -> None:
        """Write these lines as their manifest."""
        self._known = known

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write what `export` takes into the checkpoint."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        save_ours(kwargs["model"], folder / "ours", self._known)


class LabelledTrainer(SFTTrainer):
    """Computes logits at labelled positions alone, in bfloat16.

    TRL's fused head covers every position in float32: nearly half of a step on a CPU.
    """

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        """Leave the weights to the optimiser, whose float32 copies restore every one of them.

        Loading the adapter would replace the parameters that the optimiser follows, and a resumed
        run would train nothing of it.
        """

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean cross-entropy of the labelled tokens."""
        planner = self.accelerator.unwrap_model(model).get_base_model()
        labels = inputs.pop("labels")[:, 1:]
        states = planner.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
        kept = labels != IGNORED
        logits = planner.lm_head(states[kept]).float()
        loss = torch.nn.functional.cross_entropy(logits, labels[kept], reduction="sum")
        loss = loss / (int(kept.sum()) if num_items_in_batch is None else num_items_in_batch)
        return (loss, {"logits": logits}) if return_outputs else loss


def train(args: argparse.Namespace) -> None:
    """Train, or go on training."""
    tokenizer = load_tokenizer()
    model = build(args.vision, tokenizer, args.start)
    known = trained_on(args.traces, args.start or args.vision)
    config = SFTConfig(
        output_dir=str(args.out),
        max_steps=args.steps,
        per_device_train_batch_size=args.batch,
        warmup_steps=20,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.02},
        max_grad_norm=1.0,
        logging_steps=10,
        save_steps=args.save_steps,
        save_total_limit=2,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        remove_unused_columns=False,
        gradient_checkpointing=False,
        use_cpu=args.cpu,
        max_length=None,
        report_to="none",
        seed=0,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = LabelledTrainer(
        model=model,
        args=config,
        train_dataset=load_dataset(args.traces, tokenizer, args.longest, args.focus),
        processing_class=build_processor(tokenizer),
        data_collator=Collator(tokenizer.pad_token_id, seed=0),
        optimizers=(optimizer_for(model), None),
        callbacks=[SaveOurs(known)],
    )
    resume = any(args.out.glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=resume)
    (args.out / "log.json").write_text(json.dumps(trainer.state.log_history, indent=1))
    save_ours(model, args.out / "ours", known)


def save_ours(model: PeftModel, folder: Path, known: list[str]) -> None:
    """Write adapter, connector and vision tower as bfloat16 safetensors, with their manifest."""
    manifest.write(folder, known)
    state = {
        name.removeprefix(_PREFIX): tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if any(part in name for part in LEARNING_RATES)
    }
    save_file(state, folder / OURS)


def export(out: Path) -> None:
    """Copy the trained weights into the package and note their hashes and that of the result."""
    manifest.write(WEIGHTS, manifest.inherited(out / "ours" / OURS))
    (WEIGHTS / OURS).write_bytes((out / "ours" / OURS).read_bytes())
    write_manifest(LORA.r, LORA.lora_alpha)


def main() -> None:
    """Parse the command line and train or export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, nargs="+", default=[Path("runs/traces/train.jsonl")])
    parser.add_argument("--vision", type=Path, default=Path("runs/vision/vision.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("runs/sft"))
    parser.add_argument("--start", type=Path, help="Weights of an earlier run to go on from.")
    parser.add_argument("--focus", action="store_true", help="Take the mix for choosing tools.")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--longest", type=int, default=520)
    parser.add_argument("--save-steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cpu", action="store_true", help="Train on the CPU.")
    parser.add_argument("--export", action="store_true", help="Only export the last run.")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.export:
        export(args.out)
    else:
        train(args)


if __name__ == "__main__":
    main()
