"""The store: round trips, idempotence, damage, limits, readers beside writers."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from overread.imaging import archive as module
from overread.imaging.archive import Archive
from overread.imaging.errors import InputError, UnknownReference
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies
from overread.imaging.study import Image, ImageRef, Plane, Series, Study


def _study(study_id: str = "st-1", images: int = 3, series: str = "s0", seed: int = 0) -> Study:
    noise = np.random.default_rng(seed).normal(0, 100, (images, 5, 7)).astype(np.float32)
    return Study(
        id=study_id,
        patient_id="pt-1",
        series=(
            Series(
                id=series,
                modality="CT",
                images=tuple(
                    Image(
                        ref=ImageRef(study_id, series, f"i{number}"),
                        pixels=pixels,
                        modality="CT",
                        spacing_mm=(0.5, 0.25),
                        window=(40.0, 400.0),
                        inverted=True,
                        body_part="chest",
                        view="axial",
                    )
                    for number, pixels in enumerate(noise)
                ),
                description="ct chest",
                slice_spacing_mm=2.5,
                affine=np.eye(4) * 2,
            ),
        ),
        description="ct",
        age=45.5,
        sex="F",
        header={"format": "DICOM"},
    )


def _contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    study = _study()
    refs = Archive(tmp_path).add([study])
    assert refs == [image.ref for image in study.images]
    archive = Archive(tmp_path)
    for image in study.images:
        loaded = archive.load(ImageRef.parse(str(image.ref)))
        np.testing.assert_array_equal(loaded.pixels, image.pixels)
        assert loaded.pixels.dtype == np.float32
        for name in ("ref", "modality", "spacing_mm", "window", "inverted", "body_part", "view"):
            assert getattr(loaded, name) == getattr(image, name)
    record = archive.study("st-1")
    assert (record.patient_id, record.modality, record.body_part) == ("pt-1", "CT", "chest")
    assert (record.age, record.sex, list(record.refs)) == (45.5, "F", refs)
    whole = archive.load_study("st-1")
    assert whole.series[0].slice_spacing_mm == 2.5
    np.testing.assert_array_equal(whole.series[0].affine, np.eye(4) * 2)


def test_real_files_survive(
    real_dicom: Callable[[str], Path], pseudonymiser: Pseudonymiser, tmp_path: Path
) -> None:
    paths = [real_dicom(name) for name in ("CT_small.dcm", "examples_ybr_color.dcm")]
    studies = read_studies(paths, pseudonymiser)
    archive = Archive(tmp_path / "archive")
    refs = archive.add(studies)
    assert len(refs) == 31
    assert archive.load(refs[0]).pixels.dtype == np.float32
    assert archive.load(refs[-1]).pixels.dtype == np.uint8
    assert {record.id for record in archive.studies()} == {study.id for study in studies}


def test_places_survive_and_records_without_them_are_read(tmp_path: Path) -> None:
    study = _study(images=2)
    plane = Plane((1.5, -2.0, 30.25), (1.0, 0.0, 0.0), (0.0, 0.6, 0.8), "2.25.7")
    placed = replace(study.images[0], plane=plane)
    series = replace(study.series[0], images=(placed, study.images[1]))
    archive = Archive(tmp_path)
    archive.add([replace(study, series=(series,))])
    assert archive.load(placed.ref).plane == plane
    assert archive.load(study.images[1].ref).plane is None
    record = tmp_path / "studies" / "st-1.json"
    stored = json.loads(record.read_text())
    for item in stored["series"][0]["images"]:
        del item["plane"]
    record.write_text(json.dumps(stored))
    assert Archive(tmp_path).load(placed.ref).plane is None


def test_a_series_is_known_without_its_pixels(tmp_path: Path) -> None:
    study = _study(images=3)
    archive = Archive(tmp_path)
    refs = archive.add([study])
    found = archive.series(refs[1])
    assert (found.id, found.modality, found.slice_spacing_mm) == ("s0", "CT", 2.5)
    assert found.refs == tuple(refs) and np.array_equal(found.affine, np.eye(4) * 2)
    with pytest.raises(UnknownReference):
        archive.series(ImageRef("st-1", "s0", "i9"))


def test_adding_twice_changes_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    first = archive.add([_study()])
    before = _contents(tmp_path)
    assert archive.add([_study()]) == first
    assert _contents(tmp_path) == before


def test_equal_pixels_are_stored_once(tmp_path: Path) -> None:
    Archive(tmp_path).add([_study("st-1"), _study("st-2")])
    assert len(list((tmp_path / "pixels").glob("*.npy"))) == 3


def test_new_images_and_series_join_their_study(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add([_study(images=2)])
    archive.add([_study(images=3)])
    archive.add([_study(images=1)])
    assert [ref.instance for ref in archive.study("st-1").refs] == ["i0", "i1", "i2"]
    assert archive.load_study("st-1").series[0].slice_spacing_mm == 2.5
    archive.add([_study(series="s1")])
    assert {ref.series for ref in archive.study("st-1").refs} == {"s0", "s1"}
    assert len(archive.study("st-1").refs) == 6


@pytest.mark.parametrize("text", ["st-9/s0/i0", "st-1/s9/i0", "st-1/s0/i9", "st-1/s0/i0/0"])
def test_unknown_reference_is_explained(text: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add([_study()])
    with pytest.raises(UnknownReference, match="archive"):
        archive.load(ImageRef.parse(text))


@pytest.mark.parametrize("study_id", ["../secret", "/etc/passwd", "..", "", "a/b", "x\0"])
def test_a_path_is_no_study_id(study_id: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownReference):
        Archive(tmp_path).study(study_id)
    with pytest.raises(UnknownReference):
        Archive(tmp_path).load(ImageRef(study_id, "s0", "i0"))


def test_damage_is_found_and_repaired_by_adding_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    refs = archive.add([_study()])
    for path in (tmp_path / "pixels").glob("*.npy"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    (tmp_path / "studies" / "st-1.json").write_text('{"id": "st-')
    with pytest.raises(InputError, match="add the study again"):
        archive.study("st-1")
    archive.add([_study()])
    np.testing.assert_array_equal(archive.load(refs[2]).pixels, _study().images[2].pixels)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    refs = archive.add([_study(images=1)])
    (path,) = (tmp_path / "pixels").glob("*.npy")
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="damaged"):
        archive.load(refs[0])


def test_pixels_are_read_only_and_cached_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path)
    refs = archive.add([_study()])
    first = archive.load(refs[0])
    assert archive.load(refs[0]).pixels is first.pixels
    with pytest.raises(ValueError, match="read-only"):
        first.pixels[0, 0] = 1
    monkeypatch.setattr(module, "CACHE_BYTES", 2 * first.pixels.nbytes)
    for ref in refs:
        archive.load(ref)
    assert archive.load(refs[2]).pixels is archive.load(refs[2]).pixels
    assert archive.load(refs[0]).pixels is not first.pixels


def test_only_the_owner_can_enter(tmp_path: Path) -> None:
    Archive(tmp_path / "archive").add([_study()])
    assert (tmp_path / "archive").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "archive").rglob("*.npy"))


def test_failed_write_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path)
    archive.add([_study(images=1)])
    before = _contents(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        archive.add([_study(images=3)])
    assert _contents(tmp_path) == before


def test_readers_never_see_half_a_study(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add([_study(images=1)])
    errors: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        reader = Archive(tmp_path)
        while not stop.is_set():
            try:
                for ref in reader.study("st-1").refs:
                    assert reader.load(ref).shape == (5, 7)
            except (OSError, ValueError, InputError) as error:
                errors.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for number in range(1, 30):
        Archive(tmp_path).add([_study(images=number)])
    stop.set()
    for thread in readers:
        thread.join()
    assert errors == []


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    Archive(tmp_path)
    writers = [
        threading.Thread(target=lambda n=n: Archive(tmp_path).add([_study(series=f"s{n}", seed=n)]))
        for n in range(8)
    ]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert {ref.series for ref in Archive(tmp_path).study("st-1").refs} == {
        f"s{n}" for n in range(8)
    }


def test_removed_images_leave_nothing_but_what_others_share(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    refs = archive.add([_study("st-1", seed=0), _study("st-2", seed=0), _study("st-3", seed=1)])
    archive.remove(refs[:3])
    archive.remove([*refs[6:8], ImageRef("st-9", "s0", "i0")])
    assert [record.id for record in archive.studies()] == ["st-2", "st-3"]
    assert archive.load(ImageRef("st-2", "s0", "i1")).shape == (5, 7)
    assert archive.study("st-3").refs == (ImageRef("st-3", "s0", "i2"),)
    assert len(list((tmp_path / "pixels").iterdir())) == 4
    with pytest.raises(UnknownReference):
        archive.load(refs[6])
