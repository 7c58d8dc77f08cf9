"""Bad input: exit code 2, one sentence on stderr, and a data folder without half a file."""

import socket
import struct
import subprocess
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from overread.imaging.phantoms import generate, write

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(run: Run, free_port: int) -> Run:
    """Run `overread` where no planner listens, whatever else this machine runs."""
    return partial(run, OVERREAD_PLANNER__PORT=str(free_port))


def truncated_dicom(folder: Path) -> Path:
    whole = write(generate("chest-xray", 7), folder / "whole").read_bytes()
    return _file(folder / "truncated.dcm", whole[: len(whole) // 2])


def text_named_dcm(folder: Path) -> Path:
    return _file(folder / "notes.dcm", b"Dear colleague, the image is attached.\n" * 20)


def empty_png(folder: Path) -> Path:
    return _file(folder / "empty.png", b"")


def huge_png(folder: Path) -> Path:
    """A valid PNG of 30,000 x 30,000 pixels in a few hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    side = 30_000
    packer = zlib.compressobj(9)
    row = bytes(1 + side)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return _file(folder / "huge.png", b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def nan_nifti(folder: Path) -> Path:
    voxels = np.ones((8, 8, 4), np.float32)
    voxels[3, 3, 2] = np.nan
    path = folder / "nan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


def dicom_without_pixels(folder: Path) -> Path:
    data = pydicom.dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    del data.PixelData
    path = folder / "header.dcm"
    data.save_as(path)
    return path


def folder_without_images(folder: Path) -> Path:
    _file(folder / "study" / "readme.txt", b"nothing to see")
    return folder / "study"


def missing_file(folder: Path) -> Path:
    return folder / "absent.png"


def _file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


BAD_IMAGES = [
    truncated_dicom,
    text_named_dcm,
    empty_png,
    huge_png,
    nan_nifti,
    dicom_without_pixels,
    folder_without_images,
    missing_file,
]


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("overread: ")
    assert done.stderr.count("\n") == 1, "one sentence, one line"
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


def assert_nothing_half_written(data: Path) -> None:
    """Only what opening a data folder makes: no study, no pixels, no artifact, no leftovers."""
    files = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    allowed = {"archive/.lock", "sessions.sqlite", "sessions.sqlite-wal", "sessions.sqlite-shm"}
    allowed |= {"pseudonym.secret", "pseudonym.secret.lock"}
    assert files <= allowed


@pytest.mark.parametrize("make", BAD_IMAGES, ids=lambda make: make.__name__)
def test_a_bad_image_is_refused_before_the_planner_starts(
    make: Callable[[Path], Path], run: Run, tmp_path: Path, data_dir: Path
) -> None:
    path = make(tmp_path)
    assert_refused(run("ask", path, "Is there a nodule?"), path.name)
    assert_nothing_half_written(data_dir)


def test_one_bad_image_among_good_ones_is_refused(run: Run, tmp_path: Path, chest: Path) -> None:
    assert_refused(run("ask", chest, empty_png(tmp_path), "Has it grown?"), "empty.png")


def test_a_question_of_100_000_characters(run: Run, chest: Path, data_dir: Path) -> None:
    assert_refused(run("ask", chest, "x" * 100_000), "100000 characters", "4000")
    assert_nothing_half_written(data_dir)


def test_an_empty_question(run: Run, chest: Path) -> None:
    assert_refused(run("ask", chest, "  "), "empty")


def test_a_question_before_the_images(run: Run, chest: Path) -> None:
    assert_refused(run("ask", "Is there a nodule?", chest), "give the question last")


def _profile(folder: Path, model: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(
        f'name = "mine"\ndescription = "x"\nstatus = "x"\nmodel = "{model}"\n'
        'served_name = "mine"\ndevice = "cpu"\ncontext = 2048\nmax_images = 1\n'
        'image_size = 224\nsystem = "x"\n'
    )
    return path


def test_a_model_folder_that_does_not_exist(run: Run, chest: Path, tmp_path: Path) -> None:
    profile = _profile(tmp_path, "/nowhere/model")
    assert_refused(run("ask", chest, "Why?", "--profile", profile), "/nowhere/model")


def test_a_profile_that_does_not_exist(run: Run, chest: Path) -> None:
    assert_refused(run("ask", chest, "Why?", "--profile", "gpt-17"), "gpt-17", "bundled")


def test_a_port_in_use_by_another_program(run: Run, tmp_path: Path) -> None:
    profile = _profile(tmp_path, "some/model")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert_refused(run("serve", "--port", port, "--profile", profile), port)
        assert_refused(run("chat", "--port", port), port, "--port")


@pytest.mark.parametrize("place", ["/proc/overread", "{file}/data"])
def test_a_data_folder_that_cannot_be_written(
    run: Run, chest: Path, tmp_path: Path, place: str
) -> None:
    folder = place.format(file=_file(tmp_path / "file", b"x"))
    assert_refused(run("--data-dir", folder, "ask", chest, "Why?"), folder, "OVERREAD_DATA_DIR")


def test_a_setting_that_does_not_exist(run: Run, chest: Path) -> None:
    done = run("ask", chest, "Why?", OVERREAD_AGENT__MAX_STEPS="none")
    assert_refused(done, "agent.max_steps")


def test_a_target_that_is_not_known(run: Run, chest: Path) -> None:
    assert_refused(run("segment", chest, "foot"), "foot", "heart")


@pytest.mark.parametrize("point", ["12", "a,b", "-1,3", "1,2,3"])
def test_a_point_that_is_none(run: Run, chest: Path, point: str) -> None:
    assert_refused(run("segment", chest, "heart", f"--point={point}"), "--point", point)


def test_a_point_outside_the_image(run: Run, chest: Path) -> None:
    assert_refused(run("segment", chest, "heart", "--point", "5000,1"), "outside the image")


def test_a_source_that_cannot_be_indexed(run: Run, tmp_path: Path) -> None:
    assert_refused(run("index", "build", tmp_path / "absent"), "absent")


def test_a_session_name_that_is_none(run: Run, chest: Path) -> None:
    assert_refused(run("ask", chest, "Why?", "--session", "../etc"), "../etc")


def test_usage_errors_exit_with_2_too(run: Run) -> None:
    assert run("ask").returncode == 2
    assert run("no-such-command").returncode == 2
    assert run("serve", "--port", "70000").returncode == 2
