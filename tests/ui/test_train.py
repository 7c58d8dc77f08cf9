"""`overread train`: flags reach TRL's parser, and what is wrong comes back as one sentence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from overread.imaging.errors import ConfigError
from overread.ui.cli import app
from overread.ui.commands.train import COMMANDS


def said(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["train", *arguments])
    assert isinstance(found.exception, ConfigError), found.output
    return str(found.exception)


def test_any_flag_is_handed_on_with_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("output_dir: x\n")
    assert "no key '--poem'" in said("sft", "--config", str(config), "--resume", "--poem", "3")
    assert "invalid float value" in said("sft", "--config", str(config), "--learning_rate", "x")


def test_a_configuration_that_is_not_there_is_named() -> None:
    assert "the configuration gone.yaml cannot be read" in said("sft", "--config", "gone.yaml")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_starts_without_the_trainers(name: str) -> None:
    found = CliRunner().invoke(app, ["train", name, "--help"])
    assert found.exit_code == 0
    assert "--resume" in found.output
