"""The timed trainers: both of each kind run on one model, and as many steps are counted as were asked."""

import pytest
from trl import ModelConfig

from overread.training.bench_steps import measure
from overread.training.bench_trainers import TRAINERS, Way
from overread.training.examples import Example
from overread.training.phantom_examples import phantom_examples
from tests.training.tiny_planner import save_planner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    return ModelConfig(str(save_planner(tmp_path_factory.mktemp("planner"))))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    made = phantom_examples("train", 4, tmp_path_factory.mktemp("cache"))
    return [one for one in made if one.task == "closed"]


@pytest.mark.parametrize("way", ["ours", "bare"])
@pytest.mark.parametrize("trainer", sorted(TRAINERS))
def test_a_trainer_is_timed(
    trainer: str, way: Way, model: ModelConfig, examples: list[Example]
) -> None:
    seconds = measure(TRAINERS[trainer], way, model, examples, steps=2, batch=4)
    assert len(seconds) == 2
    assert min(seconds) > 0
