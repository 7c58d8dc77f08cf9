import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from overread.imaging.files import ORDINARY, PRIVATE, file_hash, files_hash, open_whole, write_whole

HALF_WAY = """
import sys
from pathlib import Path
from overread.imaging.files import open_whole

with open_whole(Path(sys.argv[1])) as file:
    file.write(b"new, but not all of it")
    file.flush()
    sys.stdout.write("half-way\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "kept.json"
    path.write_text("old")
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("data", ["äöü\r\n", b"\0\xff", "", b""])
def test_what_is_written_is_there_and_nothing_else(target: Path, data: str | bytes) -> None:
    write_whole(target, data)
    assert target.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert list(target.parent.iterdir()) == [target]


def test_a_writer_killed_half_way_leaves_the_old_file(target: Path) -> None:
    command = [sys.executable, "-c", HALF_WAY, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half-way\n"
        assert target.read_text() == "old"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    write_whole(target, "new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    target: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), open_whole(target) as file:
        file.write(b"half")
        raise error
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(target: Path) -> None:
    """A limit on the size of files stands for the disk: the write ends short in the same way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError):
            write_whole(target, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "taken", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_no_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "absent" / "file", "x")


@pytest.mark.parametrize(
    ("mode", "umask", "found"),
    [
        (PRIVATE, 0o022, 0o600),
        (PRIVATE, 0o000, 0o600),
        (ORDINARY, 0o022, 0o644),
        (ORDINARY, 0o077, 0o600),
        (0o400, 0o022, 0o400),
    ],
)
def test_a_file_has_its_mode_less_the_umask_from_the_first_byte(
    target: Path, mode: int, umask: int, found: int
) -> None:
    target.chmod(0o644)
    before = os.umask(umask)
    try:
        with open_whole(target, mode=mode) as file:
            file.write(b"x")
            (partial,) = set(target.parent.iterdir()) - {target}
            assert mode_of(partial) == found
    finally:
        os.umask(before)
    assert mode_of(target) == found


def test_it_is_private_unless_told_otherwise(target: Path) -> None:
    write_whole(target, "x")
    assert mode_of(target) == PRIVATE


def test_a_link_is_replaced_not_followed(target: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    write_whole(link, "new")
    assert not link.is_symlink()
    assert (link.read_text(), target.read_text()) == ("new", "old")


def test_of_writers_at_once_one_is_seen_whole(target: Path) -> None:
    contents = [bytes([number]) * 200_000 for number in range(8)]
    write_whole(target, contents[0])
    seen = set()
    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write_whole, target, data) for data in contents * 4]
        while not all(writer.done() for writer in writers):
            seen.add(target.read_bytes())
        for writer in writers:
            writer.result()
    assert seen | {target.read_bytes()} <= set(contents)
    assert list(target.parent.iterdir()) == [target]


def test_the_longest_name_is_no_hindrance(tmp_path: Path) -> None:
    longest = tmp_path / ("x" * 255)
    write_whole(longest, "x")
    assert longest.read_text() == "x"


def test_a_hash_is_of_contents_in_their_order(tmp_path: Path) -> None:
    one, two, copy = (tmp_path / name for name in ("a", "b", "c"))
    for path, data in ((one, b"one"), (two, b"two"), (copy, b"one")):
        path.write_bytes(data)
    assert file_hash(one) == hashlib.sha256(b"one").hexdigest()
    both = hashlib.sha256(hashlib.sha256(b"one").digest() + hashlib.sha256(b"two").digest())
    assert files_hash([one, two]) == files_hash([copy, two]) == both.hexdigest()
    assert files_hash([two, one]) != files_hash([one, two])
