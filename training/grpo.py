"""GRPO on a mixture of tasks, over TRL's trainer.

    overread train grpo --config training/configs/grpo-bundled.yaml

Ours: what a completion is paid (`pay`), the agent's sessions (`rollouts`), the alarms, and rows that
draw their images when they are needed. All else is TRL's and set by TRL's own keys: group-relative
advantages (`num_generations`, `scale_rewards`, `loss_type`), KL to the start (`beta`), clipping
(`epsilon`, `epsilon_high`), sampling, vLLM (`use_vllm`, `vllm_mode`), checkpoints.
"""

import logging
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from overread.imaging.errors import ConfigError
from overread.training.alarms import Limits, Watch, paying_tricks, probe
from overread.training.examples import Example, open_image
from overread.training.normalisation import STEEPNESS, Spread
from overread.training.pay import BatchReward, Pay
from overread.training.rewards.registry import reward_for
from overread.training.rollouts import TOOL_TASK, Rollouts, RolloutSettings, key_of, prompt_of

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

logger = logging.getLogger(__name__)

PROBED = 200


@dataclass
class GrpoArguments:
    """What is ours in a GRPO configuration beside `OurArguments`; every other key is TRL's.

    The help of each field is what `overread train grpo --help` shows.
    """

    rewards: str = field(
        default="normalised",
        metadata={
            "help": "'normalised' puts each dataset and task on one scale, 'raw' does not.",
            "choices": ["normalised", "raw"],
        },
    )
    reward_stats: str = field(
        default="",
        metadata={"help": "JSON of 'overread train reward-stats'; read, or written by it."},
    )
    stats_prompts: int = field(
        default=200,
        metadata={"help": "For reward-stats: prompts of each dataset and task, at most."},
    )
    steepness: float = field(default=STEEPNESS, metadata={"help": "k of the logistic."})
    form_weight: float = field(default=0.1, metadata={"help": "Of the form reward, 0..1."})
    citation_weight: float = field(default=0.1, metadata={"help": "Of the citation reward, 0..1."})
    judge_weight: float = field(default=0.0, metadata={"help": "Of the judge's mean mark, 0..1."})
    judge_url: str = field(
        default="", metadata={"help": "OpenAI-compatible endpoint of the judge, up to /v1."}
    )
    judge_model: str = field(default="", metadata={"help": "Name of the judging model."})
    tools: str = field(
        default="bundled",
        metadata={
            "help": "Segmenter in sessions: 'bundled', as served, or 'oracle' on phantoms alone.",
            "choices": ["bundled", "oracle"],
        },
    )
    profile: str = field(default="bundled", metadata={"help": "Planner profile of sessions."})
    max_steps_per_session: int = field(
        default=6, metadata={"help": "Planner steps of a session before it must answer."}
    )
    probes: str = field(
        default="stop",
        metadata={
            "help": "When a known trick pays more than the baseline earns: 'stop' or 'warn'.",
            "choices": ["stop", "warn"],
        },
    )
    alarm_window: int = field(
        default=256, metadata={"help": "Completions that a trick's share is taken of."}
    )
    alarm_trick_share: float = field(
        default=0.5, metadata={"help": "Share of completions that look like one trick."}
    )
    alarm_length_ratio: float = field(
        default=3.0, metadata={"help": "Mean length over that of the beginning, either way."}
    )
    alarm_entropy_share: float = field(
        default=0.1, metadata={"help": "Entropy over that of the beginning."}
    )
    alarm_patience: int = field(
        default=5, metadata={"help": "Logs in a row that an alarm sounds before the run stops."}
    )

    def __post_init__(self) -> None:
        """Refuse values outside the choices: those of a file are not checked by the parser."""
        for one in fields(self):
            allowed = one.metadata.get("choices")
            value = getattr(self, one.name)
            if allowed and value not in allowed:
                raise ConfigError(f"{one.name} is '{value}'; choose from {', '.join(allowed)}")

    def limits(self) -> Limits:
        """Return the thresholds of the alarms."""
        return Limits(
            window=self.alarm_window,
            trick_share=self.alarm_trick_share,
            length_ratio=self.alarm_length_ratio,
            entropy_share=self.alarm_entropy_share,
            patience=self.alarm_patience,
        )

    def pay(self, spreads: dict[str, Spread] | None, watch: Watch | None) -> Pay:
        """Return what completions are paid.

        Args:
            spreads: Percentiles; used if rewards are normalised.
            watch: Is shown what the policy writes.

        Raises:
            ConfigError: Rewards are normalised, but there are no percentiles.
        """
        if self.rewards == "normalised" and spreads is None:
            raise ConfigError(
                "normalised rewards need reward_stats; write them with 'overread train "
                "reward-stats --config' and this configuration, or set rewards: raw"
            )
        judge = None
        if self.judge_url and self.judge_model:
            from overread.training.rewards.judge import ClinicalJudge

            judge = ClinicalJudge(self.judge_url, self.judge_model)
        return Pay(
            spreads=spreads if self.rewards == "normalised" else None,
            steepness=self.steepness,
            form_weight=self.form_weight,
            citation_weight=self.citation_weight,
            judge_weight=self.judge_weight,
            judge=judge,
            watch=watch,
        )

    def rollout_settings(self, seed: int) -> RolloutSettings:
        """Return how sessions are set up."""
        tools: Literal["bundled", "oracle"] = "oracle" if self.tools == "oracle" else "bundled"
        return RolloutSettings(tools, self.profile, self.max_steps_per_session, seed)


def rows_of(examples: Sequence[Example]) -> "Dataset":
    """Return a dataset whose rows are made when they are read.

    Each row has "prompt" (messages up to the first reply), "images" (as the planner sees them; not
    where no example has any) and "example".
    """
    from datasets import Dataset

    pictured = any(example.images for example in examples)

    def rows(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        some = [examples[number] for number in batch["number"]]
        made: dict[str, list[Any]] = {
            "prompt": [prompt_of(example) for example in some],
            "example": some,
        }
        if pictured:
            made["images"] = [[open_image(ref) for ref in example.images] for example in some]
        return made

    return Dataset.from_dict({"number": list(range(len(examples)))}).with_transform(rows)


def build_trainer(
    arguments: GrpoArguments,
    config: "GRPOConfig",
    examples: Sequence[Example],
    spreads: dict[str, Spread] | None,
    model: Any,
    processor: Any,
    **options: Any,
) -> "GRPOTrainer":
    """Return TRL's trainer with our rewards, rollouts and alarms.

    Args:
        arguments: Ours.
        config: TRL's; `reward_weights` is set here.
        examples: To train on.
        spreads: Of the baseline, by "dataset/task"; None if rewards are raw.
        model: A model, or the path of one.
        processor: Its processor or tokenizer.
        **options: Of the trainer: "peft_config", "optimizers", "callbacks", "eval_dataset", ...

    Raises:
        ConfigError: Settings that would fail or mislead in the middle of a run.
    """
    if not examples:
        raise ConfigError("the mix has no example to train on; see its sources, tasks and splits")
    at_once = (config.generation_batch_size or 1) // (config.num_generations or 1)
    if len(examples) < at_once:
        raise ConfigError(
            f"the mix has {len(examples)} prompts and a step takes {at_once}, so nothing would be "
            "trained; lower per_device_train_batch_size or gradient_accumulation_steps"
        )
    if config.reward_weights is not None:
        raise ConfigError(
            "reward_weights is set by form_weight, citation_weight and judge_weight; take it out"
        )
    watch = Watch(arguments.limits())
    pay = arguments.pay(spreads, watch)
    pay.check(examples)
    _probe(arguments, examples, spreads)
    functions, config.reward_weights = pay.parts()
    rollouts = rollouts_for(arguments, config, examples)
    callbacks = [*options.pop("callbacks", ()), watch]
    return make_trainer(
        config, functions, examples, rollouts, model, processor, callbacks=callbacks, **options
    )


def make_trainer(
    config: "GRPOConfig",
    functions: Sequence[BatchReward],
    examples: Sequence[Example],
    rollouts: Rollouts | None,
    model: Any,
    processor: Any,
    **options: Any,
) -> "GRPOTrainer":
    """Return the trainer; "kind" among the options is its class.

    Raises:
        ConfigError: TRL refuses the settings.
    """
    from overread.training.grpo_trainer import PolicyTrainer

    kind = options.pop("kind", PolicyTrainer)
    try:
        with warnings.catch_warnings():
            # TRL says that rollout_func may change; our tests of it would tell.
            warnings.filterwarnings("ignore", message=".*'rollout_func'.*", category=UserWarning)
            return kind(
                model=model,
                args=config,
                reward_funcs=list(functions),
                train_dataset=rows_of(examples),
                processing_class=processor,
                rollout_func=rollouts,
                **options,
            )
    except (ValueError, TypeError) as error:
        raise ConfigError(f"TRL refuses this: {' '.join(str(error).split())}") from error


def rollouts_for(
    arguments: GrpoArguments, config: "GRPOConfig", examples: Sequence[Example]
) -> Rollouts | None:
    """Return the agent's rollouts if the mix has sessions; TRL's own way of sampling needs none.

    Raises:
        ConfigError: Sessions would have to be generated across processes in step, which they are
            not; or the oracle is asked about files.
    """
    sessions = [example for example in examples if example.task == TOOL_TASK]
    if not sessions:
        return None
    apart = config.use_vllm and config.vllm_mode == "colocate"
    if config.world_size > 1 and not (apart and config.vllm_tensor_parallel_size == 1):
        raise ConfigError(
            "sessions of the tool_use task end at different steps, so processes cannot generate "
            "together: with several processes set use_vllm: true, vllm_mode: colocate and "
            "vllm_tensor_parallel_size: 1, or leave tool_use out of the mix"
        )
    filed = next((e for e in sessions if any(r.kind == "file" for r in e.images)), None)
    if arguments.tools == "oracle" and filed is not None:
        raise ConfigError(
            f"tools: oracle knows phantoms alone, but example '{filed.id}' of '{filed.dataset}' is "
            "a file; set tools: bundled"
        )
    by_key = {key_of(example): example for example in examples}
    return Rollouts(by_key, arguments.rollout_settings(config.seed))


def _probe(
    arguments: GrpoArguments, examples: Sequence[Example], spreads: dict[str, Spread] | None
) -> None:
    if spreads is None:  # raw rewards without a baseline: there is nothing to compare tricks with
        return
    some = random.Random(0).sample(list(examples), min(PROBED, len(examples)))
    paid = probe(lambda text, example: reward_for(example.task)(text, example), some)
    told = paying_tricks(paid, {kind: spread.mean for kind, spread in spreads.items()})
    for sentence in told:
        logger.warning("the reward can be had without looking: %s", sentence)
    if told and arguments.probes == "stop":
        raise ConfigError(
            f"the reward can be had without looking: {'; '.join(told)}. Change the mix or train "
            "the baseline further; 'probes: warn' goes on all the same"
        )
