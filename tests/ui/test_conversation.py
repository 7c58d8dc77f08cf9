"""Asking, stopping, retrying, editing; errors; the sessions of a reader."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from overread.imaging.phantoms import generate, write
from tests.ui.browser import answered, ask, chromium, enter, open_example, open_files, pane
from tests.ui.conftest import reading_room

pytestmark = pytest.mark.slow


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def test_upload_in_the_box_ask_and_see_the_steps(page: Page, room_url: str, chest: Path) -> None:
    enter(page, room_url)
    expect(page.locator("#header")).to_contain_text("Research use only. Not a medical device.")
    page.set_input_files("#ask input[type=file]", [str(chest)])
    expect(page.locator("#ask .thumbnail-item")).to_have_count(1)
    ask(page, "Where is the thorax?")
    expect(page.locator("#chat")).to_contain_text("See the outline")
    expect(page.locator("#chat .thought-group")).to_contain_text("segment · image 1, thorax")
    cards = page.locator("#evidence [data-evidence]")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("modality CR")
    expect(cards.nth(1).locator("img")).to_be_visible()
    expect(page.locator("[data-list=studies] .study")).to_have_count(1)
    page.click("#new-session")
    expect(cards).to_have_count(0)
    expect(page.locator("#chat .bot-row")).to_have_count(0)


def test_an_error_is_one_sentence_and_the_tab_goes_on(
    page: Page, room_url: str, tmp_path: Path, chest: Path
) -> None:
    enter(page, room_url)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(chest.read_bytes()[:3000])
    page.set_input_files("#left input[type=file]", [str(broken)])
    expect(page.locator(".toast-body")).to_contain_text("broken.dcm")
    expect(page.locator("body")).not_to_contain_text("Traceback")
    open_files(page, chest)
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is CR")


def test_stop_retry_and_edit(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Wait for ever?")
    expect(page.locator("#chat")).to_contain_text("Planning the next step")
    page.click("#ask .stop-button")
    expect(page.locator("#chat")).to_contain_text("Stopped.")
    expect(page.locator("#ask .submit-button")).to_be_visible()
    expect(page.locator("#chat .bot-row")).to_have_count(1)  # nothing more is said
    page.get_by_role("button", name="Retry").last.click()
    expect(page.locator("#ask .stop-button")).to_be_visible()
    expect(page.locator("#ask .submit-button")).to_have_count(0)
    page.click("#ask .stop-button")
    expect(page.locator("#chat")).to_contain_text("Stopped.")
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is CR")
    page.get_by_role("button", name="Retry").last.click()
    expect(page.locator("#ask .stop-button")).to_have_count(0)
    expect(page.locator("#chat").get_by_text("The modality is CR")).to_have_count(1)
    page.locator("#chat .user-row").last.hover()
    page.get_by_role("button", name="Edit").last.click()
    page.locator("#chat textarea").fill("Where is the thorax?")
    page.get_by_role("button", name="Submit").first.click()
    expect(page.locator("#chat")).to_contain_text("See the outline")
    expect(page.locator("#chat")).not_to_contain_text("The modality is CR")
    expect(page.locator('#evidence [data-evidence="E2"]')).to_contain_text("thorax")


def test_what_is_taken_back_is_not_shown_any_more(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Where is the thorax?")
    expect(pane(page)).to_have_attribute("data-evidence", "E2")
    page.locator("#chat .user-row").last.hover()
    page.get_by_role("button", name="Edit").last.click()
    page.locator("#chat textarea").fill("What modality is it?")
    page.get_by_role("button", name="Submit").first.click()
    expect(page.locator("#chat")).to_contain_text("The modality is CR")
    expect(page.locator("#evidence [data-evidence]")).to_have_count(1)
    expect(pane(page)).not_to_have_attribute("data-evidence", "E2")


def test_a_question_goes_on_while_its_page_is_reloaded(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Take your time: where is the thorax?")
    expect(page.locator("#chat")).to_contain_text("Planning the next step")
    page.reload()
    expect(page.locator("#ask .stop-button")).to_be_visible()
    expect(page.locator("#chat")).to_contain_text("See the outline")
    expect(page.locator("#ask .submit-button")).to_be_visible()
    expect(page.locator("#ask .stop-button")).to_have_count(0)


def test_a_second_tab_sees_a_question_and_can_stop_it(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Wait for ever?")
    expect(page.locator("#ask .stop-button")).to_be_visible()
    other = page.context.new_page()
    enter(other, page.url)
    expect(other.locator("#chat")).to_contain_text("Wait for ever?")
    other.click("#ask .stop-button")
    for tab in (other, page):
        expect(tab.locator("#chat")).to_contain_text("Stopped.")
        expect(tab.locator("#ask .submit-button")).to_be_visible()


def test_a_question_that_ends_does_not_call_its_page_back(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Take your time: where is the thorax?")
    expect(page.locator("#chat")).to_contain_text("Planning the next step")
    first = page.url
    page.click("#new-session")
    expect(page).not_to_have_url(first)
    expect(page.locator("#chat .user-row")).to_have_count(0)
    open_example(page, "Brain MR")
    page.fill("#ask textarea", "Typed for the second session")
    second = page.url
    session, told = first.split("#")[1], None
    while not told:  # until the question has ended
        page.wait_for_timeout(500)
        script = "id => fetch(`/reading/sessions/${id}`).then(reply => reply.json())"
        told = page.evaluate(script, session)["evidence"][1:]
    page.wait_for_timeout(4000)
    assert page.url == second
    assert page.locator("#ask textarea").input_value() == "Typed for the second session"
    expect(page.locator("#chat")).not_to_contain_text("See the outline")
    page.go_back()
    expect(page.locator("#chat")).to_contain_text("See the outline")
    assert page.url == first


def test_an_empty_question_is_none(page: Page, room_url: str) -> None:
    enter(page, room_url)
    page.locator("#ask textarea").fill("  ")
    page.locator("#ask textarea").press("Enter")
    ask(page, "What modality is it?")
    expect(page.locator("#chat .bot-row")).to_have_count(1)
    expect(page.locator("#chat .user-row")).to_have_count(1)


def test_a_session_that_is_gone_is_said_to_be(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "What modality is it?")
    answered(page, "The modality is CR")
    gone = page.url.split("#s-")[1]
    reply = page.evaluate(
        "id => fetch(`/reading/sessions/s-${id}`, {method: 'DELETE', headers: {'X-Overread': '1'}})"
        ".then(reply => reply.status)",
        gone,
    )
    assert reply == 200
    ask(page, "Where is the thorax?")
    expect(page.locator(".toast-body")).to_contain_text("not here any more")
    expect(page.locator("#chat .user-row")).to_have_count(0)


def test_two_tabs_have_two_sessions(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is CR")
    other = page.context.new_page()
    enter(other, room_url)
    expect(other.locator("#evidence [data-evidence]")).to_have_count(0)
    assert other.url != page.url


def test_sessions_are_renamed_exported_resumed_after_a_restart_and_deleted(
    page: Page, planner_url: str, tmp_path: Path
) -> None:
    own = write(generate("chest-xray", 38138), tmp_path)
    data, marker = tmp_path / "data", "Where is the thorax of patient Zanzibar?"
    with reading_room(data, "--base-url", planner_url) as url:
        enter(page, url)
        open_files(page, own)
        assert list((data / "uploads").rglob("*.dcm")) == []
        ask(page, marker)
        expect(page.locator("#chat")).to_contain_text("See the outline")
        item = page.locator("#studies .session")
        item.get_by_role("button", name="Rename").click()
        page.get_by_label("New name of the session").fill("Case seven")
        page.keyboard.press("Enter")
        expect(item).to_contain_text("Case seven")
        with page.expect_download() as download:
            item.get_by_role("link", name="Export").click()
        with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
            told = json.loads(archive.read("session.json"))
            artifacts = [name for name in archive.namelist() if name.endswith(".png")]
        assert told["title"] == "Case seven" and told["turns"][0]["question"] == marker
        assert len(artifacts) == 3, "overlay, mask and uncertainty"
    with reading_room(data, "--base-url", planner_url) as url:
        enter(page, url)
        page.locator("#studies .session .study").click()
        expect(page.locator("#chat")).to_contain_text("See the outline")
        ask(page, "What modality is it?")
        answered(page, "The modality is CR")
        page.click('#chat a[href*="#E2"]')
        expect(pane(page)).to_have_attribute("data-layers", "thorax")
        before = set((data / "archive" / "studies").iterdir())
        item.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(item).to_have_count(0)
        expect(page.locator("#chat .bot-row")).to_have_count(0)
        left = set((data / "archive" / "studies").iterdir())
        assert len(before - left) == 1
        assert list((data / "artifacts").rglob("*.png")) == []
        assert list((data / "rooms").rglob("*.json")) == []
        holding = [
            file for file in data.rglob("*") if file.is_file() and b"Zanzibar" in file.read_bytes()
        ]
        assert holding == []
