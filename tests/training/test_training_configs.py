"""The configurations that come with Overread, read by the libraries that will read them."""

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from trl import ModelConfig, SFTConfig

from overread.training.arguments import OurArguments, parse
from overread.training.mixes import mix_file

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("sft-*.yaml")), ids=lambda path: path.stem)
def test_sft_configurations_are_read_by_trl(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--use_cpu"]  # bf16 is checked against the device at once
    found = parse(["--config", str(path), *flags], OurArguments, SFTConfig, ModelConfig)
    ours, config, model = found.arguments
    said = yaml.safe_load(path.read_text())
    read = vars(ours) | vars(config) | vars(model)
    for key, value in said.items():
        if key not in ("use_cpu", "lora_target_modules", "optim"):
            assert read[key] == value, key
    assert mix_file(ours.mix).is_file()


def test_qlora_is_four_bits_with_an_adapter_and_checkpointing() -> None:
    path = CONFIGS / "sft-qlora-gpu.yaml"
    _, config, model = parse(
        ["--config", str(path), "--use_cpu"], OurArguments, SFTConfig, ModelConfig
    ).arguments
    assert (model.load_in_4bit, model.bnb_4bit_quant_type, model.use_peft) == (True, "nf4", True)
    assert model.lora_target_modules == "all-linear"
    assert (config.bf16, config.gradient_checkpointing) == (True, True)


@pytest.mark.parametrize(
    ("name", "kind"), [("accelerate-fsdp", "FSDP"), ("accelerate-deepspeed", "DEEPSPEED")]
)
def test_accelerate_reads_its_configurations(name: str, kind: str) -> None:
    found = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert str(found.distributed_type).endswith(kind)
    assert found.mixed_precision == "bf16"
