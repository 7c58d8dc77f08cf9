"""Put rewards of different scales on one: a logistic around the median that a baseline reached.

    r = 1 / (1 + exp(-k (x - p50) / scale)),  scale = IQR = p75 - p25

Source: MedGRPO, arXiv:2512.06581, with k = 3 and percentiles of the SFT model's own predictions,
frozen. The paper does not say what happens where the IQR is 0, which is usual for rewards of 0 and
1 (a model right in four of five answers has p25 = p50 = p75 = 1). Here, in this order:

1. IQR > 0: the formula as it stands.
2. IQR = 0, but the baseline's rewards differ: scale = 1.349 s, with s their standard deviation.
   For normally distributed rewards that is the IQR, so nothing jumps between the two cases.
3. All baseline rewards are equal: the formula's limit for a scale that goes to 0, a step:
   0 below, 1/2 at, 1 above the median.

In each case the median gives 1/2, and shifting or stretching the rewards together with their
percentiles changes nothing. When all of this matters, and when group advantages cancel it anyway,
is in docs/normalised-grpo.md.
"""

import math

import numpy as np
from pydantic import BaseModel, Field, model_validator

from overread.imaging.errors import InputError

STEEPNESS = 3.0
_NORMAL_IQR = 1.349  # IQR of the standard normal distribution
_STEEPEST = 700.0  # exp overflows beyond; the logistic is 0 or 1 there to the last bit


class Spread(BaseModel, frozen=True, extra="forbid"):
    """Where the rewards of one dataset and task lay under a baseline.

    Attributes:
        p25, p50, p75: Percentiles. std: Standard deviation. mean: Mean.
        n: How many rewards. prompts: Over how many prompts.
    """

    p25: float
    p50: float
    p75: float
    std: float = Field(ge=0)
    mean: float
    n: int = Field(ge=1)
    prompts: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> "Spread":
        numbers = (self.p25, self.p50, self.p75, self.std, self.mean)
        if not all(map(math.isfinite, numbers)):
            raise ValueError("percentiles must be finite")
        if not self.p25 <= self.p50 <= self.p75:
            raise ValueError("percentiles must rise: p25 <= p50 <= p75")
        return self

    @property
    def scale(self) -> float:
        """What one unit of the logistic's argument is in rewards; 0 where all were equal."""
        return self.p75 - self.p25 or _NORMAL_IQR * self.std


def spread_of(rewards: list[float], prompts: int) -> Spread:
    """Return percentiles (linear interpolation) and moments of a baseline's rewards.

    Raises:
        InputError: There is no reward, or one is not finite.

    >>> spread = spread_of([0.0, 0.25, 0.5, 0.75, 1.0], prompts=5)
    >>> spread.p25, spread.p50, spread.p75
    (0.25, 0.5, 0.75)
    """
    values = np.asarray(rewards, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise InputError("the baseline's rewards are empty or not finite; score some samples first")
    low, median, high = (float(p) for p in np.percentile(values, (25, 50, 75)))
    # Of equal values the mean is off in the last bit, and then so is their deviation from it.
    std = float(values.std()) if values.min() < values.max() else 0.0
    return Spread(
        p25=low, p50=median, p75=high, std=std, mean=float(values.mean()), n=values.size,
        prompts=prompts,
    )  # fmt: skip


def normalise(reward: float, spread: Spread, steepness: float = STEEPNESS) -> float:
    """Return a raw reward on the common scale, 0..1; the baseline's median gives 1/2.

    Args:
        reward: As a reward function gave it.
        spread: Of its dataset and task.
        steepness: k of the formula, above 0.

    >>> spread = Spread(p25=0.25, p50=0.5, p75=0.75, std=0.3, mean=0.5, n=40, prompts=10)
    >>> normalise(0.5, spread), round(normalise(0.75, spread), 3)
    (0.5, 0.818)
    """
    away = reward - spread.p50
    if away == 0:
        return 0.5
    if spread.scale == 0:
        return float(away > 0)
    exponent = steepness * away / spread.scale
    return 1.0 / (1.0 + math.exp(-min(max(exponent, -_STEEPEST), _STEEPEST)))
