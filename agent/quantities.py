"""Numbers with units in text, and when a written number is the same as a measured one."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from overread.agent.ledger import CITATION, spread_citations
from overread.tools.base import Evidence

_NUMBER = re.compile(
    r"(?<![\w.])(?<![A-Za-z]-)(?P<sign>(?:(?<=[\s(])|^)[-\u2212])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"\s*(?P<unit>mm3|mm\u00b3|mm\^3|cubic millimet(?:er|re)s?|cm3|cm\u00b3|cm\^3|"
    r"cubic centimet(?:er|re)s?|cc|ml|millilit(?:er|re)s?|mm2|mm\u00b2|mm\^2|sq(?:uare)?\.? ?(?:mm|millimet(?:er|re)s?)|"
    r"cm2|cm\u00b2|cm\^2|cm|centimet(?:er|re)s?|mm|millimet(?:er|re)s?|%|per ?cent|"
    r"pixels?|hu|hounsfield units?)?(?![A-Za-z\d])",
    re.IGNORECASE,
)
_LABELS = re.compile(
    r"\b(?:images?|slices?|frames?|cases?|figures?|series)\s+#?\d+(?:\s*(?:,|and|or|of|to)\s*\d+)*",
    re.IGNORECASE,
)
_WORDS = {
    word: number
    for number, word in enumerate(
        (
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ),
        2,
    )
}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)
_MORE = re.compile(
    r"(?:above|over|exceed(?:s|ing)?|(?:larger|greater|more|bigger|higher|longer|wider) than|"
    r"at least|beyond|>=?)\s*(?:the )?(?:(?:usual|normal|upper) )*(?:limit |threshold |value )?(?:of )?$",
    re.IGNORECASE,
)
_LESS = re.compile(
    r"(?:below|under|within|(?:smaller|less|lower|shorter|fewer|narrower) than|at most|up to|"
    r"not (?:above|over|exceeding)|<=?)\s*"
    r"(?:the )?(?:(?:usual|normal|upper) )*(?:limit |threshold |value )?(?:of )?$",
    re.IGNORECASE,
)
_UNITS: tuple[tuple[re.Pattern[str], str, float], ...] = tuple(
    (re.compile(pattern), unit, factor)
    for pattern, unit, factor in (
        (r"cubic c|c\S*[3\u00b3]$|cc|ml|millil", "mm3", 1000.0),
        (r"cubic m|m\S*[3\u00b3]$", "mm3", 1.0),
        (r"c\S*[2\u00b2]$", "mm2", 100.0),
        (r"m\S*[2\u00b2]$|sq", "mm2", 1.0),
        (r"c", "mm", 10.0),
        (r"m", "mm", 1.0),
        (r"pix", "pixels", 1.0),
        (r"h", "hu", 1.0),
        (r"", "%", 1.0),
    )
)
_SUFFIXES = (("_mm2", "mm2"), ("_mm", "mm"), ("_percent", "%"))


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written.

    Attributes:
        value: In `unit`.
        unit: "mm", "mm2", "mm3", "%", "pixels", "hu" or None; centimetres and millilitres are turned
            into millimetres.
        step: One unit of the last digit written, in `unit`.
        compared: "more" or "less" for a limit ("above 0.5"), None for a value.
    """

    value: float
    unit: str | None
    step: float
    compared: Literal["more", "less"] | None = None


def quantities(text: str) -> list[Quantity]:
    """Return the numbers of a text; numbers of images, slices and citations do not count.

    >>> quantities("In image 2 it measures 1.2 cm [E3].")
    [Quantity(value=12.0, unit='mm', step=1.0, compared=None)]
    """
    plain = _LABELS.sub(" ", CITATION.sub(" ", spread_citations(text)))
    plain = _WORD.sub(lambda found: str(_WORDS[found.group(1).lower()]), plain)
    return [_read(found, plain[: found.start()]) for found in _NUMBER.finditer(plain)]


def _read(found: re.Match[str], before: str) -> Quantity:
    digits = found["digits"].replace(",", "")
    value = float(digits) * (-1 if found["sign"] else 1)
    step = 10.0 ** -len(digits.partition(".")[2])
    unit, factor = _unit(found["unit"])
    before = before[-60:]
    compared: Literal["more", "less"] | None = None
    if _LESS.search(before):
        compared = "less"
    elif _MORE.search(before):
        compared = "more"
    return Quantity(round(value * factor, 9), unit, round(step * factor, 9), compared)


def _unit(text: str | None) -> tuple[str | None, float]:
    """Return the unit that a written one is turned into, and by which factor."""
    if text is None:
        return None, 1.0
    low = text.lower()
    return next((unit, factor) for pattern, unit, factor in _UNITS if pattern.match(low))


def measured(evidence: Evidence) -> list[tuple[float, str | None]]:
    """Return the numbers that a piece of evidence gives, with their units."""
    own = re.sub(r"<data>.*?</data>", " ", evidence.content, flags=re.DOTALL)
    found = [(quantity.value, quantity.unit) for quantity in quantities(own)]
    for key, value in evidence.values.items():
        # An error alone is no size of anything; where it is told, it is in the words too.
        if isinstance(value, bool) or not isinstance(value, int | float) or key.endswith("error"):
            continue
        unit = next((unit for suffix, unit in _SUFFIXES if key.endswith(suffix)), None)
        if key == "value" and evidence.values.get("unit"):
            unit, factor = _unit(str(evidence.values["unit"]).split()[0])
            value *= factor
        found.append((float(value), unit))
    return found


def agrees(claim: Quantity, numbers: list[tuple[float, str | None]]) -> bool:
    """Return whether a written number is one of the measured ones.

    It may be rounded or cut at its last digit. Without a unit it may be any of them; with one,
    the units must be the same; a ratio may be written in per cent.

    >>> agrees(Quantity(12.3, "mm", 0.1), [(12.34, "mm")])
    True
    >>> agrees(Quantity(12.5, "mm", 0.1), [(12.34, "mm")])
    False
    """
    candidates = [value for value, unit in numbers if claim.unit in (None, unit)]
    if claim.unit == "%":
        candidates += [100 * value for value, unit in numbers if unit is None]
    if claim.compared == "more":
        return any(value > claim.value - 1e-9 for value in candidates)
    if claim.compared == "less":
        return any(value < claim.value + 1e-9 for value in candidates)
    return any(_written_as(value, claim) for value in candidates)


def _written_as(value: float, claim: Quantity) -> bool:
    scaled, written = value / claim.step, claim.value / claim.step
    rounded = abs(scaled - written) <= 0.5 + 1e-6
    cut = abs(math.trunc(scaled + math.copysign(1e-6, scaled)) - written) < 1e-6
    return rounded or cut
