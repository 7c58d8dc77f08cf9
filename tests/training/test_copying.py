from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.training.copying import Exposure, Share, main, summarise, table


def row(
    alone: int, retrieved: int | None = None, wrong: int | None = None, copied: int | None = None
) -> Exposure:
    def truth(value: int | None) -> bool | None:
        return None if value is None else bool(value)

    return Exposure("d:1", "p", bool(alone), truth(retrieved), truth(wrong), truth(copied))


def test_measures_by_hand() -> None:
    rows = [
        row(1, 1, 1, 0),  # right throughout
        row(1, 1, 0, 1),  # copies the wrong context
        row(1, 0, 0, 1),  # copies, and is misled by what was retrieved
        row(1, 0, 0, 0),  # wrong in a way of its own
        row(0, 1),  # helped
        row(0, 0),  # wrong throughout
        row(0, 0),
        row(1),  # no report was near
    ]
    found = summarise(rows)
    assert found.copied == Share(2, 4) and found.copied.rate == pytest.approx(0.5)
    assert found.misled == Share(3, 4)
    assert found.over_reliance == Share(2, 4)  # of four wrong answers two were right alone
    assert found.helped == Share(1, 3)
    assert found.alone == Share(4, 7) and found.retrieved == Share(3, 7)
    told = [list(column.cells) for column in table(found).columns]
    assert told[0][0] == "copied" and told[1][0] == "2 of 4" and told[2][0] == "50.0 %"


def test_nothing_counted_is_no_rate() -> None:
    found = summarise([row(0), row(1)])
    assert found.copied == Share(0, 0) and found.copied.rate is None
    assert found.over_reliance.rate is None


flags = st.integers(0, 1)


@given(st.lists(st.tuples(flags, flags, flags, flags), max_size=30))
def test_copied_answers_are_misled_ones(cells: list[tuple[int, int, int, int]]) -> None:
    rows = [row(a, r, w if a else None, (c and not w) if a else None) for a, r, w, c in cells]
    found = summarise(rows)
    assert found.copied.of == found.misled.of == sum(a for a, *_ in cells)
    assert found.copied.hits <= found.misled.hits <= found.misled.of
    assert found.retrieved.of - found.retrieved.hits == found.over_reliance.of
    assert found.alone.of - found.alone.hits == found.helped.of


def test_a_wrong_model_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OVERREAD_DATA_DIR", str(tmp_path))
    out = tmp_path / "out.json"
    flags = ["--patients", "7", "--reports", "7", "--model", "local:nowhere", "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["copying", *flags])
    assert main() != 0
    assert "there is no model folder nowhere" in capsys.readouterr().err
    assert not out.exists()
