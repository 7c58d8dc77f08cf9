"""From what stands on the command line to a subject that can be asked.

| text | subject |
| --- | --- |
| agent | the Overread agent |
| agent/no-tools, agent/no-retrieval, agent/no-verify | with that part switched off |
| bare | the planner's VLM, asked directly |
| text-only, text-only:SUBJECT | the same without images |
| serve:PROFILE | the VLM of another profile, served by us |
| endpoint:URL#MODEL | any OpenAI-compatible endpoint |
| agent-endpoint:URL | the agent's own chat endpoint |
| local:FOLDER | a transformers model in this process |
| knn, majority | baselines without a model of ours |
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from overread.agent import bundled
from overread.agent.config import Config
from overread.agent.profiles import BUNDLED, Profile, load_profile
from overread.agent.serving import ensure_server, served_dtype
from overread.evals.items import Item
from overread.evals.subjects.base import Subject
from overread.imaging.errors import InputError
from overread.index import embedder

KINDS = (
    "agent", "agent/no-tools", "agent/no-retrieval", "agent/no-verify", "bare", "text-only",
    "knn", "majority", "serve:PROFILE", "endpoint:URL#MODEL", "agent-endpoint:URL", "local:FOLDER",
)  # fmt: skip
_ROOT = Path(__file__).resolve().parents[2]
_CODE = ("imaging", "index", "tools", "agent", "evals/subjects")


@dataclass(frozen=True, slots=True)
class Items:
    """The items of an evaluation, and those whose answers a baseline may know.

    Attributes:
        test: To be answered.
        train: Loads the benchmark's training or development split; returns None if it has none.
    """

    test: Sequence[Item]
    train: Callable[[], Sequence[Item] | None]


def make_subject(
    text: str,
    config: Config,
    items: Items,
    *,
    concurrency: int = 16,
    start: Callable[[Config], object] | None = None,
) -> Subject:
    """Return a subject.

    Args:
        text: See the table above.
        config: Of planner, agent and index.
        items: For the baselines.
        concurrency: Questions at the same time.
        start: Makes sure that a planner's server answers; `serving.ensure_server` by default.

    Raises:
        InputError: The text names no subject.
        ConfigError: A profile, a model or a server cannot be used.
        PlannerUnavailable: A server is not there, or did not start.
    """
    head, colon, rest = text.partition(":")
    if head == "text-only":
        from overread.evals.subjects.text_only import TextOnly

        inner = rest if colon else "bare"
        return TextOnly(make_subject(inner, config, items, concurrency=concurrency, start=start))
    if head.split("/")[0] == "agent" and not colon:
        from overread.evals.subjects.agent import AgentSubject

        without = head.removeprefix("agent").removeprefix("/no-")
        identity = agent_identity(config)
        AgentSubject(config, identity, without)  # fails before a planner is started
        _serve(config, start)
        return AgentSubject(config, identity | {"served_dtype": served_dtype(config)}, without)
    if head == "bare" and not colon:
        return _served("bare", config, concurrency, start)
    if head == "serve" and rest:
        planner = config.planner.model_copy(update={"profile": rest})
        return _served(text, config.model_copy(update={"planner": planner}), concurrency, start)
    if head == "endpoint" and "#" in rest:
        return _endpoint(rest, config, concurrency)
    if head == "agent-endpoint" and rest:
        from overread.agent.chat_request import MODEL
        from overread.evals.subjects.agent_endpoint import AgentEndpointSubject

        url, _, model = rest.partition("#")
        return AgentEndpointSubject(url, model or MODEL, config.planner.api_key)
    if head == "local" and rest:
        from overread.evals.subjects.local import LocalSubject

        return LocalSubject(Path(rest).expanduser(), {"code": code_hash()})
    if head in ("knn", "majority") and not colon:
        return _baseline(head, config, items)
    raise InputError(f"there is no subject '{text}'; choose from {', '.join(KINDS)}")


def ablations(text: str, parts: Sequence[str]) -> list[str]:
    """Return the subjects of an ablation: the whole agent, then the agent without each part.

    Raises:
        InputError: Only the agent has parts, or there is no such part.
    """
    from overread.evals.subjects.agent import ABLATIONS

    if text != "agent":
        raise InputError(f"only the subject 'agent' can be ablated, not '{text}'")
    if unknown := [part for part in parts if part not in ABLATIONS]:
        raise InputError(f"'{unknown[0]}' cannot be ablated; choose from {', '.join(ABLATIONS)}")
    return [text, *(f"agent/no-{part}" for part in dict.fromkeys(parts))]


def weight_folders(text: str, config: Config) -> list[Path]:
    """Return the folders of weights that answer, where a training manifest may lie."""
    head, _, rest = text.partition(":")
    if head == "text-only":
        return weight_folders(rest or "bare", config)
    if head == "local":
        return [Path(rest).expanduser()]
    if head in ("majority", "endpoint", "agent-endpoint"):
        return []
    chosen = config.index.embedder
    neighbours = embedder.BUNDLED if chosen == "bundled" else Path(chosen).expanduser()
    if head == "knn":
        return [neighbours]
    profile = load_profile(rest if head == "serve" else config.planner.profile)
    places = [profile.model, *profile.lora.values()]
    planner = [bundled.WEIGHTS if place == BUNDLED else Path(place) for place in places]
    tools = [_ROOT / "tools" / "weights", neighbours] if head.startswith("agent") else []
    return [*planner, *tools]


@cache
def code_hash() -> str:
    """Return a SHA-256 over our code and weights that have a part in answers.

    With another verifier, rendering or segmenter the same planner gives other answers, so replies
    that were kept are asked anew.
    """
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".toml", ".json", ".safetensors") and path.is_file():
                digest.update(str(path.relative_to(_ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _serve(config: Config, start: Callable[[Config], object] | None) -> None:
    (start or ensure_server)(config)


def _profile_identity(config: Config, profile: Profile) -> dict[str, Any]:
    found: dict[str, Any] = {
        "profile": profile.model_dump(mode="json", exclude={"description", "status", "flags"}),
        "base_url": config.planner.base_url,
        "served_dtype": served_dtype(config),
        "code": code_hash(),
    }
    if profile.model == BUNDLED:
        found["weights"] = bundled.read_manifest()["sha256"]
    return found


def agent_identity(config: Config) -> dict[str, Any]:
    """Return what decides the agent's answers beside its own settings: planner, code and index.

    Raises:
        ConfigError: The profile or the embedder cannot be used.
        IndexMismatch: The index was built with another embedder, or is damaged.
    """
    from overread.agent.resources import Resources

    index = Resources(config).index()
    stats = index.stats() if index is not None else None
    return {
        **_profile_identity(config, load_profile(config.planner.profile)),
        "index": [stats.embedder, stats.images, stats.texts] if stats else None,
    }


def _served(
    name: str, config: Config, concurrency: int, start: Callable[[Config], object] | None
) -> Subject:
    from overread.evals.subjects.endpoint import Endpoint, EndpointSubject

    profile = load_profile(config.planner.profile)
    _serve(config, start)
    endpoint = Endpoint(
        url=config.planner.url,
        model=profile.request_model,
        api_key=config.planner.api_key,
        image_size=profile.image_size,
        max_images=profile.max_images,
        max_tokens=profile.max_output_tokens,
        timeout_s=config.planner.timeout_s,
        concurrency=concurrency,
    )
    return EndpointSubject(name, endpoint, _profile_identity(config, profile))


def _endpoint(rest: str, config: Config, concurrency: int) -> Subject:
    from overread.evals.subjects.endpoint import Endpoint, EndpointSubject

    url, _, model = rest.partition("#")
    if not url.startswith(("http://", "https://")) or not model:
        raise InputError(f"'endpoint:{rest}' must be endpoint:URL#MODEL, with http:// or https://")
    endpoint = Endpoint(
        url=url,
        model=model,
        api_key=config.planner.api_key,
        timeout_s=config.planner.timeout_s,
        concurrency=concurrency,
    )
    return EndpointSubject(f"endpoint:{model}", endpoint, {"url": url, "code": code_hash()})


def _baseline(name: str, config: Config, items: Items) -> Subject:
    from overread.evals.subjects.pools import Pool

    train = items.train()
    pool = Pool(items.test, "leave-one-out") if train is None else Pool(train, "train")
    if name == "majority":
        from overread.evals.subjects.majority import MajoritySubject

        return MajoritySubject(pool)
    from overread.evals.subjects.neighbours import NeighbourSubject
    from overread.index.embedder import load_embedder

    return NeighbourSubject(pool, load_embedder(config.index.embedder))
