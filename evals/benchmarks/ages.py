"""Ages in bands, so that groups of patients are large enough to compare."""

_BANDS = ((18, "0-17"), (40, "18-39"), (65, "40-64"))


def age_group(years: float) -> str:
    """Return the band of an age in years: children, adults in two halves, and the old.

    The cuts at 18 and 65 are those of ClinicalTrials.gov and of the FDA's age groups; the adults
    are halved at 40, since most of a hospital's patients would else be in one band.

    >>> [age_group(years) for years in (0.5, 18, 64, 65)]
    ['0-17', '18-39', '40-64', '65+']
    """
    return next((band for end, band in _BANDS if years < end), "65+")
