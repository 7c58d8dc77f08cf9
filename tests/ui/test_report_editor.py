"""Edit, compare, sign and export a report; ratings and edits as pairs for training."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from overread.training.corrections import read_corrections
from overread.ui.report_editing import difference, status
from overread.ui.rooms import Report
from tests.ui.browser import ask, chromium, enter, open_example

DRAFT = Report(image="a/b/c", draft="## Impression\nNodule.", text="## Impression\nNone.")


def test_the_difference_is_shown_line_by_line_and_escaped() -> None:
    shown = difference("a\n<b>", "a\nc")
    assert "<del>&lt;b&gt;</del>" in shown and "<ins>c</ins>" in shown and "<p>a</p>" in shown
    assert "No change" in difference("a", "a\n")


def test_the_status_tells_draft_from_signed() -> None:
    assert "No report yet" in status("s-1", None)
    assert "DRAFT" in status("s-1", DRAFT)
    signed = status("s-1", DRAFT.model_copy(update={"signed_by": "<ada>", "signed_at": "today"}))
    assert "DRAFT" not in signed and "Signed by &lt;ada&gt;, today" in signed
    assert 'href="/reading/sessions/s-1/report/pdf"' in signed


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
    page.get_by_role("button", name="Like", exact=True).last.click()
    feedback = room_data / "feedback" / "local" / "feedback.jsonl"
    expect(page.locator("body")).to_contain_text("noted for training")
    page.get_by_role("tab", name="Report").click()
    editor = page.locator("#report textarea")
    expect(editor).to_be_editable()
    draft = editor.input_value()
    assert "## Impression" in draft
    assert "effusion" in draft.lower()
    expect(page.locator("#report-status")).to_contain_text("DRAFT")
    editor.fill(draft.replace("## Impression", "## Impression\n\n- Seen by a person."))
    page.get_by_role("tab", name="Conversation").click()
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is")
    expect(page.locator("#ask .submit-button")).to_be_visible()
    page.get_by_role("tab", name="Report").click()
    assert "Seen by a person." in editor.input_value(), "an answer undid what was typed"
    page.click("#save-report")
    expect(page.locator("#report-diff ins").first).to_contain_text("Seen by a person.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    assert download.value.suggested_filename.startswith("DRAFT-report")
    page.click("#sign")
    expect(page.locator("#report-status")).to_contain_text("Signed by local")
    expect(editor).not_to_be_editable()
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    assert download.value.suggested_filename.endswith(".pdf")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
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
    page.get_by_role("button", name="Dislike", exact=True).last.click()
    expect(page.locator("body")).to_contain_text("Kept with this session.")
    assert sorted((room_data / "feedback").rglob("*")) == before


def reported(page: Page, room_url: str, example: str = "Chest X-ray") -> None:
    """Ask for a report of an example, and look at it."""
    enter(page, room_url)
    open_example(page, example)
    ask(page, "Write a report of this image.")
    expect(page.locator("#chat")).to_contain_text("A draft report was written")
    page.get_by_role("tab", name="Report").click()
    expect(page.locator("#report textarea")).to_be_editable()


@pytest.mark.slow
@pytest.mark.parametrize("button", ["#save-report", "#sign", "#draft-report"])
def test_what_is_refused_takes_no_word_away(page: Page, room_url: str, button: str) -> None:
    reported(page, room_url)
    editor = page.locator("#report textarea")
    typed = editor.input_value().replace("## Comparison", "") + "- Typed by hand.\n"
    editor.fill(typed)
    page.click(button)
    expect(page.locator(".toast-body.error")).to_be_visible()
    page.wait_for_timeout(1000)
    assert editor.input_value() == typed
    expect(page.locator("#report-status")).to_contain_text("DRAFT")


@pytest.mark.slow
def test_what_is_typed_outlasts_other_sessions_and_a_reload(page: Page, room_url: str) -> None:
    reported(page, room_url)
    editor = page.locator("#report textarea")
    editor.press("Control+End")
    editor.press_sequentially("- Typed.")
    first = page.url
    expect(page.locator("#report-status")).to_contain_text("DRAFT")
    page.click("#new-session")
    expect(editor).not_to_be_editable()
    page.goto(first)
    page.reload()
    page.get_by_role("tab", name="Report").click()
    expect(editor).to_have_value(re.compile(r"- Typed\.\s*$"))


@pytest.mark.slow
def test_consent_is_a_session_s_own_and_can_be_withdrawn(
    page: Page, room_url: str, room_data: Path
) -> None:
    feedback = room_data / "feedback" / "local" / "feedback.jsonl"
    box = page.get_by_label("may be used to train")

    def asked_and_liked() -> None:
        ask(page, "What modality is it?")
        expect(page.locator("#chat")).to_contain_text("The modality is")
        page.get_by_role("button", name="Like", exact=True).last.click()

    enter(page, room_url)
    open_example(page, "Chest X-ray")
    box.check()
    asked_and_liked()
    expect(page.locator("body")).to_contain_text("noted for training")
    first, lines = page.url, feedback.read_text().splitlines()
    page.click("#new-session")
    expect(box).not_to_be_checked()
    open_example(page, "Chest X-ray")
    asked_and_liked()
    expect(page.locator("body")).to_contain_text("Kept with this session.")
    assert feedback.read_text().splitlines() == lines
    page.go_back()
    expect(box).to_be_checked()
    assert page.url == first
    box.uncheck()
    expect(page.locator("body")).to_contain_text("Nothing of this session is kept")
    session = first.split("#")[1]
    assert not feedback.exists() or session not in feedback.read_text()
