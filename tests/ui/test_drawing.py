"""Drawing on an image, and what becomes of the outline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import ask, at, chromium, drag, enter, open_example, pane

pytestmark = pytest.mark.slow


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def pixels(page: Page) -> int:
    return int(pane(page).get_attribute("data-mask-pixels") or 0)


def changed(page: Page, before: int) -> int:
    """Wait until the mask has another size, and return it."""
    expect(pane(page)).not_to_have_attribute("data-mask-pixels", str(before))
    return pixels(page)


def test_every_tool_changes_the_mask_and_undo_takes_it_back(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    status = page.locator("#viewer-status")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(status).to_contain_text("mm²")
    first = pixels(page)
    assert first > 100
    page.keyboard.press("x")
    page.mouse.click(*at(page, 0.36, 0.6))
    second = changed(page, first)
    page.click("[data-action=clear]")
    page.click("[data-tool=box]")
    drag(page, (0.55, 0.55), (0.72, 0.8))
    third = changed(page, second)
    page.click("[data-action=clear]")
    page.click("[data-tool=scribble]")
    drag(page, (0.65, 0.3), (0.68, 0.4), (0.7, 0.55))
    fourth = changed(page, third)
    page.click("[data-tool=eraser]")
    drag(page, (0.6, 0.45), (0.8, 0.45))
    fifth = changed(page, fourth)
    assert fifth < fourth
    expect(status).to_contain_text("Edited by hand")
    page.click("[data-tool=brush]")
    drag(page, (0.6, 0.45), (0.8, 0.45))
    assert changed(page, fifth) > fifth
    page.keyboard.press("u")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.66, 0.35))
    expect(status).to_contain_text("mean probability")


def test_an_accepted_outline_is_evidence_by_the_reader(
    page: Page, room_url: str, room_data: Path
) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(page.locator("#viewer-status")).to_contain_text("mm²")
    page.click("[data-action=accept]")
    expect(page.locator("#viewer-status")).to_contain_text("Name the outline")
    page.get_by_label("Name of the outline").fill("my shadow")
    page.click("[data-action=accept]")
    card = page.locator('#evidence [data-evidence="E2"]')
    expect(card).to_contain_text("by the reader")
    expect(card).to_contain_text("outlined by the reader: my shadow in image 1")
    expect(pane(page)).to_have_attribute("data-layers", "my shadow")
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is CR")
    page.reload()
    expect(card).to_contain_text("my shadow")
    card.click()
    expect(pane(page)).to_have_attribute("data-layers", "my shadow")
