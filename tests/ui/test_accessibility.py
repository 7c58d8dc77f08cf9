"""WCAG A and AA as axe-core checks it, over the states of the page, in both modes and sizes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.ui.browser import ask, chromium, enter, open_example, pane
from tests.ui.conftest import reading_room

pytestmark = pytest.mark.slow

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(page: Page) -> list[str]:
    """Return the serious and critical violations: rule, place, markup."""
    # Hovered controls fade in; axe must see them settled.
    page.mouse.move(1, 1)
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    options: dict[str, Any] = {
        "runOnly": {"type": "tag", "values": TAGS},
        "resultTypes": ["violations"],
    }
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']} at {node['target'][0]}: {node['html'][:160]} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def answered(page: Page) -> None:
    open_example(page, "Chest X-ray")
    ask(page, "Where is the thorax?")
    expect(page.locator("#chat")).to_contain_text("See the outline")
    page.click('#chat a[href*="#E2"]')
    expect(pane(page)).to_have_attribute("data-layers", "thorax")


def compared(page: Page) -> None:
    open_example(page, "Brain MR")
    page.click("button[data-action=compare]")
    expect(pane(page, 1)).to_be_visible()


def reported(page: Page) -> None:
    answered(page)
    page.get_by_role("tab", name="Report").click()
    page.click("#draft-report")
    expect(page.locator("#report textarea")).to_be_editable()


def helped(page: Page) -> None:
    page.get_by_role("button", name="Help and shortcuts").click()
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()


def empty(page: Page) -> None:
    expect(page.locator("#chat")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768)], ids=["laptop", "tablet"])
def test_the_reading_room_has_no_serious_violation(
    room_url: str, width: int, height: int, dark: bool
) -> None:
    states: list[Callable[[Page], None]] = [empty, answered, compared, reported, helped]
    found = []
    for state in states:
        with chromium(width, height, dark=dark) as page:
            enter(page, room_url)
            state(page)
            found += [f"{state.__name__}: {told}" for told in violations(page)]
    assert not found, "\n\n".join(found)


def test_the_tour_has_none_either(room_url: str) -> None:
    with chromium(tour=True) as page:
        enter(page, room_url)
        expect(page.get_by_role("dialog", name="Tour")).to_be_visible()
        assert violations(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nor_has_the_login(planner_url: str, tmp_path: Path, dark: bool) -> None:
    from overread.ui.users import USERS_FILE, Users

    data = tmp_path / "data"
    data.mkdir()
    Users(data / USERS_FILE).add("ada", "correct horse battery")
    with reading_room(data, "--base-url", planner_url) as url, chromium(dark=dark) as page:
        page.goto(f"{url}/login")
        page.fill("#username", "ada")
        page.fill("#password", "wrong")
        page.click("button")
        expect(page.get_by_role("alert")).to_contain_text("do not belong together")
        assert violations(page) == []
