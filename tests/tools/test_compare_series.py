"""Comparing series of slices: the levels are found, and sizes are those of the whole finding."""

import numpy as np
import pytest

from overread.imaging.archive import Archive
from overread.imaging.study import Image, ImageRef, Series, Study
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import ToolContext
from overread.tools.compare import build
from overread.tools.stack import stack_of
from overread.tools.stack_registration import register_stacks
from tests.tools.scans import PIXEL, BallSegmenter, Scan

LOW = np.arange(0, 50.1, 2.5)
LONG = np.arange(0, 80.1, 2.5)


class Room:
    """A session over scans, the latest of them first."""

    def __init__(self, archive: Archive, store: ArtifactStore) -> None:
        self.archive, self.store, self.segmenter = archive, store, BallSegmenter()

    def compare(self, *scans: Scan, **more: object):
        context = ToolContext(
            images=tuple(scan.add(self.archive) for scan in scans),
            archive=self.archive,
            artifacts=self.store,
            segmenter=lambda: self.segmenter,
            index=lambda: None,
        )
        args = {"image": 1, "prior": 2, "target": "cyst"} | more
        return build(context).invoke(
            {"type": "tool_call", "id": "1", "name": "compare", "args": args}
        )


class Noise(Scan):
    """A series that shows nothing of a body."""

    def slice(self, level: float) -> np.ndarray:
        return np.random.default_rng(round(level * 10)).normal(0, 300, (96, 96)).astype(np.float32)


@pytest.fixture
def room(archive: Archive, store: ArtifactStore) -> Room:
    return Room(archive, store)


@pytest.mark.parametrize("is_void", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_one_ball_in_series_of_other_coverage_is_unchanged(
    room: Room, is_void: bool, turned: bool
) -> None:
    scans = [Scan("a", LONG, is_void=is_void), Scan("b", LOW, is_void=is_void)]
    reply = room.compare(*(scans[::-1] if turned else scans))
    assert reply.artifact.values.get("cyst unchanged since 2") == 1, reply.content
    assert reply.artifact.values["cyst 1 ratio since 2"] == pytest.approx(1.0, abs=0.02)
    assert "show the same levels" in reply.content and "in slice 11" in reply.content


@pytest.mark.parametrize(
    ("before", "now", "fate"), [(16.0, 20.0, "larger"), (20.0, 16.0, "smaller")]
)
@pytest.mark.parametrize("is_void", [True, False])
def test_a_ball_that_changed_is_told_in_series_of_other_coverage(
    room: Room, before: float, now: float, fate: str, is_void: bool
) -> None:
    reply = room.compare(
        Scan(
            "a",
            np.arange(-10, 65, 3.0),
            ball=now,
            is_void=is_void,
            moved=(8.0, -5.0),
            told_from=300.0,
        ),
        Scan("b", LONG, ball=before, is_void=is_void),
    )
    assert reply.artifact.values.get(f"cyst {fate} since 2") == 1, reply.content
    ratio = reply.artifact.values["cyst 1 ratio since 2"]
    assert ratio == pytest.approx(now / before, rel=0.04)


def test_levels_are_found_whatever_the_files_say_of_them(archive: Archive) -> None:
    now = stack_of(
        archive, Scan("a", np.arange(20, 90, 4.0), moved=(10, 6), told_from=-500).add(archive)
    )
    before = stack_of(archive, Scan("b", np.arange(-15, 60, 2.5)).add(archive))
    assert now is not None and before is not None
    found = register_stacks(now, before)
    again = register_stacks(now, before)
    for level in (0.0, 20.0, 32.0):
        there = found.transform.TransformPoint(now.middle(level))
        assert before.level(there) == pytest.approx(level + 20 + 15, abs=2.0)
        assert there[0] == pytest.approx(before.middle(0)[0] - 10, abs=2.0)
    assert found.turn < 2 and found.scale == 1.0 and found.likeness > 0.95
    assert found.transform.GetParameters() == again.transform.GetParameters()


@pytest.mark.parametrize("frame", ["one", ""])
def test_series_of_other_levels_are_refused(room: Room, frame: str) -> None:
    reply = room.compare(
        Scan("a", np.arange(-60, -10, 2.5), frame=frame, ball=0),
        Scan("b", np.arange(20, 90, 2.5), frame=frame, ball=0),
    )
    assert reply.status == "error"
    assert "show different levels of the body" in reply.content


def test_what_the_other_series_does_not_show_is_not_told_as_come_or_gone(room: Room) -> None:
    reply = room.compare(Scan("a", LONG, ball=8, ball_level=70), Scan("b", LOW, ball=0))
    assert "in neither: cyst" in reply.content
    assert not [key for key in reply.artifact.values if key.startswith("cyst")]


def test_a_finding_that_goes_on_beyond_is_measured_where_both_show_it(room: Room) -> None:
    reply = room.compare(Scan("a", LONG, ball_level=55), Scan("b", LOW, ball_level=55))
    assert reply.artifact.values["cyst unchanged since 2"] == 1
    assert "cyst goes on beyond the levels that both show" in reply.content


def test_a_finding_comes_and_goes(room: Room) -> None:
    came = room.compare(Scan("a", LONG, ball=9), Scan("b", LOW, ball=0))
    went = room.compare(Scan("a", LONG, ball=0), Scan("b", LOW, ball=9))
    assert came.artifact.values["cyst new since 2"] == 1
    assert went.artifact.values["cyst resolved since 2"] == 1
    assert came.artifact.confidence == pytest.approx(0.9, abs=0.02)


def test_a_change_that_far_slices_alone_can_make_is_doubted(room: Room) -> None:
    through, beside = np.arange(-25, 80, 10.0), np.arange(-20, 80, 10.0)
    reply = room.compare(Scan("a", through, ball=6.5), Scan("b", beside, ball=6.5))
    assert "slices 10 mm apart may alone make that difference in cyst" in reply.content
    assert reply.artifact.confidence < 0.5


def test_of_a_long_series_some_slices_are_outlined_and_all_near_a_finding(room: Room) -> None:
    levels = np.arange(-60, 100, 1.0)
    reply = room.compare(Scan("a", levels, ball=7.2), Scan("b", levels, ball=6.0))
    assert len(room.segmenter.asked) < 140
    assert len(set(room.segmenter.asked)) == len(room.segmenter.asked)
    assert "of which every 4th was outlined" in reply.content
    assert reply.artifact.values["cyst 1 ratio since 2"] == pytest.approx(1.2, abs=0.06)
    assert "cyst larger" in reply.content


def test_words_that_the_segmenter_does_not_know_are_looked_for_at_one_level(room: Room) -> None:
    room.segmenter.any_words = True
    reply = room.compare(Scan("a", LONG), Scan("b", LOW), target="bubble")
    assert [(ref.study_id, ref.instance) for ref in room.segmenter.asked] == [
        ("a", "i16"),
        ("b", "i16"),
    ]
    assert "bubble unchanged" in reply.content


def test_confidence_is_that_of_the_masks_and_of_the_registration(room: Room) -> None:
    room.segmenter = BallSegmenter(0.6)
    alike = room.compare(Scan("a", LONG), Scan("b", LONG))
    assert alike.artifact.confidence == pytest.approx(0.6)
    void = room.compare(
        Scan("c", LONG, ball=20, is_void=True), Scan("d", LONG, ball=16, is_void=True)
    )
    assert void.artifact.confidence < 0.5
    assert "cyst larger" in void.content


def test_series_that_are_hardly_alike_tell_of_no_change(room: Room) -> None:
    reply = room.compare(Scan("a", LONG, frame="one"), Noise("b", LONG, frame="one"))
    assert "hardly alike" in reply.content and reply.artifact.confidence == 0.0
    assert not [key for key in reply.artifact.values if key.startswith("cyst")]


def test_a_blank_series_is_refused(room: Room) -> None:
    reply = room.compare(Scan("a", LONG), Scan("b", LONG, ball=0, is_void=True))
    assert (reply.status, reply.content) == (
        "error", "one of the two series is blank, so nothing can be compared with it",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scan", "reason"),
    [
        (Scan("b", LONG, image={"view": "sagittal"}), "image 1 is axial and image 2 is sagittal"),
        (Scan("b", LONG, image={"body_part": "brain"}), "of the abdomen and image 2 of the brain"),
        (Scan("b", [90.0], frame="a"), "lie 50 mm apart"),
    ],
)
def test_what_cannot_be_compared(room: Room, scan: Scan, reason: str) -> None:
    reply = room.compare(Scan("a", LONG), scan)
    assert reply.status == "error" and reason in reply.content


def test_parts_of_one_region_are_compared(room: Room) -> None:
    reply = room.compare(Scan("a", LONG), Scan("b", LOW, image={"body_part": "liver"}))
    assert reply.artifact.values["cyst unchanged since 2"] == 1


def test_a_single_slice_against_a_series_says_that_the_level_is_not_known(room: Room) -> None:
    reply = room.compare(Scan("a", LONG), Scan("b", [40.0]))
    assert "whether these two slices show the same level is not known" in reply.content


def test_slices_of_one_series_are_refused(archive: Archive, store: ArtifactStore) -> None:
    Scan("a", LONG).add(archive)
    context = ToolContext(
        images=(ImageRef("a", "s0", "i4"), ImageRef("a", "s0", "i9")),
        archive=archive, artifacts=store, segmenter=BallSegmenter, index=lambda: None,
    )  # fmt: skip
    args = {"image": 1, "prior": 2, "target": "cyst"}
    reply = build(context).invoke({"type": "tool_call", "id": "1", "name": "compare", "args": args})
    assert reply.status == "error" and "slices of one series" in reply.content


def test_a_volume_without_planes_lies_where_its_affine_says(archive: Archive) -> None:
    affine = np.diag([-PIXEL, -PIXEL, 4.0, 1.0])
    affine[:3, 3] = 10.0, 20.0, -30.0
    times = 2
    images = tuple(
        Image(
            ImageRef("n", "s0", "i0", n),
            np.full((40, 30), n % 5, np.float32),
            spacing_mm=(PIXEL, PIXEL),
        )
        for n in range(5 * times)
    )
    series = Series("s0", "OT", images, slice_spacing_mm=4.0, affine=affine)
    archive.add([Study("n", "P", (series,), header={"shape": [30, 40, 5, times]})])
    stack = stack_of(archive, images[7].ref)
    assert stack is not None
    assert stack.numbers == (6, 7, 8, 9, 10)
    assert stack.levels.tolist() == [0, 4, 8, 12, 16]
    assert stack.point(4.0, 1, 2) == pytest.approx((-10 + 2 * PIXEL, -20 + PIXEL, -26))
    assert stack.volume().GetOrigin() == pytest.approx((-10, -20, -30))


def test_images_without_levels_are_no_stack(archive: Archive) -> None:
    frames = tuple(
        Image(ImageRef("f", "s0", "i0", n), np.zeros((9, 9), np.float32)) for n in range(4)
    )
    archive.add([Study("f", "P", (Series("s0", "US", frames),))])
    assert stack_of(archive, frames[0].ref) is None
    assert stack_of(archive, Scan("two", [0.0, 5.0]).add(archive)) is None
