"""What settles a result: from where on a measurement is a finding, and when confidence is too low.

Reports and the verifier of answers share these, so that both draw the same line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from overread.tools.base import Value

UNSURE = 0.6
"""Below it an answer is wrong more often than right, on held-out phantoms (docs/evaluation.md)."""

CARDIOTHORACIC_LIMIT = 0.5
"""Width of the heart over width of the thorax, above which the heart is enlarged.

Source: Danzer, The cardiothoracic ratio, Am J Med Sci 157:513 (1919). It holds in PA projection:
Chon et al., J Korean Med Sci 26:1446 (2011).
"""

SHIFT_MM, NO_SHIFT_MM = 5.0, 1.0
"""A midline shift that matters, and one within the error of measurement; between them either may be
said. Source: Bullock et al., Surgical management of traumatic brain injury, Neurosurgery 58:S2 (2006).
"""

CUP_TO_DISC_LIMIT = 0.7
"""Height of the optic cup over height of the optic disc, from which on the cup is enlarged.

The 97.5th percentile of a population where images are read; it makes a suspect, no diagnosis.
Source: Foster et al., Br J Ophthalmol 86:238 (2002); value: doi:10.1186/s12886-015-0160-6, table 2.
"""

Verdict = Literal["found", "absent", "small", "borderline", "not judged"]


@dataclass(frozen=True, slots=True)
class Limit:
    """From where on a measurement is a finding.

    Attributes:
        finding: What it is then.
        measure: What is measured, in a report's words.
        value: In `unit`.
        unit: Of the measurement; "" of a ratio.
        counts: Whether `value` itself is a finding already.
        small_from: From here to `value` there is a little of it; None if there is no such range.
        projection: In which alone it holds; any if "".
    """

    finding: str
    measure: str
    value: float
    unit: str = ""
    counts: bool = True
    small_from: float | None = None
    projection: str = ""

    def __str__(self) -> str:
        """Return the value as reports write it."""
        return f"{self.value:g} {self.unit}" if self.unit else f"{self.value:.2f}"

    def is_clear(self, values: Mapping[str, Value]) -> bool:
        """Return whether a measurement is further from the limit than it may be off."""
        return abs(_number(values, "value") - self.value) >= _number(values, "error")

    def obstacle(self, values: Mapping[str, Value], projection: str) -> str:
        """Return why the limit does not judge a measurement; "" if it does.

        Args:
            values: Of the measurement.
            projection: Of the image, "" if unknown.
        """
        if (values.get("unit") or "") != self.unit:
            return f"its limit of {self} needs the size of a pixel"
        if not self.projection or projection == self.projection:
            return ""
        # AP shows the heart larger than PA: what is not above the limit there is not in PA either.
        if projection in ("", "AP") and self.is_clear(values) and not self._reached(values):
            return ""
        this = f"this one is {projection}" if projection else "that of this one is unknown"
        return f"its limit of {self} holds in {self.projection} projection, and {this}"

    def verdict(self, values: Mapping[str, Value], projection: str = "") -> Verdict:
        """Return what a measurement comes to; arguments as of `obstacle`."""
        if self.obstacle(values, projection):
            return "not judged"
        if not self.is_clear(values):
            return "borderline"
        if self._reached(values):
            return "found"
        is_small = self.small_from is not None and _number(values, "value") >= self.small_from
        return "small" if is_small else "absent"

    def _reached(self, values: Mapping[str, Value]) -> bool:
        value = _number(values, "value")
        return value > self.value or (self.counts and value == self.value)


_HEART = Limit(
    "cardiomegaly", "cardiothoracic ratio", CARDIOTHORACIC_LIMIT, counts=False, projection="PA"
)
_CUP = Limit("enlarged optic cup", "vertical cup-to-disc ratio", CUP_TO_DISC_LIMIT)
_SHIFT = Limit("midline shift", "midline shift", SHIFT_MM, "mm", small_from=NO_SHIFT_MM)
_RATIOS = {
    ("width_ratio", "heart", "thorax"): _HEART,
    ("height_ratio", "optic cup", "optic disc"): _CUP,
}


def limit_of(values: Mapping[str, Value]) -> Limit | None:
    """Return the limit that judges a measurement, from its values; None if there is none.

    >>> str(limit_of({"quantity": "midline_shift", "target": "ventricles"}))
    '5 mm'
    """
    if values.get("quantity") == "midline_shift":
        return _SHIFT
    key = tuple(str(values.get(name)) for name in ("quantity", "target", "reference"))
    return _RATIOS.get((key[0], key[1], key[2]))


def _number(values: Mapping[str, Value], key: str) -> float:
    return float(values.get(key) or 0)
