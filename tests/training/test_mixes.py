import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PILImage

from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.errors import InputError
from overread.imaging.phantoms import split_of
from overread.training import manifest
from overread.training.examples import Example, FileRef, PhantomRef, write_lines
from overread.training.mixes import manifest_lines, mix_file, read_mix, resolve
from tests.training.sft_runs import write_mix

MIXES = sorted((Path(__file__).parents[2] / "training" / "mixes").glob("*.yaml"))


def example(number: int, **fields: Any) -> Example:
    told: dict[str, Any] = {
        "id": f"x{number}", "dataset": "set", "task": "open", "patient": f"p{number}",
        "split": "train", "messages": [{"role": "assistant", "content": str(number)}],
    }  # fmt: skip
    return Example(**(told | fields))


def write(folder: Path, name: str, examples: list[Example]) -> dict[str, Any]:
    write_lines(folder / name, examples)
    return {"source": "examples", "path": str(folder / name)}


def test_weights_decide_shares_and_nothing_is_repeated(tmp_path: Path) -> None:
    small = write(tmp_path, "a.jsonl", [example(n, dataset="a") for n in range(10)])
    large = write(tmp_path, "b.jsonl", [example(n + 50, dataset="b") for n in range(100)])
    mix = write_mix(tmp_path, [{**small, "weight": 1}, {**large, "weight": 3}])
    found = resolve(str(mix))
    assert Counter(one.dataset for one in found.train) == {"a": 10, "b": 30}
    assert len({one.id for one in found.train}) == 40


def test_a_number_of_samples_goes_through_a_small_source_again(tmp_path: Path) -> None:
    small = write(tmp_path, "a.jsonl", [example(n, dataset="a") for n in range(4)])
    large = write(tmp_path, "b.jsonl", [example(n + 50, dataset="b") for n in range(100)])
    mix = write_mix(tmp_path, [{**small, "weight": 1}, {**large, "weight": 1}], samples=20)
    found = resolve(str(mix))
    assert Counter(one.dataset for one in found.train) == {"a": 10, "b": 10}
    assert set(Counter(one.id for one in found.train if one.dataset == "a").values()) == {2, 3}
    assert found.summary()["train"]["distinct"] == 14


def test_the_same_mix_has_the_same_hash_and_another_seed_another(tmp_path: Path) -> None:
    source = write(tmp_path, "a.jsonl", [example(n) for n in range(20)])
    hashes = [
        resolve(str(write_mix(tmp_path, [source], seed=seed))).summary()["sha256"]
        for seed in (1, 1, 2)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_phantoms_are_of_their_split_and_task(tmp_path: Path) -> None:
    part = {"source": "phantoms", "task": "measurement", "patients": 7}
    mix = write_mix(tmp_path, [part], validation=[{**part, "split": "validation"}])
    found = resolve(str(mix))
    for examples, split in ((found.train, "train"), (found.validation, "validation")):
        assert {one.task for one in examples} == {"measurement"}
        assert {split_of(one.patient) for one in examples} == {split}


def test_a_template_words_questions(tmp_path: Path) -> None:
    part = {"source": "phantoms", "task": "closed", "patients": 1, "system": "Be brief."}
    (one, *_) = resolve(
        str(write_mix(tmp_path, [{**part, "template": "{question} ({options})"}]))
    ).train
    said = one.messages[1]["content"][-1]["text"]
    assert one.messages[0]["content"] == "Be brief."
    assert said == f"{one.reference['question']} ({', '.join(one.reference['options'])})"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sorces": []}, "unknown key 'sorces'"),
        ({"sources": [{"source": "phantoms", "patient": 3}]}, "unknown key 'sources.0.patient'"),
        ({"sources": [{"source": "phantoms", "split": "test"}]}, "evaluation alone"),
        ({"validation": [{"source": "phantoms", "split": "test"}]}, "evaluation alone"),
        ({"sources": []}, "sources"),
        ({"sources": [{"source": "phantoms", "task": "poem", "patients": 1}]}, "no task 'poem'"),
        (
            {"sources": [{"source": "phantoms", "weight": 1}, {"source": "phantoms"}]},
            "all sources a weight, or none",
        ),
        ({"sources": [{"source": "traces"}]}, "needs a 'path'"),
        ({"sources": [{"source": "traces", "path": "gone.jsonl"}]}, "gone.jsonl cannot be read"),
        (
            {"sources": [{"source": "phantoms", "patients": 1, "template": "{x}"}]},
            r"may use \{question\} and \{options\}",
        ),
        (
            {"sources": [{"source": "benchmark", "benchmark": "slake", "benchmark_split": "test"}]},
            "evaluation alone",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    keys: dict[str, Any], said: str, tmp_path: Path
) -> None:
    sources = keys.pop("sources", [{"source": "phantoms", "patients": 1}])
    path = tmp_path / "mix.yaml"
    path.write_text(json.dumps({"sources": sources, **keys}))
    with pytest.raises(InputError, match=said) as caught:
        resolve(str(path))
    assert "\n" not in str(caught.value)


def test_no_test_patient_enters_by_the_back_door(tmp_path: Path) -> None:
    held_out = next(n for n in range(999) if split_of(f"ph-fundus-{n:05d}") == "test")
    sly = example(
        1,
        images=[PhantomRef(domain="fundus", patient=held_out)],
        messages=[{"role": "user", "content": [{"type": "image"}]}],
    )
    for one in (sly, example(2, split="test")):
        mix = write_mix(tmp_path, [write(tmp_path, "a.jsonl", [one])])
        with pytest.raises(InputError, match=f"'{one.id}' of the test patient {one.patient}"):
            resolve(str(mix))


def test_a_patient_is_trained_on_or_validated_on(tmp_path: Path) -> None:
    train = write(tmp_path, "a.jsonl", [example(1), example(2)])
    held = write(tmp_path, "b.jsonl", [example(3, patient="p2", split="validation")])
    with pytest.raises(InputError, match="patient p2 in training and in validation"):
        resolve(str(write_mix(tmp_path, [train], validation=[held])))


def test_a_missing_image_is_named_before_training(tmp_path: Path) -> None:
    shown = [{"role": "user", "content": [{"type": "image"}]}]
    there, gone = tmp_path / "a.png", tmp_path / "gone.png"
    PILImage.new("L", (8, 8)).save(there)
    lines = [
        example(n, images=[FileRef(path=p)], messages=shown) for n, p in ((1, there), (2, gone))
    ]
    with pytest.raises(InputError, match=r"image .*gone\.png, which is not there"):
        resolve(str(write_mix(tmp_path, [write(tmp_path, "a.jsonl", lines)])))


def test_the_manifest_names_patients_and_items(tmp_path: Path) -> None:
    lines = [
        example(1, images=[PhantomRef(domain="fundus", patient=5)]),
        example(2, fingerprint="ab" * 32),
    ]
    manifest.write(tmp_path, manifest_lines(lines))
    said = read_manifest(tmp_path / MANIFEST)
    assert said.fingerprints == {"ab" * 32}
    assert [(one.domain, one.patients) for one in said.patients] == [("fundus", ((5, 5),))]


@pytest.mark.parametrize("path", MIXES, ids=lambda path: path.stem)
def test_our_mixes_can_be_read(path: Path) -> None:
    assert read_mix(mix_file(path.stem)).description


def test_an_unknown_mix_names_ours() -> None:
    with pytest.raises(InputError, match=r"no mix .x.*bundled-sft"):
        mix_file("x")
