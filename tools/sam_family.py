"""Load a checkpoint of the SAM family from a local folder: safetensors, no remote code, no hub.

Which classes read a folder is told by `model_type` in its config.json. Checkpoints for video hold
the weights for single pictures, too.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError

from overread.imaging.errors import ConfigError
from overread.index.embedder import identity


@dataclass(frozen=True, slots=True)
class Family:
    """How transformers calls the parts of one kind of checkpoint.

    Attributes:
        kind: For people and for evidence.
        model, processor, image_processor: Classes for single pictures.
        video_model, video_processor: Classes that follow a mask by memory; "" where there are none.
        stretched: Whether the picture is stretched to the square, instead of padded at the lower
            right.
    """

    kind: str
    model: str
    processor: str
    image_processor: str
    video_model: str
    video_processor: str
    stretched: bool


_SAM = Family("sam", "SamModel", "SamProcessor", "SamImageProcessor", "", "", False)
_SAM2 = Family(
    "sam2",
    "Sam2Model",
    "Sam2Processor",
    "Sam2ImageProcessor",
    "Sam2VideoModel",
    "Sam2VideoProcessor",
    True,
)
_SAM3 = Family(
    "sam3",
    "Sam3TrackerModel",
    "Sam3TrackerProcessor",
    "Sam3ImageProcessor",
    "Sam3TrackerVideoModel",
    "Sam3TrackerVideoProcessor",
    True,
)
FAMILIES = {
    "sam": _SAM,
    "sam2": _SAM2,
    "sam2_video": _SAM2,
    "sam3_tracker": _SAM3,
    "sam3_tracker_video": _SAM3,
    "sam3_video": _SAM3,
}
_OPTIONS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def model_type(folder: Path) -> str:
    """Return the `model_type` of a folder's config.json.

    Raises:
        ConfigError: The file cannot be read, or names none.
    """
    try:
        return str(json.loads((folder / "config.json").read_text("utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / 'config.json'} does not say which model it is of") from error


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with its processor, and who they are."""

    family: Family
    name: str
    folder: Path
    model: Any
    processor: Any


def load(folder: Path) -> Loaded:
    """Load what segments single pictures.

    Raises:
        ConfigError: The folder holds no checkpoint of the family, or no safetensors.
    """
    kind = model_type(folder)
    if kind not in FAMILIES:
        raise ConfigError(
            f"{folder} holds a '{kind:.40}' model; segmenters are of {', '.join(FAMILIES)}"
        )
    family = FAMILIES[kind]
    name = identity(f"{family.kind}-segmenter", folder)
    model = _model(folder, family.model)
    side = int(model.config.prompt_encoder_config.image_size)
    return Loaded(family, name, folder, model, _processor(folder, family, side))


def load_video(loaded: Loaded) -> tuple[Any, Any] | None:
    """Load what follows a mask over the frames of a clip, with its processor.

    Returns:
        None where the checkpoint has no memory.

    Raises:
        ConfigError: It has one that cannot be loaded.
    """
    if not model_type(loaded.folder).endswith("_video"):
        return None
    family = loaded.family
    image_processor = loaded.processor.image_processor
    size = {"height": loaded.processor.target_size, "width": loaded.processor.target_size}
    prepare = transformers.Sam2VideoVideoProcessor(
        size=size, image_mean=image_processor.image_mean, image_std=image_processor.image_std
    )
    processor = getattr(transformers, family.video_processor)(
        image_processor=image_processor, video_processor=prepare, target_size=size["height"]
    )
    return _model(loaded.folder, family.video_model), processor


def _model(folder: Path, name: str) -> Any:
    try:
        model, report = getattr(transformers, name).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **_OPTIONS
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        ImportError,
        SafetensorError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{folder} holds no {name} we can load: {reason:.200}") from error
    if report["missing_keys"]:
        # What is missing would be random: masks that look like masks and mean nothing.
        first = min(report["missing_keys"])
        raise ConfigError(
            f"{folder} lacks {len(report['missing_keys'])} weights of {name}, such as '{first}'"
        )
    return model.eval()


def _processor(folder: Path, family: Family, side: int) -> Any:
    """Return the folder's processor; one for the model's own size where it has none (MedSAM)."""
    if any(
        (folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")
    ):
        try:
            return getattr(transformers, family.processor).from_pretrained(folder, **_OPTIONS)
        except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
            raise ConfigError(
                f"{folder} has a processor that cannot be read; take its file away to use the "
                "family's own"
            ) from error
    square = {"height": side, "width": side}
    size: dict[str, Any] = (
        {"size": square}
        if family.stretched
        else {"size": {"longest_edge": side}, "pad_size": square}
    )
    images = getattr(transformers, family.image_processor)(**size)
    return getattr(transformers, family.processor)(images)
