"""The sentences in which tools report to the planner. Training writes its traces with them too."""

from overread.imaging.study import UNSTATED
from overread.tools.base import Value

UNITS = {
    "area": "mm2",
    "long_axis": "mm",
    "short_axis": "mm",
    "width": "mm",
    "height": "mm",
    "distance": "mm",
    "midline_shift": "mm",
}


def number(value: float) -> str:
    """Write a number as the tools do: at most one decimal, two for ratios below 2.

    >>> number(134.26), number(0.538), number(12.0)
    ('134.3', '0.54', '12')
    """
    text = f"{value:.2f}" if abs(value) < 2 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def segmented(image: int, target: str, values: dict[str, Value], confidence: float) -> str:
    """Report a segmentation.

    Args:
        image: Number of the image.
        target: What was looked for.
        values: "found" (bool) and, when found: "area_mm2" or "area_percent", "long_axis_mm",
            "regions", "picture_position" ("upper left"), "patient_side" ("left", "right", None),
            "place" ("upper zone", None).
        confidence: 0..1.
    """
    if not values["found"]:
        return f"segment {target} in image {image}: not found; confidence {confidence:.2f}"
    parts = ["found"]
    if isinstance(values.get("area_mm2"), float):
        parts.append(f"area {number(float(values['area_mm2'] or 0))} mm2")
        parts.append(f"long axis {number(float(values['long_axis_mm'] or 0))} mm")
    else:
        parts.append(f"area {number(float(values['area_percent'] or 0))} % of the picture")
    parts.append(f"regions {values['regions']}")
    parts.append(f"{values['picture_position']} of the picture")
    if values.get("patient_side"):
        parts.append(f"patient {values['patient_side']}")
    if values.get("place"):
        parts.append(f"place {values['place']}")
    return f"segment {target} in image {image}: {', '.join(parts)}; confidence {confidence:.2f}"


def measured(
    image: int,
    quantity: str,
    target: str,
    reference: str | None,
    value: float,
    unit: str,
    towards: str | None = None,
) -> str:
    """Report a measurement, e.g. `measure width_ratio heart to thorax in image 1: 0.54`.

    `towards` is the patient side of a midline shift.
    """
    what = f"{target} to {reference}" if reference else target
    side = f" towards patient {towards}" if towards else ""
    return f"measure {quantity} {what} in image {image}: {number(value)} {unit}{side}".rstrip()


def similar(image: int, labels: dict[str, int], closest: float, total: int, domain: str) -> str:
    """Report retrieved neighbours: how many carry each label, most frequent first."""
    listed = ", ".join(
        f"{label} {count}"
        for label, count in sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    )
    return (
        f"find_similar_cases for image {image}: {total} cases of {domain}; {listed}; "
        f"closest {closest:.2f}"
    )


def neighbours(total: int, domain: str, label: str, count: int) -> str:
    """Sum up retrieved neighbours by a label, as an answer does; without full stop or citation.

    >>> neighbours(5, "brain-mr", "lesion", 4)
    '5 similar cases of brain-mr were found; 4 with lesion'
    """
    found = "1 similar case" if total == 1 else f"{total} similar cases"
    return f"{found} of {domain} {'was' if total == 1 else 'were'} found; {count} with {label}"


def came(thing: str, now: str, before: str) -> str:
    """Tell of a finding that is new; `now` and `before` are the ids of the evidence."""
    return f"New: the {thing} is seen now [{now}]. It was not found before [{before}]."


def went(thing: str, now: str, before: str) -> str:
    """Tell of a finding that is gone; `now` and `before` are the ids of the evidence."""
    return f"Resolved: no {thing} is found now [{now}]. It was seen before [{before}]."


def intake(
    image: int,
    modality: str,
    body_part: str | None,
    shape: tuple[int, int],
    spacing_mm: tuple[float, float] | None,
) -> str:
    """Report what the file itself says of an image."""
    size = f"{shape[0]} x {shape[1]} pixels"
    scale = f"{number(spacing_mm[0])} mm per pixel" if spacing_mm else "pixel size unknown"
    kind = "modality unknown" if modality == UNSTATED else f"modality {modality}"
    return f"image {image}: {kind}, {body_part or 'body part unknown'}, {size}, {scale}"


def reported(image: int, sentences: int, impression: str) -> str:
    """Report a draft report: how many findings it holds, and its impression."""
    return f"generate_report for image {image}: draft with {sentences} findings; {impression}"
