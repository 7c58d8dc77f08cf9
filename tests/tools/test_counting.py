import numpy as np
import pytest
from skimage.draw import disk

from overread.imaging.phantoms import generate
from overread.tools.counting import count, split_touching


def discs(*places: tuple[int, int, int], size: int = 120) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    for row, column, radius in places:
        mask[disk((row, column), radius, shape=mask.shape)] = True
    return mask


def test_touching_discs_are_parted_and_one_disc_is_not() -> None:
    pair = discs((40, 40, 14), (40, 64, 14))
    assert count(pair, touching=False) == 1
    assert count(pair, touching=True) == 2
    assert count(discs((60, 60, 30)), touching=True) == 1
    assert count(discs((30, 30, 10), (30, 47, 10), (46, 38, 10), (90, 90, 12)), touching=True) == 4


def test_labels_cover_the_mask_and_nothing_else() -> None:
    pair = discs((40, 40, 14), (40, 64, 14))
    assert np.array_equal(split_touching(pair) > 0, pair)


def test_nothing_counts_nought() -> None:
    empty = np.zeros((10, 10), bool)
    assert count(empty, touching=True) == count(empty, touching=False) == 0


@pytest.mark.parametrize("patient", range(6))
def test_nuclei_of_phantoms_are_counted_within_a_tenth(patient: int) -> None:
    """The phantom parts touching nuclei; filling the gaps first makes the task that of a picture."""
    from scipy.ndimage import binary_closing

    phantom = generate("histology", patient)
    asked = [q for q in phantom.questions if q.quantity == "count"]
    mask = phantom.masks["nuclei"]
    truth = int(asked[0].answer) if asked else count(mask, touching=False)
    filled = binary_closing(np.pad(mask, 2), np.ones((2, 2)))[2:-2, 2:-2]
    assert count(filled, touching=True) == pytest.approx(truth, abs=max(1, 0.1 * truth))
