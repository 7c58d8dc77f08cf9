import re
from pathlib import Path

import pytest

from overread.imaging.errors import InputError
from overread.training.examples import FileRef, Pair, PhantomRef
from overread.training.noise import Noise
from overread.training.pair_balance import yes_or_no
from overread.training.pairs_report import balance, lengths, write_report


def pair(number: int, chosen: str, rejected: str, **more: object) -> Pair:
    text = {"type": "text", "text": more.pop("question", "Question: Is there a mass?")}
    facts: dict = {
        "id": f"d:{number}", "dataset": "d", "kind": "use_context", "task": "closed",
        "patient": f"p{number}", "split": "train", "chosen": chosen, "rejected": rejected,
        "messages": [{"role": "user", "content": [{"type": "image"}, text]}],
        "images": [PhantomRef(domain="fundus", patient=number % 2)],
    }  # fmt: skip
    return Pair.model_validate(facts | more)


def test_lengths_by_hand() -> None:
    sizes = [("a b", "a"), ("a b c", "a"), ("a", "a b"), ("a", "b")]
    found = lengths([pair(n, *replies) for n, replies in enumerate(sizes)])
    assert (found.chosen, found.rejected) == (1.5, 1.0)
    assert found.longer == pytest.approx((2 + 0.5) / 4)
    assert not found.tells


def test_length_that_tells_the_sides_apart_is_warned_of() -> None:
    telling = [pair(n, "yes there is a mass", "no") for n in range(21)]
    telling += [pair(n, "no", "yes it is") for n in range(21, 24)]
    (warning,) = [text for text in balance(telling).warnings if "length" in text]
    assert "the longer reply is the chosen one in 88 %" in warning
    even = [pair(n, *(("yes it is", "no") if n % 2 else ("no", "yes it is"))) for n in range(24)]
    assert balance(even).warnings == ()


def test_one_sided_answers_and_few_pairs_are_warned_of() -> None:
    (warning,) = balance([pair(n, "yes", "no") for n in range(20)]).warnings
    assert "100 % of the chosen yes/no answers are yes" in warning
    (warning,) = balance([pair(n, "yes", "no") for n in range(3)]).warnings
    assert "3 pairs are few" in warning


def test_counts_add_up() -> None:
    pairs = [pair(n, "yes", "no") for n in range(3)]
    pairs += [pair(9, "left", "right", kind="resist_context", split="validation", task="open")]
    kinds, answers, _, domains, tasks, sources = balance(pairs).tables
    assert kinds.rows == (
        ("use context", "3", "3", "0", "3"),
        ("resist context", "1", "0", "1", "1"),
        ("all", "4", "3", "1", "4"),
    )
    assert answers.rows[0] == ("use context", "chosen", "3", "0", "0")
    assert answers.rows[3] == ("resist context", "rejected", "0", "0", "1")
    assert domains.rows == (("fundus", "3", "1", "4"),)
    assert tasks.rows == (("closed", "3", "0", "3"), ("open", "0", "1", "1"))
    assert sources.rows == (("d", "3", "1", "4"),)


def test_yes_and_no_are_read_in_steps_of_the_agent() -> None:
    assert yes_or_no('{"why": "Yes?", "answer": "No, there is none [E2]."}') == "no"
    assert yes_or_no("left") == yes_or_no('{"why": "-"}') == ""


def test_the_page_needs_nothing_and_runs_nothing(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script><img src=http://x.example/y onerror=z>'
    noise = Noise(step=500).facts()
    look = pair(1, "yes", "yes", kind="look", noise=noise)
    look = look.model_copy(update={"rejected_images": look.images})
    lost = pair(2, evil, "no", images=[FileRef(path=tmp_path / "gone.png")], question=evil)
    out = write_report([look, lost], tmp_path / "r" / "pairs.html", evil, [(evil, evil)])
    page = out.read_text()
    assert "<script" not in page and "<img src=http" not in page
    assert page.count("&lt;script&gt;") >= 5
    assert len(re.findall(r'src="data:image/jpeg;base64,[^"]+"', page)) == 2
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "image not readable" in page and str(tmp_path) not in page
    again = write_report([look, lost], tmp_path / "again.html", evil, [(evil, evil)])
    assert again.read_bytes() == out.read_bytes()


def test_no_pair_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pair to report on"):
        write_report([], tmp_path / "r.html", "t", [])
