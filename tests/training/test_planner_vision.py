"""The vision tower's recipe, with few phantoms and no time to learn."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from overread.evals.contamination import MANIFEST, read_manifest
from overread.imaging.phantoms import DOMAINS
from overread.training.phantom_cache import cases_of, load_cache
from overread.training.planner_vision import train


@pytest.mark.slow
def test_the_tower_says_what_it_was_trained_and_watched_on(tmp_path: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "vision"
    load_cache(cache, "validation", 7)
    (cache / "validation-7").rename(cache / "validation-350")
    train(out, cache, phantoms=14, minutes=0.0, threads=1)
    assert load_file(out / "vision.safetensors")
    assert "domain_accuracy" in json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    known = read_manifest(out / MANIFEST).patients
    assert len(known) == 2 * len(DOMAINS)
    for split, number in (("train", 14), ("validation", 7)):
        for domain, patient, _ in cases_of(split, number):
            assert any(line.split == split and line.hold(domain, patient) for line in known)
