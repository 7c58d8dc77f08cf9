"""RadGraph-F1: entities of a report and whether they are related, from a local RadGraph model.

The F1 runs on annotations in RadGraph's format; the model runs through the package `radgraph`, which
the user installs, on an archive that the user has. That part was not run with the published weights.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from overread.evals.metrics.model_folder import require
from overread.imaging.errors import ConfigError

Annotation = Mapping[str, Any]
"""{"text": ..., "entities": {"1": {"tokens", "label", "start_ix", "end_ix", "relations"}}}."""
MODEL = "radgraph-xl"


def load_annotator(folder: Path) -> Callable[[Sequence[str]], list[Annotation]]:
    """Return a function that annotates reports.

    Args:
        folder: Holds `radgraph-xl.tar.gz`, as published.

    Raises:
        ConfigError: The package is not installed, or the archive is missing.
    """
    require(folder, {f"{MODEL}.tar.gz": "archive of the model"}, "RadGraph-F1")
    try:
        from radgraph import RadGraph
    except ImportError as error:
        raise ConfigError(
            "RadGraph-F1 needs the package 'radgraph', which is not installed; install it beside "
            "Overread."
        ) from error
    model = RadGraph(model_type=MODEL, model_cache_dir=str(folder))

    def annotate(reports: Sequence[str]) -> list[Annotation]:
        # The package drops empty reports and renumbers the rest.
        told = [place for place, report in enumerate(reports) if report.strip()]
        found = model([reports[place] for place in told]) if told else {}
        by_place = {place: found[str(number)] for number, place in enumerate(told)}
        return [by_place.get(place, {"entities": {}}) for place in range(len(reports))]

    return annotate


def radgraph_f1(candidate: Annotation, reference: Annotation) -> float:
    """Return the F1 of entities: words, label, and whether there is any relation.

    This is the reward "partial" of the package, the form that most papers report; 0 where either
    report has no entity.
    Source: Delbrouck et al., EMNLP Findings 2022.
    """
    said, true = _entities(candidate), _entities(reference)
    shared = len(said & true)
    return 2 * shared / (len(said) + len(true)) if shared else 0.0


def _entities(annotation: Annotation) -> set[tuple[str, str, bool]]:
    return {
        (entity["tokens"].lower(), entity["label"], bool(entity["relations"]))
        for entity in annotation["entities"].values()
    }
