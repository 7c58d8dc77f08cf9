import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.agent.ledger import Ledger, citations, cited, spread_citations
from overread.tools.base import ToolResult

RESULT = ToolResult(version="1", values={"found": True})


def ledger_of(number: int) -> Ledger:
    ledger = Ledger()
    for index in range(number):
        ledger.append("t", {"n": index}, f"content {index}", RESULT)
    return ledger


def test_ids_go_on_where_they_stopped() -> None:
    first = ledger_of(3)
    second = Ledger(first)
    second.append("u", {}, "more", RESULT)
    assert [entry.id for entry in second] == ["E1", "E2", "E3", "E4"]
    assert len(first) == 3


def test_a_gap_is_refused() -> None:
    entries = list(ledger_of(3))
    with pytest.raises(ValueError, match=r"not E1\.\.E2 in order"):
        Ledger([entries[0], entries[2]])


def test_what_a_text_cites() -> None:
    evidence = list(ledger_of(3))
    text = "Left [E3, E1]. Again [E3] and [E9]."
    assert citations(text) == ("E3", "E1", "E9")
    assert [entry.id for entry in cited(text, evidence)] == ["E3", "E1"]
    assert spread_citations("[E1; E2] [E0] [e3] [E4]") == "[E1][E2] [E0] [e3] [E4]"


@given(st.text())
def test_spreading_twice_changes_nothing(text: str) -> None:
    once = spread_citations(text)
    assert spread_citations(once) == once
