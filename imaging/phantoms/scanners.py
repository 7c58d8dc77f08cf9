"""The simulated devices: field of view, sharpness, noise, contrast and artefacts of each."""

from dataclasses import dataclass

from overread.imaging.phantoms.seeds import Case, split_of


@dataclass(frozen=True, slots=True)
class Scanner:
    """One device.

    Attributes:
        name: Unique over all domains.
        field_mm: Smallest and largest width of the picture.
        aspect: Row spacing over column spacing.
        blur_mm: Sigma of the point spread.
        noise: Standard deviation, in HU for CT, else in parts of the full range.
        gamma: Exponent of the tone curve (CT has none).
        contrast: Factor about mid-grey.
        bias: Strength of a slow brightness field (MR coil, fundus or lamp vignette).
        grid: Strength of anti-scatter grid lines. ring: Strength of CT rings, in HU.
        ghost: Strength of MR motion ghosts. speckle_mm: Grain of ultrasound.
        tint: Colour factors. style: What the domain module reads (stain, sequence, probe).
        inverted: Stored as MONOCHROME1.
    """

    name: str
    field_mm: tuple[float, float]
    aspect: float = 1.0
    blur_mm: float = 0.0
    noise: float = 0.02
    gamma: float = 1.0
    contrast: float = 1.0
    bias: float = 0.0
    grid: float = 0.0
    ring: float = 0.0
    ghost: float = 0.0
    speckle_mm: float = 0.5
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    style: str = ""
    inverted: bool = False


# The last scanner of each domain is held out.
DEVICES: dict[str, tuple[Scanner, ...]] = {
    "chest-xray": (
        Scanner("cr-alder", (318, 345), blur_mm=0.9, noise=0.012),
        Scanner("cr-birch", (312, 338), blur_mm=1.3, noise=0.022, gamma=0.85, inverted=True),
        Scanner("cr-cedar", (322, 360), blur_mm=0.7, noise=0.03, gamma=1.15, contrast=1.1),
        Scanner("cr-dogwood", (310, 335), blur_mm=1.8, noise=0.018, contrast=0.85, bias=0.08),
        Scanner("cr-elm", (312, 365), blur_mm=1.1, noise=0.025, gamma=1.3, grid=0.018, bias=0.05),
    ),
    "brain-mr": (
        Scanner("mr-alder", (202, 218), blur_mm=0.5, noise=0.02, bias=0.1),
        Scanner("mr-birch", (204, 224), blur_mm=0.8, noise=0.035, bias=0.14, aspect=1.08),
        Scanner("mr-cedar", (200, 214), blur_mm=0.4, noise=0.028, contrast=1.12, bias=0.05),
        Scanner("mr-dogwood", (208, 228), blur_mm=1.0, noise=0.02, gamma=0.85, ghost=0.03),
        Scanner("mr-elm", (202, 230), blur_mm=0.7, noise=0.045, gamma=1.15, bias=0.16, ghost=0.05),
    ),
    "chest-ct": (
        Scanner("ct-alder", (370, 400), blur_mm=0.8, noise=18),
        Scanner("ct-birch", (380, 420), blur_mm=0.5, noise=38),
        Scanner("ct-cedar", (360, 390), blur_mm=1.2, noise=12),
        Scanner("ct-dogwood", (375, 410), blur_mm=0.9, noise=25, ring=8),
        Scanner("ct-elm", (365, 430), blur_mm=1.0, noise=48, ring=14),
    ),
    "abdomen-ct": (
        Scanner("ct-fir", (380, 410), blur_mm=0.9, noise=12),
        Scanner("ct-hazel", (390, 430), blur_mm=0.6, noise=20),
        Scanner("ct-juniper", (375, 400), blur_mm=1.3, noise=9),
        Scanner("ct-larch", (385, 420), blur_mm=0.9, noise=15, ring=5),
        Scanner("ct-maple", (375, 440), blur_mm=1.1, noise=26, ring=9),
    ),
    "fundus": (
        Scanner("op-alder", (12.0, 12.8), blur_mm=0.02, noise=0.012, bias=0.25),
        Scanner("op-birch", (12.2, 13.2), blur_mm=0.04, noise=0.02, tint=(1.0, 0.9, 0.8)),
        Scanner(
            "op-cedar", (11.8, 12.5), blur_mm=0.03, noise=0.015, tint=(0.9, 1.05, 1.0), bias=0.4
        ),
        Scanner("op-dogwood", (12.4, 13.4), blur_mm=0.05, noise=0.02, gamma=0.85, contrast=0.9),
        Scanner("op-elm", (11.8, 13.5), 1.0, 0.045, 0.03, 1.2, tint=(0.95, 0.88, 1.1), bias=0.5),
    ),
    "ultrasound": (
        Scanner("us-alder", (48, 54), speckle_mm=0.3, noise=0.9, style="linear"),
        Scanner("us-birch", (165, 185), speckle_mm=0.9, noise=0.85, style="sector"),
        Scanner("us-cedar", (44, 52), speckle_mm=0.45, noise=1.1, gamma=0.85, style="linear"),
        Scanner("us-dogwood", (155, 180), speckle_mm=1.3, noise=1.0, gamma=1.1, style="sector"),
        Scanner("us-elm", (150, 190), speckle_mm=1.6, noise=1.2, gamma=1.2, style="sector"),
    ),
    "histology": (
        Scanner("sm-alder", (0.125, 0.13), noise=0.015, blur_mm=0.0003, style="balanced"),
        Scanner("sm-birch", (0.12, 0.13), noise=0.02, blur_mm=0.0005, style="pink"),
        Scanner("sm-cedar", (0.125, 0.135), noise=0.025, blur_mm=0.0002, style="purple"),
        Scanner("sm-dogwood", (0.12, 0.13), noise=0.015, blur_mm=0.0006, style="pale", bias=0.15),
        Scanner("sm-elm", (0.12, 0.14), noise=0.03, blur_mm=0.0007, style="brownish", bias=0.2),
    ),
}

SCANNERS: dict[str, tuple[str, ...]] = {
    domain: tuple(device.name for device in devices) for domain, devices in DEVICES.items()
}
HELD_OUT: dict[str, str] = {domain: names[-1] for domain, names in SCANNERS.items()}
BY_NAME: dict[str, Scanner] = {
    device.name: device for devices in DEVICES.values() for device in devices
}


def scanner_of(case: Case) -> Scanner:
    """Return the patient's scanner; the held-out one for about half of the test patients only."""
    devices = DEVICES[case.domain]
    rng = case.anatomy("scanner")
    if rng.random() < 0.5 and split_of(case.patient_id) == "test":
        return devices[-1]
    return devices[int(rng.integers(len(devices) - 1))]


def field_of(case: Case, scanner: Scanner) -> tuple[float, float]:
    """Return the row and column spacing in mm."""
    width = float(case.anatomy("field").uniform(*scanner.field_mm))
    column = round(width / case.size, 6)
    return round(column * scanner.aspect, 6), column
