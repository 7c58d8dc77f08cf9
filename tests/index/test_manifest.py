import csv
import json
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from overread.imaging.errors import InputError
from overread.index.manifest import BadRow, ManifestRow, read_manifest

ROWS = [
    {"path": "a.png", "labels": ["Effusion", "nodule"], "patient_id": "7", "age": 61},
    {"path": "sub/b.png", "labels": None, "patient_id": None, "age": None},
]


def expected(folder: Path) -> list[ManifestRow | BadRow]:
    first = ManifestRow(folder / "a.png", ("effusion", "nodule"), patient_id="7", age=61.0)
    return [first, ManifestRow(folder / "sub/b.png")]


def test_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text("".join(json.dumps(row) + "\n\n" for row in ROWS))
    assert read_manifest(file) == expected(tmp_path)


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text(
        "\ufeffpath,labels,patient_id,age\na.png,Effusion; nodule,7,61\nsub/b.png,,nan,\n"
    )
    assert read_manifest(file) == expected(tmp_path)


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "m.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    assert read_manifest(file) == expected(tmp_path)


def test_other_spellings_of_columns(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    file.write_text('{"image": "/x/a.png", "license": "MIT", "unknown": 3}\n')
    assert read_manifest(file) == [ManifestRow(Path("/x/a.png"), licence="MIT")]


def test_bad_rows_are_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "m.jsonl"
    lines = [
        "not json",
        "[1]",
        '{"labels": []}',
        '{"path": "c.png", "age": "old"}',
        '{"path": "d"}',
    ]
    file.write_text("\n".join(lines))
    *bad, good = read_manifest(file)
    assert good == ManifestRow(tmp_path / "d")
    assert [row.path for row in bad] == [
        "m.jsonl, row 1",
        "m.jsonl, row 2",
        "m.jsonl, row 3",
        "c.png",
    ]
    assert [row.reason for row in bad if isinstance(row, BadRow)] == [
        "the row is not a JSON object",
        "the row is not a JSON object",
        "the row has no path",
        "the age 'old' is not a number",
    ]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "path\n"])
def test_manifest_without_a_usable_row_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text(content)
    with pytest.raises(InputError, match="no usable row"):
        read_manifest(file)


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.parquet"])
def test_damaged_manifest_is_a_clear_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(InputError, match="manifest"):
        read_manifest(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(tmp_path / f"absent-{name}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]))
def test_any_bytes_give_rows_or_a_clear_error(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"m{suffix}"
    file.write_bytes(content)
    try:
        rows = read_manifest(file)
    except InputError:
        return
    assert any(isinstance(row, ManifestRow) for row in rows)


word = st.text(st.characters(codec="utf-8", exclude_characters="\0;|[]"), min_size=1).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(report=word, labels=st.lists(word.filter(bool), max_size=3))
def test_csv_and_json_lines_agree(report: str, labels: list[str], tmp_path: Path) -> None:
    with (tmp_path / "m.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["path", "report", "labels"], ["a.png", report, ";".join(labels)]])
    row = {"path": "a.png", "report": report, "labels": labels}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    assert read_manifest(tmp_path / "m.csv") == read_manifest(tmp_path / "m.jsonl")
