"""Read a MONAI bundle as data: its network, its classes, how its pictures are prepared.

A bundle's configuration can name any Python object, and MONAI's own parser would import and call
it. Here nothing of a bundle is run: the network must be a class of `monai.networks.nets` with plain
arguments, what prepares a picture must be in a short list, and anything else is refused by name.

Source: https://docs.monai.io/en/stable/mb_specification.html
"""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from overread.imaging.errors import ConfigError

_NETWORKS = "monai.networks.nets"
_KEYS = ("network_def", "network")
_CONFIGS = ("inference.json", "evaluate.json", "train.json")
_WEIGHTS = ("model.safetensors", "model.pt")
_FETCHES = re.compile("pretrain|url|path|file|download")
_BACKGROUND = ("background", "back ground", "bg")

# What only reads, arranges or types a picture: ours come so already.
_NEEDLESS = {
    "LoadImage", "EnsureChannelFirst", "EnsureType", "CastToType", "ToTensor", "AsChannelFirst",
    "AddChannel",
}  # fmt: skip
# What changes it, and is done here by MONAI itself with the bundle's numbers.
_DONE = {
    "ScaleIntensity", "ScaleIntensityRange", "ScaleIntensityRangePercentiles", "NormalizeIntensity",
    "Resize",
}  # fmt: skip
# What needs to know where in the patient a volume lies.
_IN_SPACE = {"Orientation", "Spacing"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of preparing a picture: a transform of MONAI by its name without the `d`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle's files say.

    Attributes:
        name, version: Of the bundle.
        network: Class in `monai.networks.nets`. arguments: Of its constructor; plain values.
        classes: Names by channel of the output, background among them; lower case.
        channels: Of the input, 1 or 3.
        shape: Of the input, by axis, two or three: a size, a size whose multiples are taken
            ("16*n": -16), or 1 where any will do.
        patches: Whether a large picture is to be taken piece by piece.
        steps: Of preparing a picture, in order.
        weights: File.
    """

    name: str
    version: str
    network: str
    arguments: Mapping[str, Any]
    classes: Mapping[int, str]
    channels: int
    shape: tuple[int, ...]
    patches: bool
    steps: tuple[Step, ...]
    weights: Path

    @property
    def targets(self) -> tuple[str, ...]:
        """The classes that are no background, in the order of their channels."""
        return tuple(name for _, name in sorted(self.classes.items()) if name not in _BACKGROUND)

    def channel_of(self, target: str) -> int:
        """Return the channel of a class."""
        return next(channel for channel, name in self.classes.items() if name == target)


def read_bundle(folder: Path) -> Bundle:
    """Return what a bundle's files say; nothing of them is run.

    Raises:
        ConfigError: A file is missing or damaged, or the bundle wants what is not allowed.
    """
    metadata = _json(folder / "configs" / "metadata.json")
    config = next(
        (_json(path) for name in _CONFIGS if (path := folder / "configs" / name).is_file()), None
    )
    if config is None:
        raise ConfigError(f"the bundle {folder} has none of {', '.join(_CONFIGS)} in configs/")
    network, arguments = _network(config, folder)
    try:
        formats = metadata["network_data_format"]
        image = next(iter(formats["inputs"].values()))
        told = next(iter(formats["outputs"].values()))["channel_def"]
        classes = {int(number): str(name).strip().lower() for number, name in told.items()}
        channels = int(image["num_channels"])
        shape = tuple(_size(size) for size in image.get("spatial_shape", ("*", "*")))
        patches = bool(image.get("is_patch_data", False))
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise ConfigError(
            f"configs/metadata.json of the bundle {folder} does not name the channels of its "
            "pictures and of its answer (network_data_format)"
        ) from error
    if len(shape) not in (2, 3) or arguments.get("spatial_dims", len(shape)) != len(shape):
        raise ConfigError(
            f"the bundle {folder} tells sizes of {len(shape)} dimensions (spatial_shape) and a network "
            f"of {arguments.get('spatial_dims', len(shape))!s:.20} (spatial_dims); both must be 2, for "
            "pictures, or 3, for volumes"
        )
    if len(shape) == 3 and channels != 1:
        raise ConfigError(
            f"the bundle {folder} wants volumes of {channels} channels; a series gives one"
        )
    if channels not in (1, 3) or not classes:
        raise ConfigError(f"the bundle {folder} wants pictures of {channels} channels, not 1 or 3")
    weights = next((p for name in _WEIGHTS if (p := folder / "models" / name).is_file()), None)
    if weights is None:
        raise ConfigError(f"the bundle {folder} has neither models/{' nor models/'.join(_WEIGHTS)}")
    return Bundle(
        str(metadata.get("name", folder.name))[:80],
        str(metadata.get("version", "0"))[:20],
        network,
        arguments,
        classes,
        channels,
        shape,
        patches,
        _steps(config, folder, _DONE | (_IN_SPACE if len(shape) == 3 else set())),
        weights,
    )


def build_network(bundle: Bundle) -> nn.Module:
    """Return the bundle's network with its weights, every one of them.

    Raises:
        ConfigError: MONAI is not installed, knows no such network, or the weights do not fit.
    """
    try:
        from monai.networks import nets
    except ImportError as error:
        raise ConfigError(
            "MONAI bundles need the extra 'monai': pip install 'overread[monai]'"
        ) from error
    made = getattr(nets, bundle.network, None)
    if not (isinstance(made, type) and issubclass(made, nn.Module)):
        raise ConfigError(f"{_NETWORKS} has no network '{bundle.network:.60}'")
    try:
        network = made(**_without_downloads(made, bundle.arguments))
        network.load_state_dict(_state(bundle.weights))
    except (TypeError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"the weights or arguments of the bundle {bundle.name} do not make a "
            f"{bundle.network}: {reason:.200}"
        ) from error
    return network.eval()


def _without_downloads(made: type[nn.Module], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments that fetch no weights: some networks do so by default, or from any URL."""
    kept = {name: value for name, value in arguments.items() if not _FETCHES.search(name)}
    takes = inspect.signature(made).parameters
    return kept | ({"pretrained": False} if "pretrained" in takes else {})


def _state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        raise ConfigError(f"{path} is not a file of weights") from error
    except Exception as error:  # what unpickling refuses has no common class
        raise ConfigError(
            f"{path} holds more than plain tensors, and is not loaded; save its state_dict"
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ConfigError(f"{path} is not the state_dict of a network")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as JSON") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no JSON object")
    return found


def _size(told: Any) -> int:
    """Return a size of a bundle's `spatial_shape` as `Bundle.shape` has it.

    >>> _size(96), _size("16*n"), _size("*")
    (96, -16, 1)
    """
    if isinstance(told, int):
        return told
    factor, star, _ = str(told).partition("*")
    return -int(factor) if star and factor.strip().isdigit() else 1


def _network(config: Mapping[str, Any], folder: Path) -> tuple[str, dict[str, Any]]:
    for key in _KEYS:
        found = config.get(key)
        if isinstance(found, dict) and "_target_" in found:
            break
    else:
        raise ConfigError(f"the bundle {folder} has no network_def with a _target_")
    module, _, name = str(found["_target_"]).rpartition(".")
    if module not in ("", _NETWORKS) or not name.isidentifier() or name.startswith("_"):
        raise ConfigError(
            f"the bundle {folder} wants '{found['_target_']!s:.80}'; only networks of {_NETWORKS} "
            "are allowed, since a bundle could name any program"
        )
    arguments = {k: _plain(v, config, folder) for k, v in found.items() if not k.startswith("_")}
    return name, arguments


def _plain(value: Any, config: Mapping[str, Any], folder: Path) -> Any:
    """Return a value with references to plain values resolved.

    Raises:
        ConfigError: It is, or holds, an expression or another object to be made.
    """
    if isinstance(value, str) and value.startswith(("@", "%")):
        told = config.get(value[1:])
        if told is None or isinstance(told, str):
            raise ConfigError(
                f"the bundle {folder} refers to '{value:.60}', which is no plain value"
            )
        return _plain(told, config, folder)
    if isinstance(value, str) and value.startswith("$"):
        raise ConfigError(
            f"the bundle {folder} computes a value by an expression ('{value:.60}'); expressions "
            "are programs and are not run: write the value instead"
        )
    if isinstance(value, list):
        return [_plain(item, config, folder) for item in value]
    if isinstance(value, dict):
        if "_target_" in value:
            raise ConfigError(
                f"the bundle {folder} makes a '{value['_target_']!s:.60}' inside its network or a "
                "transform, which is not allowed"
            )
        return {key: _plain(item, config, folder) for key, item in value.items()}
    return value


def _steps(config: Mapping[str, Any], folder: Path, known: set[str]) -> tuple[Step, ...]:
    preparing = config.get("preprocessing")
    transforms = preparing.get("transforms", []) if isinstance(preparing, dict) else []
    if isinstance(transforms, str):
        transforms = config.get(transforms.removeprefix("@"), [])
    steps = []
    for item in transforms if isinstance(transforms, list) else []:
        target = str(item.get("_target_", "")) if isinstance(item, dict) else ""
        name = target.rpartition(".")[2].removesuffix("d")
        if name in _NEEDLESS or (isinstance(item, dict) and item.get("_disabled_") is True):
            continue
        if name not in known:
            raise ConfigError(
                f"the bundle {folder} prepares pictures by '{target:.60}', which we do not; "
                f"we do {', '.join(sorted(known))}"
            )
        options = {
            key: _plain(value, config, folder)
            for key, value in item.items()
            if not key.startswith("_") and key not in ("keys", "allow_missing_keys")
        }
        steps.append(Step(name, options))
    return tuple(steps)
