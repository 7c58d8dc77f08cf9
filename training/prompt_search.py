"""Search better prompts for a planner with DSPy; no weight is changed.

The optimiser learns from phantoms of training patients and chooses by others of them. What it found
is then compared with the profile's own prompts on phantoms of validation patients, item by item.
Method after Prompt Triage, arXiv:2511.11898.
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import dspy
import numpy as np

from overread.agent.config import Config
from overread.agent.context import BuildTools
from overread.agent.profiles import Profile, load_profile, profile_toml
from overread.agent.prompt_file import PromptFile
from overread.evals.benchmarks.generated import phantom_items
from overread.evals.benchmarks.prompts import prompt as prompt_of
from overread.evals.benchmarks.registry import spec
from overread.evals.items import Item
from overread.evals.kept import Kept
from overread.evals.statistics.bootstrap import mean_interval
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.files import ORDINARY, write_whole
from overread.tools.registry import build_tools
from overread.training.prompt_lm import language_model, quiet
from overread.training.prompt_optimisers import Optimiser, Search, optimise
from overread.training.prompt_program import PlannerProgram, Stage, state_of
from overread.training.prompt_score import Journal, Metric

PROMPTS, RESULT, PROFILE, LOG = "prompts.json", "result.json", "profile.toml", "optimiser.log"
_PHANTOMS = "phantoms"
_WRITER_TEMPERATURE = 0.7
_MAX_ERRORS = 1_000_000  # the program stops by itself when the server is gone

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What came out, on held-out validation patients.

    Attributes:
        before, after: Mean score of the profile's own prompts, and of those that were found.
        difference, low, high: After less before, with its 95 % interval, paired, by patient.
        items: Asked.
        state: Hash of the prompts that were found.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    items: int
    state: str


def check(search: Search) -> None:
    """Make sure that the optimiser can be run.

    Raises:
        InputError: There is no such optimiser, or a number is too small.
        ConfigError: A package is missing.
    """
    if search.optimiser not in get_args(Optimiser):
        known = ", ".join(get_args(Optimiser))
        raise InputError(f"there is no optimiser '{search.optimiser}'; choose from {known}")
    for name in ("train", "choose", "held_out", "candidates", "rounds", "threads"):
        if getattr(search, name) < 1:
            raise InputError(f"{name.replace('_', '-')} must be at least 1")
    if search.optimiser == "miprov2" and importlib.util.find_spec("optuna") is None:
        raise ConfigError("MIPROv2 needs optuna, which is not installed; pip install optuna")


def search(
    wanted: Search,
    config: Config,
    out: Path,
    writer: tuple[Config, str] | None = None,
    progress: Progress = lambda text: None,
    build: BuildTools = build_tools,
) -> Result:
    """Search, compare, and write prompts, profile and result to a folder.

    The same command taken up again goes on where it was stopped: replies lie in the folder.

    Args:
        wanted: How.
        config: Its planner answers already.
        out: Where to.
        writer: Endpoint and model that write instructions; by default the planner itself.
        progress: Told what is being done.
        build: Makes the agent's tools.

    Raises:
        InputError, ConfigError: As `check`, or the folder cannot be written.
        PlannerUnavailable: The server is gone; the best prompts so far are written.
        KeyboardInterrupt: Likewise.
    """
    check(wanted)
    profile = load_profile(config.planner.profile)
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = (out / LOG).open("a")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from error
    with log:
        progress("drawing phantoms")
        learnt, chosen, held_out = _items(wanted, out)
        stage = Stage(
            config,
            profile,
            {item.id: item for item in (*learnt, *chosen, *held_out)},
            Kept(out / "replies"),
            build,
        )
        quiet()
        task = language_model(config.planner, profile.request_model, stage.replies)
        place, model = (writer[0].planner, writer[1]) if writer else (config.planner, task.model)
        author = language_model(place, model, stage.replies, _WRITER_TEMPERATURE)
        with dspy.context(lm=task, disable_history=True, max_errors=_MAX_ERRORS):
            start = PlannerProgram(stage)
            _write_prompts(out, start.prompts(), wanted, {"so_far": True})
            _write_profile(out, profile)

            def keep(state: str, score: float) -> None:
                made = {"so_far": True, "score": score}
                _write_prompts(out, stage.known[state], wanted, made)

            progress(f"searching with {wanted.optimiser}")
            metric = Metric(stage.items, Journal(wanted.least(), keep))
            try:
                with redirect_stdout(log), redirect_stderr(log):
                    found = optimise(
                        wanted, start, metric, author, _examples(learnt), _examples(chosen)
                    )
            except dspy.DSPyError as error:
                raise stage.failure or ConfigError(
                    f"the model that writes instructions gave nothing that {wanted.optimiser} can "
                    "use; name a larger one by --writer, or take --optimiser bootstrap"
                ) from error
            if stage.failure is not None:
                raise stage.failure
            progress("comparing on held-out patients")
            result = _compare(start, found, held_out, wanted.threads)
    _write_prompts(out, found.prompts(), wanted, {"held_out": asdict(result)})
    write_whole(out / RESULT, json.dumps(asdict(result), indent=2) + "\n", mode=ORDINARY)
    return result


def _write_prompts(out: Path, prompts: PromptFile, wanted: Search, made: dict[str, Any]) -> None:
    about = {"by": f"dspy {dspy.__version__}", "search": asdict(wanted), **made}
    text = prompts.model_copy(update={"made": about}).model_dump_json(indent=2)
    write_whole(out / PROMPTS, text + "\n", mode=ORDINARY)


def _write_profile(out: Path, profile: Profile) -> None:
    """Write a profile that names the prompts beside it and is otherwise the one that was given."""
    named = profile.model_dump() | {"prompts": Path(PROMPTS), "demos": ()}
    write_whole(out / PROFILE, profile_toml(Profile.model_validate(named)), mode=ORDINARY)


def _items(wanted: Search, out: Path) -> tuple[list[Item], list[Item], list[Item]]:
    """Return items to learn from, to choose by, and to compare on; no patient is in two lists."""
    work = out / "phantoms"
    both = phantom_items(wanted.train + wanted.choose, wanted.seed, "train", work)
    held_out = phantom_items(wanted.held_out, wanted.seed, "validation", work)
    return both[: wanted.train], both[wanted.train :], held_out


def _examples(items: Sequence[Item]) -> list[Any]:
    return [_example(item).with_inputs("question", "key") for item in items]


def _example(item: Item) -> Any:
    question = prompt_of(item, spec(_PHANTOMS))
    return dspy.Example(question=question, key=item.id, answer=item.answers[0])


def _compare(
    start: PlannerProgram,
    found: PlannerProgram,
    items: Sequence[Item],
    threads: int,
) -> Result:
    metric = Metric(start.stage.items)
    before, after = (_scores(program, items, metric, threads) for program in (start, found))
    gain = after - before
    interval = mean_interval(gain, [item.cluster for item in items], bounds=(-1.0, 1.0))
    return Result(
        before=float(before.mean()),
        after=float(after.mean()),
        difference=float(gain.mean()),
        low=interval.low,
        high=interval.high,
        items=len(items),
        state=state_of(found.prompts()),
    )


def _scores(
    program: PlannerProgram, items: Sequence[Item], metric: Metric, threads: int
) -> np.ndarray:
    lm = dspy.settings.lm

    def one(example: Any) -> float:
        with dspy.context(lm=lm, disable_history=True):
            return metric(example, program(question=example.question, key=example.key))

    with ThreadPoolExecutor(threads) as pool:
        return np.array(list(pool.map(one, _examples(items))))
