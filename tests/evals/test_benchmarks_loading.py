import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.evals.benchmarks import archives, load, prompt
from overread.evals.benchmarks.archives import Archive, is_inside
from overread.evals.items import Item
from overread.evals.metrics.answers import score_answer
from overread.imaging.errors import InputError
from tests.evals.benchmark_files import (
    png,
    write,
    write_json,
    write_lines,
    write_parquet,
    write_zip,
)

CSV = """question,answer,options,images,patient_id,slice_ward,sex,unit,tolerance,kind
Which organ?,B,Liver|Lung,a.png; b.png,p1,icu,F,,,
Which side?,left,left|right,a.png,p1,,F,,,
Is it normal?,No.,,a.png,p2,,M,,,
How wide is it?,12.5,,a.png,p2,,M,mm,0.1,number
What is it?,a cyst,,,p3,,,,,
Describe it.,Clear lungs.,,a.png,p3,,,,,report
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    for name in "ab":
        write(tmp_path / "own" / f"{name}.png", png(ord(name)))
    return tmp_path / "own"


def questions(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return write_lines(folder / "questions.jsonl", rows).parent


def row(item: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": item, "images": ["a.png"], "question": f"Is {item} there?", "answer": "yes",
        "answer_type": "CLOSED", "options": ["yes", "no"], "content_type": "finding",
        "split": "test",
    } | fields  # fmt: skip


def test_a_table_of_one_s_own(own: Path) -> None:
    found = load("generic", write(own / "mine.csv", CSV))
    items = {item.question: item for item in found.items}
    organ, side, normal = (items[q] for q in ("Which organ?", "Which side?", "Is it normal?"))
    assert (organ.kind, organ.answers, organ.options) == ("choice", ("B",), ("Liver", "Lung"))
    assert organ.images == (own / "a.png", own / "b.png")
    assert organ.slices == {"answer_type": "choice", "ward": "icu", "sex": "F"}
    assert (side.kind, side.answers, side.options) == ("closed", ("left",), ("left", "right"))
    assert (normal.kind, normal.answers, normal.cluster) == ("closed", ("no",), "p2")
    width = items["How wide is it?"]
    assert width.kind == "number"
    assert (width.extra["unit"], width.extra["tolerance"]) == ("mm", 0.1)
    assert prompt(width, found.spec).endswith("Answer with a single number in mm.")
    assert (items["What is it?"].kind, items["What is it?"].images) == ("open", ())
    assert items["Describe it."].kind == "report"


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_every_form_of_table_gives_the_same_items(suffix: str, own: Path) -> None:
    rows = [{"id": f"n{n}", "question": "NA?", "answer": "None", "image": "a.png"} for n in "12"]
    file = own / f"mine{suffix}"
    if suffix == ".parquet":
        write_parquet(file, rows)
    elif suffix in (".csv", ".tsv"):
        mark = "," if suffix == ".csv" else "\t"
        lines = [list(rows[0]), *(list(one.values()) for one in rows)]
        write(file, "\ufeff" + "\n".join(mark.join(line) for line in lines))
    else:
        (write_lines if suffix == ".jsonl" else write_json)(file, rows)
    for place in (file, own):
        items = load("generic", place).items
        assert [(item.id, item.question, item.answers) for item in items] == [
            ("n1", "NA?", ("None",)), ("n2", "NA?", ("None",)),
        ]  # fmt: skip


def test_the_metric_of_a_spec_is_the_one_that_decides(own: Path) -> None:
    found = load("generic", write(own / "mine.csv", CSV))
    for item in found.items:
        assert score_answer(item, item.answers[0]).main == found.spec.metric[item.kind]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": ["gone.png"]}, r"item 'q1': the image gone\.png is not in .*own"),
        ({"images": ["../secret.png"]}, r"'\.\./secret\.png' leads out of"),
        ({"images": ["/etc/hostname"]}, "leads out of"),
        ({"images": ["https://e.org/a.png"]}, "is an address; only local files"),
        ({"images": []}, "it has no image"),
        ({"answer": "maybe"}, "its answer 'maybe' is none of its options"),
        ({"answer": ""}, "its answer is empty"),
        ({"question": " "}, "its question is empty"),
        ({"answer_type": "ESSAY"}, "its answer_type is 'essay', which is none of closed, number"),
        ({"answer_type": "NUMBER"}, "its answer 'yes' is not a number"),
    ],
)
def test_a_bad_row_is_named_or_left_out_with_its_reason(
    change: dict[str, Any], reason: str, own: Path
) -> None:
    questions(own, [row("q1", **change), row("q2")])
    with pytest.raises(InputError, match=reason):
        load("image-questions", own)
    found = load("image-questions", own, strict=False)
    assert [item.id for item in found.items] == ["q2"]
    assert [one.id for one in found.left_out] == ["q1"]
    assert found.rows == 2


@pytest.mark.parametrize(
    ("rows", "split", "reason"),
    [
        ([row("q1"), row("q1")], "test", "holds the id 'q1' twice"),
        ([row("q1", split="dev")], "test", "no item of .*, split 'test', in 1 rows"),
        ([row("q1")], "train", "split 'train', in 1 rows"),
        ([], "test", "has no column answer"),
        ([{"id": "q1", "split": "test", "answer": "a", "images": "a.png"}], "test",
         r"questions\.jsonl has no column question, .* it has answer, id, images, split"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused(
    rows: list[dict[str, Any]], split: str, reason: str, own: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        load("image-questions", questions(own, rows), split=split)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.jsonl", "{", "cannot be read"),
        ("x.json", '{"a": 1}', "expected a list of objects"),
        ("x.json", "[1]", "expected a list of objects"),
        ("x.csv", "question,answer,image\na,b\n", "line 2 does not have 3 columns"),
        ("x.csv", "question,answer,image\na,b,c,d\n", "line 2 does not have 3 columns"),
        ("x.parquet", "no parquet", "cannot be read"),
        ("x.arrow", "no arrow", "cannot be read"),
        ("x.jsonl", b"\xff\xfe\x00", "cannot be read"),
        ("x.txt", "a", "is not a table we read"),
    ],
)
def test_a_damaged_table_is_one_sentence(
    name: str, content: str | bytes, reason: str, own: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        load("generic", write(own / name, content))


def test_a_sample_does_not_depend_on_order_and_is_part_of_a_larger_one(own: Path) -> None:
    rows = [row(f"q{n:02d}") for n in range(40)]
    questions(own, rows)
    ten = {item.id for item in load("image-questions", own, limit=10).items}
    twenty = {item.id for item in load("image-questions", own, limit=20).items}
    questions(own, rows[::-1])
    again = [item.id for item in load("image-questions", own, limit=10).items]
    assert set(again) == ten < twenty and again == sorted(again)
    assert {item.id for item in load("image-questions", own, limit=10, seed=1).items} != ten
    assert len(load("image-questions", own, limit=100).items) == 40
    with pytest.raises(InputError, match="at least 1"):
        load("image-questions", own, limit=0)


def test_rows_beyond_the_limit_are_not_read_further(own: Path) -> None:
    questions(own, [row(f"q{n}", images=["gone.png"] if n else ["a.png"]) for n in range(9)])
    found = load("image-questions", own, strict=False, limit=9)
    assert (len(found.items), len(found.left_out)) == (1, 8)


def test_without_a_copy_hub_id_and_licence_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"as BoKelvin/SLAKE \(licence: CC-BY-4\.0\): Local"):
        load("slake")
    with pytest.raises(InputError, match="as some/copy"):
        load("slake", "some/copy")
    with pytest.raises(InputError, match=r"/no/such/folder does not exist; give the folder of SL"):
        load("slake", "/no/such/folder")
    with pytest.raises(InputError, match="needs a local copy from PhysioNet"):
        load("mimic-cxr")
    with pytest.raises(InputError, match="needs a local copy from a folder with questions"):
        load("image-questions")


def test_an_empty_copy_and_an_unknown_split_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no file test\.json; give the folder of SLAKE"):
        load("slake", tmp_path)
    with pytest.raises(InputError, match="no split 'tset'; it has train, validation, test"):
        load("slake", tmp_path, split="tset")


@pytest.mark.parametrize(
    "name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:/evil.png"]
)
def test_an_archive_that_leads_out_of_itself_is_refused(name: str, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", {"fine.png": png(1), name: png(2)})
    with pytest.raises(InputError, match="leads out of it; do not use"):
        Archive(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_cut_off_whatever_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1024**2)
    bomb = write_zip(tmp_path / "x.zip", {"big.png": bytes(8 * 1024**2), "ok.png": png(1)})
    archive = Archive(bomb, tmp_path / "out")
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        archive.extract("big.png")
    assert archive.extract("ok.png").read_bytes() == png(1)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["ok.png"]


def test_an_archive_is_searched_below_the_folders_it_adds(tmp_path: Path) -> None:
    names = ("top/images/a.png", "top/images/x/b.png", "top/other/x/b.png")
    archive = Archive(write_zip(tmp_path / "x.zip", dict.fromkeys(names, png(1))), tmp_path / "out")
    assert archive.find("images/a.png") == archive.find("a.png") == names[0]
    assert archive.find("ages/a.png") is None
    with pytest.raises(InputError, match=r"holds 'x/b\.png' twice"):
        archive.find("x/b.png")


def test_damaged_archives_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable zip file"):
        Archive(write(tmp_path / "no.zip", "no zip"), tmp_path / "out")
    whole = tmp_path / "x.zip"
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("a.png", png(1))
    data = bytearray(whole.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 0xFF
    whole.write_bytes(data)
    with pytest.raises(InputError, match=r"'a\.png' in .* cannot be unpacked"):
        Archive(whole, tmp_path / "out").extract("a.png")


@given(st.text("ab./\\:\0", max_size=12))
def test_what_is_inside_stays_inside(name: str) -> None:
    if is_inside(name):
        resolved = Path("/place", name.replace("\\", "/")).resolve()
        assert resolved.is_relative_to("/place")


def test_an_embedded_image_of_no_known_kind_is_named(tmp_path: Path) -> None:
    image = {"bytes": b"RIFF0000WEBPVP8 ", "path": "x.webp"}
    rows = [{"image": image, "question": "What?", "answer": "that"}]
    write_parquet(tmp_path / "data" / "test-0.parquet", rows)
    with pytest.raises(InputError, match="its embedded image is neither PNG, JPEG"):
        load("vqa-rad", tmp_path, work=tmp_path / "work")
    assert not [file for file in (tmp_path / "work").rglob("*") if file.is_file()]


def test_a_row_that_is_there_twice_without_an_id_is_asked_twice(own: Path) -> None:
    rows = [{"question": "Same?", "answer": "yes", "image": "a.png"}] * 2
    one, other = load("generic", write_lines(own / "x.jsonl", rows)).items
    assert other.id == f"{one.id}-2"


def test_items_survive_json(own: Path) -> None:
    for item in load("generic", write(own / "mine.csv", CSV)).items:
        json.dumps([dict(item.slices), dict(item.extra)])
        assert isinstance(item, Item) and item.fingerprint()
