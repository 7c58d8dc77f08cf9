"""The folder of a training run: configuration, data, versions, and at the end a model card.

config.yaml             as given            arguments.txt           flags, as given
mix.json                resolved, counted, hashed
training-manifest.txt   patients and items; evaluations refuse them (`evals.contamination`)
environment.json        git revision, versions, seed, machine
checkpoint-N/           whole checkpoints   runs/                   TensorBoard
log.json                all metrics         README.md               the model card
"""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import overread
from overread.evals.revision import revision
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.training import manifest
from overread.training.arguments import Parsed

CONFIG, ARGUMENTS, MIX, ENVIRONMENT = "config.yaml", "arguments.txt", "mix.json", "environment.json"
LOG, CARD = "log.json", "README.md"
_PACKAGES = (
    "torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes", "numpy",
)  # fmt: skip
_RAMP = "▁▂▃▄▅▆▇█"
_CURVE_POINTS = 60


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Writes what a run is.

    Attributes:
        path: The folder, TRL's output_dir.
        method: "sft", "dpo" or "grpo".
        known: Lines of the manifest.
    """

    path: Path
    method: str
    known: tuple[str, ...]

    def begin(self, parsed: Parsed, data: dict[str, Any], seed: int) -> None:
        """Write all that is known before training.

        Args:
            parsed: The configuration.
            data: Of the mix or the pairs, with their "sha256".
            seed: Of the trainer.

        Raises:
            InputError: The folder holds a run on other data.
            ConfigError: It cannot be written.
        """
        self._check_same(data)
        self._write(CONFIG, parsed.text)
        self._write(ARGUMENTS, "".join(f"{flag}\n" for flag in parsed.flags))
        self._write(MIX, json.dumps(data, indent=2) + "\n")
        self._write(ENVIRONMENT, json.dumps(environment(seed), indent=2) + "\n")
        manifest.write(self.path, self.known)

    def end(self, base: str, history: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> None:
        """Write the metrics and the model card.

        Args:
            base: What was trained: "bundled", or a folder.
            history: Of the trainer's state.
            notes: Further lines of the card.
        """
        self._write(LOG, json.dumps(list(history), indent=1) + "\n")
        self._write(CARD, self.card(base, history, notes))

    def card(self, base: str, history: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> str:
        """Return the model card."""
        data = json.loads((self.path / MIX).read_text("utf-8"))
        told = json.loads((self.path / ENVIRONMENT).read_text("utf-8"))
        flags = " ".join((self.path / ARGUMENTS).read_text("utf-8").split("\n")).strip()
        lines = [
            f"# {self.path.name}: {self.method} of {base}",
            "",
            (
                "**Research prototype, not a medical device. Not for diagnosis or treatment.** Trained "
                "by `overread train "
                f"{self.method}`; what it was not measured on, it is not known to do."
            ),
            "",
            "## Data",
            "",
            f"Mix `{data['name']}`, SHA-256 `{data['sha256'][:16]}`.",
            "",
            *_data_table(data),
            "",
            (
                "Patients and items are in `training-manifest.txt`; no patient of a test split is "
                "among them, and evaluations refuse what is."
            ),
            "",
            "## Recipe",
            "",
            (
                f"`overread train {self.method} --config config.yaml{f' {flags}' if flags else ''}`, "
                f"git revision `{told['git']}`, seed {told['seed']}."
            ),
            "",
            "```yaml",
            (self.path / CONFIG).read_text("utf-8").rstrip(),
            "```",
            "",
            ", ".join(f"{name} {number}" for name, number in told["packages"].items()),
            "",
            "## Loss",
            "",
            *curve_lines(history),
            "",
            *([*notes, ""] if notes else []),
        ]
        return "\n".join(lines)

    def _check_same(self, data: dict[str, Any]) -> None:
        path = self.path / MIX
        if not path.is_file() or not any(self.path.glob("checkpoint-*")):
            return
        try:
            earlier = json.loads(path.read_text("utf-8")).get("sha256")
        except (ValueError, AttributeError) as error:
            raise InputError(
                f"{path} cannot be read: {error}; choose another output_dir"
            ) from error
        if earlier != data["sha256"]:
            raise InputError(
                f"{self.path} holds a run on other data (SHA-256 {str(earlier)[:12]}, now "
                f"{data['sha256'][:12]}); choose another output_dir"
            )

    def _write(self, name: str, text: str) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(self.path / name, text, mode=ORDINARY)
        except OSError as error:
            raise ConfigError(f"cannot write {self.path / name}: {error.strerror}") from error


def environment(seed: int) -> dict[str, Any]:
    """Return git revision, versions, seed and machine."""
    return {
        "git": revision() or "unknown",
        "overread": overread.__version__,
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "seed": seed,
    }


def curve_lines(history: Sequence[dict[str, Any]]) -> list[str]:
    """Return the loss curve as a line of blocks with its ends, and the last figures."""
    losses = [(row["step"], row["loss"]) for row in history if "loss" in row]
    if not losses:
        return ["No loss was logged."]
    values = [value for _, value in losses]
    low, high = min(values), max(values)
    stride = max(1, -(-len(values) // _CURVE_POINTS))
    means = [sum(part) / len(part) for start in range(0, len(values), stride)
             if (part := values[start : start + stride])]  # fmt: skip
    scale = (len(_RAMP) - 1) / (high - low) if high > low else 0.0
    drawn = "".join(_RAMP[round((value - low) * scale)] for value in means)
    lines = [
        f"`{drawn}` step {losses[0][0]} to {losses[-1][0]}: {values[0]:.4f} to {values[-1]:.4f}"
    ]
    held_out = [(row["step"], row["eval_loss"]) for row in history if "eval_loss" in row]
    if held_out:
        step, loss = held_out[-1]
        lines += ["", f"Validation patients, step {step}: loss {loss:.4f}."]
    return lines


def _data_table(data: dict[str, Any]) -> list[str]:
    lines = ["| part | examples | distinct | patients | images |", "|---|---|---|---|---|"]
    for part in ("train", "validation"):
        if counts := data.get(part):
            cells = [counts.get(key, "") for key in ("examples", "distinct", "patients", "images")]
            lines.append(f"| {part} | {' | '.join(str(cell) for cell in cells)} |")
    tasks = data.get("train", {}).get("by_dataset_and_task", {})
    if tasks:
        told = ", ".join(f"{name} {number}" for name, number in tasks.items())
        lines += ["", f"By dataset and task: {told}."]
    if left := {why: number for why, number in data.get("left_out", {}).items() if number}:
        told = ", ".join(f"{why} {number}" for why, number in left.items())
        lines += ["", f"Left out: {told}."]
    return lines


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
