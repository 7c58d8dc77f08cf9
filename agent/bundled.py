"""The bundled planner on disk: our committed weights merged into the packaged language model.

Assembled once, on first use, in the data folder. Both the packaged base and the result are checked
by hash, so that everyone runs the same planner.
"""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from overread.imaging.errors import ConfigError
from overread.imaging.files import file_hash

WEIGHTS = Path(__file__).resolve().parent / "weights" / "planner"
OURS = "planner.safetensors"
ALIGNED = "aligned.safetensors"
MANIFEST = "manifest.json"


def planner_folder(data_dir: Path) -> Path:
    """Return the folder of the bundled planner, assembling it the first time (some 20 s).

    That of an earlier version is then removed.

    Args:
        data_dir: The data folder; the planner goes to `models/planner-<hash>` below it.

    Raises:
        ConfigError: The weights or the packaged base are missing, or a hash is wrong.
    """
    manifest = read_manifest()
    folder = data_dir / "models" / f"planner-{manifest['sha256']['assembled'][:12]}"
    if not (folder / "config.json").is_file():
        _assemble(folder, manifest)
    return folder


def read_manifest() -> dict[str, Any]:
    """Return what the committed weights are: hashes, LoRA shape.

    Raises:
        ConfigError: They are not there.
    """
    try:
        return json.loads((WEIGHTS / MANIFEST).read_text())
    except FileNotFoundError as error:
        raise ConfigError(
            f"the bundled planner's weights are missing from {WEIGHTS}; reinstall overread"
        ) from error


def write_manifest(rank: int, alpha: int, folder: Path = WEIGHTS) -> None:
    """Note the hashes of our weights in a folder, of the base and of the assembled planner."""
    from overread.agent.architecture import base_file

    files = [name for name in (OURS, ALIGNED) if (folder / name).is_file()]
    manifest: dict[str, Any] = {
        "lora_rank": rank,
        "lora_alpha": alpha,
        "sha256": {name: file_hash(folder / name) for name in files}
        | {"base": file_hash(base_file())},
    }
    with tempfile.TemporaryDirectory() as scratch:
        _build(Path(scratch), folder, manifest)
        manifest["sha256"]["assembled"] = file_hash(Path(scratch) / "model.safetensors")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _assemble(folder: Path, manifest: dict[str, Any]) -> None:
    from overread.agent.architecture import base_file

    for name, told in manifest["sha256"].items():
        if name == "assembled":
            continue
        path = base_file() if name == "base" else WEIGHTS / name
        if not path.is_file() or file_hash(path) != told:
            raise ConfigError(
                f"{path} is not the file the bundled planner was made with (its hash differs); "
                "reinstall it"
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".assembling-"))
    try:
        _build(scratch, WEIGHTS, manifest)
        if file_hash(scratch / "model.safetensors") != manifest["sha256"]["assembled"]:
            raise ConfigError(
                "the assembled planner differs from the one that was tested (its hash differs); "
                "install the pinned versions of torch and transformers"
            )
        try:
            os.replace(scratch, folder)
        except OSError:  # another process was faster
            if not (folder / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _remove_older(folder)


def _remove_older(folder: Path) -> None:
    """Remove what an earlier version assembled, 280 MB each; it can be assembled again."""
    for other in folder.parent.glob("planner-*"):
        if other != folder and re.fullmatch(r"planner-[0-9a-f]{12}", other.name):
            shutil.rmtree(other, ignore_errors=True)


def our_tensors(folder: Path) -> dict[str, Any]:
    """Return all that is ours in a folder: adapter, connector and vision tower, by name.

    The adapter of `ALIGNED`, if it is there, takes the place of the supervised one in `OURS`.
    """
    from safetensors.torch import load_file

    tensors = load_file(folder / OURS)
    return tensors | load_file(folder / ALIGNED) if (folder / ALIGNED).is_file() else tensors


def _build(folder: Path, weights: Path, manifest: dict[str, Any]) -> None:
    """Merge and save model, tokenizer and processor."""
    model, processor = merged(our_tensors(weights), manifest["lora_alpha"] / manifest["lora_rank"])
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def merged(tensors: dict[str, Any], scale: float) -> tuple[Any, Any]:
    """Return the planner with our weights merged into the packaged base, and its processor.

    Args:
        tensors: Adapter, connector and vision tower, as `our_tensors` returns them.
        scale: Of the adapter: alpha over rank. At 0 the adapter is left out.
    """
    import torch

    from overread.agent.architecture import build_model, build_processor, load_tokenizer

    tokenizer = load_tokenizer()
    model = build_model(tokenizer)
    state = model.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if ".lora_A." in name:
                up = tensors[name.replace(".lora_A.", ".lora_B.")]
                target = state[name.split(".lora_A.")[0] + ".weight"]
                delta = up.double() @ tensor.double() * scale
                target.copy_((target.double() + delta).to(target.dtype))
            elif ".lora_B." not in name:
                state[name].copy_(tensor)
    return model, build_processor(tokenizer)
