"""Examples, and trainers of a small planner, for the tests of GRPO.

    python -m tests.training.grpo_runs BASE OUT STEPS

trains on scripted replies, and goes on from the newest checkpoint: what a test may kill.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trl import GRPOConfig, GRPOTrainer

from overread.agent.steps import Step, ToolCall
from overread.imaging.phantoms import generate
from overread.training.examples import Example, PhantomRef
from overread.training.grpo import GrpoArguments, build_trainer
from overread.training.grpo_trainer import PolicyTrainer
from overread.training.guards import checkpoints
from overread.training.normalisation import Spread
from overread.training.phantom_examples import examples_of
from tests.training.tiny_planner import load_planner

SPREAD = Spread(p25=0.0, p50=0.2, p75=0.6, std=0.3, mean=0.9, n=100, prompts=50)
SPREADS = {"phantoms/closed": SPREAD, "phantoms/tool_use": SPREAD}

Replies = Callable[[int, int], str]
"""From the number of a call and the place in its batch to what the policy says."""


QUESTION = "Is there a nodule?"


def of_phantom(patient: int, task: str) -> Example:
    """Return the question whether a phantom has a nodule, put directly or to the agent."""
    phantom = generate("chest-xray", patient)
    ref = PhantomRef(domain="chest-xray", patient=patient)
    found = next(one for one in examples_of(phantom, ref, "train") if one.task == task)
    user = found.messages[-1 if task == "tool_use" else -2]
    words = user["content"][-1]["text"].rsplit("Question: ", 1)[0] + f"Question: {QUESTION}"
    messages = [
        found.messages[0], {**user, "content": [*user["content"][:-1], {"type": "text", "text": words}]}
    ]  # fmt: skip
    there = any(finding.name == "nodule" for finding in phantom.findings)
    reference = {"kind": "closed", "answers": ["yes" if there else "no"], "options": ["yes", "no"],
                 "question": QUESTION}  # fmt: skip
    return found.model_copy(update={"messages": messages, "reference": reference})


def look(target: str = "nodule") -> str:
    call = ToolCall(tool="segment", arguments={"image": 1, "target": target})
    return Step(why="Look.", calls=(call,)).text()


def say(text: str) -> str:
    return Step(why="Seen.", answer=text).text()


def scripted(trainer: GRPOTrainer, replies: Replies) -> list[int]:
    """Let a trainer's policy say what is told, as tokens; returns the sizes of batches, filled."""
    sizes: list[int] = []

    def generate_single_turn(ids: Any, images: Any, fields: Any, number: int, **_: Any) -> Any:
        texts = [replies(len(sizes), place) for place in range(len(ids))]
        sizes.append(len(ids))
        ended = [f"{text}{trainer._tokenizer.eos_token}" for text in texts]
        return trainer._tokenizer(ended, add_special_tokens=False)["input_ids"], None

    trainer._generate_single_turn = generate_single_turn
    return sizes


def make_trainer(
    base: Path,
    out: Path,
    examples: list[Example],
    steps: int = 3,
    model: Any = None,
    kind: type[GRPOTrainer] = PolicyTrainer,
    **ours: Any,
) -> GRPOTrainer:
    loaded, processor = load_planner(base)
    config = GRPOConfig(
        output_dir=str(out), max_steps=steps, per_device_train_batch_size=4, num_generations=2,
        max_completion_length=8, learning_rate=1e-3, beta=0.02, save_steps=1, logging_steps=1,
        report_to="none", use_cpu=True, gradient_checkpointing=False, bf16=False, seed=3,
        lr_scheduler_type="constant", disable_tqdm=True,
    )  # fmt: skip
    arguments = GrpoArguments(tools="oracle", max_steps_per_session=3, probes="warn", **ours)
    return build_trainer(
        arguments, config, examples, SPREADS, model or loaded, processor, kind=kind
    )


def main() -> None:
    base, out, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    examples = [of_phantom(number, "closed") for number in (1, 3)]
    trainer = make_trainer(base, out, examples, steps)
    scripted(trainer, lambda call, place: ("yes", "no", "perhaps", "no")[place])
    there = checkpoints(out)
    trainer.train(resume_from_checkpoint=str(there[-1]) if there else None)


if __name__ == "__main__":
    main()
