"""Near-duplicates at ingestion: marked or left out, whatever the order of the index."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from overread.imaging.phantoms import sample
from overread.imaging.study import Image, ImageRef
from overread.index.digest import digest_of
from overread.index.duplicates import FINE, NEAR_BITS, Earlier, hash_text, perceptual_hash
from overread.index.embedder import Embedder, Vectors
from overread.index.ingest import IngestSummary, Plan, build_index
from overread.index.records import CaseRecord
from overread.index.records import picture as rendered
from tests.index.conftest import picture
from tests.index.test_ingest import Place


def smooth(seed: int) -> PILImage.Image:
    """A picture with structure that survives another encoding."""
    rng = np.random.default_rng(seed)
    small = PILImage.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8))
    return small.resize((120, 120), PILImage.Resampling.BICUBIC).convert("RGB")


def as_jpeg(view: PILImage.Image) -> PILImage.Image:
    stream = io.BytesIO()
    view.save(stream, "JPEG", quality=80)
    return PILImage.open(stream).convert("RGB")


def test_copies_are_near_and_patients_are_not() -> None:
    phantoms = list(sample("train", 21, 5))
    views = [
        rendered(Image(ImageRef("a", "b", "c"), one.pixels, window=one.window)) for one in phantoms
    ]
    hashes = [perceptual_hash(view, FINE) for view in views]
    for view, own in zip(views, hashes, strict=True):
        assert (perceptual_hash(as_jpeg(view), FINE) ^ own).bit_count() <= NEAR_BITS
    apart = [(a ^ b).bit_count() for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(apart) > NEAR_BITS


def record(number: int, view: PILImage.Image, **facts: str) -> CaseRecord:
    words = {"domain": "d"} | facts
    return CaseRecord(
        view=view,
        ref=f"st-{number}/s0/i0",
        study_id=f"st-{number}",
        patient_id="pt",
        picture_hash=hash_text(view),
        **words,
    )


UNIT: Vectors = np.array([1, 0], np.float32)
ACROSS: Vectors = np.array([0, 1], np.float32)


def originals(records: list[CaseRecord], vectors: list[Vectors]) -> list[str]:
    return Earlier((), lambda ids: {}).originals(records, vectors)


def test_hash_and_vector_and_domain_must_agree() -> None:
    one, copy, other = smooth(1), as_jpeg(smooth(1)), smooth(2)
    assert originals([record(1, one), record(2, copy)], [UNIT, UNIT]) == ["", "st-1"]
    assert originals([record(1, one), record(2, other)], [UNIT, UNIT]) == ["", ""]
    assert originals([record(1, one), record(2, copy)], [UNIT, ACROSS]) == ["", ""]
    elsewhere = record(2, copy, domain="e")
    assert originals([record(1, one), elsewhere], [UNIT, UNIT]) == ["", ""]
    same_study = record(1, copy)
    assert originals([record(1, one), same_study], [UNIT, UNIT]) == ["", ""]


def test_what_was_said_of_an_indexed_image_stays() -> None:
    first, second = record(1, smooth(1)), record(2, as_jpeg(smooth(1)))
    entries = [
        (second.image_id, second.metadata() | {"duplicate_of": "st-1"}),
        (first.image_id, first.metadata()),
    ]
    for order in (entries, entries[::-1]):
        earlier = Earlier(order, lambda ids: dict.fromkeys(ids, UNIT))
        assert earlier.originals([first, second], [UNIT, UNIT]) == ["", "st-1"]
        third = record(3, smooth(1))
        assert earlier.originals([third], [UNIT]) == ["st-1"]


@pytest.fixture
def place(tiny: Embedder, tmp_path: Path) -> Place:
    return Place(tmp_path / "data", tiny)


def folder_with_copies(folder: Path) -> Path:
    folder.mkdir()
    for number in range(6):
        smooth(number).save(folder / f"{number}.png")
    for number in (1, 4):
        smooth(number).save(folder / f"{number}-copy.jpg", quality=85)
    picture(9).save(folder / "9.png")
    return folder


def build(place: Place, source: Path, plan: Plan) -> IngestSummary:
    return build_index(source, place.index, place.archive, place.pseudonymiser, plan=plan)


def test_copies_are_marked(place: Place, tmp_path: Path) -> None:
    source = folder_with_copies(tmp_path / "in")
    summary = build(place, source, Plan())
    assert (summary.images, summary.added, summary.duplicates) == (9, 9, 2)
    marked = {
        f["study_id"]: f["duplicate_of"] for _, f in place.index.entries() if "duplicate_of" in f
    }
    assert len(marked) == 2
    assert set(marked).isdisjoint(marked.values())
    before = digest_of(place.index)
    again = build(place, source, Plan())
    assert (again.added, again.already, again.duplicates) == (0, 9, 2)
    (tmp_path / "data" / "index" / "ingested.sqlite").unlink()
    without_notes = build(place, source, Plan())
    assert (without_notes.added, without_notes.duplicates) == (0, 2)
    assert digest_of(place.index) == before


def test_copies_are_left_out(place: Place, tmp_path: Path) -> None:
    source = folder_with_copies(tmp_path / "in")
    summary = build(place, source, Plan(duplicates="skip"))
    assert (summary.images, summary.added, summary.duplicates) == (9, 7, 2)
    assert place.index.stats().images == 7
    again = build(place, source, Plan(duplicates="skip"))
    assert (again.added, again.duplicates, place.index.stats().images) == (0, 2, 7)
