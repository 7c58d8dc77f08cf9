"""What an outline of the reader's becomes that is carried through the other images of its series."""

from overread.agent.resources import Resources
from overread.imaging.render import contact_sheet, overlay
from overread.imaging.study import ImageRef, Mask
from overread.tools.base import Artifact, Value
from overread.tools.phrases import number
from overread.tools.pictures import png
from overread.tools.volume import added, carry

_TILES = 24
_TILE = 160


def through_series(
    resources: Resources, ref: ImageRef, mask: Mask, name: str
) -> tuple[dict[str, Value], str, Artifact]:
    """Return what is known of the outline in the whole series, in words too, and its pictures.

    The volume is told where the distance of slices and the size of pixels are known.

    Raises:
        InputError: See `overread.tools.volume.carry`.
    """
    carried = carry(resources.archive, resources.segmenter(), ref, mask)
    shown = [(place, *row) for place, row in enumerate(carried, start=1) if row[1].found]
    values: dict[str, Value] = {"slices": len(shown), "slices_of": len(carried)}
    told = f"carried through {len(shown)} of {len(carried)} images of its series"
    step = resources.archive.series(ref).slice_spacing_mm
    if step is not None and all(image.spacing_mm is not None for _, image, _ in shown):
        volume = added([(image, found) for _, image, found in shown], step, len(carried), name)
        values |= {"volume_ml": round(volume.measured.value, 3)}
        told += f", volume {number(volume.measured.value)} ± {number(volume.measured.error)} ml"
    every = -(-len(shown) // _TILES)
    tiles = [overlay(image, {name: found.mask}) for _, image, found in shown[::every]]
    captions = [f"{place} of {len(carried)}" for place, _, _ in shown[::every]]
    picture = contact_sheet(tiles, captions, columns=6, tile=_TILE)
    sheet = resources.artifacts.put(png(picture), "contact_sheet", f"{name} in its series", ".png")
    return values, told, sheet
