import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from overread.training.noise import STEPS, Noise, noised, signal_share


def picture() -> PIL.Image.Image:
    ramp = np.linspace(60, 190, 64 * 64 * 3).reshape(64, 64, 3)
    return PIL.Image.fromarray(ramp.astype(np.uint8))


def test_the_shares_are_those_of_ddpm() -> None:
    beta = np.linspace(1e-4, 0.02, STEPS)
    product = 1.0
    for step in range(STEPS):
        product *= 1 - beta[step]
        if step in (0, 250, 500, 999):
            assert signal_share(step) == pytest.approx(product**0.5, rel=1e-9)


@given(st.integers(0, STEPS - 2))
def test_each_step_leaves_less(step: int) -> None:
    assert 0 < signal_share(step + 1) < signal_share(step) < 1


@given(st.integers(0, STEPS - 1), st.integers(0, 2**32))
def test_equal_seeds_give_equal_pictures_of_the_same_size(step: int, seed: int) -> None:
    noise = Noise(step=step, seed=seed)
    first, second = noised(picture(), noise), noised(picture(), noise)
    assert first.size == picture().size and first.mode == "RGB"
    assert first.tobytes() == second.tobytes()


def test_each_key_has_noise_of_its_own() -> None:
    noise = Noise(step=400, seed=3)
    assert noise.of("a") == noise.of("a") != noise.of("b")
    assert Noise(step=400, seed=4).of("a") != noise.of("a")


def test_the_last_step_hides_the_image_and_the_first_does_not() -> None:
    clean = np.asarray(picture(), float).ravel()

    def correlation(step: int) -> float:
        seen = np.asarray(noised(picture(), Noise(step=step, seed=1)), float).ravel()
        return float(np.corrcoef(clean, seen)[0, 1])

    assert correlation(0) > 0.99
    assert 0.15 < correlation(300) < 0.5
    assert abs(correlation(999)) < 0.03


@pytest.mark.parametrize("step", [-1, STEPS])
def test_a_step_outside_the_process_is_refused(step: int) -> None:
    with pytest.raises(ValidationError):
        Noise(step=step)
