"""The bundled planner on disk: our committed weights merged into the packaged language model.

Assembled once, on first use, in the data folder. Both the packaged base and the result are checked
by hash, so that everyone runs the same planner.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from overread.imaging.errors import ConfigError
from overread.imaging.files import file_hash

WEIGHTS = Path(__file__).resolve().parent / "weights" / "planner"
OURS = "planner.safetensors"
MANIFEST = "manifest.json"


def planner_folder(data_dir: Path) -> Path:
    """Return the folder of the bundled planner, assembling it the first time (some 20 s).

    Args:
        data_dir: The data folder; the planner goes to `models/planner-<hash>` below it.

    Raises:
        ConfigError: The weights or the packaged base are missing, or a hash is wrong.
    """
    manifest = read_manifest()
    folder = data_dir / "models" / f"planner-{manifest['sha256'][OURS][:12]}"
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

    manifest: dict[str, Any] = {
        "lora_rank": rank,
        "lora_alpha": alpha,
        "sha256": {
            OURS: file_hash(folder / OURS),
            "base": file_hash(base_file()),
        },
    }
    with tempfile.TemporaryDirectory() as scratch:
        _build(Path(scratch), folder / OURS, manifest)
        manifest["sha256"]["assembled"] = file_hash(Path(scratch) / "model.safetensors")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _assemble(folder: Path, manifest: dict[str, Any]) -> None:
    from overread.agent.architecture import base_file

    for name, path in ((OURS, WEIGHTS / OURS), ("base", base_file())):
        if file_hash(path) != manifest["sha256"][name]:
            raise ConfigError(
                f"{path} is not the file the bundled planner was made with (its hash differs); "
                "reinstall it"
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".assembling-"))
    try:
        _build(scratch, WEIGHTS / OURS, manifest)
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


def _build(folder: Path, ours: Path, manifest: dict[str, Any]) -> None:
    """Merge and save model, tokenizer and processor."""
    model, processor = merged(ours, manifest["lora_alpha"] / manifest["lora_rank"])
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def merged(ours: Path, scale: float) -> tuple[Any, Any]:
    """Return the planner with our weights merged into the packaged base, and its processor.

    Args:
        ours: Adapter, connector and vision tower in safetensors.
        scale: Of the adapter: alpha over rank. At 0 the adapter is left out.
    """
    import torch
    from safetensors.torch import load_file

    from overread.agent.architecture import build_model, build_processor, load_tokenizer

    tokenizer = load_tokenizer()
    model = build_model(tokenizer)
    tensors = load_file(ours)
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
