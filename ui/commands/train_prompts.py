"""`overread train prompts`: search better prompts for a planner; no weight is changed."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from overread.ui.options import BaseUrl, Json, NoStart, Profile, config_from
from overread.ui.terminal import err, out


class Optimiser(StrEnum):
    """DSPy's optimisers."""

    BOOTSTRAP = "bootstrap"
    MIPROV2 = "miprov2"
    GEPA = "gepa"
    SIMBA = "simba"


def prompts(
    to: Annotated[Path, typer.Option("--out", help="Folder of the search; taken up if there.")],
    optimiser: Annotated[
        Optimiser, typer.Option(help="bootstrap is BootstrapFewShotWithRandomSearch.")
    ] = Optimiser.SIMBA,
    profile: Profile = None,
    base_url: BaseUrl = None,
    no_start: NoStart = False,
    writer: Annotated[
        str | None,
        typer.Option(
            help="URL#MODEL of the model that writes instructions; the planner by default.",
            show_default=False,
        ),
    ] = None,
    train: Annotated[int, typer.Option(min=1, help="Questions to learn from.")] = 60,
    choose: Annotated[int, typer.Option(min=1, help="Questions to choose by.")] = 60,
    held_out: Annotated[
        int, typer.Option(min=1, help="Questions to compare on, of validation patients.")
    ] = 200,
    candidates: Annotated[int, typer.Option(min=1, help="Prompts that are tried.")] = 6,
    rounds: Annotated[int, typer.Option(min=1, help="Trials, steps or full evaluations.")] = 6,
    demos: Annotated[int, typer.Option(min=0, help="Worked examples at most.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Questions asked at the same time.")] = 4,
    seed: Annotated[int, typer.Option(help="Of questions and optimiser.")] = 0,
    as_json: Json = False,
) -> None:
    """Search better prompts for a planner with DSPy, and compare them on held-out patients.

    The same command goes on where it was stopped. The profile that it writes is used by
    `overread ask --profile FOLDER/profile.toml`.
    """
    from overread.agent.config import Config
    from overread.agent.serving import ensure_server
    from overread.imaging.errors import InputError
    from overread.training.prompt_optimisers import Search
    from overread.training.prompt_search import check, search

    wanted = Search(
        optimiser=optimiser.value,
        train=train,
        choose=choose,
        held_out=held_out,
        candidates=candidates,
        rounds=rounds,
        demos=demos,
        threads=threads,
        seed=seed,
    )
    check(wanted)
    config = config_from(profile=profile, base_url=base_url)
    author: tuple[Config, str] | None = None
    if writer is not None:
        url, _, model = writer.partition("#")
        if not url or not model:
            raise InputError("give --writer as URL#MODEL, for example http://host:8000/v1#name")
        author = config_from(base_url=url), model
    if not no_start:
        ensure_server(config)
    result = search(wanted, config, to, author, lambda text: err.print(escape(text)))
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    out.print(
        f"before {result.before:.1%}, after {result.after:.1%}: {result.difference:+.1%} "
        f"(95 % interval {result.low:+.1%} to {result.high:+.1%}, paired, {result.items} questions)"
    )
    if result.low <= 0:
        out.print("The interval reaches 0: it is not shown that the new prompts are better.")
    out.print(f"prompts: {escape(str(to / 'prompts.json'))}, named by profile.toml beside them")
