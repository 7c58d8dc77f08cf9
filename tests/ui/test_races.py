"""Answers that come late, twice or never: what the reader did last is what stands."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.ui.browser import PATIENCE_MS, ask, at, chromium, drag, enter, grey, open_example, pane

pytestmark = pytest.mark.slow

OUTLINED = """element => {
    const canvas = element.querySelector('canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
        count += data[i] > data[i + 1] + 40 && data[i + 2] > data[i + 1] && data[i] > data[i + 2];
    return count;
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def outlined(page: Page) -> int:
    """Return how many points of the left image have the colour of the reader's outline."""
    return int(pane(page).evaluate(OUTLINED))


class Held:
    """Requests that are not answered before they are released."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.page, self.routes = page, list[Route]()
        page.route(re.compile(pattern), lambda route: self.routes.append(route))

    def wait(self, count: int) -> None:
        for _ in range(PATIENCE_MS // 20):
            if len(self.routes) >= count:
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"{len(self.routes)} requests came, not {count}")

    def release(self) -> None:
        """Let the oldest through, and wait until the page has dealt with its answer."""
        route = self.routes.pop(0)
        with self.page.expect_response(lambda reply: reply.url == route.request.url) as reply:
            route.continue_()
        reply.value.finished()
        self.page.wait_for_timeout(300)


def test_an_answer_for_one_image_never_shows_on_another(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Brain MR")
    clicks = Held(page, "/clicks$")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.5, 0.5))
    clicks.wait(1)
    open_example(page, "Chest X-ray")
    page.mouse.click(*at(page, 0.36, 0.45))
    clicks.wait(2)
    clicks.release()
    assert outlined(page) == 0
    expect(page.locator("#viewer-status")).not_to_contain_text("probability")
    clicks.release()
    expect(page.locator("#viewer-status")).to_contain_text("mm²")
    assert outlined(page) > 100
    open_example(page, "Brain MR")
    expect(page.locator("#viewer-status")).to_contain_text("expected Dice")
    assert outlined(page) > 100


def test_an_outline_by_hand_is_not_overwritten_by_a_late_answer(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    clicks = Held(page, "/clicks$")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    clicks.wait(1)
    page.click("[data-tool=brush]")
    drag(page, (0.6, 0.5), (0.7, 0.5))
    expect(page.locator("#viewer-status")).to_contain_text("Edited by hand")
    painted = outlined(page)
    assert painted > 100
    clicks.release()
    expect(page.locator("#viewer-status")).to_contain_text("Edited by hand")
    assert outlined(page) == painted


def test_undo_asks_again_for_the_step_that_was_never_answered(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    clicks = Held(page, "/clicks$")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    page.mouse.click(*at(page, 0.36, 0.5))
    clicks.wait(2)
    page.keyboard.press("u")
    clicks.wait(3)
    clicks.release()
    clicks.release()
    assert outlined(page) == 0
    clicks.release()
    expect(page.locator("#viewer-status")).to_contain_text("mm²")
    assert outlined(page) > 100


def test_accepting_twice_sends_once(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(page.locator("#viewer-status")).to_contain_text("mm²")
    page.get_by_label("Name of the outline").fill("my shadow")
    outlines = Held(page, "/outlines$")
    page.dblclick("[data-action=accept]")
    outlines.wait(1)
    page.wait_for_timeout(300)
    assert len(outlines.routes) == 1
    outlines.release()
    expect(pane(page)).to_have_attribute("data-evidence", "E2")
    expect(page.locator("#evidence .card")).to_have_count(2)


def test_waiting_is_told(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    status = page.locator("#viewer-status")
    clicks = Held(page, "/clicks$")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(status).to_contain_text("outlining")
    clicks.wait(1)
    clicks.release()
    expect(status).to_contain_text("mm²")
    pixels = Held(page, "/pixels/")
    page.locator("[data-list=examples] .study").filter(has_text="Fundus").click()
    expect(status).to_have_text("Opening Fundus…")
    expect(pane(page).locator(".title")).to_have_text("Opening Fundus…")
    assert grey(page) == 0
    page.mouse.click(*at(page, 0.5, 0.5))
    pixels.wait(1)
    pixels.release()
    expect(pane(page).locator(".title")).to_have_text("Fundus")
    expect(status).to_have_text("")
    assert grey(page) > 5
    assert not clicks.routes


def test_a_server_that_is_gone_is_told(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    page.route(re.compile("/pixels/"), lambda route: route.abort())
    page.locator("[data-list=examples] .study").filter(has_text="Fundus").click()
    status = page.locator("#viewer-status")
    expect(status).to_have_text("Overread does not answer; is it still running?")
    expect(pane(page).locator(".title")).to_have_text("Fundus could not be opened")
    assert grey(page) == 0


def test_an_unaccepted_outline_stays_with_its_image(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    status = page.locator("#viewer-status")
    expect(status).to_contain_text("mm²")
    drawn = outlined(page)
    open_example(page, "Brain MR")
    expect(status).to_have_text("")
    assert outlined(page) == 0
    open_example(page, "Chest X-ray")
    expect(status).to_contain_text("mm²")
    assert outlined(page) == drawn
    # New evidence is listed, and does not take the reader away from the outline.
    ask(page, "Where is the thorax?")
    expect(page.locator('#evidence [data-evidence="E2"]')).to_be_visible()
    expect(page.locator("#chat")).to_contain_text("See the outline")
    assert outlined(page) == drawn
    page.click("[data-action=clear]")
    open_example(page, "Brain MR")
    open_example(page, "Chest X-ray")
    assert outlined(page) == 0
