import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.imaging.errors import ConfigError, IndexMismatch, InputError
from overread.imaging.study import Image, ImageRef
from overread.index.embedder import Embedder, load_embedder
from overread.index.records import CaseRecord, caption
from overread.index.search import filters
from overread.index.store import CaseIndex, has_index
from tests.index.conftest import picture


def case(number: int, study: int | None = None, **facts: object) -> CaseRecord:
    """Case `number`; two studies make a patient."""
    study = number if study is None else study
    defaults: dict[str, object] = {
        "ref": f"st-{study}/s0/i{number}",
        "study_id": f"st-{study}",
        "patient_id": f"pt-{study // 2}",
        "modality": "CT" if study % 3 == 0 else "CR",
        "domain": "chest-ct" if study % 3 == 0 else "chest-xray",
        "labels": ("nodule", "effusion") if study % 2 else (),
        "report": f"Report {study}." if study % 2 else "",
        "source": "noise",
        "licence": "CC0",
    }
    return CaseRecord(view=picture(number), **(defaults | facts))  # type: ignore[arg-type]


@pytest.fixture
def index(tiny: Embedder, tmp_path: Path) -> CaseIndex:
    index = CaseIndex.open(tmp_path / "index", tiny, create=True)
    index.add([case(number) for number in range(12)])
    return index


def test_image_finds_itself_first_with_its_provenance(index: CaseIndex) -> None:
    hit = index.search_image(picture(7), k=3)[0]
    assert hit.score == pytest.approx(1.0, abs=1e-4)
    assert (hit.ref, hit.study_id, hit.patient_id) == ("st-7/s0/i7", "st-7", "pt-3")
    assert (hit.labels, hit.report) == (("nodule", "effusion"), "Report 7.")
    assert (hit.modality, hit.domain, hit.source, hit.licence) == (
        "CR", "chest-xray", "noise", "CC0",
    )  # fmt: skip


def test_scores_are_the_cosines_in_descending_order(index: CaseIndex, tiny: Embedder) -> None:
    vectors = tiny.embed_images([picture(number) for number in range(12)])
    expected = np.sort(vectors @ tiny.embed_images([picture(99)])[0])[::-1]
    found = [hit.score for hit in index.search_image(picture(99), k=12)]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_image_of_a_study_is_rendered_and_searched(index: CaseIndex) -> None:
    ref = ImageRef("st-q", "s0", "i0")
    pixels = np.asarray(picture(5).convert("L"), dtype=np.float32)
    assert len(index.search_image(Image(ref, pixels), k=4)) == 4


def test_exclusions_still_return_k(index: CaseIndex) -> None:
    without_patient = index.search_image(picture(7), k=10, exclude_patient="pt-3")
    assert len(without_patient) == 10
    assert {hit.patient_id for hit in without_patient}.isdisjoint({"pt-3"})
    without_study = index.search_image(picture(7), k=11, exclude_study="st-7")
    assert len(without_study) == 11
    assert "st-7" not in {hit.study_id for hit in without_study}


def test_a_study_with_many_images_takes_one_place(index: CaseIndex, tiny: Embedder) -> None:
    index.add([case(100 + slice_, study=50) for slice_ in range(200)])
    hits = index.search_image(picture(103), k=6)
    assert len({hit.study_id for hit in hits}) == len(hits) == 6
    assert hits[0].ref == "st-50/s0/i103"


def test_filters_by_metadata_and_label(index: CaseIndex) -> None:
    where = {"modality": "CT"}
    assert {hit.study_id for hit in index.search_image(picture(7), 9, where)} == {
        "st-0", "st-3", "st-6", "st-9",
    }  # fmt: skip
    both = {"modality": "CT", "labels": {"$contains": "nodule"}}
    assert {hit.study_id for hit in index.search_image(picture(7), 9, both)} == {"st-3", "st-9"}
    assert index.search_image(picture(7), 9, {"modality": "XX"}) == []
    with pytest.raises(InputError, match="filter"):
        index.search_image(picture(7), 9, {"modality": {"$sounds_like": "CT"}})


def test_text_search_uses_images_and_reports(index: CaseIndex, tiny: Embedder) -> None:
    hits = index.search_text("Report 7.", k=4)
    assert len(hits) == 4
    query = tiny.embed_texts(["Report 7."])[0]
    by_study = {hit.study_id: hit.score for hit in hits}
    images = tiny.embed_images([picture(number) for number in range(12)]) @ query
    texts = tiny.embed_texts([case(number).text for number in range(12)]) @ query
    expected = {f"st-{number}": (images[number] + texts[number]) / 2 for number in range(12)}
    for study, score in by_study.items():
        assert score == pytest.approx(expected[study], abs=1e-4)
    assert [hit.score for hit in hits] == sorted(by_study.values(), reverse=True)
    assert all(hit.modality == "CT" for hit in index.search_text("x", 4, {"modality": "CT"}))
    assert index.search_text("  ", k=4) == []


def test_empty_index_finds_nothing(tiny: Embedder, tmp_path: Path) -> None:
    index = CaseIndex.open(tmp_path / "empty", tiny, create=True)
    assert index.search_image(picture(0), k=5) == []
    assert index.search_text("nodule", k=5) == []
    assert (index.stats().images, index.add([])) == (0, 0)
    assert has_index(tmp_path / "empty")


def test_adding_again_changes_nothing(index: CaseIndex) -> None:
    before = index.stats()
    assert (before.images, before.by_domain) == (12, {"chest-ct": 4, "chest-xray": 8})
    index.add([case(number) for number in range(12)])
    index.add([case(3), case(3)])
    assert index.stats() == before


def test_corrected_metadata_replaces_the_old(index: CaseIndex) -> None:
    index.add([case(7, labels=("mass",))])
    assert index.search_image(picture(7), k=1)[0].labels == ("mass",)
    assert index.stats().images == 12


def test_cases_survive_reopening(index: CaseIndex, tiny: Embedder) -> None:
    again = CaseIndex.open(index.place, tiny)
    assert again.stats() == index.stats()
    assert again.search_image(picture(7), k=3) == index.search_image(picture(7), k=3)


def test_index_of_another_embedder_is_refused(
    index: CaseIndex, clip_folder: Path, tiny: Embedder
) -> None:
    other = load_embedder(str(clip_folder))
    with pytest.raises(IndexMismatch, match="built with embedder") as refusal:
        CaseIndex.open(index.place, other)
    assert tiny.name in str(refusal.value)
    assert other.name in str(refusal.value)


def test_absent_index_is_said_and_not_created(tiny: Embedder, tmp_path: Path) -> None:
    with pytest.raises(IndexMismatch, match="There is no index"):
        CaseIndex.open(tmp_path / "nowhere", tiny)
    assert not (tmp_path / "nowhere").exists()
    assert not has_index(tmp_path / "nowhere")


def _garbage(folder: Path) -> None:
    (folder / "chroma.sqlite3").write_bytes(b"garbage" * 1000)


def _truncated(folder: Path) -> None:
    content = (folder / "chroma.sqlite3").read_bytes()
    (folder / "chroma.sqlite3").write_bytes(content[: len(content) // 2])


def _emptied(folder: Path) -> None:
    (folder / "chroma.sqlite3").write_bytes(b"")


def _vectors_garbage(folder: Path) -> None:
    for file in folder.glob("*/*"):
        file.write_bytes(b"garbage" * 100)


def _vectors_gone(folder: Path) -> None:
    for sub in folder.glob("*/"):
        shutil.rmtree(sub)


@pytest.fixture(scope="module")
def large(tiny: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More cases than Chroma keeps in its log, so that there are vector files to lose."""
    folder = tmp_path_factory.mktemp("large") / "index"
    index = CaseIndex.open(folder, tiny, create=True)
    for start in range(0, 1300, 130):
        index.add([case(number) for number in range(start, start + 130)])
    return folder


@pytest.mark.parametrize(
    "damage", [_garbage, _truncated, _emptied, _vectors_garbage, _vectors_gone]
)
def test_damaged_folder_is_a_clear_error(
    damage: object, large: Path, tiny: Embedder, tmp_path: Path
) -> None:
    folder = shutil.copytree(large, tmp_path / "damaged")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(IndexMismatch, match=r"damaged|There is no Overread index"):
        CaseIndex.open(folder, tiny)


def test_large_index_opens_and_selective_filters_return_k(large: Path, tiny: Embedder) -> None:
    index = CaseIndex.open(large, tiny)
    rare = {"patient_id": {"$in": [f"pt-{number}" for number in range(0, 600, 60)]}}
    assert len(index.search_image(picture(5), k=20, where=rare)) == 20


@given(st.text(max_size=8), st.text(max_size=8), st.booleans())
def test_filters_join_all_conditions(patient: str, study: str, with_where: bool) -> None:
    where = {"modality": "CT"} if with_where else None
    joined = filters(where, patient, study)
    assert joined is not None
    assert {"patient_id": {"$ne": patient}} in joined["$and"]
    assert {"study_id": {"$ne": study}} in joined["$and"]
    assert len(joined["$and"]) == 2 + with_where


def test_caption_stands_in_for_a_missing_report() -> None:
    assert case(0, labels=("cyst",), body_part="liver").text == "CT of the liver. Findings: cyst."
    assert caption("US", "", ()) == "US image."
    assert case(1).text == "Report 1."


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--port", "8765"]
    process = subprocess.Popen([*command, "--path", str(tmp_path / "server")])
    url = "http://127.0.0.1:8765"
    for _ in range(120):
        try:
            urlopen(f"{url}/api/v2/heartbeat", timeout=1)
            break
        except (URLError, OSError):
            time.sleep(0.5)
    yield url
    process.terminate()
    process.wait(30)


@pytest.mark.slow
def test_server_answers_like_the_folder(server: str, index: CaseIndex, tiny: Embedder) -> None:
    remote = CaseIndex.open(server, tiny, create=True)
    remote.add([case(number) for number in range(12)])
    there, here = (place.search_image(picture(7), k=5) for place in (remote, index))
    assert [hit.ref for hit in there] == [hit.ref for hit in here]


def test_absent_server_is_a_clear_error(tiny: Embedder) -> None:
    with pytest.raises(ConfigError, match="No Chroma server answers"):
        CaseIndex.open("http://127.0.0.1:9", tiny)
