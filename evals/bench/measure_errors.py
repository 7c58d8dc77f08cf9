"""How honest the errors of measurements are: how often the truth lies within one, and two, of them.

    python -m overread.evals.bench.measure_errors --phantoms 300

Asked are the phantoms' own questions for a number, of test patients; `measure` answers with the
segmenter that is bundled. Errors that were normal would hold the truth in 68 % and 95 % of cases.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from overread.evals.statistics.bootstrap import mean_interval
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import Phantom, Question, sample
from overread.tools.measure import error_of, measure_masks
from overread.tools.segmenter import Segmenter
from overread.tools.segmenters import BUNDLED, load_segmenter
from overread.tools.uncertainty import digits


@dataclass(frozen=True, slots=True)
class Row:
    """One question for a number.

    Attributes:
        quantity: As `measure` calls it.
        patient: Of the phantom.
        off: Measured less true value, without sign.
        error: As stated.
    """

    quantity: str
    patient: str
    off: float
    error: float


def measured(number: int, segmenter: Segmenter) -> tuple[list[Row], int]:
    """Return a row for each question about so many phantoms, and how many found nothing to measure."""
    rows: list[Row] = []
    unfound = 0
    for phantom in track(sample("test", number, seed=0), "Measuring", total=number):
        for question in phantom.questions:
            if question.answer_type == "number" and question.target in phantom.masks:
                row = _row(phantom, question, segmenter)
                rows += [row] if row else []
                unfound += row is None
    return rows, unfound


def _row(phantom: Phantom, question: Question, segmenter: Segmenter) -> Row | None:
    image = phantom_image(phantom)
    reference = "brain" if question.quantity == "midline_shift" else question.reference
    names = [question.target, *([reference] if reference else [])]
    found = [segmenter.segment(image, str(name)) for name in names]
    if not all(one.found for one in found):
        return None
    asked = (image, str(question.quantity), str(question.target))
    value, _ = measure_masks(*asked, *(one.mask for one in found))
    error = digits(error_of(*asked, found))
    return Row(asked[1], phantom.patient_id, abs(value - float(question.answer)), error)


def _share(inside: list[bool], patients: list[str]) -> str:
    values = np.array(inside, float)
    told = mean_interval(values, patients, (0.0, 1.0))
    return f"{100 * values.mean():.0f} % ({100 * told.low:.0f} to {100 * told.high:.0f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--phantoms", type=int, default=300, help="phantoms of test patients")
    args = parser.parse_args()
    rows, unfound = measured(args.phantoms, load_segmenter(BUNDLED))
    console = Console(soft_wrap=True)
    console.print("quantity        n     mean off  within 1  within 2 errors")
    by_quantity: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_quantity[row.quantity].append(row)
    for quantity, group in [*sorted(by_quantity.items()), ("all", rows)]:
        off = sum(row.off for row in group) / len(group)
        patients = [row.patient for row in group]
        told = "  ".join(
            _share([row.off <= n * row.error for row in group], patients) for n in (1, 2)
        )
        console.print(f"{quantity:<14}{len(group):>5}{off:>10.2f}  {told}")
    console.print(f"{unfound} more were not found and so not measured")


if __name__ == "__main__":
    main()
