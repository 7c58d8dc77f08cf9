"""The end of every training: what was learnt on disk, and the card that tells of it."""

from collections.abc import Sequence
from typing import Any

from overread.training.planner_parts import save_ours
from overread.training.run_folder import RunFolder


def finish(trainer: Any, folder: RunFolder, bundled: bool, notes: Sequence[str] = ()) -> None:
    """Save the weights, and write metrics and model card.

    Args:
        trainer: TRL's, after training.
        folder: Of the run.
        bundled: Whether it is the bundled planner, of which only our own tensors are saved.
        notes: Further lines of the card.
    """
    saves = trainer.args.should_save
    if not bundled:
        trainer.save_model(str(folder.path))  # every process has a part in it
    elif saves:
        save_ours(trainer.model, folder.path / "ours", folder.known)
    if saves:
        base = "the bundled planner" if bundled else trainer.model.config.name_or_path
        folder.end(base, trainer.state.log_history, notes)
