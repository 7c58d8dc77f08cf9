"""What the kept cases say, without a planner: is their commonest label true of the query?

    python -m overread.evals.retrieval.proxy --queries 700 --cases 1400

Test phantoms ask an index of training phantoms. Each is asked twice: as a file whose header tells
modality and body part, and as a bare picture, where routing has to name the domain from the pixels.
The first 1, 3, 5, 8 cases stand beside the adaptive choice, with the cut by default and as fitted on
training patients, all domains searched and routed. No case kept counts as wrong. Last, queries of
domains that the index lacks: whatever is kept of them there is misleading.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from overread.agent.config import Config, load_config
from overread.agent.resources import Resources
from overread.evals.retrieval import command
from overread.evals.retrieval.arms import with_index
from overread.evals.retrieval.phantom_cases import (
    MISSING,
    PhantomCase,
    phantom_manifest,
    read_cases,
    without_domains,
)
from overread.evals.statistics.bootstrap import mean_interval
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.read import read_studies
from overread.index.records import Hit, picture
from overread.index.retrieve import kept, retrieve
from overread.index.select import Cut, Policy
from overread.index.store import CaseIndex

FIXED = (1, 3, 5, 8)
REFERENCE = "first 5, all domains"


@dataclass(frozen=True, slots=True)
class Told:
    """What the kept cases say of a query.

    Attributes:
        right: Whether the commonest label is one of the query's, 0 or 1.
        precision: Share of the kept cases that carry one of the query's labels.
        kept: How many there are.
        named: Whether they are of the query's domain, 0 or 1.
    """

    right: float
    precision: float
    kept: int
    named: float


def told_by(hits: Sequence[Hit], query: PhantomCase) -> Told:
    """Return what kept cases say, as the agent's planner would: of equal labels the first by name."""
    counts = Counter(label for hit in hits for label in hit.labels)
    top = max(sorted(counts), key=lambda label: counts[label], default="")
    right = [bool({*hit.labels} & {*query.labels}) for hit in hits]
    return Told(
        right=float(top in query.labels and hits[0].domain == query.domain),
        precision=float(np.mean(right)) if hits else 0.0,
        kept=len(hits),
        named=float(bool(hits) and hits[0].domain == query.domain),
    )


def measure(
    index: CaseIndex, queries: Sequence[PhantomCase], resources: Resources, bare: bool
) -> dict[str, list[Told]]:
    """Ask an index with every query, under every policy.

    Args:
        index: Of other patients, tuned.
        queries: To ask.
        resources: For reading their files.
        bare: Hand over the picture alone.

    Returns:
        Policy to what it gave each query.
    """
    found: dict[str, list[Told]] = {}
    for query in track(queries, "bare pictures" if bare else "files", console=_stderr()):
        image = read_studies([query.file], resources.pseudonymiser)[0].images[0]
        for route in (False, True):
            index.policy = Policy(route=route)
            ranked = retrieve(index, picture(image) if bare else image)
            where = "routed" if route else "all domains"
            lists = {
                f"first {k}": kept(ranked.ranked, Policy("fixed", k), ranked.cut) for k in FIXED
            }
            lists["adaptive, default cut"] = kept(ranked.ranked, Policy(), Cut())
            lists["adaptive, fitted cut"] = list(ranked.kept)
            for name, hits in lists.items():
                found.setdefault(f"{name}, {where}", []).append(told_by(hits, query))
    return found


def _asked(
    config: Config,
    manifests: Sequence[Path],
    folder: Path,
    queries: Sequence[PhantomCase],
    bare: bool,
) -> dict[str, list[Told]]:
    resources = Resources(with_index(config, manifests, folder))
    return measure(resources.make_index(), queries, resources, bare)


def figures(found: Mapping[str, Sequence[Told]], patients: Sequence[str]) -> list[dict[str, Any]]:
    """Return means, intervals, and the paired difference to `REFERENCE`, policy by policy."""
    base = np.array([told.right for told in found[REFERENCE]])
    rows = []
    for name, told in found.items():
        right = np.array([one.right for one in told])
        mean = mean_interval(right, patients, (0.0, 1.0))
        gain = mean_interval(right - base, patients, (-1.0, 1.0))
        rows.append(
            {
                "policy": name,
                "right": (float(right.mean()), mean.low, mean.high),
                "gain": (float((right - base).mean()), gain.low, gain.high),
                "worse": float((right < base).mean()),
                "precision": float(np.mean([one.precision for one in told])),
                "kept": float(np.mean([one.kept for one in told])),
                "none": float(np.mean([one.kept == 0 for one in told])),
                "domain": float(np.mean([one.named for one in told])),
            }
        )
    return rows


def table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows for reading."""
    heads = ("right, 95 %", f"beside {REFERENCE}", "worse", "precision", "kept", "none", "domain")
    found = Table(title, *heads)
    for row in rows:
        mean, low, high = (100 * value for value in row["right"])
        gain = [100 * value for value in row["gain"]]
        found.add_row(
            row["policy"],
            f"{mean:.1f} ({low:.1f} to {high:.1f})",
            f"{gain[0]:+.1f} ({gain[1]:+.1f} to {gain[2]:+.1f})",
            f"{100 * row['worse']:.1f} %",
            f"{row['precision']:.3f}",
            f"{row['kept']:.1f}",
            f"{100 * row['none']:.1f} %",
            f"{100 * row['domain']:.1f} %",
        )
    return found


def _stderr() -> Console:
    return Console(stderr=True)


def main() -> int:
    """Parse the command line, measure, print, and write JSON."""
    parser = command.parser(__doc__, "runs/retrieval-proxy")
    parser.add_argument("--queries", type=int, default=700)
    args = parser.parse_args()

    def work() -> None:
        config = load_config()
        folder = command.work_folder(args, config)
        queries = read_cases(phantom_manifest("test", args.queries, command.QUERIES_SEED, folder))
        manifest = phantom_manifest("train", args.cases, command.CASES_SEED, folder)
        fewer = without_domains(manifest, MISSING, args.out)
        strangers = [query for query in queries if query.domain in MISSING]
        told = {}
        for name, source, data, asking, bare in (
            ("file with header", manifest, "data", queries, False),
            ("bare picture", manifest, "data", queries, True),
            ("file, domain not indexed", fewer, "data-fewer", strangers, False),
            ("picture, not indexed", fewer, "data-fewer", strangers, True),
        ):
            found = _asked(config, [source], args.out / data, asking, bare)
            told[name] = figures(found, [query.patient_id for query in asking])
        write_whole(args.out / "summary.json", json.dumps(told, indent=2) + "\n", mode=ORDINARY)
        for name, rows in told.items():
            Console().print(table(name, rows))

    return command.run(work)


if __name__ == "__main__":
    raise SystemExit(main())
