"""The box of window presets tells the truth."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from overread.imaging.phantoms import generate, write
from tests.ui.browser import chromium, drag, enter, open_files, pane

pytestmark = pytest.mark.slow


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def test_the_preset_box_tells_what_is_in_force(
    page: Page, room_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ct")
    enter(page, room_url)
    open_files(page, write(generate("abdomen-ct", 5), folder))
    box = page.get_by_label("Window preset").locator("option:checked")
    expect(box).to_contain_text("as stored")
    page.keyboard.press("4")
    expect(box).to_contain_text("lung")
    expect(pane(page)).to_have_attribute("data-window", "-600/1500")
    drag(page, (0.5, 0.5), (0.6, 0.6))
    expect(box).to_have_text("custom")
    page.click("[data-action=compare]")
    page.locator("[data-list=studies] .study").click()
    expect(pane(page, 1)).to_have_attribute("data-ref", re.compile("."))
    expect(box).to_contain_text("as stored")
    page.keyboard.press("3")
    expect(box).to_contain_text("soft tissue")
    expect(pane(page)).to_have_attribute("data-window", "40/400")
    pane(page).click(position={"x": 30, "y": 30})
    expect(box).to_contain_text("soft tissue")
    page.click("[data-action=reset]")
    expect(box).to_contain_text("as stored")
