"""Fit the curve that tells whether a picture shows a word that no other curve knows.

    python -m overread.training.saliency --phantoms 280

On phantoms of validation patients: for each picture the structures and findings that it shows, and
as many words for what it does not show. Curves of other embedders in the file stay.
"""

import argparse
import json
import sys

import numpy as np

from overread.imaging.files import ORDINARY, write_whole
from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import sample
from overread.imaging.phantoms.truth import Phantom
from overread.imaging.vocabulary import DOMAINS
from overread.index.embedder import Embedder, load_embedder
from overread.tools.text_segmenter import CALIBRATION, lead_of_word
from overread.training.zero_shot import area_under, fit

NEVER = ("stent", "catheter", "pacemaker", "femur", "gallstone", "prosthesis", "aneurysm", "uterus")
"""What no phantom shows."""


def words_for(phantom: Phantom, rng: np.random.Generator) -> list[tuple[str, bool]]:
    """Return words for a phantom and whether it shows them, as many of one kind as of the other."""
    shown = sorted(phantom.masks)
    own = {*DOMAINS[phantom.domain][0], *DOMAINS[phantom.domain][1]}
    others = {name for kind in DOMAINS.values() for names in kind for name in names}
    absent = sorted((others - own) | {*NEVER})
    picked = rng.choice(absent, len(shown), replace=False)
    return [(name, True) for name in shown] + [(str(name), False) for name in picked]


def cases(
    embedder: Embedder, split: str, number: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return leads, and whether the word is shown, over phantoms of a split."""
    rng = np.random.default_rng(seed)
    lead, shown = [], []
    for phantom in sample(split, number, seed):  # type: ignore[arg-type]
        image = phantom_image(phantom)
        for word, there in words_for(phantom, rng):
            lead.append(lead_of_word(embedder, image, word))
            shown.append(there)
    return np.array(lead), np.array(shown)


def main() -> None:
    """Fit on validation patients, judge on test patients, and write the curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedder", default="bundled")
    parser.add_argument("--phantoms", type=int, default=280)
    asked = parser.parse_args()
    embedder = load_embedder(asked.embedder)
    slope, offset = fit(*cases(embedder, "validation", asked.phantoms))
    lead, shown = cases(embedder, "test", asked.phantoms)
    said = slope * lead + offset >= 0
    sys.stdout.write(
        f"{embedder.name}: slope {slope:.2f}, offset {offset:.2f}; on {len(lead)} words of test "
        f"phantoms: area under the curve {area_under(lead, shown):.2f}, sensitivity "
        f"{said[shown].mean():.2f}, specificity {(~said[~shown]).mean():.2f}\n"
    )
    found = json.loads(CALIBRATION.read_text("utf-8")) if CALIBRATION.is_file() else {}
    found[embedder.name] = [round(slope, 3), round(offset, 3)]
    write_whole(CALIBRATION, json.dumps(found, indent=1) + "\n", mode=ORDINARY)


if __name__ == "__main__":
    main()
