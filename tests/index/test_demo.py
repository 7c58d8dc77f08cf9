import json
from pathlib import Path

import pytest

from overread.imaging.archive import Archive
from overread.imaging.phantoms import split_of
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.vocabulary import DOMAINS
from overread.index import demo
from overread.index.embedder import Embedder
from overread.index.manifest import ManifestRow, read_manifest
from overread.index.store import CaseIndex


def test_real_rows_name_files_that_exist_with_source_and_licence() -> None:
    pytest.importorskip("data_store", reason="pydicom-data is not installed")
    rows = list(demo.real_rows())
    assert len(rows) >= 13
    assert all(Path(row["path"]).is_file() for row in rows)
    assert all(row["source"] and row["licence"] for row in rows)


@pytest.mark.slow
def test_demo_is_built_once(tiny: Embedder, tmp_path: Path) -> None:
    index = CaseIndex.open(tmp_path / "index", tiny, create=True)
    archive, pseudonymiser = Archive(tmp_path / "archive"), Pseudonymiser(tmp_path / "secret")
    folder = tmp_path / "demo"
    first = demo.build_demo_index(folder, index, archive, pseudonymiser)
    assert first.quarantined == ()
    assert first.added == first.images == index.stats().images
    counts = index.stats().by_domain
    for domain in DOMAINS:
        assert counts[domain] >= demo.PHANTOMS // len(DOMAINS)
    rows = [row for row in read_manifest(folder / "manifest.jsonl") if isinstance(row, ManifestRow)]
    phantoms = [row for row in rows if row.source == "phantom"]
    assert {split_of(row.patient_id) for row in phantoms} == {"train"}
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    again = demo.build_demo_index(folder, index, archive, pseudonymiser)
    assert (again.added, again.already) == (0, first.images)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def test_lost_phantom_is_made_again_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PHANTOMS", 3)
    manifest = demo.demo_manifest(tmp_path)
    text = manifest.read_text()
    lost = tmp_path / json.loads(text.splitlines()[0])["path"]
    content = lost.read_bytes()
    lost.unlink()
    assert demo.demo_manifest(tmp_path).read_text() == text
    assert lost.read_bytes() == content
