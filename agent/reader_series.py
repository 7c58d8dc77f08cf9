"""What an outline of the reader's becomes that is carried through the other images of its series."""

from overread.agent.resources import Resources
from overread.imaging.render import contact_sheet, overlay
from overread.imaging.study import ImageRef, Mask
from overread.tools.base import Artifact, Value
from overread.tools.phrases import number
from overread.tools.reporting.series_sheet import to_png
from overread.tools.uncertainty import digits
from overread.tools.volume import UnevenSlices, added, carry

_TILES = 24
_TILE = 160


def through_series(
    resources: Resources, ref: ImageRef, mask: Mask, name: str
) -> tuple[dict[str, Value], str, Artifact]:
    """Return what is known of the outline in the whole series, in words too, and its pictures.

    The volume is told where the distance of slices and the size of pixels are known; where slices are
    missing or repeated, the reason why it is not. The pictures' file holds the masks of all images.

    Raises:
        InputError: See `overread.tools.volume.carry`.
    """
    segmenter = resources.segmenter()
    carried = carry(resources.archive, segmenter, ref, mask)
    shown = [(place, *row) for place, row in enumerate(carried, start=1) if row[1].found]
    values: dict[str, Value] = {
        "slices": len(shown),
        "slices_of": len(carried),
        "carried_by": segmenter.version,
    }
    told = f"carried through {len(shown)} of {len(carried)} images of its series"
    step = resources.archive.series(ref).slice_spacing_mm
    if step is not None and all(image.spacing_mm is not None for _, image, _ in shown):
        try:
            volume = added(carried, step, name)
            values["volume_ml"] = round(volume.measured.value, 3)
            values["error"] = digits(volume.measured.error)
            told += f", volume {number(volume.measured.value)} ± {number(volume.measured.error)} ml"
        except UnevenSlices as error:
            told += f", no volume: {error}"
    every = -(-len(shown) // _TILES)
    tiles = [overlay(image, {name: found.mask}) for _, image, found in shown[::every]]
    captions = [f"{place} of {len(carried)}" for place, _, _ in shown[::every]]
    picture = contact_sheet(tiles, captions, columns=6, tile=_TILE)
    data = to_png(picture, {image.ref: found.mask for _, image, found in shown})
    sheet = resources.artifacts.put(data, "contact_sheet", f"{name} in its series", ".png")
    return values, told, sheet
