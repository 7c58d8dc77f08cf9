"""`overread doctor`: what is installed, what would be used, what is missing and how to get it."""

import json
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from overread.agent.config import Config
from overread.agent.profiles import BUNDLED as BUNDLED_MODEL
from overread.agent.profiles import load_profile
from overread.agent.serving import served_models
from overread.imaging.errors import OverreadError
from overread.ui import checkup
from overread.ui.options import Json, Profile, config_from
from overread.ui.terminal import RESEARCH_USE, out


def doctor(profile: Profile = None, as_json: Json = False) -> None:
    """Say what is installed, which models and devices would be used, and what is missing.

    Works without the planner, without a data folder, and without any of the extras.
    """
    config = config_from(profile=profile)
    found = examine(config)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for title, facts in found.items():
        out.print(f"[bold]{title}[/]")
        if isinstance(facts, dict):
            for name, value in facts.items():
                out.print(f"  {name:<16} {escape(str(value))}", soft_wrap=True)
        else:
            for line in facts or ["nothing"]:
                out.print(f"  {escape(line)}", soft_wrap=True)
    out.print(f"[yellow]{RESEARCH_USE}[/]")


def examine(config: Config) -> dict[str, Any]:
    """Return all findings, by section."""
    return {
        "versions": checkup.programs(),
        "devices": checkup.devices(),
        "planner": _planner(config),
        "models": _models(config),
        "data": checkup.data_folder(config) | {"index": _index(config)},
        "missing": checkup.missing() + _missing_weights(config),
    }


def _planner(config: Config) -> dict[str, str]:
    profile = load_profile(config.planner.profile)
    return {
        "profile": f"{profile.name}: {profile.description} ({profile.status})",
        "model": profile.model,
        "server": _server(config),
    }


def _server(config: Config) -> str:
    try:
        names = served_models(config)
    except OverreadError as error:
        return str(error)
    if names is None:
        return f"not running at {config.planner.url}; start it with 'overread serve'"
    return f"{', '.join(names)} at {config.planner.url}"


def _weights(config: Config) -> dict[str, Path]:
    """Return the weights that come with the package and would be used."""
    from overread.agent import bundled
    from overread.index.embedder import BUNDLED
    from overread.tools.bundled_segmenter import WEIGHTS

    found = {"segmenter": WEIGHTS} if config.segmenter.model == BUNDLED_MODEL else {}
    if load_profile(config.planner.profile).model == BUNDLED_MODEL:
        found["planner"] = bundled.WEIGHTS
    if config.index.embedder == BUNDLED_MODEL:
        found["embedder"] = BUNDLED
    return found


def _models(config: Config) -> dict[str, str]:
    if not checkup.installed("torch"):
        return {"all": "torch is not installed, so no model can run"}
    found = {name: checkup.weights(path) for name, path in _weights(config).items()}
    if config.segmenter.model != BUNDLED_MODEL:
        found["segmenter"] = _segmenter(config.segmenter.model)
    return {"embedder": config.index.embedder} | found


def _segmenter(folder: str) -> str:
    """Return which segmenter a folder holds, by loading it, or why it cannot be used."""
    from overread.tools.segmenters import load_segmenter

    try:
        loaded = load_segmenter(folder)
    except OverreadError as error:
        return str(error)
    return f"{loaded.version}; knows {', '.join(loaded.targets) or 'no names, only prompts'}"


def _missing_weights(config: Config) -> list[str]:
    if not checkup.installed("torch"):
        return []
    return [
        f"the weights of the {name} are not at {path}; reinstall overread"
        for name, path in _weights(config).items()
        if not path.exists()
    ]


def _index(config: Config) -> str:
    if not config.data.exists():
        return "none yet: make one with 'overread index build FOLDER' or 'overread demo'"
    from overread.agent.resources import Resources

    try:
        index = Resources(config).index()
        if index is None:
            return "none yet: make one with 'overread index build FOLDER' or 'overread demo'"
        found = index.stats()
    except OverreadError as error:
        return str(error)
    domains = ", ".join(f"{name} {count}" for name, count in found.by_domain.items())
    return f"{found.images} images, {found.texts} texts ({domains}); embedder {found.embedder}"
