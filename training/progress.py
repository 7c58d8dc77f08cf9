"""Progress of a training on the terminal: a bar, and a line each time metrics are logged."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SHOWN = ("loss", "eval_loss", "reward", "rewards/accuracies", "kl", "entropy", "learning_rate")


class Bar(TrainerCallback):
    """Draws on stderr; without a terminal only the lines are written."""

    def __init__(self, label: str) -> None:
        """Name the training."""
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task(label, total=None)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the bar where a resumed run goes on."""
        if state.is_world_process_zero:
            self._progress.start()
            self._progress.update(self._task, total=state.max_steps, completed=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Advance."""
        self._progress.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the metrics that tell how it goes."""
        told = {name: logs[name] for name in SHOWN if logs and name in logs}
        if told and state.is_world_process_zero:
            text = "  ".join(f"{name} {float(value):.4g}" for name, value in told.items())
            self._console.print(f"step {state.global_step}/{state.max_steps}  {text}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


def show_progress(trainer: Any, label: str) -> None:
    """Put our bar in the place of the trainer's own printing."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    for theirs in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(theirs)
    trainer.add_callback(Bar(label))


def report_to_tensorboard(config: Any, stated: frozenset[str]) -> None:
    """Write TensorBoard's files where it is installed and nothing else is asked for."""
    from transformers.integrations import is_tensorboard_available

    if "report_to" not in stated and is_tensorboard_available():
        config.report_to = ["tensorboard"]
