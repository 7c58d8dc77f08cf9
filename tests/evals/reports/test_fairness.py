"""Groups of patients and devices: the same numbers in every format, none ranked on few cases."""

import csv
import re
from pathlib import Path

import pytest

from overread.evals.records import Record
from overread.evals.reports.fairness import fairness_views
from overread.evals.reports.numbers import GapsRow
from overread.evals.reports.write import Written, write_report
from overread.evals.runs import Run, read_run
from overread.evals.statistics.estimates import by_slice
from overread.evals.statistics.fairness import fairness

RARE = "X<b>"


def grouped(folder: Path) -> Run:
    """Give the items of a run groups: by sex three of which one is small, by site one alone."""
    lines = [Record.model_validate_json(line) for line in (folder / "records.jsonl").open()]
    rows = []
    for number, row in enumerate(lines):
        sex = RARE if number < 8 else "FM"[number % 2]
        more = {"sex": sex} | ({"site": "north"} if number % 3 else {})
        rows.append(row.model_copy(update={"cluster": row.item, "slices": row.slices | more}))
    (folder / "records.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    return read_run(folder)


@pytest.fixture
def runs(make_run) -> list[Run]:
    return [grouped(make_run("agent", skill=0.7)), grouped(make_run("bare", skill=0.4))]


@pytest.fixture
def written(runs: list[Run], tmp_path: Path) -> Written:
    return write_report(runs, tmp_path / "out")


def test_every_format_shows_the_gaps_of_the_statistics(written: Written, runs: list[Run]) -> None:
    page, text = written.html.read_text(), written.markdown.read_text()
    cells = re.sub(r"</t[hd]>(<t[hd][^>]*>)?", " | ", page)
    table = {
        (row["subject"], row["slice"], row["level"]): row
        for row in csv.DictReader(written.csv.open())
        if row["metric"] == "score"
    }
    for run in runs:
        (sex, site) = fairness(run.records)
        assert (sex.attribute, site.attribute) == ("sex", "site")
        assert set(sex.groups) == {"F", "M"} and set(sex.small) == {RARE}
        (other,) = sex.behind
        behind = sex.behind[other]
        row = table[run.spec.subject, "sex", other]
        found = [float(row[name]) for name in ("behind", "behind_low", "behind_high")]
        assert found == pytest.approx([behind.gap, behind.low, behind.high])
        assert (row["ranked"], row["cases"]) == ("yes", str(sex.groups[other].clusters))
        ends = f"{100 * behind.low:.1f} to {100 * behind.high:.1f}"
        shown = f"{100 * behind.gap:.1f} ({ends})".replace("-", "\N{MINUS SIGN}")
        assert f"| {shown} | " in cells
        assert f"| {shown} | ".replace("(", "\\(").replace(")", "\\)") in text
        best = table[run.spec.subject, "sex", sex.best]
        assert (best["behind"], best["behind_low"], best["ranked"]) == ("0.0", "", "yes")
        for group in (RARE, other, sex.best):
            mean = by_slice(run.records, "sex")[group]
            assert f"| {100 * mean.mean:.1f} % | " in cells


def test_a_small_group_is_shown_and_not_ranked(written: Written, runs: list[Run]) -> None:
    for row in csv.DictReader(written.csv.open()):
        if row["level"] == RARE:
            assert (row["n"], row["cases"], row["ranked"], row["behind"]) == ("8", "8", "no", "")
    sentence = "Fewer than 30 cases, so not ranked, and their intervals are rough: "
    assert f"{sentence}X&lt;b&gt;." in written.html.read_text()
    assert f"{sentence}X\\<b\\>." in written.markdown.read_text()
    assert written.markdown.read_text().count("| not ranked | ") == 2 * 2  # and "not given"
    assert written.html.read_text().count("Hollow: too few cases to be ranked.") == 2


def test_one_group_alone_has_no_gap(written: Written) -> None:
    sentence = "Fewer than two groups by site have 30 cases; no gap is given."
    for file in (written.html, written.markdown):
        assert file.read_text().count(sentence) == 1
    for row in csv.DictReader(written.csv.open()):
        if row["slice"] == "site":
            ranked = "no" if row["level"] == "not given" else "yes"
            assert (row["ranked"], row["behind"]) == (ranked, "")


def test_groups_stand_in_one_place_of_the_page(written: Written) -> None:
    page = written.html.read_text()
    assert page.count("<h4>Score by sex</h4>") == 1
    assert page.count("By sex: each group beside the best one") == 2  # caption and its region
    assert "<caption><span>Score by sex</span>" not in page
    assert "<caption><span>Score by domain</span>" in page
    assert page.count("Fairness: are some groups served worse?") == 1


def test_without_groups_there_is_no_section(make_run, tmp_path: Path) -> None:
    written = write_report([read_run(make_run("agent"))], tmp_path / "out")
    for file in (written.html, written.markdown):
        assert "are some groups served worse" not in file.read_text()
    for row in csv.DictReader(written.csv.open()):
        assert (row["ranked"], row["behind"]) == ("", "")


def test_what_is_no_share_is_written_plainly_and_not_drawn(runs: list[Run]) -> None:
    rows = [row.model_copy(update={"scores": {"mm": 3.0 * row.value}, "main": "mm"})
            for row in runs[0].records if row.status == "scored"]  # fmt: skip
    (sex, _) = fairness(rows)
    view, _ = fairness_views([GapsRow("b", "s", False, gaps) for gaps in fairness(rows)], "b")
    (behind,) = sex.behind.values()
    assert view.plot is None
    assert "percentage" not in view.table.caption
    assert [row[6] for row in view.table.rows if row[6][0].isdigit()] == [
        f"{behind.gap:.3g} ({behind.low:.3g} to {behind.high:.3g})".replace("-", "\N{MINUS SIGN}")
    ]
