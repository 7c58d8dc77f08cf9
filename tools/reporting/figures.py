"""The numbers of a piece of evidence, each with its unit and error: what SR and FHIR write."""

from dataclasses import dataclass

from overread.tools.base import Evidence, Value

_OF_OUTLINE = (("area_mm2", "area", "mm2"), ("long_axis_mm", "long_axis", "mm"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        name: Of the quantity ("long_axis"), as tools write it.
        unit: As tools write it; "" for a ratio or a count.
        error: Standard deviation, in the unit; None where it is not known.
        reference: The second structure of a distance or a ratio, or None.
    """

    name: str
    value: float
    unit: str
    error: float | None = None
    reference: str | None = None


def figures(entry: Evidence) -> list[Figure]:
    """Return the numbers of an outline in its image, or of a measurement; none of other evidence."""
    values = entry.values
    if "found" in values:
        return [
            Figure(name, value, unit)
            for key, name, unit in _OF_OUTLINE
            if isinstance(value := values.get(key), float)
        ]
    if "quantity" not in values:
        return []
    name, unit = str(values["quantity"]), str(values["unit"])
    value, error = float(values["value"] or 0), _number(values.get("error"))
    if name == "diameters" and "short_axis" in values:
        short = float(values["short_axis"] or 0)
        return [
            Figure("long_axis", value, unit, error),
            Figure("short_axis", short, unit, _number(values.get("short_axis_error"))),
        ]
    reference = values.get("reference")
    return [Figure(name, value, unit, error, None if reference is None else str(reference))]


def series_volume(entry: Evidence) -> Figure | None:
    """Return the volume of an outline that was carried through its series; None of any other."""
    value = _number(entry.values.get("volume_ml"))
    if value is None:
        return None
    return Figure("volume", value, "ml", _number(entry.values.get("error")))


def structure(entry: Evidence) -> str | None:
    """Return what is measured or was looked for; None for a place of the picture, or all of it."""
    target, given = entry.values.get("target"), entry.arguments
    if entry.tool == "quantify":  # which takes places, too, and describes them as its target
        quantity = entry.values.get("quantity")
        if quantity == "distance" and given.get("points"):
            return None
        if quantity == "intensity" and (given.get("box") or given.get("target") is None):
            return None
    return target if isinstance(target, str) else None


def _number(value: Value) -> float | None:
    return None if value is None else float(value)
