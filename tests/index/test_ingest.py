import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as PILImage
from pydicom.data import get_testdata_file

from overread.imaging.archive import Archive
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate, write_manifest
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import ImageRef
from overread.index.digest import digest_of
from overread.index.embedder import Embedder, load_embedder
from overread.index.filters import Exclude, Filters, Scope
from overread.index.ingest import IngestSummary, build_index
from overread.index.store import CaseIndex
from overread.index.units import open_source
from overread.index.work import Worker
from tests.index.conftest import picture


class Place:
    """A data folder with everything that ingestion needs."""

    def __init__(self, root: Path, embedder: Embedder) -> None:
        self.index = CaseIndex.open(root / "index", embedder, create=True)
        self.archive = Archive(root / "archive")
        self.pseudonymiser = Pseudonymiser(root / "secret")

    def build(self, source: Path) -> IngestSummary:
        return build_index(source, self.index, self.archive, self.pseudonymiser)


@pytest.fixture
def place(tiny: Embedder, tmp_path: Path) -> Place:
    return Place(tmp_path / "data", tiny)


def pictures(folder: Path, count: int) -> Path:
    """A folder of pictures with a manifest; every third patient has two studies."""
    folder.mkdir()
    lines = []
    for number in range(count):
        picture(number).save(folder / f"{number:03}.png")
        row = {
            "path": f"{number:03}.png",
            "labels": ["nodule"] if number % 2 else ["normal"],
            "report": f"Report {number}.",
            "patient_id": f"MRN-{number - number % 3 // 2}",
            "modality": "cr",
            "body_part": "Chest",
            "source": "ward",
            "licence": "CC0",
            "age": 85 + number * 3,
        }
        lines.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return folder / "manifest.jsonl"


def test_manifest_gives_labels_provenance_and_pseudonyms(place: Place, tmp_path: Path) -> None:
    summary = place.build(pictures(tmp_path / "in", 7))
    assert summary == IngestSummary(7, 7, added=7, already=0, duplicates=0, quarantined=())
    hit = place.index.search_image(picture(3), k=1)[0]
    assert (hit.labels, hit.report, hit.domain) == (("nodule",), "Report 3.", "chest-xray")
    assert (hit.modality, hit.body_part, hit.source) == ("CR", "chest", "ward")
    assert hit.patient_id == place.pseudonymiser.patient("\0MRN-3")
    stored = place.archive.load(ImageRef.parse(hit.ref))
    assert (stored.modality, stored.body_part) == ("CR", "chest")
    np.testing.assert_array_equal(stored.pixels, np.asarray(picture(3)))
    assert place.archive.load_study(stored.ref.study_id).age == 90  # 94 in the manifest
    others = place.index.search_image(
        picture(2), k=9, scope=Scope(exclude=Exclude(patient=_patient_of(place, 2)))
    )
    assert len(others) == 5  # 1 and 2 are one patient's


def _patient_of(place: Place, number: int) -> str:
    return place.index.search_image(picture(number), k=1)[0].patient_id


def test_no_identity_reaches_the_index_or_the_archive(place: Place, tmp_path: Path) -> None:
    place.build(pictures(tmp_path / "in", 3))
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file() and file.name != "secret":
            assert b"MRN-" not in file.read_bytes(), file


def test_second_run_adds_nothing_and_a_correction_replaces(place: Place, tmp_path: Path) -> None:
    manifest = pictures(tmp_path / "in", 5)
    place.build(manifest)
    again = place.build(manifest)
    assert (again.added, again.already) == (0, 5)
    manifest.write_text(manifest.read_text().replace("Report 3.", "Corrected."))
    assert place.build(manifest).added == 1
    assert place.index.search_image(picture(3), k=1)[0].report == "Corrected."
    assert (place.index.stats().images, place.index.stats().texts) == (5, 5)


def test_a_report_that_comes_again_is_embedded_once(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = pictures(tmp_path / "in", 4)
    text = manifest.read_text().replace("Report 2.", "Report 0.").replace("Report 3.", "Report 1.")
    manifest.write_text(text)
    towers = place.index.towers()
    embed, asked = towers.texts("").embed_texts, []
    monkeypatch.setattr(
        towers.texts(""), "embed_texts", lambda texts: asked.extend(texts) or embed(texts)
    )
    worker = Worker(place.archive, place.pseudonymiser, towers)
    units = open_source(manifest, place.pseudonymiser).units
    first, again = worker(units[:2]), worker(units[2:])
    assert len(asked) == 2
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.texts, other.texts)


def test_phantoms_keep_their_ids_and_domains(place: Place, tmp_path: Path) -> None:
    domains = ("chest-xray", "brain-mr", "fundus", "ultrasound")
    write_manifest([generate(domain, 7) for domain in domains], tmp_path / "in")
    place.build(tmp_path / "in" / "manifest.jsonl")
    stats = place.index.stats()
    assert stats.by_domain == dict.fromkeys(sorted(domains), 1)
    hits = place.index.search("fundus", k=4)
    assert {hit.patient_id for hit in hits} == {f"ph-{domain}-00007" for domain in domains}
    assert all(place.archive.load(ImageRef.parse(hit.ref)).pixels.size for hit in hits)


def test_folder_of_dicom_and_pictures(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm"):
        file = get_testdata_file(name)
        (folder / name).write_bytes(Path(str(file)).read_bytes())
    picture(0).save(folder / "photo.png")
    (folder / "notes.txt").write_text("not an image")
    (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"broken" * 9)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    summary = place.build(folder)
    assert (summary.studies, summary.added) == (3, 3)
    assert {Path(entry.path).name for entry in summary.quarantined} == {"broken.dcm", "broken.png"}
    written = (tmp_path / "data" / "index" / "quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in written] == [q.path for q in summary.quarantined]
    ct = pydicom.dcmread(folder / "CT_small.dcm")
    assert place.index.search("CT", 3, Scope(Filters(modality="CT")))[0].patient_id == (
        place.pseudonymiser.patient(f"\0{ct.PatientID}")
    )


def test_unreadable_rows_are_quarantined_and_nothing_else_is_lost(
    place: Place, tmp_path: Path
) -> None:
    manifest = pictures(tmp_path / "in", 4)
    (tmp_path / "in" / "001.png").write_bytes(b"broken")
    lines = [*manifest.read_text().splitlines(), '{"path": "absent.png"}', "no json", '{"x": 1}']
    manifest.write_text("\n".join(lines))
    summary = place.build(manifest)
    assert summary.images + len(summary.quarantined) == len(lines)
    assert {Path(entry.path).name for entry in summary.quarantined} == {
        "001.png", "absent.png", "manifest.jsonl, row 6", "manifest.jsonl, row 7",
    }  # fmt: skip
    assert all(entry.reason for entry in summary.quarantined)


def test_rows_of_one_study_become_its_series(place: Place, tmp_path: Path) -> None:
    manifest = pictures(tmp_path / "in", 3)
    rows = [
        json.loads(line) | {"study_id": "visit-1"} for line in manifest.read_text().splitlines()
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    summary = place.build(manifest)
    assert (summary.studies, summary.images) == (1, 3)
    study = place.archive.study(place.pseudonymiser.study("visit-1"))
    assert [ref.series for ref in study.refs] == ["s0", "s1", "s2"]


def test_picture_without_a_header_is_named_by_its_looks(tmp_path: Path) -> None:
    place = Place(tmp_path / "data", load_embedder("bundled"))
    folder = tmp_path / "in"
    folder.mkdir()
    for patient in range(8):
        pixels = generate("fundus", patient).pixels
        PILImage.fromarray(pixels.astype(np.uint8)).save(folder / f"{patient}.png")
    place.build(folder)
    counts = place.index.stats().by_domain
    assert counts.keys() <= {"fundus", "unknown"}
    assert counts["fundus"] >= 4


def test_source_that_is_nothing_is_a_clear_error(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a folder nor a manifest"):
        place.build(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No image"):
        place.build(tmp_path / "empty")


CHILD = """
import sys
from pathlib import Path
from overread.index.embedder import load_embedder
from tests.index.test_ingest import Place
from overread.index import ingest, writer

writer._WRITTEN_AT_A_TIME = 32  # so that little is lost of the little there is
root, source, embedder = sys.argv[1:]
place = Place(Path(root), load_embedder(embedder))
def progress(done, total):
    print(done, flush=True)
ingest.build_index(
    Path(source), place.index, place.archive, place.pseudonymiser, progress
)
"""


@pytest.mark.slow
def test_killed_run_resumes_to_the_undisturbed_result(
    open_clip_folder: Path, tiny: Embedder, tmp_path: Path
) -> None:
    manifest = pictures(tmp_path / "in", 400)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-c", CHILD, str(killed), str(manifest), str(open_clip_folder)]
    for kill_at in (40, 110, 170):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL
    (whole / "x").parent.mkdir()
    (whole / "secret").write_bytes((killed / "secret").read_bytes())
    (whole / "secret").chmod(0o600)
    resumed, undisturbed = Place(killed, tiny), Place(whole, tiny)
    summary = resumed.build(manifest)
    assert undisturbed.build(manifest).added == summary.added + summary.already == 400
    assert 100 <= summary.already < 400
    assert digest_of(resumed.index) == digest_of(undisturbed.index)
    for number in range(0, 400, 17):
        one, other = (p.index.search_image(picture(number), k=5) for p in (resumed, undisturbed))
        assert one == other
    assert [record.id for record in resumed.archive.studies()] == [
        record.id for record in undisturbed.archive.studies()
    ]
