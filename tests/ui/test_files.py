import os
import time
from pathlib import Path

from overread.ui.belongings import Belongings
from overread.ui.files import clear_unnamed, discard, sweep


def test_only_old_files_are_swept(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "old.png", tmp_path / "reports" / "new.md"
    for file in (old, new):
        file.parent.mkdir()
        file.write_text("x")
    os.utime(old, (1, 1))
    assert sweep(tmp_path, 3600) == 1
    assert not old.exists()
    assert new.exists()
    assert sweep(tmp_path / "absent", 3600) == 0


def test_a_folder_goes_with_the_last_file_in_it(tmp_path: Path) -> None:
    mine, hers = tmp_path / "sha" / "mine.png", tmp_path / "sha" / "hers.png"
    mine.parent.mkdir()
    mine.touch()
    hers.touch()
    discard(mine)
    assert hers.exists()
    discard(hers)
    discard(hers)  # as when two users' requests end at once
    assert list(tmp_path.iterdir()) == []


def test_what_an_upload_on_its_way_writes_is_left_alone(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in ("tmpa", "tmpb", "report.md"))
    for file in (old, new, other):
        file.touch()
    os.utime(old, (1000, 1000))
    os.utime(other, (1000, 1000))
    clear_unnamed(tmp_path, before=2000)
    assert sorted(tmp_path.iterdir()) == [other, new]


def test_empty_folders_are_swept_too(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "old.png"
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (1, 1))
    sweep(tmp_path, 3600)
    assert list(tmp_path.iterdir()) == []


def test_the_oldest_upload_on_its_way_is_known() -> None:
    belongings = Belongings()
    with belongings.arriving():
        began = belongings.since()
        with belongings.arriving():
            time.sleep(0.01)
            assert belongings.since() == began
    assert belongings.since() > began
