"""TRL's DPO trainer with what preference pairs on images need, and no more.

Three differences from `trl.DPOTrainer`, all in how its parts are fed:

- Rows hold a pair as JSON, and `PairCollator` draws the images of each side when a batch is made. To TRL
  this is no vision data set, so it allows what it refuses for those: the reference's log-probabilities
  can be computed once, before training (`precompute_ref_log_probs`), which halves the later steps.
- TRL's fused head scores every position where there is no Triton, the prompt's too, though only those of
  the replies count. On a CPU the head is scored at the replies alone.
- A bfloat16 model on a CPU is trained by `MasterAdamW`: small steps would be lost in rounding.

The reference is the model without its adapter where TRL makes the adapter from a configuration: it
switches the adapter off. Of a model that comes with an adapter TRL keeps a copy as the reference.
"""

import os
from collections.abc import Sequence
from types import MethodType
from typing import Any

import PIL.Image
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from trl import DPOConfig, DPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from overread.agent.prompts import for_template
from overread.imaging.errors import InputError
from overread.training.dpo_collate import PairCollator
from overread.training.examples import VIEW_SIZE, Pair
from overread.training.guards import Guarded
from overread.training.master_adamw import MasterAdamW
from overread.training.planner_parts import IGNORED

LENGTH = "length"


class PairTrainer(Guarded, DPOTrainer):
    """Trains on pairs; see the module."""

    def _prepare_dataset(
        self,
        dataset: Dataset,
        processing_class: PreTrainedTokenizerBase | ProcessorMixin,
        args: DPOConfig,
        dataset_name: str,
    ) -> Dataset:
        """Leave rows as they are: the collator makes tokens and pixels."""
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Lighten the head before the reference is asked, too, and show TRL's bar: it takes minutes."""
        lighten_head(self._base_model())
        quiet = os.environ.pop("TQDM_DISABLE", None)
        try:
            return super()._precompute_ref_logps(dataset, name, batch_size)
        finally:
            if quiet is not None:
                os.environ["TQDM_DISABLE"] = quiet

    def _base_model(self) -> Any:
        adapted = hasattr(self.model, "get_base_model")
        return self.model.get_base_model() if adapted else self.model

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return AdamW over float32 copies for bfloat16 weights on a CPU, else what TRL would take."""
        whole = self.model if model is None else model
        lighten_head(self._base_model())
        on_cpu = self.args.device.type == "cpu" and self._base_model().dtype == torch.bfloat16
        if self.optimizer is None and on_cpu:
            decayed = self.get_decay_parameter_names(whole)
            trained = [(n, p) for n, p in whole.named_parameters() if p.requires_grad]
            for _, weight in trained:  # PEFT makes adapters in float32, or loads them so
                weight.data = weight.data.to(torch.bfloat16)
            groups = [
                {
                    "params": [p for n, p in trained if (n in decayed) == decays],
                    "weight_decay": decay,
                }
                for decays, decay in ((True, self.args.weight_decay), (False, 0.0))
            ]
            self.optimizer = MasterAdamW(
                [group for group in groups if group["params"]],
                lr=self.args.learning_rate,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
            )
        return super().create_optimizer(model)


def lighten_head(model: Any) -> None:
    """Let a model with TRL's fused head score labelled positions alone on a CPU; done once.

    Args:
        model: Without adapter wrappers, after `trl.trainer.utils.add_fused_lm_head`.
    """
    fused = model.forward
    if getattr(fused, "is_light", False):
        return

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        plain = not kwargs.get("fused_lm_head") or "shift_labels" in kwargs
        if plain or self.device.type != "cpu" or kwargs.get("output_router_logits"):
            return fused(*args, **kwargs)
        kwargs = {**kwargs, "use_cache": False}
        del kwargs["fused_lm_head"]
        labels = kwargs.pop("labels")[:, 1:]
        states = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        return _scored(states, labels, self.get_output_embeddings())

    forward.is_light = True  # type: ignore[attr-defined]
    model.forward = MethodType(forward, model)


def _scored(states: torch.Tensor, labels: torch.Tensor, head: torch.nn.Module) -> Any:
    """Return what TRL's loss and metrics read, each (rows, positions), 0 where nothing is labelled."""
    mask = labels != IGNORED
    logits = head(states[mask]).float()
    logs = logits.log_softmax(-1)
    wanted = labels[mask][:, None]

    def spread(values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(mask.shape).masked_scatter(mask, values)

    log_probs = spread(logs.gather(-1, wanted)[:, 0])
    return FusedCausalLMOutput(
        loss=-log_probs.sum() / mask.sum().clamp(min=1),
        log_probs=log_probs,
        entropy=spread(-(logs.exp() * logs).sum(-1).detach()),
        mean_logits=spread(logits.mean(-1).detach()),
        is_top1=spread(logits.argmax(-1) == wanted[:, 0]),
        label_mask=mask,
    )


def rows_of(pairs: Sequence[Pair], processor: Any, longest: int | None) -> tuple[Dataset, int]:
    """Return pairs as rows ("pair", "length"), and how many were left out as too long.

    A prompt that is cut loses its image's tokens or its question, so such pairs are left out whole.

    Args:
        pairs: To train on.
        processor: Of the model; counts tokens without images, an image as its own number of tokens.
        longest: Tokens of the prompt and its longer reply; None for no limit.

    Raises:
        InputError: No pair is left.
    """
    counted = [(pair, _length(pair, processor)) for pair in pairs]
    kept = [(pair, n) for pair, n in counted if longest is None or n <= longest]
    if not kept:
        raise InputError(
            f"none of {len(pairs)} pairs has at most {longest} tokens; raise max_length"
            if pairs
            else "there is no pair to train on"
        )
    rows = [{"pair": pair.model_dump_json(), LENGTH: n} for pair, n in kept]
    return Dataset.from_list(rows), len(counted) - len(kept)


def _length(pair: Pair, processor: Any) -> int:
    text = processor.apply_chat_template(
        for_template(pair.messages), add_generation_prompt=True, tokenize=False
    )
    blank = [PIL.Image.new("RGB", (VIEW_SIZE, VIEW_SIZE)) for _ in pair.images]
    prompt = processor(text=[text], images=[blank] if blank else None)["input_ids"][0]
    replies = [processor.tokenizer(reply)["input_ids"] for reply in (pair.chosen, pair.rejected)]
    return len(prompt) + max(len(reply) for reply in replies) + 2


def make_trainer(
    model: Any,
    processor: Any,
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    config: DPOConfig,
    image_size: int,
    kind: type[PairTrainer] = PairTrainer,
    **options: Any,
) -> tuple[PairTrainer, int]:
    """Return the trainer, and how many pairs were left out as too long.

    Args:
        model: Where `peft_config` is given its weights are the reference; a model with an adapter
            is its own, as it is now.
        processor: Of the model.
        pairs: To train on.
        validation: To evaluate on; may be empty.
        config: TRL's.
        image_size: Edge of the views, in pixels.
        kind: The trainer's class.
        **options: Of the trainer: "peft_config", "callbacks", ...

    Raises:
        InputError: No pair fits.
    """
    config.remove_unused_columns = False
    train, left_out = rows_of(pairs, processor, config.max_length)
    held = rows_of(validation, processor, config.max_length)[0] if validation else None
    trainer = kind(
        model=model,
        args=config,
        train_dataset=train,
        eval_dataset=held,
        processing_class=processor,
        data_collator=PairCollator(processor, config.max_length, image_size),
        **options,
    )
    return trainer, left_out
