"""What the committed weights must be able to do, on patients they were not trained on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from safetensors import safe_open

from overread.imaging.phantom_image import phantom_image
from overread.imaging.phantoms import Phantom, labels_of, manifest_line, sample
from overread.imaging.vocabulary import DOMAINS
from overread.index.domain_head import UNKNOWN
from overread.index.domains import by_phrases, by_picture, domain_of, identify
from overread.index.embedder import BUNDLED, Embedder, load_embedder
from overread.index.records import CaseRecord, picture
from overread.index.retrieve import retrieve
from overread.index.store import CaseIndex

MAX_BYTES = 14_000_000


def view(phantom: Phantom) -> PILImage.Image:
    return picture(phantom_image(phantom))


@pytest.fixture(scope="module")
def bundled() -> Embedder:
    return load_embedder("bundled")


@pytest.fixture(scope="module")
def index(bundled: Embedder, tmp_path_factory: pytest.TempPathFactory) -> CaseIndex:
    index = CaseIndex.open(tmp_path_factory.mktemp("bundled") / "index", bundled, create=True)
    for phantom in sample("train", 140, seed=5):
        record = CaseRecord(
            view=view(phantom),
            ref=f"{phantom.study_id}/s0/i0",
            study_id=phantom.study_id,
            patient_id=phantom.patient_id,
            modality=phantom.modality,
            domain=phantom.domain,
            labels=tuple(labels_of(phantom)),
            report=str(manifest_line(phantom)["report"]),
        )
        index.add([record])
    return index


@pytest.fixture(scope="module")
def held_out() -> list[Phantom]:
    return list(sample("test", 49, seed=6))


def test_weights_are_small_half_precision_and_described() -> None:
    file = BUNDLED / "open_clip_model.safetensors"
    assert file.stat().st_size <= MAX_BYTES
    with safe_open(file, "np") as weights:
        kinds = {weights.get_tensor(name).dtype.name for name in weights.keys()}  # noqa: SIM118
    assert kinds <= {"float16", "int64"}
    card = (BUNDLED / "README.md").read_text(encoding="utf-8")
    assert load_embedder("bundled").name in card
    assert "Not fit for clinical use" in card


def test_neighbours_of_held_out_patients_are_of_their_domain(
    index: CaseIndex, held_out: list[Phantom]
) -> None:
    right = [
        hit.domain == phantom.domain
        for phantom in held_out
        for hit in index.search_image(view(phantom), k=5)
    ]
    assert len(right) == 5 * len(held_out)
    assert np.mean(right) > 0.9


@pytest.mark.parametrize(
    ("words", "domain", "label"),
    [
        ("pleural effusion on a chest x-ray", "chest-xray", "effusion"),
        ("right pneumothorax", "chest-xray", "pneumothorax"),
        ("brain tumour on MRI", "brain-mr", "lesion"),
        ("bleeding in the retina", "fundus", "haemorrhage"),
        ("abdominal CT with a cyst", "abdomen-ct", "cyst"),
    ],
)
def test_words_find_cases(index: CaseIndex, words: str, domain: str, label: str) -> None:
    hits = index.search(words, k=5)
    assert [hit.domain for hit in hits].count(domain) >= 4
    assert sum(label in hit.labels for hit in hits) >= 3


def test_domain_is_identified_with_and_without_the_head(
    bundled: Embedder, held_out: list[Phantom]
) -> None:
    vectors = bundled.embed_images([view(phantom) for phantom in held_out])
    truth = [phantom.domain for phantom in held_out]
    by_head = [by_picture(vector, bundled) for vector in vectors]
    assert (
        np.mean([found.domain == true for found, true in zip(by_head, truth, strict=True)]) > 0.95
    )
    for verdict in by_head:
        assert verdict.by == "head"
        assert set(verdict.probabilities) == {*DOMAINS, UNKNOWN}
        assert sum(verdict.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    by_words = [by_phrases(vector, bundled).domain for vector in vectors]
    named = [(found, true) for found, true in zip(by_words, truth, strict=True) if found != UNKNOWN]
    assert len(named) > 0.7 * len(truth)
    assert np.mean([found == true for found, true in named]) > 0.95


def test_what_is_no_medical_image_has_no_domain(bundled: Embedder) -> None:
    rng = np.random.default_rng(0)
    noise = PILImage.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    flat = PILImage.new("RGB", (256, 256), (90, 90, 90))
    skimage = pytest.importorskip("skimage")
    folder = Path(skimage.__file__).parent / "data"
    photos = [PILImage.open(folder / f"{name}.png") for name in ("coffee", "chelsea", "camera")]
    for photo in (noise, flat, *photos):
        assert identify(photo.convert("RGB"), bundled).domain == UNKNOWN


def test_retrieval_names_the_domain_of_a_picture_without_a_header(
    index: CaseIndex, held_out: list[Phantom]
) -> None:
    for phantom in held_out[:14]:
        found = retrieve(index, view(phantom))
        assert found.verdict.by == "head"
        assert {hit.domain for hit in found.ranked} == {phantom.domain} == {found.domain}
        assert found.kept == found.ranked[: len(found.kept)]


def test_domains_of_the_header_are_those_of_the_vocabulary(held_out: list[Phantom]) -> None:
    assert {phantom.domain for phantom in held_out} == set(DOMAINS)
    for phantom in held_out:
        assert domain_of(phantom.modality, phantom.body_part) == phantom.domain
    assert domain_of("MR", "knee") == domain_of("OT", None) == domain_of("CT", "head") == UNKNOWN
