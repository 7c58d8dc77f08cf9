"""Edit, compare, sign and export a report; ratings and edits as pairs for training."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from overread.training.corrections import read_corrections
from overread.ui.report_editing import difference, report_file
from overread.ui.rooms import Report
from tests.ui.browser import ask, chromium, enter, open_example

DRAFT = Report(
    evidence="E3", question="Write.", draft="## Impression\nNodule.", text="## Impression\nNone."
)


def test_the_difference_is_shown_line_by_line_and_escaped() -> None:
    shown = difference("a\n<b>", "a\nc")
    assert "<del>&lt;b&gt;</del>" in shown and "<ins>c</ins>" in shown and "<p>a</p>" in shown
    assert "No change" in difference("a", "a\n")


def test_an_unsigned_report_is_a_draft_and_a_signed_one_names_who() -> None:
    name, text = report_file("s-1", DRAFT)
    assert name == "overread-s-1-draft.md" and text.startswith("**DRAFT")
    signed = DRAFT.model_copy(update={"signed_by": "ada", "signed_at": 0.0})
    name, text = report_file("s-1", signed)
    assert name == "overread-s-1-signed.md"
    assert "DRAFT" not in text and "Signed by ada, 1970-01-01 00:00 UTC" in text


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


@pytest.mark.slow
def test_a_report_is_edited_signed_exported_and_learnt_from(
    page: Page, room_url: str, room_data: Path
) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Write a report of this image.")
    expect(page.locator("#chat")).to_contain_text("A draft report was written")
    page.get_by_label("may be used to train").check()
    page.get_by_role("button", name="like", exact=True).last.click()
    feedback = room_data / "feedback" / "local" / "feedback.jsonl"
    expect(page.locator("body")).to_contain_text("noted for training")
    page.get_by_role("tab", name="Report").click()
    editor = page.locator("#report textarea")
    expect(editor).to_be_editable()
    draft = editor.input_value()
    assert "## Impression" in draft
    expect(page.locator("#report-status")).to_contain_text("DRAFT")
    editor.fill(draft.replace("## Impression", "## Impression\n\nSeen by a person."))
    page.click("#save-report")
    expect(page.locator("#report-diff ins")).to_contain_text("Seen by a person.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert "DRAFT" in Path(download.value.path()).read_text()
    page.click("#sign")
    expect(page.locator("#report-status")).to_contain_text("Signed by local")
    expect(editor).not_to_be_editable()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert "Signed by local" in Path(download.value.path()).read_text()
    rows = [json.loads(line) for line in feedback.read_text().splitlines()]
    assert {row.get("thumb") for row in rows} == {"up", None}
    assert all((feedback.parent / image).is_file() for row in rows for image in row["images"])
    assert all(row["consent"] is True for row in rows)
    learnt = read_corrections(feedback)
    assert len(learnt.pairs) + sum(learnt.left_out.values()) == 2


@pytest.mark.slow
def test_without_consent_nothing_is_written(page: Page, room_url: str, room_data: Path) -> None:
    enter(page, room_url)
    open_example(page, "Brain MR")
    before = sorted((room_data / "feedback").rglob("*"))
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is")
    page.get_by_role("button", name="dislike", exact=True).last.click()
    expect(page.locator("body")).to_contain_text("Kept with this session.")
    assert sorted((room_data / "feedback").rglob("*")) == before
