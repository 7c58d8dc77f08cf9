"""Corruptions, robustness, the pointing game and what kept cases say, on few phantoms."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from overread.agent.config import Config
from overread.agent.resources import Resources
from overread.evals.retrieval import explained, proxy, robustness
from overread.evals.retrieval.arms import with_index
from overread.evals.retrieval.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from overread.evals.retrieval.phantom_cases import (
    PhantomCase,
    phantom_manifest,
    read_cases,
    views,
    without_domains,
)
from overread.evals.statistics.fairness import fairness
from overread.imaging.phantoms import generate, split_of
from overread.imaging.pseudonym import Pseudonymiser
from overread.index.embedder import Embedder, load_embedder
from overread.index.records import Hit


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms are drawn once for all tests."""
    return tmp_path_factory.mktemp("phantoms")


@pytest.fixture(scope="module")
def cases(work: Path) -> list[PhantomCase]:
    return read_cases(phantom_manifest("train", 21, 11, work))


@pytest.fixture(scope="module")
def queries(work: Path) -> list[PhantomCase]:
    return read_cases(phantom_manifest("test", 14, 12, work))


@pytest.fixture(scope="module")
def bundled() -> Embedder:
    return load_embedder("bundled")


@pytest.fixture
def names(tmp_path: Path) -> Pseudonymiser:
    return Pseudonymiser(tmp_path / "secret")


def striped() -> PILImage.Image:
    pixels = np.full((256, 256, 3), 60, np.uint8)
    pixels[:, ::16] = 200
    pixels[40:80, 150:200] = 230
    return PILImage.fromarray(pixels)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_corruption_grows_with_its_severity(name: str) -> None:
    whole = np.asarray(striped(), float)
    away = []
    for severity in SEVERITIES:
        seen = corrupted(name, striped(), severity, np.random.default_rng(0))
        assert seen.size == (256, 256) and seen.mode == "RGB"
        away.append(np.abs(np.asarray(seen, float) - whole).mean())
    # Of a rotation the stripes fall on each other now and then, so only the ends are compared.
    assert away[0] > 0 and away[-1] > away[0]
    again = corrupted(name, striped(), 3, np.random.default_rng(0))
    assert again.tobytes() == corrupted(name, striped(), 3, np.random.default_rng(0)).tobytes()


def test_an_unknown_corruption_is_refused() -> None:
    with pytest.raises(ValueError, match="no corruption 'fog'"):
        corrupted("fog", striped(), 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="severity 6"):
        corrupted("blur", striped(), 6, np.random.default_rng(0))


def test_noise_has_the_stated_spread() -> None:
    grey = PILImage.new("RGB", (224, 224), (128, 128, 128))
    seen = np.asarray(corrupted("noise", grey, 2, np.random.default_rng(1)), float) / 255
    assert seen.std() == pytest.approx(0.08, rel=0.05)


def test_recall_is_told_for_each_corruption_beside_chance(
    bundled: Embedder,
    queries: list[PhantomCase],
    cases: list[PhantomCase],
    names: Pseudonymiser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(robustness, "SEVERITIES", (1, 5))
    rows, records = robustness.measure(bundled, queries, cases, names)
    assert [row["corruption"] for row in rows[:2]] == ["none", "noise"]
    assert len(rows) == 1 + 2 * len(CORRUPTIONS) + 1
    clean, chance = rows[0], rows[-1]
    assert clean["precision_at_5"][0] > chance["precision_at_5"][0]
    for row in rows:
        mean, low, high = row["recall_at_10"]
        assert low <= mean <= high
    assert len(records) == len(queries)
    mean = np.mean([record.value for record in records])
    assert mean == pytest.approx(clean["precision_at_5"][0])
    assert {record.slices["sex"] for record in records} <= {"F", "M"}
    scanners, groups = robustness.by_scanner(records), fairness(records, ("sex", "age_group"))
    hold, shift, fair = robustness.tables(rows, scanners, groups)
    assert hold.row_count == len(rows)
    assert shift.row_count == len(scanners) == 1 + len({case.domain for case in queries})
    assert fair.row_count == sum(len(gaps.groups | gaps.small) for gaps in groups)


def test_cases_of_some_domains_are_left_out(work: Path, tmp_path: Path) -> None:
    manifest = phantom_manifest("train", 21, 11, work)
    left = without_domains(manifest, {"fundus", "histology"}, tmp_path)
    rows = [json.loads(line) for line in left.read_text().splitlines()]
    assert len(rows) == 15
    assert all(Path(row["path"]).is_file() for row in rows)
    assert {split_of(row["patient_id"]) for row in rows} == {"train"}


def test_outlines_lie_where_the_index_sees_the_finding(names: Pseudonymiser) -> None:
    case = next(
        phantom
        for number in range(40)
        if (phantom := generate("chest-ct", number)).masks.get("nodule") is not None
    )
    row = PhantomCase(
        Path(), case.domain, case.patient_id, case.study_id, "", case.age, case.sex, "", ("nodule",)
    )
    outlines = explained.outlined(row)
    assert list(outlines) == ["nodule"] and outlines["nodule"].shape == (512, 512)
    mask = case.masks["nodule"]
    assert outlines["nodule"].mean() == pytest.approx(mask.mean(), rel=0.3)


def test_pointing_by_hand() -> None:
    mask = np.zeros((64, 64), bool)
    mask[40:44, 10:14] = True
    heat = np.zeros((64, 64), np.float32)
    heat[41, 11] = 1.0
    hit, area = explained.pointing(heat, mask)
    assert hit == 1 and 0.5 < area < 0.55
    assert explained.pointing(mask.astype(np.float32), mask) == (1, 1)
    assert explained.pointing(-mask.astype(np.float32), mask) == (0, 0)
    near = np.zeros((64, 64), np.float32)
    near[41, 17] = 1.0  # 4 of 64 pixels are as 15 of 256
    assert explained.pointing(near, mask)[0] == 1
    assert explained.around(mask).mean() > mask.mean()


def test_explanations_of_shared_findings_are_measured(
    bundled: Embedder, queries: list[PhantomCase], cases: list[PhantomCase], names: Pseudonymiser
) -> None:
    rows = explained.measure(bundled, queries, cases, names)
    assert rows and all(set(row["own"]) == set(explained.MEASURES) for row in rows)
    assert explained.table(rows).row_count == 2 * (1 + len({row["domain"] for row in rows}))


def hit(domain: str, *labels: str) -> Hit:
    return Hit.from_metadata("h", 0.9, {"domain": domain, "labels": list(labels), "study_id": "s"})


def test_what_kept_cases_say(queries: list[PhantomCase]) -> None:
    query = replace(queries[0], domain="chest-ct", labels=("nodule",))
    cases = [hit("chest-ct", "nodule"), hit("chest-ct", "normal"), hit("chest-ct", "nodule")]
    told = proxy.told_by(cases, query)
    assert (told.right, told.kept, told.named) == (1, 3, 1)
    assert told.precision == pytest.approx(2 / 3)
    assert proxy.told_by(cases[1:], query).right == 1  # of equals the first by name, as the planner
    assert proxy.told_by([], query) == proxy.Told(0, 0, 0, 0)
    assert proxy.told_by([hit("fundus", "nodule")], query).right == 0


@pytest.mark.slow
def test_every_policy_is_asked_of_files_and_of_pictures(
    work: Path, queries: list[PhantomCase], data_dir: Path, tmp_path: Path
) -> None:
    manifest = phantom_manifest("train", 21, 11, work)
    config = with_index(Config(data_dir=data_dir), [manifest], tmp_path / "index")
    resources = Resources(config)
    index = resources.make_index()
    assert index.stats().images == 21
    patients = [query.patient_id for query in queries]
    for bare in (False, True):
        found = proxy.measure(index, queries, resources, bare)
        assert len(found) == 2 * (len(proxy.FIXED) + 2)
        assert {len(told) for told in found.values()} == {len(queries)}
        assert all(told.kept == 1 for told in found["first 1, all domains"])
        rows = proxy.figures(found, patients)
        reference = next(row for row in rows if row["policy"] == proxy.REFERENCE)
        assert reference["gain"][0] == 0 and reference["worse"] == 0
        assert proxy.table("t", rows).row_count == len(rows)


def test_views_are_what_the_index_sees(cases: list[PhantomCase], names: Pseudonymiser) -> None:
    assert [view.size for view in views(cases[:2], names)] == [(512, 512)] * 2
