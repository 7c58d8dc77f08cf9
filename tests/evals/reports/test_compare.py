import json

import pytest

from overread.evals.records import Record
from overread.evals.reports.compare import compare
from overread.evals.runs import read_run
from overread.evals.statistics.comparison import compare_by_slice
from overread.evals.statistics.estimates import estimate
from overread.imaging.errors import InputError
from overread.ui.commands import eval_report


def rewrite(folder, change):
    """Replace the records of a run; None leaves one out."""
    rows = [Record.model_validate_json(line) for line in (folder / "records.jsonl").open()]
    kept = [row for number, old in enumerate(rows) if (row := change(number, old)) is not None]
    (folder / "records.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in kept))


def test_only_shared_items_are_compared_and_the_others_counted(make_run):
    a, b = make_run("agent", skill=0.8), make_run("bare")
    rewrite(a, lambda number, row: None if number < 5 else row)
    rewrite(b, lambda number, row: None if number in (7, 8) else row)
    first, second = read_run(a), read_run(b)
    found = compare(first, second)
    shared = {row.item for row in first.records} & {row.item for row in second.records}
    values = {
        run.spec.subject: [row.value for row in run.records if row.item in shared]
        for run in (first, second)
    }
    means = [sum(values[name]) / len(values[name]) for name in ("agent", "bare")]
    assert (found.total.n, found.total.only_first, found.total.only_second) == (len(shared), 2, 5)
    assert [found.score_a.mean, found.score_b.mean] == pytest.approx(means)
    assert found.total.difference == pytest.approx(means[0] - means[1])
    assert found.total.low <= found.total.difference <= found.total.high
    assert found.total.p_mcnemar is not None
    ours, theirs = ([row for row in run.records if row.item in shared] for run in (first, second))
    assert found.slices["domain"] == compare_by_slice(ours, theirs, "domain")
    assert found.score_a == estimate(ours)


def test_flips_are_the_items_that_one_has_right_and_the_other_wrong(make_run):
    first, second = read_run(make_run("agent", skill=0.8)), read_run(make_run("bare"))
    right = [{row.item for row in run.records if row.value == 1} for run in (first, second)]
    flips = compare(first, second).flips
    assert {flip.item for flip in flips if flip.right_in == "A"} == right[0] - right[1]
    assert {flip.item for flip in flips if flip.right_in == "B"} == right[1] - right[0]


def test_a_run_beside_itself_differs_in_nothing(make_run):
    run = read_run(make_run("agent"))
    found = compare(run, run)
    assert (found.total.difference, found.total.p, found.flips) == (0, 1, ())
    assert found.a != found.b


def test_what_cannot_be_compared_is_one_sentence(make_run):
    a = read_run(make_run("agent"))
    with pytest.raises(InputError, match=r"a run of phantoms, .* one of slake; compare two runs"):
        compare(a, read_run(make_run("x", benchmark="slake")))
    with pytest.raises(InputError, match="share no item of phantoms"):
        compare(a, read_run(make_run("y", prefix="other-")))
    changed = make_run("z")
    rewrite(changed, lambda _, row: row.model_copy(update={"reference": ("something else",)}))
    with pytest.raises(InputError, match="another reference"):
        compare(a, read_run(changed))


def test_the_command_prints_tables_or_json(make_run, capsys):
    a, b = make_run("agent", skill=0.8), make_run("bare", failed=2)
    rewrite(a, lambda _, row: row.model_copy(update={"answer": f"\x1b[2J[red]{row.answer}"}))
    eval_report.compare(a, b)
    told = " ".join(capsys.readouterr().out.split())
    found = compare(read_run(a), read_run(b))
    assert "phantoms: A = agent, B = bare" in told
    assert "A says: [2J[red]It is" in told
    assert f"{found.total.n} items in both, 0 only in A, 0 only in B" in told
    assert "failed: 4 in A, 2 in B" in told
    assert f"{100 * found.total.difference:+.1f}" in told
    eval_report.compare(a, b, as_json=True)
    parsed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert parsed["total"]["difference"] == pytest.approx(found.total.difference)
    assert len(parsed["flips"]) == len(found.flips)


def test_the_command_finds_runs_in_a_folder_and_names_the_files(make_run, tmp_path, capsys):
    folders = [make_run("agent"), make_run("bare")]
    out = tmp_path / "report"
    eval_report.report([folders[0].parent, folders[1]], out, as_json=True)
    files = json.loads(capsys.readouterr().out)
    assert files == {
        "html": str(out / "report.html"),
        "markdown": str(out / "report.md"),
        "csv": str(out / "report.csv"),
    }
    assert (out / "report.md").read_text().count("overread eval run phantoms") == 2
