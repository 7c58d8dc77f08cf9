"""Fitting where ranked cases are cut, on cases of the index itself, patients left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overread.imaging.errors import InputError
from overread.index.filters import Exclude, Scope
from overread.index.records import Hit
from overread.index.select import CANDIDATES, CAP, Cut, adaptive
from overread.index.store import CaseIndex

GAMMAS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.4, 0.7)
QUERIES, LEAST = 400, 20
_SEED, _FOLDS = 7, 5


@dataclass(frozen=True, slots=True)
class Query:
    """A case asked as a question.

    Attributes:
        labels: Its own, which the tuning knows and the search does not.
        ranked: Cases of other patients, best first: score and labels of each.
    """

    labels: frozenset[str]
    ranked: tuple[tuple[float, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the fitting found for a domain.

    Attributes:
        domain: Its name.
        queries: Cases that were asked, half of them to fit and half to report.
        cut: Fitted.
        f1, default_f1, top_f1: Mean agreement on the reported half: fitted, with the defaults, and
            with as many cases as are ever kept.
        kept: Mean number kept there, fitted. abstained: Share of queries that keep none, fitted.
    """

    domain: str
    queries: int
    cut: Cut
    f1: float
    default_f1: float
    top_f1: float
    kept: float
    abstained: float


def tune(index: CaseIndex, domain: str, queries: int = QUERIES) -> Tuned:
    """Fit gamma and floor for a domain, and report on patients that had no part in it.

    Each query is a case of the index whose own patient is left out. The patients are halved: one
    half chooses, the other tells what it is worth.

    Args:
        index: With labelled cases; it is read only.
        domain: Of the cases.
        queries: Most cases to ask, one a patient.

    Raises:
        InputError: Too few labelled patients.
    """
    asked = _asked(index, domain, queries)
    if len(asked) < LEAST:
        raise InputError(
            f"{domain} has {len(asked)} patients with labelled cases; to fit the selection at least "
            f"{LEAST} are needed."
        )
    fitting, reporting = asked[::2], asked[1::2]
    cut = fit(fitting)
    sizes = [_kept(query, cut) for query in reporting]
    return Tuned(
        domain=domain,
        queries=len(asked),
        cut=cut,
        f1=mean_f1(reporting, cut),
        default_f1=mean_f1(reporting, Cut()),
        top_f1=mean_f1(reporting, Cut(gamma=np.inf, floor=0.0)),
        kept=float(np.mean(sizes)),
        abstained=float(np.mean([size == 0 for size in sizes])),
    )


def fit(queries: Sequence[Query]) -> Cut:
    """Return the gamma and the floor of the best mean F1 over a grid, if that is worth a change.

    The defaults stay unless cuts that are fitted to four fifths of the queries are better on the fifth
    that is left out, over all fifths, by more than one standard error of the paired difference: the best
    of hundreds of cuts is better than the defaults on its own queries by chance alone.

    Args:
        queries: At least one.

    Source: Breiman et al., Classification and Regression Trees, 1984 (cross-validation, and the
        one-standard-error rule).
    """
    gains = np.concatenate([_gains(queries, fold) for fold in range(_FOLDS)])
    error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    return _best(queries) if gains.mean() > error else Cut(fitted=True)


def _gains(queries: Sequence[Query], fold: int) -> NDArray[np.float64]:
    """Return by how much each query of a fold agrees better than with the defaults, fitted without it."""
    others = [query for place, query in enumerate(queries) if place % _FOLDS != fold]
    left_out = queries[fold::_FOLDS]
    if not others or not left_out:
        return np.zeros(len(left_out))
    fitted, default = _agreements(left_out, _best(others)), _agreements(left_out, Cut())
    return np.array(fitted) - np.array(default)


def _best(queries: Sequence[Query]) -> Cut:
    """Return the best of the defaults and a grid, whose floors are quantiles of the scores seen.

    Of equals the one that keeps more: the larger gamma, the lower floor.
    """
    scores = [score for query in queries for score, _ in query.ranked[:CAP]]
    floors = np.unique(np.quantile(scores, np.linspace(0, 0.95, 20)).round(4)) if scores else [0.0]
    cuts = [Cut(gamma, float(floor), fitted=True) for gamma in GAMMAS for floor in floors]
    cuts.append(Cut(fitted=True))
    return max(cuts, key=lambda cut: (round(mean_f1(queries, cut), 9), cut.gamma, -cut.floor))


def mean_f1(queries: Sequence[Query], cut: Cut) -> float:
    """Return the mean agreement of the kept cases' majority labels with the query's own.

    A query that keeps nothing scores 0: it was left without an answer.
    """
    return float(np.mean(_agreements(queries, cut)))


def _agreements(queries: Sequence[Query], cut: Cut) -> list[float]:
    return [agreement(query, _kept(query, cut)) for query in queries]


def agreement(query: Query, kept: int) -> float:
    """Return the F1 of the labels that more than half of the first `kept` cases carry.

    Where none is carried by more than half, the most frequent ones count.

    >>> one = Query(frozenset({"mass"}), ((0.9, frozenset({"mass"})), (0.5, frozenset({"cyst"}))))
    >>> agreement(one, 1), round(agreement(one, 2), 2), agreement(one, 0)
    (1.0, 0.67, 0.0)
    """
    counts = Counter(label for _, labels in query.ranked[:kept] for label in labels)
    if not counts:
        return 0.0
    enough = min(kept / 2, max(counts.values()) - 0.5)
    told = {label for label, count in counts.items() if count > enough}
    shared = len(told & query.labels)
    return 2 * shared / (len(told) + len(query.labels))


def _kept(query: Query, cut: Cut) -> int:
    return adaptive([score for score, _ in query.ranked], cut.gamma, cut.floor, CAP)


def _asked(index: CaseIndex, domain: str, number: int) -> list[Query]:
    """Return one labelled case of each of some patients, with what is found for it."""
    cases: dict[str, tuple[str, frozenset[str]]] = {}
    for _, facts in index.entries(domain=domain):
        if facts.get("labels"):
            own = str(facts["ref"]), frozenset(facts["labels"])
            cases.setdefault(str(facts["patient_id"]), own)
    patients = sorted(cases)
    np.random.default_rng(_SEED).shuffle(patients)
    chosen = patients[:number]
    vectors = index.vectors(domain, [cases[patient][0] for patient in chosen])
    asked = []
    for patient in chosen:
        ref, labels = cases[patient]
        if ref in vectors:
            scope = Scope(exclude=Exclude(patient=patient), domain=domain)
            hits = index.search_vector(vectors[ref], CANDIDATES, scope)
            asked.append(Query(labels, tuple(_pair(hit) for hit in hits)))
    return asked


def _pair(hit: Hit) -> tuple[float, frozenset[str]]:
    return hit.score, frozenset(hit.labels)
