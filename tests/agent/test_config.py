"""The data folder: made when first needed, by any number of sessions at once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from overread.agent.config import Config, ensure_data_dir
from overread.imaging.errors import ConfigError


def test_sessions_that_start_together_do_not_disturb_each_other(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as sessions:
        folders = set(sessions.map(lambda _: ensure_data_dir(config), range(2000)))
    assert folders == {tmp_path / "data"}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert not list((tmp_path / "data").iterdir())


def test_a_data_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(ConfigError, match=r"data cannot be written .* set OVERREAD_DATA_DIR"):
        ensure_data_dir(Config(data_dir=tmp_path / "data"))
    assert (tmp_path / "data").read_text() == "mine"
