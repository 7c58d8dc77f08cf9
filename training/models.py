"""Load what is to be trained: the bundled planner, or any vision-language model in a local folder.

Safetensors only, never remote code. What cannot work here is said before any work starts.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from overread.agent.bundled import OURS, WEIGHTS
from overread.agent.profiles import BUNDLED
from overread.evals.contamination import MANIFEST
from overread.imaging.errors import ConfigError
from overread.training import manifest
from overread.training.arguments import OurArguments

if TYPE_CHECKING:
    from trl import ModelConfig


def is_bundled(model: "ModelConfig") -> bool:
    """Return whether the bundled planner is trained."""
    return model.model_name_or_path in (None, BUNDLED)


def check(ours: OurArguments, model: "ModelConfig") -> None:
    """Make sure that the model can be trained so on this machine.

    Raises:
        ConfigError: It is not there, or not in safetensors, or the library cannot quantise here.
    """
    bits = 4 if model.load_in_4bit else 8 if model.load_in_8bit else None
    if is_bundled(model):
        if bits:
            raise ConfigError(
                f"the bundled planner is not trained in {bits} bits; name a model folder, such as "
                "one that 'overread train export' wrote"
            )
        return
    folder = Path(str(model.model_name_or_path)).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} is no model folder: it has no config.json; download the model first"
        )
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"{folder} has no safetensors; other formats can run code and are refused"
        )
    if bits and not model.use_peft:
        raise ConfigError(f"a model in {bits} bits is trained by an adapter alone: set use_peft")
    if bits:
        from overread.training.quantise import check_bitsandbytes

        check_bitsandbytes(bits)
    if ours.longest is not None:
        raise ConfigError("'longest' is of the bundled planner; use max_length for other models")


def load(ours: OurArguments, model: "ModelConfig") -> tuple[Any, Any, Any]:
    """Return the model, its processor, and PEFT's configuration for TRL; None if it is not needed.

    Raises:
        ConfigError: It cannot be loaded or trained here.
    """
    check(ours, model)
    return _bundled(ours, model) if is_bundled(model) else _folder(ours, model)


def start_weights(ours: OurArguments) -> Path | None:
    """Return the weights that the bundled planner goes on from; None from the tower alone.

    A folder, whose aligned adapter counts if there is one, or a single file.

    Raises:
        ConfigError: A folder is named that holds none.
    """
    if ours.start is None:
        return None if ours.vision is not None else WEIGHTS
    path = Path(ours.start).expanduser()
    if path.is_dir():
        found = [place for place in (path, path / "ours") if (place / OURS).is_file()]
        if not found:
            raise ConfigError(f"{path} holds no {OURS}; give the folder of a finished run")
        return found[0]
    return path


def earlier_lines(ours: OurArguments, model: "ModelConfig") -> list[str]:
    """Return the manifest lines of what the model learnt from before.

    Of the bundled planner without a manifest all training patients are named; a foreign model never
    saw them.
    """
    if is_bundled(model):
        return manifest.inherited(start_weights(ours) or Path(str(ours.vision)).expanduser())
    folders = [Path(name).expanduser() for name in (ours.start, model.model_name_or_path) if name]
    there = [folder / MANIFEST for folder in folders if (folder / MANIFEST).is_file()]
    return [line for path in there for line in manifest.inherited(path)]


def _bundled(ours: OurArguments, model: "ModelConfig") -> tuple[Any, Any, Any]:
    from peft import LoraConfig

    from overread.agent.architecture import build_processor, load_tokenizer
    from overread.training.planner_parts import TARGETS, build, learning, let_learn

    tokenizer = load_tokenizer()
    config = LoraConfig(
        r=model.lora_r,
        lora_alpha=model.lora_alpha,
        lora_dropout=model.lora_dropout,
        target_modules=TARGETS,
    )
    vision = Path(ours.vision).expanduser() if ours.vision else None
    adapted = build(tokenizer, vision, start_weights(ours), config)
    let_learn(adapted, learning(ours))
    return adapted, build_processor(tokenizer), None


def _folder(ours: OurArguments, model: "ModelConfig") -> tuple[Any, Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import get_peft_config, get_quantization_config

    folder = Path(str(model.model_name_or_path)).expanduser()
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    options: dict[str, Any] = {"dtype": model.dtype, **common}
    if model.attn_implementation:
        options["attn_implementation"] = model.attn_implementation
    if quantised := get_quantization_config(model):
        options["quantization_config"] = quantised
    try:
        loaded = AutoModelForImageTextToText.from_pretrained(
            folder, use_safetensors=True, **options
        )
        processor = AutoProcessor.from_pretrained(folder, **common)
        if ours.start is not None:
            return (
                _with_adapter(loaded, Path(ours.start).expanduser(), bool(quantised)),
                processor,
                None,
            )
        return loaded, processor, get_peft_config(model)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"the model in {folder} cannot be loaded: {said}") from error


def _with_adapter(model: Any, folder: Path, quantised: bool) -> Any:
    from peft import PeftModel, prepare_model_for_kbit_training

    if quantised:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    return PeftModel.from_pretrained(model, str(folder), is_trainable=True)
