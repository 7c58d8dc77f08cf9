import os
from pathlib import Path

from overread.ui.files import sweep


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
