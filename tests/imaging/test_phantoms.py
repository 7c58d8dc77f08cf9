import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overread.imaging.errors import InputError
from overread.imaging.phantoms import (
    DOMAINS,
    HELD_OUT,
    SCANNERS,
    Phantom,
    generate,
    labels_of,
    measures,
    sample,
    split_of,
)
from overread.imaging.phantoms.seeds import Case
from overread.imaging.vocabulary import TARGETS, UNMASKED_FINDINGS

cases = st.tuples(st.sampled_from(sorted(DOMAINS)), st.integers(0, 99_999), st.integers(0, 1)).map(
    lambda case: generate(*case, size=128)
)


def equal(first: Phantom, second: Phantom) -> bool:
    return (
        np.array_equal(first.pixels, second.pixels)
        and first.masks.keys() == second.masks.keys()
        and all(np.array_equal(first.masks[k], second.masks[k]) for k in first.masks)
        and first.findings == second.findings
        and first.report == second.report
        and first.questions == second.questions
    )


@pytest.mark.parametrize("domain", DOMAINS)
def test_same_arguments_give_the_same_phantom(domain: str) -> None:
    assert equal(generate(domain, 21, 1, 128), generate(domain, 21, 1, 128))
    assert not equal(generate(domain, 21, 0, 128), generate(domain, 22, 0, 128))


@pytest.mark.parametrize("size", [64, 200, 384])
@pytest.mark.parametrize("domain", DOMAINS)
def test_any_size_can_be_drawn(domain: str, size: int) -> None:
    phantom = generate(domain, 8, size=size)
    assert phantom.pixels.shape[:2] == (size, size)
    assert all(mask.shape == (size, size) for mask in phantom.masks.values())


@settings(max_examples=60, deadline=None)
@given(cases)
def test_masks_and_findings_agree(phantom: Phantom) -> None:
    structures, known = DOMAINS[phantom.domain]
    named = {finding.name for finding in phantom.findings}
    assert named <= set(known)
    assert set(structures) <= phantom.masks.keys() <= set(TARGETS)
    assert phantom.masks.keys() - set(structures) == named - UNMASKED_FINDINGS
    assert all(mask.dtype == bool and mask.any() for mask in phantom.masks.values())
    assert phantom.pixels.dtype == (np.uint8 if phantom.pixels.ndim == 3 else np.float32)
    assert len(named) == len(phantom.findings) <= 4


@settings(max_examples=60, deadline=None)
@given(cases)
def test_findings_are_measured_on_their_masks(phantom: Phantom) -> None:
    for finding in phantom.findings:
        if finding.name in UNMASKED_FINDINGS:
            continue
        mask = phantom.masks[finding.name]
        if finding.size_mm is not None:
            exact = measures.long_axis_mm(mask, phantom.spacing_mm)
            assert finding.size_mm == pytest.approx(exact, abs=0.051)
        if finding.name in ("nodule", "cyst", "haemorrhage", "exudate"):
            assert finding.count == measures.count(mask)
        if finding.side and phantom.domain != "abdomen-ct":
            outline = phantom.masks["brain" if phantom.domain == "brain-mr" else "left lung"]
            columns = np.flatnonzero(outline.any(axis=0))
            middle = (columns[0] + columns[-1]) / 2 if "brain" in phantom.masks else columns[0]
            on_the_right_of_the_picture = measures.centroid(mask)[1] > middle - 2
            assert on_the_right_of_the_picture == (finding.side == "left")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99_999))
def test_cardiomegaly_is_a_ratio_above_one_half_with_a_gap(patient: int) -> None:
    phantom = generate("chest-xray", patient, size=128)
    heart, thorax = phantom.masks["heart"], phantom.masks["thorax"]
    ratio = np.ptp(np.nonzero(heart)[1]) / np.ptp(np.nonzero(thorax)[1])
    enlarged = "cardiomegaly" in {finding.name for finding in phantom.findings}
    assert ratio > 0.51 if enlarged else ratio < 0.48


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99_999))
def test_lung_fields_lie_in_the_thorax_and_hold_their_disease(patient: int) -> None:
    masks = generate("chest-xray", patient, size=128).masks
    lungs = masks["left lung"] | masks["right lung"]
    assert not (masks["left lung"] & masks["right lung"]).any()
    assert not (lungs & ~masks["thorax"]).any()
    assert not (lungs & masks["heart"]).any()
    assert measures.centroid(masks["left lung"])[1] > measures.centroid(masks["right lung"])[1]
    for name in ("nodule", "effusion", "pneumothorax", "consolidation"):
        assert name not in masks or not (masks[name] & ~lungs).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99_999))
def test_the_midline_is_clearly_shifted_or_not_at_all(patient: int) -> None:
    phantom = generate("brain-mr", patient, size=128)
    masks = phantom.masks
    brain = np.flatnonzero(masks["brain"].any(axis=0))
    middle = np.nonzero(masks["ventricles"])[1].mean() - (brain[0] + brain[-1]) / 2
    shift = middle * phantom.spacing_mm[1]
    found = [finding for finding in phantom.findings if finding.name == "midline shift"]
    if not found:
        assert abs(shift) < 1.5
        return
    assert abs(shift) > 3.5 and found[0].size_mm == pytest.approx(abs(shift), abs=0.051)
    lesion = next(finding for finding in phantom.findings if finding.name == "lesion")
    assert found[0].side != lesion.side


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99_999))
def test_hounsfield_values_are_those_of_the_tissues(patient: int) -> None:
    phantom = generate("abdomen-ct", patient, size=128)
    outside = phantom.pixels[~phantom.masks["body"]]
    assert np.median(outside) < -850
    assert 40 < np.median(phantom.pixels[phantom.masks["liver"]]) < 130
    if "cyst" in phantom.masks:
        assert -15 < np.median(phantom.pixels[phantom.masks["cyst"]]) < 35
    chest = generate("chest-ct", patient, size=128)
    assert np.median(chest.pixels[chest.masks["left lung"]]) < -700


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99_999))
def test_nuclei_are_parted_so_that_both_connectivities_count_them(patient: int) -> None:
    from scipy.ndimage import label

    mask = generate("histology", patient, size=256).masks["nuclei"]
    assert label(mask)[1] == measures.count(mask)
    assert 5 <= measures.count(mask) <= 80


def test_a_follow_up_is_the_same_patient_at_a_later_time() -> None:
    first, second = generate("chest-ct", 3, 0, 128), generate("chest-ct", 3, 1, 128)
    assert (first.prior_id, second.prior_id) == (None, first.study_id)
    assert (first.patient_id, first.sex, first.scanner) == (
        second.patient_id,
        second.sex,
        second.scanner,
    )
    heart, later = first.masks["heart"], second.masks["heart"]
    overlap = 2 * np.count_nonzero(heart & later) / (heart.sum() + later.sum())
    assert 0.8 < overlap < 1
    assert first.report.comparison == "None." and "prior" in second.report.comparison


def test_about_a_third_of_studies_is_normal() -> None:
    phantoms = [generate(d, i, size=64) for d in DOMAINS if d != "histology" for i in range(60)]
    normal = sum(labels_of(phantom) == ["normal"] for phantom in phantoms) / len(phantoms)
    assert 0.27 < normal < 0.43


def test_splits_are_by_patient_and_near_their_shares() -> None:
    splits = [split_of(f"ph-fundus-{i:05d}") for i in range(4000)]
    assert splits.count("train") / 4000 == pytest.approx(0.8, abs=0.03)
    assert splits.count("validation") / 4000 == pytest.approx(0.1, abs=0.02)
    for split in ("train", "validation", "test"):
        assert all(split_of(phantom.patient_id) == split for phantom in sample(split, 7, seed=5))


def test_samples_are_balanced_and_repeatable() -> None:
    phantoms = list(sample("train", 14, seed=1))
    assert [p.domain for p in phantoms] == list(DOMAINS) * 2
    assert [p.study_id for p in phantoms] == [p.study_id for p in sample("train", 14, seed=1)]
    assert len({p.study_id for p in phantoms}) == 14


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_held_out_scanner_meets_test_patients_only(domain: str) -> None:
    from overread.imaging.phantoms.scanners import scanner_of

    assert len(SCANNERS[domain]) >= 4 and SCANNERS[domain][-1] == HELD_OUT[domain]
    held_out = {"train": 0, "validation": 0, "test": 0}
    total = dict(held_out)
    for patient in range(1500):
        case = Case(domain, patient, 0, 64)
        split = split_of(case.patient_id)
        total[split] += 1
        held_out[split] += scanner_of(case).name == HELD_OUT[domain]
    assert held_out["train"] == held_out["validation"] == 0
    assert held_out["test"] / total["test"] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("knee-mr", 1), "not a phantom domain"),
        (("fundus", -1), "patient must be"),
        (("fundus", 1, -1), "visit 0 or more"),
        (("fundus", 1, 0, 10), "size must be"),
    ],
)
def test_bad_arguments_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(*arguments)
