"""The README's first Python block runs as it stands, against the real planner."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from overread.imaging.phantoms import generate, write

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path, data_dir: Path, real_planner: int) -> None:
    match = BLOCK.search(README.read_text("utf-8"))
    assert match is not None
    write(generate("chest-xray", 61881), tmp_path).rename(tmp_path / "chest.dcm")
    done = subprocess.run(
        [sys.executable, "-c", match.group(1)],
        cwd=tmp_path,
        env=os.environ | {"OVERREAD_PLANNER__PORT": str(real_planner)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "E1 intake" in done.stdout


def test_it_opens_with_the_two_commands() -> None:
    lines = README.read_text("utf-8").splitlines()
    commands = [line for line in lines if line.startswith("make ")][:2]
    assert commands == ["make demo", "make test"]
    assert lines.index("make test") < 10
