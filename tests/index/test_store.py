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

from overread.imaging.errors import ConfigError, IndexMismatch
from overread.imaging.study import Image, ImageRef
from overread.index.chroma import connect
from overread.index.embedder import Embedder, load_embedder
from overread.index.filters import Exclude, Filters, Scope
from overread.index.records import CaseRecord, caption
from overread.index.select import Cut
from overread.index.shelf import HNSW, shelves
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
    without_patient = index.search_image(picture(7), 10, Scope(exclude=Exclude(patient="pt-3")))
    assert len(without_patient) == 10
    assert {hit.patient_id for hit in without_patient}.isdisjoint({"pt-3"})
    without_study = index.search_image(picture(7), 11, Scope(exclude=Exclude(study="st-7")))
    assert len(without_study) == 11
    assert "st-7" not in {hit.study_id for hit in without_study}


def test_a_study_with_many_images_takes_one_place(index: CaseIndex, tiny: Embedder) -> None:
    index.add([case(100 + slice_, study=50) for slice_ in range(200)])
    hits = index.search_image(picture(103), k=6)
    assert len({hit.study_id for hit in hits}) == len(hits) == 6
    assert hits[0].ref == "st-50/s0/i103"


def test_filters_by_metadata_and_label(index: CaseIndex) -> None:
    computed = Scope(Filters(modality="ct"))
    assert {hit.study_id for hit in index.search_image(picture(7), 9, computed)} == {
        "st-0", "st-3", "st-6", "st-9",
    }  # fmt: skip
    both = Scope(Filters(modality="CT", labels=("Nodule", "effusion")))
    assert {hit.study_id for hit in index.search_image(picture(7), 9, both)} == {"st-3", "st-9"}
    assert index.search_image(picture(7), 9, Scope(Filters(modality="XX"))) == []
    assert index.search("Report 7.", 9, Scope(Filters(labels=("mass",)))) == []


def test_text_is_found_by_meaning_by_words_and_by_image(index: CaseIndex) -> None:
    hits = index.search("Report 7.", k=12)
    (best,) = [hit for hit in hits if hit.study_id == "st-7"]
    assert best.ranks["report"] == 1
    assert set(best.ranks) == {"image by words", "report", "keywords"}
    assert hits[0].score <= 1.0
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    only_ct = index.search("x-ray", 4, Scope(Filters(modality="CT")))
    assert all(hit.modality == "CT" for hit in only_ct)
    assert index.search("  ", k=4) == []


def test_words_that_no_report_speaks_of_find_nothing(index: CaseIndex) -> None:
    for words in ("a red sports car", "recipe for onion soup"):
        assert index.search(words, k=4) == []
        assert index.search(words, 4, image=picture(7)) == index.search("", 4, image=picture(7))


def test_image_and_words_are_fused(index: CaseIndex) -> None:
    hits = index.search("Report 7.", 3, image=picture(7))
    assert hits[0].study_id == "st-7"
    assert hits[0].ranks["image"] == hits[0].ranks["report"] == 1
    assert len(hits) == 3


def test_the_picture_itself_is_left_out_whoever_it_belongs_to(index: CaseIndex) -> None:
    index.add([case(7, study=40, patient_id="pt-other")])
    found = index.search_image(picture(7), 12, Scope(exclude=Exclude(pixels=case(7).pixels)))
    assert {"st-7", "st-40"}.isdisjoint({hit.study_id for hit in found})
    assert len(found) == 11


def test_diverse_hits_are_unlike_each_other(tiny: Embedder, tmp_path: Path) -> None:
    query = tiny.embed_images([picture(7)])[0]
    across = np.linalg.qr(np.column_stack([query, np.eye(tiny.dim)[:, :4]]))[0].T[1:5]
    copy, others = 0.9 * query + np.sqrt(0.19) * across[0], 0.8 * query + 0.6 * across[1:]
    index = CaseIndex.open(tmp_path / "index", tiny, create=True)
    records = [case(number) for number in range(7)]
    index.add(records, np.concatenate([np.tile(copy, (4, 1)), others]).astype(np.float32))
    close = index.search_image(picture(7), 4)
    assert [hit.score for hit in close] == pytest.approx([0.9] * 4, abs=1e-4)
    mixed = index.search_image(picture(7), 4, diverse=True)
    assert [hit.score for hit in mixed] == pytest.approx([0.9, 0.8, 0.8, 0.8], abs=1e-4)
    assert len(index.search("Report 7.", 4, image=picture(7), diverse=True)) == 4


def test_empty_index_finds_nothing(tiny: Embedder, tmp_path: Path) -> None:
    index = CaseIndex.open(tmp_path / "empty", tiny, create=True)
    assert index.search_image(picture(0), k=5) == []
    assert index.search("nodule", k=5) == []
    assert (index.stats().images, index.add([])) == (0, 0)
    assert has_index(tmp_path / "empty")


def test_adding_again_changes_nothing(index: CaseIndex) -> None:
    before = index.stats()
    assert (before.images, before.by_domain) == (12, {"chest-ct": 4, "chest-xray": 8})
    index.add([case(number) for number in range(12)])
    index.add([case(3), case(3)])
    assert index.stats() == before


def test_precomputed_vectors_are_taken_as_they_are(tiny: Embedder, tmp_path: Path) -> None:
    index = CaseIndex.open(tmp_path / "index", tiny, create=True)
    records = [case(number) for number in range(5)]
    index.add(records, list(np.eye(tiny.dim, dtype=np.float32)[:5]))
    (hit,) = index.search_vector(np.eye(tiny.dim, dtype=np.float32)[3], 1)
    assert (hit.study_id, hit.score) == ("st-3", pytest.approx(1.0))
    with pytest.raises(ValueError, match="4 vectors for 5 records"):
        index.add(records, np.eye(tiny.dim, dtype=np.float32)[:4])


def test_missing_are_new_and_corrected_cases(index: CaseIndex) -> None:
    there, new = case(3), case(80)
    corrected = case(4, labels=("cyst",))
    assert index.missing([there, new, corrected]) == [new, corrected]


def test_a_case_filed_anew_leaves_its_old_domain(index: CaseIndex) -> None:
    index.add([case(7, domain="fundus")])
    assert index.stats().by_domain == {"chest-ct": 4, "chest-xray": 7, "fundus": 1}
    assert index.stats().texts == 12
    assert index.missing([case(7, domain="fundus")]) == []
    assert len(index.missing([case(7)])) == 1


def test_entries_are_all_ids_with_their_facts(index: CaseIndex) -> None:
    images = dict(index.entries())
    assert set(images) == {case(number).image_id for number in range(12)}
    assert images[case(7).image_id] == case(7).metadata()
    assert len(dict(index.entries("texts"))) == 12


def test_a_manifest_s_own_words_name_a_domain(index: CaseIndex) -> None:
    odd = "Zähne / Röntgen"
    index.add([case(70, domain=odd)])
    (hit,) = index.search_image(picture(70), 1, Scope(domain=odd))
    assert hit.domain == odd
    assert index.search_image(picture(70), 1, Scope(domain="no such domain")) == []


def test_corrected_metadata_replaces_the_old(index: CaseIndex) -> None:
    index.add([case(7, labels=("mass",))])
    assert index.search_image(picture(7), k=1)[0].labels == ("mass",)
    assert index.stats().images == 12


def test_cases_survive_reopening(index: CaseIndex, tiny: Embedder) -> None:
    again = CaseIndex.open(index.place, tiny)
    assert again.stats() == index.stats()
    assert again.search_image(picture(7), k=3) == index.search_image(picture(7), k=3)


def test_collections_keep_how_widely_they_are_searched(index: CaseIndex) -> None:
    opened = [collection for shelf in shelves(connect(index.place)).values()
              for collection in (shelf.images, shelf.texts)]  # fmt: skip
    assert opened
    for collection in opened:
        graph = collection.configuration["hnsw"]
        assert graph is not None
        assert {key: graph.get(key) for key in HNSW} == HNSW


def test_index_of_another_embedder_is_refused(
    index: CaseIndex, clip_folder: Path, tiny: Embedder
) -> None:
    other = load_embedder(str(clip_folder))
    with pytest.raises(IndexMismatch, match="built with embedder") as refusal:
        CaseIndex.open(index.place, other)
    assert tiny.name in str(refusal.value)
    assert other.name in str(refusal.value)


def test_each_domain_may_have_its_own_embedder(
    tiny: Embedder, clip_folder: Path, siglip_folder: Path, tmp_path: Path
) -> None:
    other = load_embedder(str(clip_folder))
    place = tmp_path / "index"
    index = CaseIndex.open(place, tiny, create=True, by_domain={"chest-ct": lambda: other})
    index.add([case(number) for number in range(12)])
    stats = index.stats()
    assert stats.embedders == {"chest-ct": other.name, "chest-xray": tiny.name}
    (ct,) = index.search_image(picture(3), 1, Scope(domain="chest-ct"))
    assert (ct.study_id, ct.score) == ("st-3", pytest.approx(1.0, abs=1e-4))
    # Vectors of different spaces are never compared.
    everywhere = {hit.domain for hit in index.search_image(picture(3), 12)}
    assert everywhere == {"chest-xray"}
    third = load_embedder(str(siglip_folder))
    for by_domain in ({}, {"chest-ct": lambda: third}):
        again = CaseIndex.open(place, tiny, by_domain=by_domain)
        with pytest.raises(IndexMismatch, match=r"set index\.embedders\.chest-ct") as refusal:
            again.search_image(picture(3), 1, Scope(domain="chest-ct"))
        assert other.name in str(refusal.value)


def test_passages_by_the_text_tower_are_remembered(tiny: Embedder, tmp_path: Path) -> None:
    place = tmp_path / "index"
    index = CaseIndex.open(place, tiny, create=True, passages="tower")
    index.add([case(number) for number in range(12)])
    again = CaseIndex.open(place, tiny)
    assert again.stats().passages == "tower"
    assert again.passages_of("chest-ct") is tiny
    assert len(again.search("Report 7.", 4)) == 4


def test_an_index_of_an_older_overread_is_named(tiny: Embedder, tmp_path: Path) -> None:
    client = connect(tmp_path / "old")
    client.create_collection("overread-images", metadata={"format": 1}, embedding_function=None)
    for create in (False, True):
        with pytest.raises(IndexMismatch, match=r"older Overread.*build it again"):
            CaseIndex.open(tmp_path / "old", tiny, create=create)


def test_a_stored_cut_is_read_again(index: CaseIndex, tiny: Embedder) -> None:
    assert index.cut("chest-ct") == Cut()
    index.remember("chest-ct", Cut(0.1, 0.55, fitted=True))
    again = CaseIndex.open(index.place, tiny)
    assert again.cut("chest-ct") == Cut(0.1, 0.55, fitted=True)
    assert again.cut("chest-xray") == again.cut("no such domain") == Cut()
    again.add([case(90, domain="chest-ct")])
    assert again.cut("chest-ct").fitted
    with pytest.raises(IndexMismatch, match="no case of fundus"):
        again.remember("fundus", Cut(0.1, 0.5))


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
        index.add([case(n, domain="chest-xray") for n in range(start, start + 130)])
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
        CaseIndex.open(folder, tiny).search_image(picture(3), k=3)


def test_large_index_opens_and_selective_filters_return_k(large: Path, tiny: Embedder) -> None:
    index = CaseIndex.open(large, tiny)
    rare = Scope(Filters(labels=("rare",)))
    index.add([case(5000 + number, labels=("rare",)) for number in range(25)])
    assert len(index.search_image(picture(5), 20, rare)) == 20


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
