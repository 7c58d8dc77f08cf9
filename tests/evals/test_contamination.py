"""Items of a training manifest are not evaluated unawares."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_model import ScriptedModel

from overread.agent import bundled
from overread.agent.config import Config, PlannerConfig
from overread.evals.batch import Request, run_all
from overread.evals.contamination import (
    MANIFEST,
    Manifest,
    check,
    manifests_beside,
    read_manifest,
)
from overread.evals.items import Item
from overread.evals.records import Record
from overread.evals.reports.build import contamination
from overread.evals.runs import Run
from overread.evals.subjects import factory
from overread.evals.subjects.factory import weight_folders
from overread.imaging.errors import InputError
from overread.imaging.phantoms import split_of
from overread.imaging.vocabulary import DOMAINS
from overread.index import embedder
from overread.tools.bundled_segmenter import WEIGHTS

MakeItems = Callable[[int], list[Item]]


def about(patient: str) -> Item:
    return Item(f"{patient}-v0-side", "Which side?", (), ("left",), "closed", cluster=patient)


HEX = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.lists(HEX, unique=True), st.booleans())
def test_manifests_are_read_in_both_forms(
    tmp_path_factory: pytest.TempPathFactory, fingerprints: list[str], as_json: bool
) -> None:
    lines = [
        json.dumps({"fingerprint": f, "id": 1}) if as_json else f.upper() for f in fingerprints
    ]
    path = tmp_path_factory.mktemp("manifest") / MANIFEST
    path.write_text("\n".join(["# what it was trained on", "", *lines, ""]))
    assert read_manifest(path) == Manifest(frozenset(fingerprints))


@pytest.mark.parametrize(
    "line",
    ["abc", "z" * 64, "a" * 63, "a" * 65, '{"id": 3}', "{broken", "[]", '{"fingerprint": 5}'],
)
def test_a_line_that_is_no_fingerprint_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / MANIFEST
    path.write_text("a" * 64 + "\n" + line + "\n")
    with pytest.raises(InputError, match="line 2, is no fingerprint"):
        read_manifest(path)


NUMBER = st.integers(0, 120)
RANGE = st.tuples(NUMBER, NUMBER).map(sorted)


@given(
    st.sampled_from(list(DOMAINS)),
    st.sampled_from([None, "train", "validation", "test"]),
    st.lists(NUMBER | RANGE, max_size=6),
    st.booleans(),
)
def test_patients_are_known_again_by_an_items_cluster(
    tmp_path_factory: pytest.TempPathFactory,
    domain: str,
    split: str | None,
    patients: list[int | list[int]],
    in_full: bool,
) -> None:
    fields = {"benchmark": "phantoms", "domain": domain, "patients": patients}
    if split or in_full:
        fields["split"] = split
    path = tmp_path_factory.mktemp("manifest") / MANIFEST
    path.write_text(json.dumps(fields) + "\n")
    said = read_manifest(path)
    parts = [(part, part) if isinstance(part, int) else part for part in patients]
    named = {number for first, last in parts for number in range(first, last + 1)}
    for number in range(125):
        name = f"ph-{domain}-{number:05d}"
        meant = number in named and split in (None, split_of(name))
        assert said.holds(about(name)) is meant, name
    other = next(one for one in DOMAINS if one != domain)
    assert not any(said.holds(about(f"ph-{other}-{number:05d}")) for number in range(125))
    assert not said.holds(about(f"ph-{domain}-7")) and not said.holds(about(""))


GOOD = {"benchmark": "phantoms", "domain": "fundus", "patients": [4, [7, 90]]}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"benchmark": "vqa"}, "'benchmark': Input should be 'phantoms'"),
        ({"domain": "knee"}, "'domain': 'knee' is none of chest-xray"),
        ({"split": "secret"}, "'split': Input should be 'train', 'validation' or 'test'"),
        ({"patients": 4}, "'patients': Input should be a valid array"),
        ({"patients": [1, "2"]}, "'patients.1.0': Input should be a valid integer"),
        ({"patients": [True]}, "'patients.0.0': Input should be a valid integer"),
        ({"patients": [-1]}, "'patients.0.0': Input should be greater than or equal to 0"),
        ({"patients": [[5, 100000]]}, "'patients.0.1': Input should be less than 100000"),
        ({"patients": [[9, 3]]}, "'patients.0': the range 9 to 3 ends before it begins"),
        ({"patients": [[1, 2, 3]]}, "'patients.0': Tuple should have at most 2 items"),
        ({"visits": [0]}, "'visits': Extra inputs are not permitted"),
        ({"a\nb": 0}, "Extra inputs are not permitted"),
        ({"domain": "a\nb"}, "is none of chest-xray"),
    ],
)
def test_patients_that_are_not_understood_are_refused_in_a_sentence(
    tmp_path: Path, wrong: dict[str, object], reason: str
) -> None:
    path = tmp_path / MANIFEST
    path.write_text("# one\n" + json.dumps(GOOD) + "\n" + json.dumps(GOOD | wrong) + "\n")
    with pytest.raises(InputError, match=r"line 3, does not name patients") as told:
        read_manifest(path)
    assert reason in str(told.value)
    assert "\n" not in str(told.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["fingerprint", "benchmark", *GOOD, "split"]), inner)
    ),
    max_leaves=8,
)


@given(st.text() | JSON.map(json.dumps) | st.just("{" * 5000) | st.just('{"a":' * 200_000))
def test_any_text_is_read_or_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("manifest") / MANIFEST
    path.write_text(text, "utf-8")
    try:
        said = read_manifest(path)
    except InputError as error:
        assert "\n" not in str(error) and "line" in str(error)
    else:
        assert isinstance(said, Manifest)


def test_a_manifest_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / "none.txt")


def test_contaminated_items_are_counted_and_refused(make_items: MakeItems, tmp_path: Path) -> None:
    items = make_items(5)
    path = tmp_path / MANIFEST
    path.write_text(f"{items[1].fingerprint()}\n{items[3].fingerprint()}\n")
    with pytest.raises(InputError, match="2 of 5 items are in the training manifest of bare"):
        check(items, [path], "bare", allowed=False)
    assert check(items, [path], "bare", allowed=True) == [items[1], items[3]]
    assert check([items[0]], [path], "bare", allowed=False) == []
    assert check(items, [], "bare", allowed=False) == []


def test_a_renamed_file_and_another_id_do_not_hide_an_item(
    make_items: MakeItems, tmp_path: Path
) -> None:
    from dataclasses import replace

    item = make_items(1)[0]
    path = tmp_path / MANIFEST
    path.write_text(item.fingerprint())
    copy = tmp_path / "copy.png"
    copy.write_bytes(item.images[0].read_bytes())
    hidden = replace(
        item, id="new", images=(copy,), question=item.question.upper().replace(" ", "  ")
    )
    with pytest.raises(InputError, match="1 of 1 items"):
        check([hidden], [path], "bare", allowed=False)


def test_manifests_lie_beside_the_weights_that_answer(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / MANIFEST).touch()
    config = Config(data_dir=data_dir)
    assert manifests_beside(weight_folders(f"local:{tmp_path}", config)) == [tmp_path / MANIFEST]
    assert manifests_beside(weight_folders(f"text-only:local:{tmp_path}", config)) != []
    for text in ("agent", "agent/no-tools", "bare", "text-only", "serve:bundled"):
        assert bundled.WEIGHTS in weight_folders(text, config)
    whole = {folder.resolve() for folder in weight_folders("agent", config)}
    assert whole == {one.resolve() for one in (bundled.WEIGHTS, WEIGHTS.parent, embedder.BUNDLED)}
    assert weight_folders("knn", config) == [embedder.BUNDLED]
    for text in ("majority", "endpoint:http://a/v1#m", "agent-endpoint:http://a/v1"):
        assert weight_folders(text, config) == []


def test_a_manifest_that_appears_leaves_the_identity_of_a_subject_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "_ROOT", tmp_path)
    weights = tmp_path / "tools" / "weights"
    weights.mkdir(parents=True)
    (weights / "segmenter.safetensors").write_bytes(b"weights")
    before = factory.code_hash.__wrapped__()
    (weights / MANIFEST).write_text("# appeared\n")
    assert factory.code_hash.__wrapped__() == before
    (weights / "segmenter.safetensors").write_bytes(b"others")
    assert factory.code_hash.__wrapped__() != before


class Unwatched:
    def started(self, subject: str, done: int, total: int) -> None: ...

    def recorded(self, record: Record) -> None: ...


def test_phantoms_are_held_against_what_the_planner_knows(
    model: ScriptedModel, data_dir: Path, tmp_path: Path
) -> None:
    """The benchmark's own items, against the bundled manifests; only the server's words are ours."""
    config = Config(data_dir=data_dir, planner=PlannerConfig(base_url=model.url))
    planner, segmenter = (
        folder.resolve() / MANIFEST for folder in (bundled.WEIGHTS, WEIGHTS.parent)
    )

    def run(folder: str, **changes: Any) -> Run:
        asked = {"benchmark": "phantoms", "limit": 7, "subjects": ("bare",), **changes}
        request = Request(out=tmp_path / folder, **asked)
        return run_all(request, config, Unwatched(), start=lambda config: None)[0]

    first = run("test")
    assert (first.spec.contaminated, first.spec.manifests) == (0, (str(planner),))
    assert contamination(first) == "checked, 0 of 7 items are in 1 training manifest"
    again = run("test", resume=True, training_manifest=segmenter)
    assert again.records == first.records

    refusal = "7 of 7 items are in the training manifest of agent"
    with pytest.raises(InputError, match=refusal) as told:
        run("refused", split="train", subjects=("agent",))
    assert str(segmenter) in str(told.value) and "--allow-contaminated" in str(told.value)
    allowed = run("allowed", split="train", training_manifest=segmenter, allow_contaminated=True)
    assert allowed.spec.contaminated == 7
    assert contamination(allowed) == "7 of 7 items were in the training data"
