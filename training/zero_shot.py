"""Fit the curves that make probabilities of the zero-shot classifier's cosines.

    python -m overread.training.zero_shot --domain chest-xray --patients 700
    python -m overread.training.zero_shot --patients 700

Curves are fitted on phantoms of validation patients, whom the embedder's training never met, and
judged on test patients. Curves of other embedders and of other domains in the file stay.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from overread.evals.metrics.calibration import brier, ece
from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import DOMAINS, generate, labels_of, split_of
from overread.imaging.phantoms.truth import Phantom
from overread.index.embedder import Embedder, load_embedder
from overread.index.records import picture
from overread.tools.zero_shot import CALIBRATION, leads

Values = NDArray[np.float64]
_RIDGE = 1e-5
"""Keeps the slope finite where a finding is told apart without error."""


def fit(lead: Values, present: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logistic curve of greatest likelihood.

    Targets are drawn in a little, so that few cases do not give certainty (Platt, Probabilistic
    outputs for support vector machines, 1999).

    Args:
        lead: Of each case, in cosine.
        present: Whether the finding is there.

    Raises:
        ValueError: All or none have the finding.
    """
    yes, no = int(present.sum()), int((~present).sum())
    if not yes or not no:
        raise ValueError("a curve needs cases with and without the finding")
    target = np.where(present, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: Values) -> float:
        logit = parameters[0] * lead + parameters[1]
        return float((np.logaddexp(0, logit) - target * logit).mean() + _RIDGE * parameters[0] ** 2)

    found = minimize(loss, np.zeros(2), method="BFGS").x
    return float(found[0]), float(found[1])


def area_under(lead: Values, present: NDArray[np.bool_]) -> float:
    """Return the probability that a case with the finding leads one without; ties count half."""
    gaps = lead[present][:, None] - lead[~present][None]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def _told(embedder: Embedder, phantom: Phantom, labels: tuple[str, ...]) -> list[float]:
    return leads(
        embedder, picture(phantom_image(phantom)), labels, phantom.modality, phantom.body_part or ""
    )


def _cases(
    embedder: Embedder, domain: str, labels: tuple[str, ...], patients: int, split: str
) -> tuple[Values, NDArray[np.bool_]]:
    rows, truth = [], []
    for patient in range(patients):
        if split_of(f"ph-{domain}-{patient:05d}") != split:
            continue
        phantom = generate(domain, patient)
        rows.append(_told(embedder, phantom, labels))
        truth.append([label in labels_of(phantom) for label in labels])
    return np.array(rows), np.array(truth, bool)


def calibrate(embedder: Embedder, domain: str, patients: int) -> dict[str, tuple[float, float]]:
    """Return the curves of a domain's findings, and print how they do on test patients."""
    labels = DOMAINS[domain][1]
    curves: dict[str, tuple[float, float]] = {}
    fitted, judged = (
        _cases(embedder, domain, labels, patients, split) for split in ("validation", "test")
    )
    for column, label in enumerate(labels):
        lead, present = fitted[0][:, column], fitted[1][:, column]
        if present.all() or not present.any():
            continue
        slope, offset = curves[f"{domain}/{label}"] = fit(lead, present)
        lead, present = judged[0][:, column], judged[1][:, column]
        probability = 1 / (1 + np.exp(-(slope * lead + offset)))
        sys.stdout.write(
            f"| {domain} | {label} | {present.size} | {present.mean():.2f} | "
            f"{area_under(lead, present):.2f} | {ece(probability, present.astype(float)):.3f} | "
            f"{brier(probability, present.astype(float)):.3f} |\n"
        )
    return curves


def main() -> None:
    """Fit, print a table, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", action="append", choices=sorted(DOMAINS))
    parser.add_argument("--patients", type=int, default=700)
    parser.add_argument("--embedder", default="bundled")
    parser.add_argument("--out", type=Path, default=CALIBRATION)
    given = parser.parse_args()
    embedder = load_embedder(given.embedder)
    known = json.loads(given.out.read_text("utf-8")) if given.out.is_file() else {}
    sys.stdout.write(
        "| domain | finding | cases | share | AUC | ECE | Brier |\n" + "|---" * 7 + "|\n"
    )
    for domain in given.domain or [name for name, (_, found) in DOMAINS.items() if found]:
        curves = calibrate(embedder, domain, given.patients)
        known.setdefault(embedder.name, {}).update(curves)
        rounded = {
            name: {key: [round(v, 4) for v in pair] for key, pair in sorted(found.items())}
            for name, found in known.items()
        }
        write_whole(given.out, json.dumps(rounded, indent=1) + "\n", mode=ORDINARY)


if __name__ == "__main__":
    main()
