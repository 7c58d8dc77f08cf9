"""Where cases come from: DICOM trees, manifests and saved data sets; what is done is not redone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from overread.imaging.errors import IndexMismatch, InputError, UnreadableImage
from overread.imaging.study import ImageRef
from overread.index.digest import digest_of
from overread.index.embedder import Embedder
from overread.index.ledger import FILE, QUARANTINE
from overread.index.units import open_source
from tests.index.conftest import picture
from tests.index.test_ingest import Place, pictures

datasets = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")


@pytest.fixture
def place(tiny: Embedder, tmp_path: Path) -> Place:
    return Place(tmp_path / "data", tiny)


def saved(folder: Path, count: int, **columns: list[object]) -> "datasets.Dataset":
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["normal", "nodule"]),
            "report": datasets.Value("string"),
            "patient_id": datasets.Value("string"),
            "age": datasets.Value("int32"),
        }
    )
    rows = {
        "image": [picture(number) for number in range(count)],
        "label": [number % 2 for number in range(count)],
        "report": [f"Report {number}." for number in range(count)],
        "patient_id": [f"MRN-{number // 2}" for number in range(count)],
        "age": [40 + number for number in range(count)],
    }
    data = datasets.Dataset.from_dict(rows | columns, features=features)
    data.save_to_disk(str(folder))
    return data


def test_saved_data_set_is_indexed_like_a_manifest(place: Place, tmp_path: Path) -> None:
    saved(tmp_path / "in", 5)
    summary = place.build(tmp_path / "in")
    assert (summary.studies, summary.images, summary.added) == (5, 5, 5)
    hit = place.index.search_image(picture(3), k=1)[0]
    assert (hit.labels, hit.report, hit.age) == (("nodule",), "Report 3.", 43)
    assert hit.patient_id == place.pseudonymiser.patient("\0MRN-1")
    stored = place.archive.load(ImageRef.parse(hit.ref))
    np.testing.assert_array_equal(stored.pixels, np.asarray(picture(3)))
    again = place.build(tmp_path / "in")
    assert (again.added, again.already) == (0, 5)


def test_splits_and_rows_without_an_image(place: Place, tmp_path: Path) -> None:
    split = saved(tmp_path / "one", 3, image=[picture(0), None, picture(2)])
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(str(tmp_path / "in"))
    summary = place.build(tmp_path / "in")
    assert summary.images == 4
    # The same picture in two splits is the same study.
    assert summary.studies == 2
    names = [entry.path for entry in summary.quarantined]
    assert names == [f"{tmp_path / 'in' / part}, row 2" for part in ("test", "train")]
    assert all("no image" in entry.reason for entry in summary.quarantined)


def test_damaged_or_pictureless_data_set_is_a_clear_error(place: Place, tmp_path: Path) -> None:
    saved(tmp_path / "in", 3)
    (arrow,) = (tmp_path / "in").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:40])
    with pytest.raises(InputError, match=r"saved data set .* cannot be read"):
        place.build(tmp_path / "in")
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "words"))
    with pytest.raises(InputError, match="no image column"):
        place.build(tmp_path / "words")


def dicom_tree(folder: Path, slices: int) -> Path:
    """A CT series in files of their own, named against their order, and one picture."""
    (folder / "deep" / "er").mkdir(parents=True)
    source = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    for number in range(slices):
        source.SOPInstanceUID = f"1.2.3.{number + 1}"
        source.InstanceNumber = number + 1
        source.ImagePositionPatient = [0, 0, float(number)]
        pixels = source.pixel_array.copy()
        pixels[:8, :8] = 100 * number
        source.PixelData = pixels.tobytes()
        source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
        source.save_as(folder / "deep" / "er" / f"{slices - number:03}")
    picture(0).save(folder / "photo.png")
    return folder


def test_dicom_tree_is_grouped_by_study(place: Place, tmp_path: Path) -> None:
    tree = dicom_tree(tmp_path / "in", 20)
    found = open_source(tree, place.pseudonymiser)
    assert sorted(len(unit.files) for unit in found.units) == [1, 20]
    summary = place.build(tree)
    assert (summary.studies, summary.images) == (2, 17)
    study = next(s for s in place.archive.studies() if s.modality == "CT")
    assert len(study.refs) == 20

    # A broken slice is left out alone, and read again by the next run.
    broken = tree / "deep" / "er" / "007"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "data" / "index" / FILE).unlink()
    again = place.build(tree)
    assert [Path(entry.path).name for entry in again.quarantined] == ["007"]
    broken.write_bytes(whole)
    assert place.build(tree).quarantined == ()
    assert (tmp_path / "data" / "index" / QUARANTINE).read_text() == ""


def test_done_units_are_not_read_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = pictures(tmp_path / "in", 6)
    place.build(manifest)
    before = digest_of(place.index)
    moved = shutil.copytree(tmp_path / "in", tmp_path / "elsewhere") / "manifest.jsonl"
    monkeypatch.setattr("overread.index.work.iterate", _must_not_read)
    again = place.build(moved)
    assert (again.added, again.already, again.studies) == (0, 6, 6)
    assert digest_of(place.index) == before


def _must_not_read(*args: object, **kwargs: object) -> None:
    raise AssertionError("a unit that was done is read again")


def test_ledger_is_not_believed_against_the_index(place: Place, tmp_path: Path) -> None:
    manifest = pictures(tmp_path / "in", 6)
    place.build(manifest)
    before = digest_of(place.index)
    ids = [id_ for id_, _ in place.index.entries()]
    for shelf in place.index._shelves():
        shelf.remove(ids[:2])
    assert place.build(manifest).added == 2
    assert digest_of(place.index) == before
    shutil.rmtree(tmp_path / "data" / "archive" / "studies")
    (tmp_path / "data" / "archive" / "studies").mkdir()
    place.build(manifest)
    assert len(place.archive.studies()) == 6


def test_quarantine_keeps_what_other_sources_left_out(place: Place, tmp_path: Path) -> None:
    for name in ("one", "two"):
        manifest = pictures(tmp_path / name, 3)
        (tmp_path / name / "001.png").write_bytes(b"broken")
        assert len(place.build(manifest).quarantined) == 1
    lines = (tmp_path / "data" / "index" / QUARANTINE).read_text().splitlines()
    assert [Path(json.loads(line)["path"]).parent.name for line in lines] == ["one", "two"]
    picture(1).save(tmp_path / "one" / "001.png")
    place.build(tmp_path / "one" / "manifest.jsonl")
    lines = (tmp_path / "data" / "index" / QUARANTINE).read_text().splitlines()
    assert [Path(json.loads(line)["path"]).parent.name for line in lines] == ["two"]


def test_source_without_a_readable_image_is_a_clear_error(place: Place, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(UnreadableImage, match="No readable image"):
        place.build(tmp_path / "in")
    assert "a.png" in (tmp_path / "data" / "index" / QUARANTINE).read_text()


def test_damaged_notes_are_a_clear_error(place: Place, tmp_path: Path) -> None:
    manifest = pictures(tmp_path / "in", 2)
    (tmp_path / "data" / "index" / FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(IndexMismatch, match=r"notes .* are damaged"):
        place.build(manifest)


def test_digest_tells_content_from_order(tiny: Embedder, tmp_path: Path) -> None:
    manifest = pictures(tmp_path / "in", 5)
    one, other = Place(tmp_path / "a", tiny), Place(tmp_path / "b", tiny)
    other.pseudonymiser = one.pseudonymiser
    one.build(manifest)
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(lines[::-1]))
    other.build(manifest)
    assert digest_of(one.index) == digest_of(other.index)
    manifest.write_text(manifest.read_text().replace("Report 3.", "Corrected."))
    other.build(manifest)
    assert digest_of(one.index) != digest_of(other.index)
    assert digest_of(other.index).images == 5
