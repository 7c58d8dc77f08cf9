"""What a sample is large enough to show, said plainly."""

from scipy.stats import norm

FEW_CLUSTERS = 30
"""Below so many, a bootstrap of clusters is known to be too sure of itself.

Source: Cameron, Gelbach, Miller, Bootstrap-based improvements for inference with clustered
errors, Review of Economics and Statistics 90:414 (2008).
"""


def smallest_difference(
    standard_error: float, power: float = 0.8, significance: float = 0.05
) -> float:
    """Return the true difference that a two-sided test would find with a given power.

    Args:
        standard_error: Of the difference.
        power: Chance to find it.
        significance: Chance to find one that is not there.

    Source: Cohen, Statistical power analysis for the behavioral sciences (1988), normal case.

    >>> round(smallest_difference(0.02), 3)
    0.056
    """
    return float(norm.ppf(1 - significance / 2) + norm.ppf(power)) * standard_error


def power_note(n: int, clusters: int, standard_error: float) -> str:
    """Return a sentence on what so many items could show, and a warning where they are few.

    Args:
        n: Items.
        clusters: Patients, studies or images that they come from.
        standard_error: Of the difference between two runs on these items. Of a single mean, give
            it times the square root of 2: another run alike, and no help from pairing.

    >>> power_note(40, 40, 0.1).split(": ")[1]
    'a true difference below 0.28 would be missed more often than one time in five.'
    """
    many = f"{n} items" if n == clusters else f"{n} items from {clusters} cases"
    if clusters < 2:
        return f"{many}: too few to say how far this holds for others."
    smallest = smallest_difference(standard_error)
    note = (
        f"{many}: a true difference below {smallest:.2g} would be missed more often than one time "
        "in five."
    )
    if standard_error == 0:
        note = f"{many}: no variation, so no estimate of what could be shown."
    if clusters < FEW_CLUSTERS:
        note += f" Fewer than {FEW_CLUSTERS} independent cases: intervals are rough."
    return note
