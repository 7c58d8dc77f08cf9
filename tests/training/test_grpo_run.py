"""The command lines of GRPO, on configurations of ours and on a small planner in a folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from overread.imaging.errors import ConfigError, InputError
from overread.training.examples import write_lines
from overread.training.grpo_run import main, read_config
from overread.training.reward_stats import choose, read_stats, refuse_too_few
from overread.training.reward_stats_run import main as measure_main
from tests.training.grpo_runs import of_phantom
from tests.training.tiny_planner import save_planner

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


def on_a_cpu(flags: list[str]) -> list[str]:
    """What a GPU's configuration says of the device, this machine cannot."""
    return [*flags, "--bf16", "false", "--use_cpu", "true"]


@pytest.mark.parametrize("name", ["grpo-bundled", "grpo-vllm-gpu"])
def test_our_configurations_are_read_by_trl(name: str) -> None:
    flags = on_a_cpu(["--config", str(CONFIGS / f"{name}.yaml"), "--report_to", "none"])
    ours, grpo, config, model = read_config(flags).arguments
    written = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert ours.mix == "bundled-grpo"
    assert (grpo.rewards, grpo.form_weight) == ("normalised", 0.1)
    assert config.num_generations == written["num_generations"]
    assert config.use_vllm == written.get("use_vllm", False)
    assert config.epsilon_high == written["epsilon_high"]
    assert model.lora_r == written["lora_r"]


def test_unknown_and_odd_keys_are_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mix: bundled-grpo\nnum_generation: 8\n")
    with pytest.raises(ConfigError, match="did you mean 'num_generations'"):
        read_config(["--config", str(path)])
    path.write_text("rewards: rank\nuse_cpu: true\nbf16: false\n")
    with pytest.raises(ConfigError, match="rewards is 'rank'; choose from normalised, raw"):
        read_config(["--config", str(path)])


def closed(number: int) -> list[Any]:
    first = of_phantom(1, "closed")
    return [first.model_copy(update={"id": f"closed-{place}"}) for place in range(number)]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(InputError, match="phantoms/closed has 24 prompts and 192 samples, too few"):
        refuse_too_few(choose(closed(24), 200, seed=0), 8)
    with pytest.raises(InputError, match="30 prompts and 60 samples"):
        refuse_too_few(choose(closed(30), 200, seed=0), 2)
    refuse_too_few(choose(closed(30), 200, seed=0), 4)


def test_prompts_are_distinct_and_chosen_by_the_seed() -> None:
    examples = closed(40) * 3
    (first,) = choose(examples, 30, seed=0).values()
    (again,) = choose(examples, 30, seed=0).values()
    (other,) = choose(examples, 30, seed=1).values()
    assert len({example.id for example in first}) == 30
    assert first == again != other


def test_percentiles_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="overread train reward-stats"):
        read_stats(tmp_path / "none.json")
    (tmp_path / "odd.json").write_text('{"spreads": {}}')
    with pytest.raises(ConfigError, match="holds no reward percentiles"):
        read_stats(tmp_path / "odd.json")


@pytest.mark.slow
def test_measure_then_train_then_go_on(tmp_path: Path) -> None:
    """Percentiles by the one command, a run by the other, and the same command again."""
    base = save_planner(tmp_path / "planner")
    write_lines(tmp_path / "examples.jsonl", closed(25))
    mix = {"sources": [{"source": "examples", "path": str(tmp_path / "examples.jsonl")}]}
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(mix))
    keys: dict[str, Any] = {
        "mix": str(tmp_path / "mix.yaml"), "model_name_or_path": str(base),
        "output_dir": str(tmp_path / "run"), "reward_stats": str(tmp_path / "stats.json"),
        "num_generations": 4, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 20,
        "max_completion_length": 2, "max_steps": 1, "save_steps": 1, "logging_steps": 1,
        "use_cpu": True, "bf16": False, "report_to": "none", "probes": "warn", "dtype": "float32",
        "gradient_checkpointing": False, "beta": 0.01, "learning_rate": 1e-4,
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(keys))
    flags = ["--config", str(tmp_path / "c.yaml")]
    measure_main(flags)
    stats = read_stats(tmp_path / "stats.json")
    spread = stats.spreads["phantoms/closed"]
    assert (spread.n, spread.prompts, stats.generations) == (100, 25, 4)
    assert spread.p25 == spread.p50 == spread.p75 == 0.0  # an untrained model is never right
    main(flags)
    with pytest.raises(InputError, match="--resume"):
        main(flags)
    main([*flags, "--resume", "true", "--max_steps", "2"])
    run = tmp_path / "run"
    assert json.loads((run / "checkpoint-2" / "trainer_state.json").read_text())["global_step"] == 2
    assert (run / "model.safetensors").is_file()
    assert "No alarm sounded." in "".join(path.read_text() for path in run.glob("*.md"))
