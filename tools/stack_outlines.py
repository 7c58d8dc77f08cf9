"""What is outlined in the slices of a stack, and which separate findings that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from overread.imaging.archive import Archive
from overread.imaging.render import overlay
from overread.imaging.study import Mask
from overread.tools.change import SPECK, Lesion, measured
from overread.tools.comparison import Outliner
from overread.tools.geometry import largest_region
from overread.tools.stack import Point, Stack

_CLOSER = 6
"""Findings of a series around which slices that were passed over are outlined, too."""

_TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, slots=True)
class Section:
    """The slice in which a finding is largest.

    Attributes:
        index: In the stack. sure: That the finding is there.
        gap: Distance to the next outlined slice, in mm.
        is_cut: Whether it is the last slice that both series show, and the series goes on.
    """

    index: int
    sure: float
    gap: float
    is_cut: bool


class Side:
    """One of two stacks: its slices at the levels that both show, and what is outlined in them."""

    def __init__(self, archive: Archive, stack: Stack, shared: Sequence[int], most: int) -> None:
        """Take what is needed; nothing is outlined yet.

        Args:
            archive: Where the slices are.
            stack: Of this side.
            shared: Indices of its slices whose levels the other stack shows, too.
            most: Slices that are outlined; of more, every so many.
        """
        self.archive, self.stack, self.shared = archive, stack, shared
        self.every = -(-len(shared) // most)
        self.masks: dict[str, dict[int, Mask]] = {}
        self.sure: dict[str, dict[int, float]] = {}
        self.found: dict[str, dict[Lesion, Section]] = {}

    def look(self, target: str, outline: Outliner, only: int | None) -> None:
        """Outline a target in every so many slices, then in all around what was found; or in one."""
        self.masks[target], self.sure[target] = {}, {}
        chosen = self.shared[:: self.every] if only is None else [only]
        self._outline(target, outline, chosen)
        self.found[target] = self._lesions(target)
        if self.every > 1 and only is None:
            near = [section.index for section in list(self.found[target].values())[:_CLOSER]]
            self._outline(
                target,
                outline,
                [n for n in self.shared if any(abs(n - index) < self.every for index in near)],
            )
            self.found[target] = self._lesions(target)

    def _outline(self, target: str, outline: Outliner, chosen: Sequence[int]) -> None:
        for index in chosen:
            if index not in self.masks[target]:
                found = outline(self.archive.load(self.stack.refs[index]), target)
                self.masks[target][index], self.sure[target][index] = found.mask, found.sure

    def _lesions(self, target: str) -> dict[Lesion, Section]:
        """Return the separate findings, largest first, with the slices that they are measured in."""
        indices = sorted(self.masks[target])
        block = np.stack([self.masks[target][index] for index in indices])
        labels, _ = ndimage.label(block, _TOUCHING)
        found = {}
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == number
            sizes = np.count_nonzero(part, axis=(1, 2))
            equal = np.flatnonzero(sizes == sizes.max())
            middle = int(equal[len(equal) // 2])
            region = largest_region(part[middle])
            if np.count_nonzero(region) < SPECK:
                continue
            first, top, left = (side.start for side in box)
            levels = self.stack.levels[indices[first : first + len(part)]]
            place = self._place(part, levels, top, left)
            largest = first + middle
            slice_number = self.stack.numbers[indices[largest]]
            lesion = measured(region, self.stack.spacing, place, slice_number)
            found[lesion] = self._section(target, indices, largest)
        return dict(sorted(found.items(), key=lambda item: -item[0].diameter))

    def _place(
        self, part: NDArray[np.bool_], levels: NDArray[np.float64], top: int, left: int
    ) -> Point:
        """Return where in the patient the middle of a finding lies."""
        slices, rows, columns = np.nonzero(part)
        level = float(levels[slices].mean())
        return self.stack.point(level, top + float(rows.mean()), left + float(columns.mean()))

    def _section(self, target: str, indices: Sequence[int], largest: int) -> Section:
        index = indices[largest]
        levels = self.stack.levels[list(indices)]
        steps = np.diff(levels)[max(0, largest - 1) : largest + 1]
        last = len(self.stack.levels) - 1
        is_end = index in (self.shared[0], self.shared[-1]) and len(indices) > 1
        return Section(
            index=index,
            sure=self.sure[target][index],
            gap=float(steps.max()) if steps.size else self.stack.gap,
            is_cut=is_end and index not in (0, last),
        )

    def sure_at(self, target: str, point: Point) -> float:
        """Return how sure the outline is, found or not, in the slice nearest to a point."""
        sure = self.sure[target]
        level = self.stack.level(point)
        return sure[min(sure, key=lambda index: abs(float(self.stack.levels[index]) - level))]

    def picture(self, index: int) -> PIL.Image.Image:
        """Return a slice with what is outlined in it."""
        drawn = {name: masks[index] for name, masks in self.masks.items() if index in masks}
        image = self.archive.load(self.stack.refs[index])
        return overlay(image, {name: mask for name, mask in drawn.items() if mask.any()})

    def caption(self, index: int, name: str) -> str:
        """Return which slice of which image a picture shows."""
        return f"{name}, slice {self.stack.numbers[index]}"
