import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from overread.evals.benchmarks import load, names, spec
from overread.imaging.errors import ConfigError
from tests.evals.benchmark_files import png, write, write_lines

OURS = {
    "chestagentbench", "generic", "image-questions", "iu-xray", "medframeqa", "medvidbench",
    "medxpertqa-mm", "mimic-cxr", "mmmu-medical", "omnimedvqa", "path-vqa", "phantom-readings", "phantoms", "pmc-vqa",
    "segmentation-folder", "slake", "vqa-rad",
}  # fmt: skip

WARD = """
name = "ward"
title = "Ward questions"
licence = "CC0-1.0"
citation = "the ward"
splits = { test = ["ward.jsonl"] }
default_split = "test"
columns = { question = "ask", answer = ["truth"], images = ["file"] }
metric = { open = "token_f1" }
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.endswith("_benchmarks")]:
        del sys.modules[name]


def install(site: Path, package: str, toml: str, file: str, value: str | None = None) -> None:
    """Lay a distribution out as an installer does."""
    write(
        site / package / "__init__.py", "from pathlib import Path\nHERE = Path(__file__).parent\n"
    )
    write(site / package / file, toml)
    info = site / f"{package}-1.0.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    write(info / "entry_points.txt", f"[overread.benchmarks]\nward = {value or package}\n")


def test_ours_are_there_and_say_licence_and_citation() -> None:
    assert set(names()) >= OURS
    for name in OURS:
        found = spec(name)
        assert found.licence and found.citation and found.metric, name
        assert found.hub or found.home or found.source == "phantoms", name


@pytest.mark.parametrize("value", [None, "ward_benchmarks:HERE"])
def test_a_stranger_s_folder_of_specs_is_found_and_loads(
    value: str | None, site: Path, tmp_path: Path
) -> None:
    install(site, "ward_benchmarks", WARD, "ward.toml", value)
    assert "ward" in names()
    write(tmp_path / "a.png", png(1))
    write_lines(tmp_path / "ward.jsonl", [{"ask": "What?", "truth": "a tube", "file": "a.png"}])
    (item,) = load("ward", tmp_path).items
    assert item.answers == ("a tube",)


def test_a_name_offered_twice_or_a_broken_plug_in_is_told(site: Path) -> None:
    install(site, "twin_benchmarks", WARD, "slake.toml")
    with pytest.raises(ConfigError, match="'slake' is offered by"):
        names()


def test_a_plug_in_that_does_not_load_is_told(site: Path) -> None:
    install(site, "ward_benchmarks", WARD, "ward.toml", "ward_benchmarks:GONE")
    with pytest.raises(ConfigError, match="do not load: AttributeError"):
        names()


def test_a_spec_may_be_a_file_of_the_user_s(tmp_path: Path) -> None:
    assert spec(str(write(tmp_path / "ward.toml", WARD))).title == "Ward questions"


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("name = ", "cannot be read"),
        (WARD.replace('"ward"', '"No Name"'), "name: String should match"),
        (WARD + 'colour = "red"', "colour: Extra inputs"),
        (WARD.replace('default_split = "test"', 'default_split = "x"'), "default_split 'x' is not"),
        (WARD.replace('question = "ask", ', ""), "columns.question or ask is needed"),
        (WARD.replace('answer = ["truth"], ', ""), "columns.answer or columns.sections"),
        (WARD.replace("open =", "essay ="), "metric"),
        (WARD.replace('["ward.jsonl"]', "[]"), "splits must name the files"),
    ],
)
def test_a_wrong_spec_is_one_sentence(toml: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason):
        spec(str(write(tmp_path / "x.toml", toml)))


def test_an_unknown_benchmark_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no benchmark 'slak'; there are chestagentbench"):
        spec("slak")


def test_specs_are_shipped_beside_the_code() -> None:
    shipped = {file.name for file in files("overread.evals.benchmarks").iterdir()}
    assert {f"{name}.toml" for name in OURS} <= shipped
