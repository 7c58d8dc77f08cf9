"""What keeps a long training from being lost: whole checkpoints, and an end with one sentence.

A checkpoint is written beside its place and takes its name when it is complete, so that a killed
process or a full disk leaves the earlier ones as they were and nothing half-made in their row.
"""

import logging
import math
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.imaging.errors import InputError, OverreadError
from overread.training.examples import Example, Pair, check_images, missing_images

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

SAVING = ".saving"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_MASTERS_AND_MOMENTS = 12  # bytes a trained weight: float32 copy and AdamW's two moments
_MARGIN = 1.1


class TrainingStopped(OverreadError):
    """A training ended before its time, for a reason that we can tell."""


def check_examples(lines: Iterable[Example | Pair], name: str) -> None:
    """Refuse, before any work starts, examples whose images cannot be shown.

    Raises:
        InputError: A file is missing, or messages and images do not agree.
    """
    lines = list(lines)
    for line in lines:
        check_images(line)
    if missing := missing_images(lines):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{name} names the image {missing[0]}{more}, which is not there")


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest last."""
    found = [(match, path) for path in folder.glob("checkpoint-*")
             if (match := _CHECKPOINT.fullmatch(path.name))]  # fmt: skip
    return [path for _, path in sorted(found, key=lambda pair: int(pair[0][1]))]


def resume_point(folder: Path, resume: bool) -> str | None:
    """Return the checkpoint to go on from; None to begin.

    Raises:
        InputError: There are checkpoints that the run would write over.
    """
    shutil.rmtree(folder / SAVING, ignore_errors=True)
    found = checkpoints(folder)
    if found and not resume:
        raise InputError(
            f"{folder} holds {found[-1].name} of an earlier training; go on with --resume, "
            "or choose another output_dir"
        )
    return str(found[-1]) if found else None


class Guarded:
    """To be mixed in before a trainer of TRL's.

    Raises:
        TrainingStopped: A loss or a weight is not a number, or a checkpoint cannot be written.
    """

    args: Any
    state: Any
    model: Any
    accelerator: Any
    _saving = False

    def training_step(self, *args: Any, **kwargs: Any) -> "torch.Tensor":
        """Do a step; stop when its loss is not a number."""
        loss = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not math.isfinite(float(loss)):
            raise TrainingStopped(
                f"the loss of step {self.state.global_step + 1} is not a number; "
                f"{self._kept()}lower the learning rate, or look at the data of that step"
            )
        return loss

    def also_save(self, folder: Path) -> None:
        """Write into a checkpoint what TRL does not; overridden where there is something."""

    def _kept(self) -> str:
        found = checkpoints(Path(self.args.output_dir))
        return f"{found[-1]} is kept: " if found else "no checkpoint was written yet: "

    def _get_output_dir(self, trial: Any) -> str:
        place = str(super()._get_output_dir(trial))  # type: ignore[misc]
        return os.path.join(place, SAVING) if self._saving else place

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint beside its place, check it, and let it take its name."""
        from transformers.trainer_utils import rotate_checkpoints

        args, state = self.args, self.state
        out = Path(args.output_dir)
        name = f"checkpoint-{state.global_step}"
        self._check_weights(name)
        self._check_room(out, name)
        self._saving = True
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            if args.should_save:
                made = out / SAVING / name
                self.also_save(made)
                if state.best_model_checkpoint == str(made):
                    state.best_model_checkpoint = str(out / name)
                    state.save_to_json(str(made / "trainer_state.json"))
                shutil.rmtree(out / name, ignore_errors=True)
                os.replace(made, out / name)
        except Exception as error:
            if not _is_of_the_disk(error):
                raise
            raise TrainingStopped(
                f"{name} could not be written to {out} ({_flat(error)}); {self._kept()}"
                "make room and run the same command with --resume"
            ) from error
        finally:
            self._saving = False
            if args.should_save:
                shutil.rmtree(out / SAVING, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        if args.should_save:
            rotate_checkpoints(
                output_dir=str(out),
                save_total_limit=args.save_total_limit,
                best_model_checkpoint=state.best_model_checkpoint,
                use_mtime=True,
            )

    def _check_weights(self, name: str) -> None:
        import torch

        for key, weight in self.model.named_parameters():
            if weight.requires_grad and not bool(torch.isfinite(weight).all()):
                raise TrainingStopped(
                    f"the weight {key} is not a number and {name} was not written; {self._kept()}"
                    "lower the learning rate"
                )

    def _check_room(self, out: Path, name: str) -> None:
        """Compare the free space with the size of the last checkpoint, else with an estimate."""
        found = checkpoints(out)
        if found:
            needed = sum(file.stat().st_size for file in found[-1].rglob("*") if file.is_file())
        else:
            trained = (w for w in self.model.parameters() if w.requires_grad)
            needed = sum(w.numel() * (w.element_size() + _MASTERS_AND_MOMENTS) for w in trained)
        out.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
        if free < needed * _MARGIN:
            raise TrainingStopped(
                f"the disk of {out} is full: {name} needs {needed / 2**20:,.0f} MB and "
                f"{free / 2**20:,.0f} MB are free; {self._kept()}make room and run the same "
                "command with --resume"
            )


def _is_of_the_disk(error: Exception) -> bool:
    """Tell errors of writing from bugs: Python's, safetensors', and torch's zip writer's."""
    from safetensors import SafetensorError

    written = ("PytorchStreamWriter", "inline_container", "unexpected pos", "iostream")
    return isinstance(error, OSError | SafetensorError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in written)
    )


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
