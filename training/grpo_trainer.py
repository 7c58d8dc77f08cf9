"""TRL's GRPO trainer, guarded, and resumed in the order of prompts that a whole run has.

Of the bundled planner only the adapter on the text part is trained. TRL's reference for the KL term
is a frozen copy of the adapter in the same model: with tower and connector frozen it is the start
exactly, and the KL is what it says.
"""

from typing import Any

from torch.utils.data import Sampler
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from overread.training.guards import Guarded
from overread.training.planner_parts import PlannerParts, let_learn


class EpochSampler(RepeatSampler):
    """Shuffles each epoch by its number, so that a run resumed in a later one goes on in its order.

    TRL's sampler shuffles by how often it was gone through, which a resumed process does not know.
    """

    def set_epoch(self, epoch: int) -> None:
        """Take the number of the epoch; the data loader calls this."""
        if self.shuffle and self.seed is not None:
            self.generator.manual_seed(self.seed + epoch)


class PolicyTrainer(Guarded, GRPOTrainer):
    """Trains any model."""

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        theirs: Any = super()._get_train_sampler(dataset)
        return EpochSampler(
            data_source=theirs.data_source,
            mini_repeat_count=theirs.mini_repeat_count,
            batch_size=theirs.batch_size,
            repeat_count=theirs.repeat_count,
            shuffle=theirs.shuffle,
            seed=theirs.seed,
        )


class PlannerPolicyTrainer(PlannerParts, PolicyTrainer):
    """Trains the bundled planner's adapter."""

    def __init__(self, model: Any, **options: Any) -> None:
        """Freeze all but the adapter."""
        let_learn(model, ("lora_",))
        super().__init__(model=model, **options)
