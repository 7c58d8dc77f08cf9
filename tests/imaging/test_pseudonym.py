"""Pseudonyms: stable, secret, private on disk."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.imaging.errors import ConfigError
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import ImageRef


def test_secret_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret"
    first = Pseudonymiser(path)
    key = path.read_bytes()
    assert len(key) == 32 and path.stat().st_mode & 0o777 == 0o600
    assert Pseudonymiser(path).patient("x") == first.patient("x")
    assert path.read_bytes() == key
    assert [p.name for p in path.parent.iterdir()] == ["secret"]


def test_known_answer(tmp_path: Path) -> None:
    """HMAC-SHA256 with a key of zeros, computed with `openssl dgst -mac hmac`."""
    (tmp_path / "secret").write_bytes(bytes(32))
    pseudonymiser = Pseudonymiser(tmp_path / "secret")
    assert pseudonymiser.patient("A") == "pt-365cad1d6b"


def test_damaged_secret_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes instead of 32"):
        Pseudonymiser(tmp_path / "secret")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be used"):
        Pseudonymiser(tmp_path / "folder")


def test_racing_processes_agree(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(Pseudonymiser(tmp_path / "s").patient("x")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


@given(first=st.text(), second=st.text())
def test_pseudonyms_are_references_and_tell_identities_apart(
    first: str, second: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "pseudonyms"
    p = Pseudonymiser(folder / "secret")
    ref = ImageRef(p.study(first), p.series(first), p.instance(first))
    assert ImageRef.parse(str(ref)) == ref
    assert (p.patient(first) == p.patient(second)) == (first == second)
    assert 1 <= p.days(first) <= 3650
    assert p.uid(first).startswith("2.25.") and len(p.uid(first)) <= 64
