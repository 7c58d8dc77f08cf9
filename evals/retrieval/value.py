"""Is retrieval worth it? The agent without it, with the first k, and with domains and adaptive cut.

    python -m overread.evals.retrieval.value --n 600 --cases 1400
    python -m overread.evals.retrieval.value --n 600 --place ~/data/questions

Held-out phantoms are asked (`evals.retrieval.questions`); the index holds phantoms of training patients,
and then, for the questions about three domains, none of these: there retrieval can only mislead.
With `--place`, real questions as `image-questions` has them are asked too, with the images of the
pack's other splits in the index. `--sets` chooses. The same command goes on after a stop.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from overread.agent.config import Config, load_config
from overread.agent.serving import ensure_server
from overread.evals.benchmarks.loading import load
from overread.evals.benchmarks.registry import spec
from overread.evals.records import Record
from overread.evals.retrieval import command
from overread.evals.retrieval.arms import Arm, Questions, has_retrieved, run_arms, with_index
from overread.evals.retrieval.phantom_cases import (
    MANIFEST,
    MISSING,
    phantom_manifest,
    without_domains,
)
from overread.evals.retrieval.questions import SEED, retrieval_items
from overread.evals.statistics.comparison import Comparison, compare, compare_by_slice
from overread.evals.statistics.estimates import Estimate, estimate
from overread.imaging.errors import InputError
from overread.imaging.files import ORDINARY, write_whole

NONE, FIXED, ADAPTIVE = "none", "fixed", "adaptive"
ARMS = (
    Arm(NONE, without="retrieval"),
    Arm(FIXED, {"selection": "fixed", "route": False}),
    Arm(ADAPTIVE, {"selection": "adaptive", "route": True}),
)
PHANTOMS, STRANGERS, REAL = SETS = ("phantoms", "strangers", "real")
"""Of questions: about phantoms, about domains that the index lacks, about real images."""
PAIRS = ((FIXED, NONE), (ADAPTIVE, NONE), (ADAPTIVE, FIXED))

Runs = Mapping[str, Sequence[Record]]


def real_manifest(place: Path, split: str, folder: Path) -> Path:
    """Write a manifest of a pack's images whose split and patients are not those that are asked.

    Args:
        place: With `manifest.jsonl`, whose rows have `image` and `split`.
        split: That is asked.
        folder: Where the manifest goes.

    Raises:
        InputError: There is no such manifest, or no row of another split.
    """
    try:
        rows = [json.loads(line) for line in (place / MANIFEST).read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{place / MANIFEST} cannot be read: {error}") from error
    asked = {row.get("patient_id") for row in rows if row.get("split") == split} - {None}
    left = [row for row in rows if row.get("split") not in (split, None)]
    kept = [
        {**row, "image": str(place.absolute() / row["image"])}
        for row in left
        if row.get("patient_id") not in asked
    ]
    if not kept:
        raise InputError(f"{place / MANIFEST} names no image of another split than '{split}'")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"real-{MANIFEST}"
    write_whole(path, "".join(json.dumps(row) + "\n" for row in kept), mode=ORDINARY)
    return path


def changed(before: Sequence[Record], after: Sequence[Record]) -> tuple[float, float]:
    """Return the shares of items that an arm answers worse, and better, than another.

    Args:
        before: Records of the one.
        after: Of the other, on the same items.
    """
    scores = {record.item: record.value for record in before}
    worse = sum(record.value < scores[record.item] for record in after)
    better = sum(record.value > scores[record.item] for record in after)
    return worse / len(after), better / len(after)


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """How one arm did.

    Attributes:
        accuracy: Abstaining counts as wrong.
        retrieved, abstained: Shares of the items.
        worse, better: Shares that it answers worse, and better, than without retrieval.
    """

    accuracy: Estimate
    retrieved: float
    abstained: float
    worse: float
    better: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a set of questions.

    Attributes:
        arms: By name.
        gains: By "first - second": the difference by content, and in "all".
    """

    arms: dict[str, ArmFigures]
    gains: dict[str, dict[str, Comparison]]


def figures(runs: Runs) -> Figures:
    """Return how the arms did, and their paired differences."""
    arms = {}
    for name, records in runs.items():
        worse, better = changed(runs[NONE], records)
        arms[name] = ArmFigures(
            accuracy=estimate(records),
            retrieved=sum(map(has_retrieved, records)) / len(records),
            abstained=sum(record.abstained for record in records) / len(records),
            worse=worse,
            better=better,
        )
    gains = {}
    for first, second in PAIRS:
        both = runs[first], runs[second]
        whole = {"all": compare(*both)}
        gains[f"{first} - {second}"] = whole | compare_by_slice(*both, "content_type")
    return Figures(arms, gains)


def tables(name: str, found: Figures) -> list[Table]:
    """Return accuracy by arm, and the paired differences, in all and by content."""
    arms = Table(name, "n", "accuracy, 95 %", "retrieved", "abstained", "made worse", "made better")
    for arm, told in found.arms.items():
        moved = ["-", "-"] if arm == NONE else [_share(told.worse), _share(told.better)]
        cells = (_mean(told.accuracy), _share(told.retrieved), _share(told.abstained))
        arms.add_row(arm, str(told.accuracy.n), *cells, *moved)
    pairs = Table("difference", "content", "n", "points, 95 %", "p (by content: corrected)")
    for pair, gains in found.gains.items():
        for level, gain in gains.items():
            pairs.add_row(pair, level, str(gain.n), _gain(gain), f"{gain.p:.3f}")
    return [arms, pairs]


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _mean(found: Estimate) -> str:
    return f"{100 * found.mean:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _gain(told: Comparison) -> str:
    return f"{100 * told.difference:+.1f} ({100 * told.low:+.1f} to {100 * told.high:+.1f})"


def on_phantoms(
    number: int,
    cases: int,
    config: Config,
    work: Path,
    out: Path,
    concurrency: int,
    missing: frozenset[str] = frozenset(),
) -> dict[str, Sequence[Record]]:
    """Ask all arms about phantoms.

    Args:
        number: Of questions.
        cases: Phantoms in the index.
        config: The user's; its planner is asked.
        work: Where phantoms are kept.
        out: Where runs and the index go.
        concurrency: Questions at the same time.
        missing: Domains that the index shall lack; then only questions about them are asked.

    Raises:
        InputError, PlannerUnavailable: As `with_index` and `run_arm`.
    """
    manifest = phantom_manifest("train", cases, command.CASES_SEED, work)
    items = retrieval_items(number, SEED, work)
    name = PHANTOMS
    if missing:
        name, manifest = STRANGERS, without_domains(manifest, missing, out)
        items = [item for item in items if item.slices["domain"] in missing]
    ours = with_index(config, [manifest], out / f"data-{name}")
    asked = Questions(name, items, spec("phantoms"))
    runs = run_arms(ARMS, asked, ours, out / name, concurrency)
    return {name: run.records for name, run in runs.items()}


def on_real(
    place: Path, cases: int, config: Config, work: Path, out: Path, concurrency: int
) -> dict[str, Sequence[Record]]:
    """Ask all arms about real images, all there are.

    Args:
        place: As `load` takes it.
        cases: As `on_phantoms`.
        config: As there.
        work: As there.
        out: As there.
        concurrency: As there.

    Raises:
        InputError, PlannerUnavailable: As there.
    """
    found = load("image-questions", place, work=work)
    manifests = [
        phantom_manifest("train", cases, command.CASES_SEED, work),
        real_manifest(place, found.split, out),
    ]
    ours = with_index(config, manifests, out / f"data-{REAL}")
    asked = Questions(REAL, found.items, found.spec)
    runs = run_arms(ARMS, asked, ours, out / REAL, concurrency)
    return {name: run.records for name, run in runs.items()}


def main() -> int:
    """Parse the command line, ask, print, and write JSON."""
    parser = command.parser(__doc__, "runs/retrieval-value")
    parser.add_argument("--n", type=int, default=600, help="questions about phantoms")
    parser.add_argument("--place", type=Path, default=None, help="pack of real questions")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=None, help="all by default")
    parser.add_argument("--concurrency", type=int, default=16)
    args = parser.parse_args()
    asked = args.sets or [name for name in SETS if name != REAL or args.place]
    if REAL in asked and args.place is None:
        parser.error(f"the set '{REAL}' needs --place")

    def work() -> None:
        config = load_config()
        ensure_server(config)
        common = (
            args.cases, config, command.work_folder(args, config), args.out, args.concurrency
        )  # fmt: skip
        do: dict[str, Callable[[], Runs]] = {
            PHANTOMS: lambda: on_phantoms(args.n, *common),
            STRANGERS: lambda: on_phantoms(args.n, *common, MISSING),
            REAL: lambda: on_real(args.place, *common),
        }
        told = {}
        for name in asked:
            found = figures(do[name]())
            told[name] = asdict(found)
            write_whole(args.out / "summary.json", json.dumps(told, indent=2) + "\n", mode=ORDINARY)
            for table in tables(name, found):
                Console().print(table)

    return command.run(work)


if __name__ == "__main__":
    raise SystemExit(main())
