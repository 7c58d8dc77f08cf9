import csv
import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

import pytest

from overread.evals.records import Record
from overread.evals.reports.cases import worst
from overread.evals.reports.confusion import confusions
from overread.evals.reports.labels import interval, share
from overread.evals.reports.write import Written, write_report
from overread.evals.runs import read_run
from overread.evals.statistics.comparison import compare as compare_records
from overread.evals.statistics.estimates import by_slice, estimate
from overread.imaging.errors import InputError

SLICES = ("answer_type", "content_type", "domain")


class Page(HTMLParser):
    """Tags, attributes and rows of tables, as a browser would take them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture
def folders(make_run) -> list[Path]:
    return [make_run("agent", skill=0.7), make_run("endpoint:vlm", failed=2, sure=False)]


@pytest.fixture
def written(folders: list[Path], tmp_path: Path) -> Written:
    return write_report([read_run(folder) for folder in folders], tmp_path / "out")


def test_every_format_shows_the_numbers_of_the_statistics(written, folders):
    page, text = Page(written.html.read_text()), written.markdown.read_text()
    table = {
        (row["subject"], row["slice"], row["level"], row["metric"]): row
        for row in csv.DictReader(written.csv.open())
    }
    for folder in folders:
        run = read_run(folder)
        subject = run.spec.subject
        expected = {("", "", "score"): estimate(run.records)}
        expected |= {("", "", name): estimate(run.records, name) for name in run.records[0].scores}
        for name in SLICES:
            levels = by_slice(run.records, name)
            expected |= {(name, level, "score"): value for level, value in levels.items()}
        for key, value in expected.items():
            row = table.pop((subject, *key))
            found = [float(row[name]) for name in ("mean", "low", "high")]
            assert found == pytest.approx([value.mean, value.low, value.high], nan_ok=True)
            assert (int(row["n"]), int(row["failed"])) == (value.n, value.failed)
            cells = [share(value.mean), interval(value.low, value.high), str(value.n)]
            assert any(row[-5:-1] == [*cells, str(value.failed)] for row in page.rows) or any(
                row[-4:] == [*cells, str(value.failed)] for row in page.rows
            )
            assert f"| {' | '.join([*cells, str(value.failed)])} |" in text
    assert not table


def test_the_mean_is_over_all_items_and_a_failed_one_counts_as_0(written, folders):
    by_hand = defaultdict(list)
    for folder in folders:
        for row in read_run(folder).records:
            by_hand[row.subject].append(row.scores["accuracy"] if row.status == "scored" else 0.0)
    for row in csv.DictReader(written.csv.open()):
        if row["slice"] == "" and row["metric"] == "score":
            values = by_hand.pop(row["subject"])
            assert float(row["mean"]) == pytest.approx(sum(values) / len(values))
            assert int(row["n"]) == len(values)
    assert not by_hand


def test_subjects_are_compared_on_the_same_items(written, folders):
    first, second = (read_run(folder).records for folder in folders)
    found = compare_records(first, second)
    row = next(row for row in Page(written.html.read_text()).rows if row[:1] == ["agent"]
               and row[1] == "endpoint:vlm")  # fmt: skip
    assert row[2] == f"{100 * found.difference:+.1f}"
    assert row[3] == interval(found.low, found.high)
    assert float(row[4].removeprefix("< ")) == pytest.approx(max(found.p, 0.001), abs=5e-4)
    assert row[-1] == str(found.n)


def test_failed_items_are_shown_with_their_reasons(written, folders):
    page, text = Page(written.html.read_text()), written.markdown.read_text()
    for folder in folders:
        failed = [row for row in read_run(folder).records if row.status == "failed"]
        assert failed
        for row in failed:
            assert row.reason in page.text
            assert row.item in page.text
            assert row.item in text


def test_what_comes_from_data_stays_text(make_run, tmp_path):
    evil = '<script>alert("x")</script>'
    folder = make_run("agent", failed=3, commit=evil, command=["overread", evil, "a\nb"])
    lines = [Record.model_validate_json(line) for line in (folder / "records.jsonl").open()]
    evidence = ({"id": evil, "tool": evil, "content": f"{evil} ![x](https://host/x.png)"},)
    changed = [
        row.model_copy(
            update={
                "question": f"{evil} {row.question} | b",
                "answer": f"{evil} [link](https://host) </style><img src=x onerror=alert(1)>",
                "reference": (f"{evil}{row.reference[0]}",),
                "slices": {**row.slices, f"=cmd {evil}": f'"{evil}\n$x$'},
                "evidence": evidence,
            }
        )
        for row in lines
    ]
    (folder / "records.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in changed))
    written = write_report([read_run(folder)], tmp_path / "out")
    page = Page(written.html.read_text())
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert evil in page.text
    text = written.markdown.read_text()
    assert not re.search(
        r"(?<!\\)<(?=script|img)", re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    )
    assert not re.search(r"(?<!\\)!\[|\]\(https", text)
    cells = [cell for row in csv.reader(written.csv.open()) for cell in row]
    assert f"'=cmd {evil}" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]


def test_the_page_needs_nothing_else(written):
    html = written.html.read_text()
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    targets = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert targets
    assert [value for value in targets if not value.startswith(("#", "data:image/jpeg;"))] == []
    assert re.findall(r"url\((?!#)|@import|https?://", html) == []
    assert "Research prototype, not a medical device." in page.text
    assert "overread eval run phantoms --subject agent --limit 120" in page.text
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))


def test_every_picture_and_plot_says_what_it_shows(written):
    html = written.html.read_text()
    assert len(re.findall(r"<img [^>]*alt=\"Image 1 of 1 of item ", html)) == html.count("<img ")
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+"', html)) == html.count("<svg")
    assert html.count("<caption>") == html.count("<table")


def test_the_same_runs_give_the_same_bytes(written, folders, tmp_path):
    again = write_report([read_run(folder) for folder in folders], tmp_path / "again")
    for name in ("html", "markdown", "csv"):
        assert getattr(again, name).read_bytes() == getattr(written, name).read_bytes()


def test_contaminated_and_unfinished_runs_are_marked(make_run, tmp_path):
    folder = make_run("knn", contaminated=7, items=1000)
    text = Page(write_report([read_run(folder)], tmp_path / "out").html.read_text()).text
    assert "Contaminated: 7 items of 1000 are in the training manifest of knn on phantoms." in text
    assert re.search(r"Unfinished: knn on phantoms has no record yet of \d+ of 1000 answers", text)


def test_an_image_that_is_gone_is_said_to_be_gone(make_run, tmp_path):
    folder = make_run("agent")
    lines = [Record.model_validate_json(line) for line in (folder / "records.jsonl").open()]
    gone = [row.model_copy(update={"images": ("/nowhere/Jane-Doe.dcm",)}) for row in lines]
    (folder / "records.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in gone))
    html = write_report([read_run(folder)], tmp_path / "out").html.read_text()
    assert "image no longer there" in html
    assert "Jane-Doe" not in html


def test_all_failed_is_a_report_too(make_run, tmp_path):
    folder = make_run("agent")
    lines = [Record.model_validate_json(line) for line in (folder / "records.jsonl").open()]
    lost = {"status": "failed", "reason": "No server.", "scores": {}, "main": ""}
    rows = [row.model_copy(update=lost | {"confidence": None}) for row in lines]
    (folder / "records.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    text = Page(write_report([read_run(folder)], tmp_path / "out").html.read_text()).text
    assert "nothing: all items failed" in text
    assert "No server." in text


def test_no_run_and_no_record_are_said(make_run, tmp_path):
    with pytest.raises(InputError, match="no run was given"):
        write_report([], tmp_path / "out")
    folder = make_run("agent")
    (folder / "records.jsonl").write_text("")
    with pytest.raises(InputError, match="no record yet"):
        write_report([read_run(folder)], tmp_path / "out")


def answered(item: str, score: float, **more: object) -> Record:
    known = {"benchmark": "b", "subject": "s", "status": "scored", "question": "Is it?"}
    return Record.model_validate(
        known | {"item": item, "scores": {"accuracy": score}, "main": "accuracy"} | more
    )


def test_the_worst_are_wrong_and_surest_first():
    rows = [
        answered("right", 1, confidence=0.99),
        answered("unsure", 0, confidence=0.2),
        answered("sure", 0, confidence=0.9),
        answered("silent", 0),
        answered("abstained", 0, confidence=1.0, abstained=True),
    ]
    assert [row.item for row in worst(rows, 9)] == ["sure", "unsure", "silent", "abstained"]
    assert [row.item for row in worst(rows, 1)] == ["sure"]


def test_without_confidence_the_draw_follows_the_seed_alone():
    rows = [answered(f"i{number}", 0) for number in range(50)]
    drawn = [row.item for row in worst(rows, 8, seed=3)]
    assert [row.item for row in worst(rows[::-1], 8, seed=3)] == drawn
    assert [row.item for row in worst(rows, 8, seed=4)] != drawn


@pytest.mark.parametrize(
    ("right", "answer", "score", "more", "given"),
    [
        ("yes", "Yes.", 1, {}, "yes"),
        ("yes", "No, it is not.", 0, {}, "no"),
        ("no", "Yes, clearly [E2].", 0, {}, "yes"),
        ("no", "Hard to say.", 0, {}, "other answer"),
        ("no", "", 0, {}, "other answer"),
        ("Yes", "yes", 1, {}, "yes"),
        ("no", "I cannot tell.", 0, {"abstained": True}, "abstained"),
        ("no", "", 0, {"status": "failed", "reason": "x", "scores": {}, "main": ""}, "failed"),
        ("B", "B, because of the T2 signal", 1, {}, "B"),
        ("B", "The answer is A.", 0, {}, "A"),
        ("B", "A nodule is seen.", 0, {}, "other answer"),
        ("left", "On the right.", 0, {}, "right"),
        # What the scorer read counts, however the answer reads to us.
        ("B", "It is the mass.", 0, {"parsed": "A", "options": ("mass", "cyst")}, "A"),
        ("left", "dextra", 0, {"parsed": "Right", "options": ("Left", "Right")}, "right"),
        ("left", "On the right.", 0, {"scores": {"accuracy": 0, "unparsed": 1}}, "other answer"),
    ],
)
def test_an_answer_is_counted_under_the_option_it_gives(right, answer, score, more, given):
    others = {"yes": "no", "no": "yes", "Yes": "no", "B": "A", "left": "right"}
    slices = {"answer_type": "closed", "content_type": "side"}
    rows = [
        answered("1", score, answer=answer, reference=(right,), slices=slices, **more),
        answered("2", 1, answer=others[right], reference=(others[right],), slices=slices),
    ]
    (matrix,) = confusions(rows)
    label = right if right.isupper() else right.lower()
    row = dict(zip(matrix.given, matrix.counts[matrix.labels.index(label)], strict=True))
    assert row[given] == 1
    assert sum(row.values()) == 1
    assert matrix.n == 2


def test_a_question_with_options_is_closed_whatever_its_slices_say():
    rows = [
        answered(letter, 1, reference=(letter,), options=("cyst", "mass"), parsed=letter)
        for letter in "AB"
    ]
    (matrix,) = confusions(rows)
    assert (matrix.family, matrix.counts) == ("letters", ((1, 0), (0, 1)))


def test_open_questions_have_no_confusion():
    slices = {"answer_type": "open"}
    rows = [answered(name, 1, reference=(name,), slices=slices) for name in ("cyst", "mass")]
    assert confusions(rows) == []
