"""Volumes and clips: key images, a pooled vector, and one study found."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from overread.imaging.study import Image, ImageRef
from overread.index.embedder import Embedder
from overread.index.filters import Exclude, Scope
from overread.index.records import picture as rendered
from overread.index.volumes import MAX_PER_SERIES, key_images, pooled, structure
from tests.index.conftest import picture
from tests.index.test_ingest import Place


def image(number: int, pixels: np.ndarray) -> Image:
    return Image(ref=ImageRef("st", "s0", "i0", number), pixels=pixels, window=(128.0, 256.0))


def volume(slices: int, seen: set[int]) -> list[Image]:
    """Slices of noise-free disks where something is to be seen, air elsewhere."""
    rows, columns = np.mgrid[:96, :96]
    disk = np.where((rows - 48) ** 2 + (columns - 48) ** 2 < 900, 200.0, 0.0).astype(np.float32)
    return [image(n, disk if n in seen else np.zeros_like(disk)) for n in range(slices)]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 20))
def test_key_images_are_in_order_and_spread(count: int, most: int) -> None:
    images = [image(n, np.zeros((8, 8), np.float32)) for n in range(count)]
    places = [int(one.ref.frame or 0) for one in key_images(images, most)]
    assert len(places) == min(count, most)
    assert places == sorted(set(places))
    edges = np.linspace(0, count, len(places) + 1).round()
    assert all(
        low <= at < high for at, low, high in zip(places, edges[:-1], edges[1:], strict=True)
    )


def test_key_images_show_what_there_is_to_see() -> None:
    seen = {7, 13, 22, 39}
    chosen = {one.ref.frame for one in key_images(volume(40, seen), most=4)}
    assert chosen == {7, 13, 22, 39}


def test_structure_is_of_edges_and_not_of_noise() -> None:
    rng = np.random.default_rng(0)
    noise = image(0, rng.normal(100, 10, (256, 256)).astype(np.float32))
    assert structure(volume(1, {0})[0]) > 10 * structure(noise)
    assert structure(volume(1, set())[0]) == 0


def test_pooled_is_the_mean_direction() -> None:
    whole = pooled(np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    np.testing.assert_allclose(whole, np.array([1, 1, 0]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(pooled(np.array([[1, 0], [-1, 0]], np.float32)), [1, 0])


@pytest.fixture
def place(tiny: Embedder, tmp_path: Path) -> Place:
    return Place(tmp_path / "data", tiny)


def test_volume_is_found_once_by_slice_and_by_itself(place: Place, tmp_path: Path) -> None:
    first, *rest = [picture(number).convert("L") for number in range(40)]
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in" / "stack.tif", save_all=True, append_images=rest)
    for number in range(50, 56):
        picture(number).save(tmp_path / "in" / f"{number}.png")
    summary = place.build(tmp_path / "in")
    assert (summary.studies, summary.images) == (7, MAX_PER_SERIES + 6)
    entries = dict(place.index.entries())
    (whole,) = [facts for facts in entries.values() if facts.get("pooled")]
    assert whole["pooled"] == MAX_PER_SERIES
    study = str(whole["study_id"])
    assert len(place.archive.study(study).refs) == 40

    series = place.archive.load_study(study).series[0]
    keys = key_images(series.images)
    hits = place.index.search_image(keys[3], k=7)
    assert hits[0].study_id == study
    assert hits[0].score == pytest.approx(1.0, abs=1e-4)
    assert len({hit.study_id for hit in hits}) == len(hits) == 7

    views = [rendered(one) for one in keys]
    query = pooled(place.index.embedder.embed_images(views))
    by_volume = place.index.search_vector(query, k=7)
    assert (by_volume[0].study_id, len(by_volume)) == (study, 7)
    assert by_volume[0].score == pytest.approx(1.0, abs=1e-4)
    without = place.index.search_vector(query, 7, Scope(exclude=Exclude(study=study)))
    assert study not in {hit.study_id for hit in without}
    assert len(without) == 6


def test_clip_in_a_dicom_file_is_one_study(place: Place, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clip = pydicom.dcmread(str(get_testdata_file("examples_rgb_color.dcm")))
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (20, 40, 50), dtype=np.uint8)
    clip.NumberOfFrames, clip.Rows, clip.Columns = len(frames), 40, 50
    clip.SamplesPerPixel, clip.PhotometricInterpretation = 1, "MONOCHROME2"
    clip.PixelData = frames.tobytes()
    clip.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    clip.save_as(tmp_path / "in" / "clip.dcm")
    assert place.build(tmp_path / "in").images == MAX_PER_SERIES
    again = place.build(tmp_path / "in")
    assert (again.added, again.already) == (0, MAX_PER_SERIES)
    assert len(dict(place.index.entries())) == MAX_PER_SERIES + 1
    hits = place.index.search_image(picture(0), k=5)
    assert len(hits) == 1
