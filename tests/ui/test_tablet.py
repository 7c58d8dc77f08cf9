"""The page under a finger: what fits a tablet held either way, and how large what is touched is."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import NO_TOUR, PATIENCE_MS, ask, chromium, enter, open_example, pane

pytestmark = pytest.mark.slow

MAIN = ("#upload", "#new-session", "#menu button", "#viewer button", "#viewer select")


@contextmanager
def tablet(width: int, height: int, touch: bool = True) -> Iterator[Page]:
    with chromium() as page:
        browser = page.context.browser
        assert browser is not None
        context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=touch, is_mobile=False
        )
        context.add_init_script(NO_TOUR)
        opened = context.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        yield opened


def answered(page: Page, url: str) -> None:
    enter(page, url)
    open_example(page, "Chest X-ray")
    ask(page, "Where is the thorax?")
    expect(page.locator("#evidence [data-evidence]")).to_have_count(2)


@pytest.mark.parametrize("touch", [True, False], ids=["finger", "mouse"])
@pytest.mark.parametrize(
    ("width", "height"), [(1280, 800), (1024, 768), (768, 1024)], ids=["laptop", "wide", "tall"]
)
def test_all_of_an_answer_fits(room_url: str, width: int, height: int, touch: bool) -> None:
    with tablet(width, height, touch) as page:
        answered(page, room_url)
        assert page.evaluate("matchMedia('(pointer: coarse)').matches") == touch
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for selector in ("#consent", "#ask", "#evidence .card", "#new-session", "#viewer .pane"):
            box = page.locator(selector).first.bounding_box()
            assert box is not None, selector
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, selector
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, selector


def test_the_image_is_wide_in_portrait(room_url: str) -> None:
    with tablet(768, 1024) as page:
        answered(page, room_url)
        viewer, chat = pane(page).bounding_box(), page.locator("#chat").bounding_box()
        assert viewer is not None and viewer["width"] >= 480 and viewer["height"] >= 300
        assert chat is not None and chat["height"] >= 150
        page.keyboard.press("f")
        wider = pane(page).bounding_box()
        assert wider is not None and wider["width"] > 700


def test_what_a_finger_touches_is_large(room_url: str) -> None:
    with tablet(1024, 768) as page:
        answered(page, room_url)
        for selector in MAIN:
            for item in page.locator(selector).all():
                box = item.bounding_box()
                assert box is None or box["height"] >= 36, item.inner_text()
        page.get_by_role("tab", name="Report").click()
        for name in ("draft-report", "save-report", "sign"):
            box = page.locator(f"#{name}").bounding_box()
            assert box is not None and box["height"] >= 36
