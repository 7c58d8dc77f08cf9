"""What a training run left behind: find the weights, load them as they were trained, merge them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from overread.agent.bundled import MANIFEST as MANIFEST_OF_OURS
from overread.agent.bundled import OURS, merged, our_tensors
from overread.agent.profiles import BUNDLED
from overread.evals.contamination import MANIFEST
from overread.imaging.errors import ConfigError, InputError
from overread.training.guards import checkpoints

ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """The weights of a run.

    Attributes:
        run: The folder that was asked for.
        folder: Where they lie: the run, its newest checkpoint, or the folder `ours` in one.
        kind: "ours" (the bundled planner's adapter, connector and tower), "adapter" (of PEFT, on a
            model folder) or "full" (a whole model).
        base: "bundled", or the folder of the model that was trained; empty for "full".
        rank, alpha: Of the adapter; 0 for "full".
    """

    run: Path
    folder: Path
    kind: Literal["ours", "adapter", "full"]
    base: str = ""
    rank: int = 0
    alpha: float = 0.0

    def manifests(self) -> list[Path]:
        """Return what the run says it was trained on, the nearest first."""
        places = dict.fromkeys([self.folder, self.folder.parent, self.run])
        return [place / MANIFEST for place in places if (place / MANIFEST).is_file()]


def find(run: Path, base: str | None = None) -> Trained:
    """Return the finished weights of a run, or those of its newest checkpoint.

    Args:
        run: The folder of a run, a checkpoint, or an adapter.
        base: The model that was trained, where it is not where the run says.

    Raises:
        InputError: Nothing was trained there, it is no safetensors, or the base is not there.
    """
    if not run.is_dir():
        raise InputError(f"there is no training run at {run}")
    for folder in _places(run):
        for place in (folder / "ours", folder):
            if (place / OURS).is_file():
                rank, alpha = _lora_shape(place, folder)
                return Trained(run, place, "ours", BUNDLED, rank, alpha)
        if (folder / ADAPTER).is_file():
            return _adapter(run, folder, base)
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            return Trained(run, folder, "full")
        if any(folder.glob("*.bin")):
            raise InputError(f"the weights in {folder} are pickled; save them as safetensors")
    raise InputError(f"{run} holds no trained weights yet; give a run that has saved a checkpoint")


def load(trained: Trained) -> tuple[Any, Any]:
    """Return the model as it was trained, its adapter beside the base, and its processor.

    Both are ready for greedy decoding in this process.

    Raises:
        ConfigError: transformers or PEFT cannot load it.
    """
    if trained.kind == "ours":
        return _planner(trained)
    try:
        if trained.kind == "full":
            return _model(trained.folder).eval(), load_processor(trained.folder)
        from peft import PeftModel

        model = PeftModel.from_pretrained(
            _model(Path(trained.base)), str(trained.folder), autocast_adapter_dtype=False
        )
        return model.eval(), load_processor(trained.folder, Path(trained.base))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigError(
            f"the trained model in {trained.folder} cannot be loaded: {_flat(error)}"
        ) from error


def load_folder(folder: Path) -> tuple[Any, Any]:
    """Return the model of a folder, ready for greedy decoding, and its processor.

    Raises:
        ConfigError: It cannot be loaded.
    """
    return load(Trained(folder, folder, "full"))


def merge(trained: Trained) -> tuple[Any, Any]:
    """Return one model without adapters, and its processor.

    Raises:
        ConfigError: It cannot be loaded, or a merged weight is not finite.
    """
    if trained.kind == "ours":
        return merged(our_tensors(trained.folder), trained.alpha / trained.rank)
    model, processor = load(trained)
    if trained.kind == "adapter":
        try:
            model = model.merge_and_unload(safe_merge=True)
        except ValueError as error:
            raise ConfigError(
                f"the adapter in {trained.folder} cannot be merged: {_flat(error)}"
            ) from error
    return model, processor


@dataclass(frozen=True, slots=True)
class Split:
    """A trained model in the two parts that a LoRA server takes.

    Attributes:
        base: The model without the adapter. tensors, config: Of the adapter, as PEFT saves them.
        processor: Of the model.
        is_new_base: Whether the base was trained, too, and is not the one that the run names.
    """

    base: Any
    tensors: dict[str, Any]
    config: Any
    processor: Any
    is_new_base: bool


def split(trained: Trained) -> Split:
    """Return base and adapter apart.

    A LoRA server adds low-rank matrices only. Whole modules that a run trained (a connector, a
    vision tower) therefore go into the base.

    Raises:
        InputError: The run has no adapter, or one that is more than low-rank matrices.
        ConfigError: It cannot be loaded.
    """
    if trained.kind == "full":
        raise InputError(f"{trained.run} trained the whole model: it has no adapter; use --merge")
    model, processor = load(trained)
    config = model.peft_config[model.active_adapter]
    if config.use_dora or config.lora_bias or config.bias != "none":
        raise InputError(
            f"the adapter of {trained.run} has DoRA or biases, which vLLM does not take; use --merge"
        )
    from peft import get_peft_model_state_dict

    tensors = {
        name: tensor.detach().contiguous()
        for name, tensor in get_peft_model_state_dict(model).items()
        if ".lora_" in name
    }
    is_new_base = trained.kind == "ours" or bool(config.modules_to_save)
    config.modules_to_save = None
    return Split(model.unload(), tensors, config, processor, is_new_base)


def _places(run: Path) -> Iterator[Path]:
    """Yield the run, then its checkpoints, the newest first."""
    yield run
    yield from reversed(checkpoints(run))


def _adapter(run: Path, folder: Path, base: str | None) -> Trained:
    config = _adapter_config(folder)
    place = base or str(config.get("base_model_name_or_path") or "")
    if not (Path(place).expanduser() / "config.json").is_file() or not place:
        raise InputError(
            f"the model that {folder} was trained on is not at '{place}'; name its folder by --base"
        )
    place = str(Path(place).expanduser().resolve())
    return Trained(run, folder, "adapter", place, int(config["r"]), float(config["lora_alpha"]))


def _adapter_config(folder: Path) -> dict[str, Any]:
    path = folder / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {_flat(error)}") from error
    if config.get("peft_type") != "LORA":
        raise InputError(f"the adapter in {folder} is no LoRA ({config.get('peft_type')})")
    return config


def _lora_shape(weights: Path, run: Path) -> tuple[int, float]:
    """Return rank and alpha: as written beside the weights, in a checkpoint, else the recipe's."""
    if (weights / MANIFEST_OF_OURS).is_file():
        told = json.loads((weights / MANIFEST_OF_OURS).read_text("utf-8"))
        return int(told["lora_rank"]), float(told["lora_alpha"])
    for place in _places(run):
        if (place / ADAPTER_CONFIG).is_file():
            config = _adapter_config(place)
            return int(config["r"]), float(config["lora_alpha"])
    from overread.training.planner_parts import LORA

    return LORA.r, float(LORA.lora_alpha)


def _planner(trained: Trained) -> tuple[Any, Any]:
    """Return the bundled planner with the run's adapter beside the base."""
    from peft import LoraConfig

    from overread.agent.architecture import build_processor, load_tokenizer
    from overread.training.planner_parts import TARGETS, build

    tokenizer = load_tokenizer()
    shape = {"r": trained.rank, "lora_alpha": trained.alpha}
    config = LoraConfig(target_modules=TARGETS, **shape)  # type: ignore[arg-type]
    model = build(tokenizer, None, trained.folder, config)
    return model.eval(), build_processor(tokenizer)


def _model(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(
        folder, dtype="auto", use_safetensors=True, local_files_only=True, trust_remote_code=False
    )


def load_processor(*folders: Path) -> Any:
    """Return the processor of the first folder that holds one."""
    from transformers import AutoProcessor

    places = [place for place in folders if (place / "preprocessor_config.json").is_file()]
    places += [place for place in folders if (place / "processor_config.json").is_file()]
    return AutoProcessor.from_pretrained(
        (places or list(folders))[0], local_files_only=True, trust_remote_code=False
    )


def _flat(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
