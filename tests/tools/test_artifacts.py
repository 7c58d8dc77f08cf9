import os
from pathlib import Path

import pytest

from overread.imaging.errors import ConfigError, InputError, UnknownReference
from overread.tools.artifacts import ArtifactStore
from overread.tools.base import Artifact


def test_equal_bytes_are_one_file(store: ArtifactStore) -> None:
    first = store.put(b"abc", "mask", "one", ".png")
    second = store.put(b"abc", "overlay", "two", ".png")
    assert store.path(first) == store.path(second)
    assert store.read(first) == b"abc"
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == [
        f"{first.sha256}.png"
    ]


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "ab/../../secret", "ab", "nope.png"])
def test_a_path_out_of_the_store_or_to_nothing_is_refused(
    store: ArtifactStore, tmp_path: Path, path: str
) -> None:
    store.put(b"abc", "mask", "one", ".png")
    (tmp_path / "secret").write_text("x")
    with pytest.raises(UnknownReference):
        store.path(Artifact(kind="mask", name="bad", path=path, sha256="0" * 64))


def test_a_link_out_of_the_store_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = store.put(b"abc", "mask", "one", ".png")
    secret = tmp_path / "secret"
    secret.write_text("x")
    path = store.path(artifact)
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(UnknownReference):
        store.path(artifact)


def test_a_changed_file_is_noticed(store: ArtifactStore) -> None:
    artifact = store.put(b"abc", "mask", "one", ".png")
    store.path(artifact).write_bytes(b"abd")
    with pytest.raises(UnknownReference, match="changed"):
        store.read(artifact)


@pytest.mark.parametrize("suffix", ["png", ".p/g", "./../x", "", ".PNG"])
def test_a_suffix_is_a_suffix(store: ArtifactStore, suffix: str) -> None:
    with pytest.raises(InputError, match="suffix"):
        store.put(b"abc", "mask", "one", suffix)


@pytest.mark.skipif(os.name != "posix", reason="folder modes are POSIX's")
def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        ArtifactStore(tmp_path / "file").put(b"abc", "mask", "one", ".png")
