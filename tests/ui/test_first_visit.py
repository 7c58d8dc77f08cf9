"""A user's first visit with the real planner: open a study, ask, check what the answer rests on."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.ui.browser import ask, chromium, enter, open_example, pane
from tests.ui.conftest import reading_room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PATIENCE_MS = 300_000


def test_open_ask_and_check(real_planner: int, tmp_path: Path) -> None:
    data = tmp_path / "data"
    address = f"http://127.0.0.1:{real_planner}/v1"
    with reading_room(data, "--base-url", address) as url, chromium(tour=True) as page:
        enter(page, url)
        page.get_by_role("dialog", name="Tour").get_by_role("button", name="Skip").click()

        # 1. Open a study: it comes with a question to ask.
        open_example(page, "Chest X-ray")
        expect(page.locator("#ask textarea")).not_to_have_value("")

        # 2. Ask it: the steps show as they run, then an answer that cites.
        ask(page, page.locator("#ask textarea").input_value())
        expect(page.locator("#ask .stop-button")).to_be_visible()
        expect(page.locator("#chat .thought-group").first).to_be_visible(timeout=PATIENCE_MS)
        cited = page.locator('#chat a[href*="#E"]')
        expect(cited.first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#ask .submit-button")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#chat")).to_contain_text("planner")  # where the time went

        # 3. Check: a click on the citation shows in the viewer what the answer rests on.
        name = str(cited.last.get_attribute("href")).split("#")[-1]
        page.click("button[data-action=reset]")
        cited.last.click()
        expect(page.locator(f'#evidence [data-evidence="{name}"].current')).to_have_count(1)
        expect(pane(page)).to_have_attribute("data-evidence", name)
        expect(pane(page)).to_have_attribute("data-layers", re.compile(r"\w"))
