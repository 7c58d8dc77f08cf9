"""The package as others install it: a wheel in an environment of its own."""

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ["agent", "evals", "imaging", "index", "tools", "training", "ui"]
# What only extras bring, and this checkout itself.
LEFT_OUT = (
    "overread", "__editable__", "gradio", "vllm", "trl", "pydicom_data", "data_store",
)  # fmt: skip
NOT_SOURCE = (".venv", ".git", "build", "runs", "*.egg-info", "__pycache__", ".*_cache")


@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_is_linked_into_the_package(name: str) -> None:
    """Without symbolic links (some file systems) the wheel would silently be empty."""
    link = ROOT / "src" / "overread" / name
    assert link.is_symlink()
    assert link.is_dir()
    assert link.resolve() == ROOT / name


def test_there_is_no_folder_that_is_not_linked() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(FOLDERS)


def _run(*command: object, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | env,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_wheel_works_without_the_extras(tmp_path: Path) -> None:
    """A clean environment with the wheel and the base dependencies, but none of the extras.

    The dependencies are linked from this environment instead of being installed again (3 GB).
    """
    source = tmp_path / "source"  # setuptools leaves a build folder behind
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path / "dist", source)
    (wheel,) = (tmp_path / "dist").glob("overread-*.whl")
    clean = tmp_path / "venv"
    venv.create(clean, with_pip=True, symlinks=True)
    _run(clean / "bin/python", "-m", "pip", "install", "--no-deps", "--no-index", wheel)

    (installed,) = (clean / "lib").glob("python3*/site-packages")
    linked = tmp_path / "dependencies"
    linked.mkdir()
    for folder in site.getsitepackages():
        for path in Path(folder).iterdir():
            if not path.name.startswith(LEFT_OUT) and path.suffix != ".pth":
                (linked / path.name).symlink_to(path)
    (installed / "dependencies.pth").write_text(f"{linked}\n")

    where = _run(clean / "bin/python", "-c", "import overread.ui.cli as cli; print(cli.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(installed)
    data = tmp_path / "data"
    done = _run(clean / "bin/overread", "doctor", "--json", OVERREAD_DATA_DIR=str(data))
    found = json.loads(done.stdout)
    assert "overread" in found["versions"]
    assert found["models"]["segmenter"].startswith("segmenter.safetensors")
    missing = " ".join(found["missing"])
    for extra in ("serve", "ui", "train", "demo"):
        assert f"overread[{extra}]" in missing
    refused = subprocess.run(
        [clean / "bin/overread", "chat"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "overread[ui]" in refused.stderr
