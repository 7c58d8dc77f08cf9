"""Turn a planner profile into vLLM's command line and environment, after checking what it needs."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from overread.agent.config import Config
from overread.agent.precision import for_this_cpu
from overread.agent.profiles import BUNDLED, Profile
from overread.imaging.errors import ConfigError

_GIB = 1024**3
# Interpreter, torch, vLLM itself and its worker, seen with the bundled planner on a CPU.
_OVERHEAD_GIB = 2.0
# Pictures come as data: URLs; a request that names another place is refused, not fetched.
_NO_DOMAIN = "nowhere.invalid"
_STRUCTURED = {"backend": "xgrammar", "disable_any_whitespace": True}


def model_location(profile: Profile, data: Path) -> str:
    """Return what to hand to vLLM as --model: a folder, or a hub id.

    Raises:
        ConfigError: The folder does not exist or holds no model.
    """
    if profile.model == BUNDLED:
        from overread.agent.bundled import planner_folder

        return str(check_model_folder(planner_folder(data)))
    path = Path(profile.model).expanduser()
    looks_like_path = profile.model.startswith(("/", ".", "~")) or profile.model.count("/") != 1
    if path.is_dir() or looks_like_path:
        return str(check_model_folder(path))
    return profile.model


def check_model_folder(folder: Path) -> Path:
    """Return the folder if it holds a model in safetensors.

    Raises:
        ConfigError: It does not.
    """
    if not folder.is_dir():
        raise ConfigError(f"the planner's model folder {folder} does not exist")
    if not (folder / "config.json").is_file():
        raise ConfigError(f"the folder {folder} is not a model: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"the folder {folder} holds no *.safetensors; other formats are not loaded"
        )
    return folder


def fitting(profile: Profile, model: str) -> Profile:
    """Return the profile in the number format that is fastest on this CPU and fits in its memory.

    Only a local model on a CPU can be judged beforehand.

    Raises:
        ConfigError: Less memory is available than the model, its cache and vLLM will take.
    """
    folder = Path(model)
    if profile.device != "cpu" or not folder.is_dir():
        return profile
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / _GIB
    available = psutil.virtual_memory().available / _GIB
    wider = profile if _is_quantised(folder) else for_this_cpu(profile)
    if wider != profile and 2 * weights + wider.kv_cache_gib + _OVERHEAD_GIB <= available:
        return wider
    needed = weights + profile.kv_cache_gib + _OVERHEAD_GIB
    if available < needed:
        raise ConfigError(
            f"the planner needs about {needed:.1f} GiB of memory and {available:.1f} GiB are "
            "available; close other programs or choose a smaller profile"
        )
    return profile


def _is_quantised(folder: Path) -> bool:
    """Whether a model says itself that it is; its profile then need not."""
    config = folder / "config.json"
    return config.is_file() and "quantization_config" in json.loads(config.read_text("utf-8"))


def check_vllm() -> None:
    """Make sure that vLLM is installed.

    Raises:
        ConfigError: It is not.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "vLLM is not installed; pip install 'overread[serve]' (CPU) or 'overread[serve-gpu]', "
            "or set planner.base_url to an endpoint that runs elsewhere"
        )


def command(config: Config, profile: Profile, model: str) -> list[str]:
    """Return the command that serves a profile on the configured host and port.

    Foreign code is never run (no --trust-remote-code), weights are safetensors, requests may not
    name files or hosts of their own (no --allowed-local-media-path), and none is logged.
    """
    arguments = {
        "--model": model,
        "--served-model-name": profile.served_name,
        "--host": config.planner.host,
        "--port": str(config.planner.port),
        "--load-format": "safetensors",
        "--dtype": profile.dtype,
        "--max-model-len": str(profile.context),
        "--limit-mm-per-prompt": json.dumps({"image": profile.max_images, "video": 0}),
        "--structured-outputs-config": json.dumps(_STRUCTURED),
        "--generation-config": "vllm",
        "--allowed-media-domains": _NO_DOMAIN,
    }
    if profile.chat_template is not None:
        arguments["--chat-template"] = str(profile.chat_template)
    if profile.quantisation is not None:
        arguments["--quantization"] = profile.quantisation
    switches = ["--disable-uvicorn-access-log", "--disable-log-stats"]
    if profile.tool_calls == "native":
        switches += ["--enable-auto-tool-choice", "--tool-call-parser", str(profile.tool_parser)]
    if profile.lora:
        adapters = [f"{name}={place}" for name, place in sorted(profile.lora.items())]
        rank = ["--max-lora-rank", str(profile.max_lora_rank)]
        switches += ["--enable-lora", *rank, "--lora-modules", *adapters]
    flat = [part for pair in arguments.items() for part in pair]
    module = "vllm.entrypoints.openai.api_server"
    return [sys.executable, "-m", module, *flat, *profile.flags, *switches]


def environment(
    config: Config, profile: Profile, model: str, base: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment of the server. What the user has set wins.

    On a CPU threads are not bound to cores, and the worker lives in the scheduler's process: of two
    processes the scheduler's would spin on a core of its own while it waits for the other. One core
    is left to the tools and the app: threads of a matrix product wait for the slowest, so that one
    busy program would hold up all of them.
    """
    wanted = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if Path(model).is_dir():
        wanted |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if profile.device == "cpu":
        cores = len(os.sched_getaffinity(0))
        wanted |= {
            "VLLM_CPU_KVCACHE_SPACE": str(profile.kv_cache_gib),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(max(1, cores - 1)),
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        }
    if config.planner.api_key:
        wanted["VLLM_API_KEY"] = config.planner.api_key
    return wanted | dict(base)
