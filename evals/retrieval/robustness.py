"""Does retrieval hold under corruption, on unseen scanners, and for every group of patients?

    python -m overread.evals.retrieval.robustness --queries 350 --cases 1400

Image to image by the configured embedder, exactly: test phantoms look for training phantoms with the same
findings. Each corruption is applied to the queries alone, as a new source's pictures would come.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from rich.console import Console
from rich.table import Table

from overread.agent.config import load_config
from overread.evals.benchmarks.ages import age_group
from overread.evals.metrics.retrieval import (
    RECALL_AT,
    chance_hit_rate_at,
    hit_rate_at,
    precision_at,
)
from overread.evals.records import Record
from overread.evals.retrieval import command
from overread.evals.retrieval.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from overread.evals.retrieval.phantom_cases import (
    PhantomCase,
    views,
)
from overread.evals.statistics.bootstrap import mean_interval
from overread.evals.statistics.fairness import Gaps, fairness
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantoms import HELD_OUT
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.embedder import Embedder, Vectors, embed_all, load_embedder

PLACES = 5
CLEAN = "none"

Row = dict[str, Any]


def measure(
    embedder: Embedder,
    queries: Sequence[PhantomCase],
    cases: Sequence[PhantomCase],
    pseudonymiser: Pseudonymiser,
) -> tuple[list[Row], list[Record]]:
    """Look for the queries, whole and corrupted.

    Args:
        embedder: Of images.
        queries: Of patients that are not among the cases.
        cases: To be found.
        pseudonymiser: For reading the files.

    Returns:
        A row for each corruption and severity, the clean one first, and the clean records.
    """
    found = embed_all(embedder, views(cases, pseudonymiser))
    seen = list(views(queries, pseudonymiser))
    relevant = np.array([[a.findings == b.findings for b in cases] for a in queries])
    clean = figures(embed_all(embedder, iter(seen)), found, relevant)
    rows = [_row(CLEAN, 0, clean, queries)]
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            vectors = embed_all(embedder, _corrupted(name, seen, severity))
            rows.append(_row(name, severity, figures(vectors, found, relevant), queries))
    chance = {f"recall_at_{k}": chance_hit_rate_at(relevant, k) for k in RECALL_AT}
    chance |= {f"precision_at_{PLACES}": relevant.mean(axis=1)}
    rows.append(_row("chance", 0, chance, queries))
    return rows, [_record(embedder, case, clean, i) for i, case in enumerate(queries)]


def figures(
    queries: Vectors, cases: Vectors, relevant: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return recall (a right one among the best k) and precision, one value a query."""
    similarity = queries @ cases.T
    recall = {f"recall_at_{k}": hit_rate_at(similarity, relevant, k) for k in RECALL_AT}
    return recall | {f"precision_at_{PLACES}": precision_at(similarity, relevant, PLACES)}


def by_scanner(records: Sequence[Record]) -> dict[str, Gaps]:
    """Return known scanners beside those that training never met, in all and by domain."""
    found = {"all": fairness(records, ("scanner",))[0]}
    for domain in sorted({record.slices["domain"] for record in records}):
        some = [record for record in records if record.slices["domain"] == domain]
        found[domain] = fairness(some, ("scanner",), least=5)[0]
    return found


def tables(
    rows: Sequence[Row], scanners: Mapping[str, Gaps], groups: Sequence[Gaps]
) -> list[Table]:
    """Return recall under corruption, on unseen scanners, and by group."""
    names = [f"recall@{k}" for k in RECALL_AT]
    hold = Table("corruption", "severity", *names, f"precision@{PLACES}")
    for row in rows:
        cells = [f"{row[key][0]:.3f} ({row[key][1]:.3f} to {row[key][2]:.3f})" for key in _KEYS]
        hold.add_row(row["corruption"], str(row["severity"] or ""), *cells)
    shift = Table("domain", "known scanners", "n", "unseen scanner", "n", "gap, 95 %")
    for domain, gaps in scanners.items():
        both = gaps.groups | gaps.small
        cells = []
        for name in ("known", "held out"):
            cells += [f"{both[name].mean:.3f}", str(both[name].n)] if name in both else ["-", "0"]
        shift.add_row(domain, *cells, _gap(gaps))
    fair = Table("group", "n", f"precision@{PLACES}", "behind the best, 95 %")
    for gaps in groups:
        for name, mean in (gaps.groups | gaps.small).items():
            behind = gaps.behind.get(name)
            told = f"{behind.gap:.3f} ({behind.low:.3f} to {behind.high:.3f})" if behind else "-"
            interval = f"{mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f})"
            fair.add_row(f"{gaps.attribute} {name}", str(mean.n), interval, told)
    return [hold, shift, fair]


_KEYS = (*(f"recall_at_{k}" for k in RECALL_AT), f"precision_at_{PLACES}")


def _gap(gaps: Gaps) -> str:
    """Return the worse group with its distance to the better one."""
    told = [
        f"{name} {behind.gap:.3f} behind ({behind.low:.3f} to {behind.high:.3f})"
        for name, behind in gaps.behind.items()
    ]
    return ", ".join(told) or "too few"


def _corrupted(
    name: str, seen: Sequence[PILImage.Image], severity: int
) -> Iterator[PILImage.Image]:
    for number, view in enumerate(seen):
        yield corrupted(name, view, severity, np.random.default_rng([severity, number]))


def _row(
    name: str,
    severity: int,
    found: dict[str, NDArray[np.float64]],
    queries: Sequence[PhantomCase],
) -> Row:
    row: Row = {"corruption": name, "severity": severity}
    patients = [case.patient_id for case in queries]
    for key, values in found.items():
        interval = mean_interval(values, patients, (0.0, 1.0))
        row[key] = (float(values.mean()), interval.low, interval.high)
    return row


def _record(
    embedder: Embedder, case: PhantomCase, found: dict[str, NDArray[np.float64]], place: int
) -> Record:
    return Record(
        benchmark="image to image",
        subject=embedder.name,
        item=case.study_id,
        status="scored",
        question="",
        reference=case.labels,
        scores={key: float(values[place]) for key, values in found.items()},
        main=f"precision_at_{PLACES}",
        cluster=case.patient_id,
        slices={
            "sex": case.sex,
            "age_group": age_group(case.age),
            "domain": case.domain,
            "scanner": "held out" if case.scanner == HELD_OUT[case.domain] else "known",
        },
    )


def main() -> int:
    """Parse the command line, measure, print, and write JSON."""
    parser = command.parser(__doc__, "runs/retrieval-robustness.json")
    parser.add_argument("--queries", type=int, default=350)
    args = parser.parse_args()

    def work() -> None:
        config = load_config()
        embedder = load_embedder(config.index.embedder)
        queries, cases = command.queries_and_cases(args, config)
        with tempfile.TemporaryDirectory() as secret:
            names = Pseudonymiser(Path(secret) / "secret")
            rows, records = measure(embedder, queries, cases, names)
        scanners, groups = by_scanner(records), fairness(records, ("sex", "age_group"))
        told = {
            "embedder": embedder.name,
            "rows": rows,
            "scanners": {name: asdict(gaps) for name, gaps in scanners.items()},
            "groups": [asdict(gaps) for gaps in groups],
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.out, json.dumps(told, indent=2) + "\n", mode=ORDINARY)
        for table in tables(rows, scanners, groups):
            Console().print(table)

    return command.run(work)


if __name__ == "__main__":
    raise SystemExit(main())
