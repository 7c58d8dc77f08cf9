"""What the app shows, event by event, without a browser."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PilImage

from overread.tools.base import Artifact, Evidence
from overread.ui.evidence_view import evidence_cards
from overread.ui.view import View
from overread.ui.wording import call_text, caveats, plain_markdown, told

OVERLAY = Artifact(kind="overlay", name="overlay of heart", path="x.png", sha256="0" * 64)
HOSTILE = '<img src="http://evil/x" onerror="alert(1)"> ![x](http://evil/y) [E9]'


def evidence(content: str, confidence: float | None = 0.875) -> Evidence:
    return Evidence(
        id="E1",
        tool="segment",
        arguments={},
        content=content,
        version="segment 1",
        confidence=confidence,
        artifacts=(OVERLAY,),
    )


def test_a_tool_call_runs_and_is_finished() -> None:
    view = View()
    view.start(1, "segment · heart", "look")
    assert view.messages[0]["metadata"] == {"title": "segment · heart", "status": "pending"}
    view.finish(1, "found", 0.4213, failed=False)
    assert view.messages[0]["content"] == "look\n\nfound"
    assert view.messages[0]["metadata"] == {
        "title": "segment · heart",
        "status": "done",
        "duration": 0.42,
    }


def test_the_unverified_answer_disappears() -> None:
    view = View()
    view.say("Is there?", role="user")
    view.stream("Yes")
    view.stream(", left")
    assert view.messages[-1]["content"] == "Yes, left"
    view.drop_stream()
    view.drop_stream()
    assert [message["content"] for message in view.messages] == ["Is there?"]


def test_stopping_leaves_nothing_running() -> None:
    view = View()
    view.start(1, "segment", "")
    view.start(2, "measure", "")
    view.end("Stopped.")
    statuses = [message["metadata"]["status"] for message in view.messages[:2]]
    assert statuses == ["done", "done"]
    assert view.messages[-1]["content"].startswith("Stopped")
    view.finish(1, "late", 1.0, failed=False)
    assert "late" not in str(view.messages)


def test_cards_escape_what_tools_say_and_show_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    PilImage.new("L", (300, 200), 90).save(picture)
    cards = evidence_cards([evidence(HOSTILE)], lambda artifact: picture)
    assert "<img src" not in cards
    assert "&lt;img" in cards
    assert 'src="data:image/jpeg;base64,' in cards
    assert "88%" in cards
    assert "data-evidence" in cards


def test_no_confidence_shows_no_bar() -> None:
    assert "bar" not in evidence_cards([evidence("x", confidence=None)])


def test_without_evidence_the_panel_says_what_it_is_for() -> None:
    assert "Nothing yet" in evidence_cards([])


@pytest.mark.parametrize("text", [HOSTILE, "a_b*c`d`", "# title", "~~x~~", "|a|b|"])
def test_markdown_of_others_stays_dead(text: str) -> None:
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(plain_markdown(text))
    assert not any(tag in rendered for tag in ("<img", "<a ", "<em", "<code", "<h1", "<s>", "<tab"))


def test_arguments_are_written_for_people() -> None:
    assert call_text({"image": 2, "target": "heart", "points": [], "box": None}) == "image 2, heart"


def test_caveats_name_what_was_removed() -> None:
    from overread.agent.answer import Answer, Removed

    removed = (
        Removed(sentence="A.", reason="no"),
        Removed(sentence="B.", reason="C", instead="D."),
    )
    answer = Answer(text="x", removed=removed, waiting="clarify")
    assert caveats(answer) == [
        "This is a question to you: reply to go on.",
        "Removed: “A.” (no)",
        "Mended to “D.”: “B.” (C)",
    ]


@pytest.mark.parametrize(
    ("text", "sure", "said"),
    [
        ("Yes [E1].", 0.52, ["Unsure (52%): look at E1 yourself."]),
        ("Yes [E1].", 0.9, []),
        ("Yes [E1].", None, []),
        ("There is not enough evidence.", 0.52, []),
    ],
)
def test_an_unsure_answer_says_so(text: str, sure: float | None, said: list[str]) -> None:
    from overread.agent.answer import Answer

    answer = Answer(text=text, evidence=(evidence("found", sure),))
    assert caveats(answer) == said
    assert answer.confidence == (sure if "E1" in text else None)


@pytest.mark.parametrize(
    ("content", "values", "shown"),
    [
        ("measure width heart: 12 mm", {"error": 0.43, "unit": "mm"}, "12 mm (± 0.43 mm)"),
        ("measure width_ratio heart: 0.5", {"error": 0.03, "unit": ""}, "0.5 (± 0.03)"),
        ("quantify heart: 12 ± 0.43 mm", {"error": 0.43, "unit": "mm"}, "12 ± 0.43 mm"),
        ("measure count nodule: 2", {"error": 0.0, "unit": ""}, "nodule: 2"),
        ("segment heart: found", {}, "heart: found"),
    ],
)
def test_an_error_is_shown_once(content: str, values: dict, shown: str) -> None:
    item = evidence(content).model_copy(update={"values": values})
    assert told(item).replace("\N{NO-BREAK SPACE}", " ").endswith(shown)
    assert told(item) in evidence_cards([item])


@pytest.mark.parametrize(
    ("view", "ratio", "said"),
    [
        ("PA", 0.58, []),
        ("AP", 0.58, ["Cardiothoracic ratio (E2): its limit of 0.50 holds in PA projection, and "]),
        ("", 0.58, ["Cardiothoracic ratio (E2): its limit of 0.50 holds in PA projection, and "]),
        ("AP", 0.42, []),
    ],
)
def test_a_ratio_beyond_its_projection_is_told(view: str, ratio: float, said: list[str]) -> None:
    from overread.agent.answer import Answer

    def of(identity: str, tool: str, values: dict[str, Any]) -> Evidence:
        return Evidence(
            id=identity, tool=tool, arguments={}, content="", image="a/b/c", version="1",
            values=values,
        )  # fmt: skip

    measured = {
        "quantity": "width_ratio", "target": "heart", "reference": "thorax", "value": ratio,
        "unit": "", "error": 0.02,
    }  # fmt: skip
    shown = (of("E1", "intake", {"view": view}), of("E2", "measure", measured))
    told = caveats(Answer(text="The heart is enlarged [E2].", evidence=shown))
    assert [line[: len(start)] for line, start in zip(told, said, strict=True)] == said
    assert caveats(Answer(text="It is a radiograph [E1].", evidence=shown)) == []
