"""Files, folders, problems, progress."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import Problem, iterate, read_studies, scan

Find = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path, real_dicom: Find) -> Path:
    """Return a folder of a DICOM file, a picture, papers, hidden files, and two broken images."""
    root = tmp_path / "mixed"
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / "deep" / "deeper" / "IM0001").write_bytes(real_dicom("CT_small.dcm").read_bytes())
    PIL.Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(root / "a.png")
    (root / "letter.txt").write_text("Dear colleague")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "._a.png").write_bytes(b"\0\5\26\7")
    (root / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (root / "broken.dcm").write_text("not DICOM")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return root


def test_folder_gives_images_and_reports_the_broken(
    folder: Path, pseudonymiser: Pseudonymiser
) -> None:
    result = scan([folder], pseudonymiser)
    assert sorted(study.series[0].modality for study in result.studies) == ["CT", "OT"]
    assert [problem.path.name for problem in result.problems] == ["broken.dcm", "broken.png"]
    assert all(str(problem.path) in problem.message for problem in result.problems)


def test_named_file_must_be_readable(folder: Path, pseudonymiser: Pseudonymiser) -> None:
    for paths in (
        [folder / "broken.dcm"],
        [folder, folder / "broken.dcm"],
        [folder / "letter.txt"],
    ):
        with pytest.raises(UnreadableImage):
            scan(paths, pseudonymiser)


def test_a_folder_of_broken_images_says_what_is_wrong(
    tmp_path: Path, pseudonymiser: Pseudonymiser
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_text("not DICOM")
    with pytest.raises(UnreadableImage, match=r"first problem: .*not a DICOM file"):
        scan([tmp_path / "in"], pseudonymiser)


def test_broken_pixels_cost_one_slice_and_are_reported(
    tmp_path: Path, real_dicom: Find, pseudonymiser: Pseudonymiser
) -> None:
    data = real_dicom("CT_small.dcm").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.dcm").write_bytes(data)
    (tmp_path / "in" / "cut.dcm").write_bytes(data[:-20_000])
    result = scan([tmp_path / "in"], pseudonymiser)
    assert len(result.studies[0].images) == 1
    assert [problem.path.name for problem in result.problems] == ["cut.dcm"]


def test_links_are_followed_and_loops_end(folder: Path, pseudonymiser: Pseudonymiser) -> None:
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.dcm").symlink_to(folder / "nowhere")
    (folder / "self").symlink_to(folder / "self")
    linked = folder.parent / "link"
    linked.symlink_to(folder, target_is_directory=True)
    assert len(scan([linked], pseudonymiser).studies) == 2


def test_progress_counts_every_file_once(folder: Path, pseudonymiser: Pseudonymiser) -> None:
    seen: list[tuple[int, int]] = []
    scan([folder], pseudonymiser, lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_the_same_file_given_twice_is_read_once(
    real_dicom: Find, pseudonymiser: Pseudonymiser
) -> None:
    path = real_dicom("CT_small.dcm")
    (study,) = read_studies([path, path, path.parent / "CT_small.dcm"], pseudonymiser)
    assert len(study.images) == 1


def test_studies_come_one_by_one(folder: Path, pseudonymiser: Pseudonymiser) -> None:
    problems: list[Problem] = []
    studies = iterate([folder], pseudonymiser, problems)
    assert next(studies).series[0].modality == "OT"
    assert next(studies).series[0].modality == "CT"
    assert len(problems) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_permissions_are_explained(folder: Path, pseudonymiser: Pseudonymiser) -> None:
    (folder / "a.png").chmod(0)
    with pytest.raises(UnreadableImage, match="permissions"):
        read_studies([folder / "a.png"], pseudonymiser)


def test_dicom_without_preamble_is_recognised(
    tmp_path: Path, real_dicom: Find, pseudonymiser: Pseudonymiser
) -> None:
    """Old exports begin with the first element; here group 8, and without any suffix."""
    data = real_dicom("CT_small.dcm").read_bytes()
    start = data.index(b"\x08\x00\x05\x00CS")
    path = tmp_path / "IM1"
    path.write_bytes(data[start:])
    (study,) = read_studies([path], pseudonymiser)
    assert study.images[0].modality == "CT"
    assert float(study.images[0].pixels.min()) == -896.0


def test_all_bundled_images_are_read(real_dicom: Find, pseudonymiser: Pseudonymiser) -> None:
    """Every file of pydicom that carries pixels is read, but for the known broken ones."""
    result = scan([real_dicom("CT_small.dcm").parent], pseudonymiser)
    refused = {
        problem.path.name
        for problem in result.problems
        if "without pixel data" not in problem.message
    }
    assert refused == {
        "badVR.dcm",  # a number of frames of "1A"
        "no_meta.dcm",  # no SOP class
        "JPEG2000-embedded-sequence-delimiter.dcm",  # a made-up codestream
        "JPEG-lossy.dcm",  # progressive 12-bit scan parameters in a sequential frame
        "MR_truncated.dcm",
    }
    assert sum(len(study.images) for study in result.studies) > 150
