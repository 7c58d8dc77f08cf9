"""What recipes write of what they used is what they used."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trl import ModelConfig

from overread.agent import bundled
from overread.evals.contamination import MANIFEST, check, read_manifest
from overread.evals.items import Item
from overread.imaging.errors import ConfigError, InputError
from overread.imaging.phantoms import DOMAINS, sample, split_of
from overread.imaging.phantoms.truth import Split
from overread.index import embedder
from overread.tools.bundled_segmenter import WEIGHTS
from overread.training import manifest
from overread.training.arguments import OurArguments
from overread.training.examples import Example, PhantomRef
from overread.training.mixes import manifest_lines
from overread.training.models import earlier_lines
from overread.training.phantom_cache import cases_of
from overread.training.segmenter import Options
from overread.training.segmenter import trained_on as segmenter_trained_on

PLANNER, SEGMENTER, EMBEDDER = (
    folder / MANIFEST for folder in (bundled.WEIGHTS, WEIGHTS.parent, embedder.BUNDLED)
)


def name(patient: manifest.Patient) -> str:
    return f"ph-{patient[0]}-{patient[1]:05d}"


def items(split: Split, number: int, seed: int = 0) -> list[Item]:
    """Return items about the patients that the phantoms benchmark asks about."""
    names = [name(patient) for patient in manifest.sampled(split, number, seed)]
    return [Item(f"{one}-v0", "?", (), ("yes",), "closed", cluster=one) for one in names]


@pytest.mark.parametrize(("split", "seed"), [("train", 1), ("validation", 0)])
def test_the_patients_are_those_that_are_drawn(split: Split, seed: int) -> None:
    drawn = [phantom.patient_id for phantom in sample(split, 16, seed)]
    assert [name(patient) for patient in manifest.sampled(split, 16, seed)] == drawn


def test_no_patient_is_drawn_twice_and_all_are_of_the_split() -> None:
    patients = list(manifest.sampled("test", 3500, 0))
    assert len(set(patients)) == 3500
    assert {split_of(name(patient)) for patient in patients} == {"test"}
    assert patients[:700] == list(manifest.sampled("test", 700, 0))


PATIENTS = st.sets(st.tuples(st.sampled_from(list(DOMAINS)[:3]), st.integers(0, 60)), min_size=1)


@settings(max_examples=50, deadline=None)
@given(PATIENTS)
def test_lines_name_exactly_the_patients(
    tmp_path_factory: pytest.TempPathFactory, patients: set[manifest.Patient]
) -> None:
    path = manifest.write(tmp_path_factory.mktemp("weights"), manifest.lines_of(patients))
    said = read_manifest(path)
    asked = [(domain, number) for domain in DOMAINS for number in range(62)]
    known = {one for one in asked if said.holds(Item("i", "?", (), (), "open", cluster=name(one)))}
    assert known == patients


def test_patients_that_were_counted_are_one_range_a_domain() -> None:
    lines = manifest.lines_of(manifest.counted("train", 900))
    assert len(lines) == len(DOMAINS)
    assert all(line.count("[") == 2 for line in lines)


def test_a_manifest_is_written_whole_and_each_line_once(tmp_path: Path) -> None:
    path = manifest.write(tmp_path / "new", [*manifest.whole("train"), *manifest.whole("train")])
    assert len(path.read_text().splitlines()) == 1 + len(DOMAINS)
    assert [file.name for file in path.parent.iterdir()] == [MANIFEST]
    with pytest.raises(ConfigError, match="cannot write"):
        manifest.write(path, [])


def test_weights_without_a_manifest_may_know_the_whole_training_split(tmp_path: Path) -> None:
    lines = manifest.inherited(tmp_path / "earlier.safetensors")
    path = manifest.write(tmp_path, lines)
    assert len(check(items("train", 30), [path], "x", allowed=True)) == 30
    assert check(items("test", 30), [path], "x", allowed=False) == []
    assert manifest.inherited(tmp_path / "earlier.safetensors") == path.read_text().splitlines()
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read"):
        manifest.inherited(tmp_path / "earlier.safetensors")


def test_the_planner_knows_the_patients_of_its_traces_and_of_earlier_weights(
    tmp_path: Path,
) -> None:
    earlier = tmp_path / "vision" / "v.safetensors"
    manifest.write(earlier.parent, manifest.lines_of([("chest-ct", 9)]))
    shown = [PhantomRef(domain="fundus", patient=5, visit=visit) for visit in (1, 0)]
    example = Example(
        id="1", dataset="traces", task="chat", patient="ph-fundus-00005", split="train",
        messages=[], images=[*shown],
    )  # fmt: skip
    arguments, model = OurArguments(vision=str(earlier)), ModelConfig("bundled")
    lines = [*manifest_lines([example]), *earlier_lines(arguments, model)]
    said = read_manifest(manifest.write(tmp_path, lines))
    assert {(line.domain, line.patients) for line in said.patients} == {
        ("fundus", ((5, 5),)),
        ("chest-ct", ((9, 9),)),
    }


def test_the_segmenter_knows_what_it_learnt_from_and_was_calibrated_on(tmp_path: Path) -> None:
    options = Options(phantoms=40, held_out=20, seed=3)
    path = manifest.write(tmp_path, segmenter_trained_on(options))
    for split, number in (("train", 40), ("validation", 20)):
        drawn = items(split, number + 50, 3)
        assert check(drawn, [path], "x", allowed=True) == drawn[:number]
    further = Options(phantoms=40, held_out=20, seed=4, start=tmp_path / "segmenter.safetensors")
    path = manifest.write(tmp_path / "further", segmenter_trained_on(further))
    for seed in (3, 4):
        assert len(check(items("train", 40, seed), [path], "x", allowed=True)) == 40


@pytest.mark.parametrize("path", [PLANNER, SEGMENTER, EMBEDDER])
def test_bundled_weights_know_no_patient_of_the_test_split(path: Path) -> None:
    said = read_manifest(path)
    assert said.patients
    assert {line.split for line in said.patients} <= {"train", "validation"}
    for seed in range(3):
        assert check(items("test", 300, seed), [path], "x", allowed=False) == []


def test_bundled_weights_know_the_patients_of_their_recipes() -> None:
    """As the cards say: what was counted up, and what was drawn."""
    cases = [(domain, number) for domain, number, _ in cases_of("train", 9000)]
    patients = {
        PLANNER: cases,
        SEGMENTER: [*manifest.sampled("train", 2400, 0), *manifest.sampled("validation", 350, 0)],
        EMBEDDER: manifest.sampled("train", 3500, 1),
    }
    for path, known in patients.items():
        said = read_manifest(path)
        asked = [Item("i", "?", (), (), "open", cluster=name(patient)) for patient in known]
        assert all(said.holds(item) for item in asked), path


def test_items_of_the_training_split_are_refused_with_their_number() -> None:
    drawn = items("train", 300)
    with pytest.raises(InputError, match="300 of 300 items are in the training manifest of agent"):
        check(drawn, [PLANNER, SEGMENTER, EMBEDDER], "agent", allowed=False)
    assert check(drawn, [PLANNER, SEGMENTER, EMBEDDER], "agent", allowed=True) == drawn
    known = check(drawn, [PLANNER], "bare", allowed=True)
    assert 0 < len(known) < 30, "the planner has seen the patients with low numbers alone"


def test_the_command_writes_what_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.main([str(tmp_path), "--counted", "validation", "14", "--note", "Two each."])
    text = (tmp_path / MANIFEST).read_text()
    assert "# Two each.\n" in text
    assert text.count('"split": "validation"') == len(DOMAINS)
    for wrong in (["--counted", "secret", "14"], ["--sampled", "train", "many", "0"]):
        with pytest.raises(SystemExit):
            manifest.main([str(tmp_path), *wrong])
    assert "'secret' is none of train, validation, test" in capsys.readouterr().err


def test_ranges_reach_over_other_splits_alone() -> None:
    numbers = [number for _, number in manifest.counted("train", 70) if _ == "fundus"]
    gap = next(first for first, second in pairwise(numbers) if second > first + 1)
    (line,) = manifest.lines_of([("fundus", gap), ("fundus", numbers[numbers.index(gap) + 1])])
    assert f"[[{gap}, " in line
