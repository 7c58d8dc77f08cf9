import shutil
from pathlib import Path

import pytest

from overread.agent import bundled
from overread.imaging.errors import ConfigError


@pytest.mark.slow
def test_assembled_once_checked_and_loadable(tmp_path: Path) -> None:
    older, other = (tmp_path / "models" / n for n in ("planner-0123456789ab", "planner-mine"))
    for there in (older, other):
        (there / "sub").mkdir(parents=True)
    folder = bundled.planner_folder(tmp_path)
    assert not older.exists() and other.is_dir()
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert bundled.planner_folder(tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    manifest = bundled.read_manifest()
    assert bundled.file_hash(folder / "model.safetensors") == manifest["sha256"]["assembled"]
    assert not list(folder.parent.glob(".assembling-*"))


def test_weights_that_were_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(bundled.WEIGHTS, copy)
    with (copy / bundled.OURS).open("ab") as file:
        file.write(b"\0")
    monkeypatch.setattr(bundled, "WEIGHTS", copy)
    with pytest.raises(ConfigError, match="its hash differs"):
        bundled.planner_folder(tmp_path / "data")
    assert not (tmp_path / "data" / "models").exists()


def test_missing_weights_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "WEIGHTS", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="weights are missing"):
        bundled.planner_folder(tmp_path)
