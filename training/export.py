"""Export a trained run: merged weights, a LoRA adapter, or what the bundled planner is made of.

An export is a folder with safetensors, processor, a planner profile that serves it, a model card,
the manifest of what it was trained on, and the hashes of all of it.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from overread.agent import bundled
from overread.agent.profiles import Profile, load_profile, profile_toml
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, file_hash, write_whole
from overread.training import manifest
from overread.training.export_card import card
from overread.training.quantise import Format, Inputs, check, quantise
from overread.training.trained import Trained, merge, split

Kind = Literal["merged", "adapter", "ours", "aligned"]

HASHES = "hashes.json"
PROFILE = "profile.toml"
CARD = "README.md"
ADAPTER_NAME = "trained"
_RANKS = get_args(Profile.model_fields["max_lora_rank"].annotation)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export.

    Attributes:
        kind: See `Kind`. bits: For each weight; None leaves them. fmt: Of fewer bits.
        profile: Name or path of the profile whose settings the exported one takes over.
    """

    kind: Kind = "merged"
    bits: int | None = None
    fmt: Format = "bnb"
    profile: str = "bundled"


def export(trained: Trained, out: Path, wanted: Wanted, inputs: Inputs) -> Path:
    """Write the export; it is there whole or not at all.

    Args:
        trained: As `trained.find` tells.
        out: A folder that does not exist yet, or is empty.
        wanted: What.
        inputs: Calibration prompts, see `quantise`.

    Returns:
        `out`.

    Raises:
        InputError: The run has no such thing, or the folder is taken.
        ConfigError: Something is missing for it, or it cannot be written.
    """
    profile = load_profile(wanted.profile)
    _check(trained, out, wanted)
    scratch: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
        _WRITERS[wanted.kind](trained, scratch, out.resolve(), wanted, profile, inputs)
        _write_about(trained, scratch, wanted)
        if out.is_dir():
            out.rmdir()
        scratch.chmod(0o755)
        scratch.rename(out)
    except OSError as error:
        raise ConfigError(f"the export {out} cannot be written: {error.strerror}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return out


def verify(folder: Path) -> dict[str, Any]:
    """Return what an export says of itself, after comparing every file with its hash.

    Raises:
        InputError: It is no export, or a file is gone or differs.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / HASHES).read_text("utf-8"))
        hashes = facts["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder} is no export: its {HASHES} cannot be read") from error
    for name, told in hashes.items():
        path = folder / name
        if not path.is_file() or file_hash(path) != told:
            raise InputError(f"{path} is not the file that was exported; export again")
    return facts


def _check(trained: Trained, out: Path, wanted: Wanted) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; choose another folder with --out")
    if wanted.kind in ("ours", "aligned") and trained.kind != "ours":
        raise InputError(
            f"{trained.run} did not train the bundled planner's own parts; use --merge or --adapter"
        )
    if wanted.kind == "adapter" and trained.rank > max(_RANKS):
        raise InputError(f"vLLM takes adapters up to rank {max(_RANKS)}, not {trained.rank}")
    if wanted.bits is not None:
        if wanted.kind != "merged":
            raise InputError("only merged weights are quantised; use --merge with --bits")
        check(wanted.fmt, wanted.bits)


def _merged(
    trained: Trained, folder: Path, out: Path, wanted: Wanted, profile: Profile, inputs: Inputs
) -> None:
    model, processor = merge(trained)
    if wanted.bits is None:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
    else:
        with tempfile.TemporaryDirectory(dir=folder.parent) as full:
            model.save_pretrained(full)
            processor.save_pretrained(full)
            del model
            quantise(Path(full), folder, wanted.fmt, wanted.bits, inputs)
    _write_profile(profile, folder, model=str(out))


def _adapter(
    trained: Trained, folder: Path, out: Path, wanted: Wanted, profile: Profile, inputs: Inputs
) -> None:
    from safetensors.torch import save_file

    parts = split(trained)
    base = trained.base
    if parts.is_new_base:
        base = str(out / "base")
        parts.base.save_pretrained(folder / "base")
        parts.processor.save_pretrained(folder / "base")
    adapter = folder / "adapter"
    adapter.mkdir()
    parts.config.base_model_name_or_path = base
    parts.config.inference_mode = True
    parts.config.save_pretrained(str(adapter))
    save_file(parts.tensors, adapter / "adapter_model.safetensors")
    _write_profile(
        profile,
        folder,
        model=base,
        lora={ADAPTER_NAME: str(out / "adapter")},
        adapter=ADAPTER_NAME,
        max_lora_rank=min(rank for rank in _RANKS if rank >= trained.rank),
    )


def _ours(
    trained: Trained, folder: Path, out: Path, wanted: Wanted, profile: Profile, inputs: Inputs
) -> None:
    from safetensors.torch import save_file

    save_file(bundled.our_tensors(trained.folder), folder / bundled.OURS)
    bundled.write_manifest(trained.rank, int(trained.alpha), folder)


def _aligned(
    trained: Trained, folder: Path, out: Path, wanted: Wanted, profile: Profile, inputs: Inputs
) -> None:
    """Write the adapter alone, and the hashes of the package's other parts with it."""
    from safetensors.torch import load_file, save_file

    tensors = bundled.our_tensors(trained.folder)
    adapter = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    packaged = load_file(bundled.WEIGHTS / bundled.OURS)
    rest = {name: tensor for name, tensor in packaged.items() if name not in adapter}
    same = rest.keys() == tensors.keys() - adapter.keys() and all(
        tensor.equal(tensors[name]) for name, tensor in rest.items()
    )
    if not same or any(packaged[name].shape != adapter[name].shape for name in adapter):
        raise InputError(
            f"{trained.run} trained more than the adapter of the packaged planner; use --ours"
        )
    save_file(adapter, folder / bundled.ALIGNED)
    (folder / bundled.OURS).symlink_to(bundled.WEIGHTS / bundled.OURS)
    bundled.write_manifest(trained.rank, int(trained.alpha), folder)
    (folder / bundled.OURS).unlink()


_WRITERS: dict[Kind, Callable[..., None]] = {
    "merged": _merged,
    "adapter": _adapter,
    "ours": _ours,
    "aligned": _aligned,
}


def _write_profile(profile: Profile, folder: Path, **changes: Any) -> None:
    fresh: dict[str, Any] = {
        "name": "exported",
        "description": "An exported training run",
        "status": "exported; see README.md",
        "served_name": "overread-exported",
        "quantisation": None,
        "lora": {},
        "adapter": None,
    }
    made = Profile.model_validate(profile.model_dump() | fresh | changes)
    write_whole(folder / PROFILE, profile_toml(made), mode=ORDINARY)


def _write_about(trained: Trained, folder: Path, wanted: Wanted) -> None:
    """Write manifest, card and, last, the hashes."""
    known = trained.manifests()
    if known:
        # also beside the parts, where an evaluation looks for it
        for place in (folder, folder / "base", folder / "adapter"):
            if place.is_dir():
                manifest.write(place, known[0].read_text("utf-8").splitlines())
    facts: dict[str, Any] = {
        "kind": wanted.kind,
        "trained": trained.kind,
        "run": trained.run.resolve().name,
        "weights": str(trained.folder.resolve().relative_to(trained.run.resolve().parent)),
        "base": trained.base if trained.base == "bundled" else Path(trained.base).name,
        "rank": trained.rank,
        "bits": wanted.bits,
        "format": wanted.fmt if wanted.bits else None,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
    write_whole(folder / CARD, card(trained, facts, bool(known)), mode=ORDINARY)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts["sha256"] = {str(path.relative_to(folder)): file_hash(path) for path in files}
    write_whole(folder / HASHES, json.dumps(facts, indent=2) + "\n", mode=ORDINARY)
