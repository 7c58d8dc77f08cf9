"""What the browser tests share: Chromium's flags, and what a person does again and again."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
OUR_HOST = re.compile(r"(http://127\.0\.0\.1:|data:|blob:)")
NO_TOUR = "localStorage.setItem('overread-tour', 'seen')"


@contextmanager
def chromium(
    width: int = 1280, height: int = 800, tour: bool = False, dark: bool = False
) -> Iterator[Page]:
    """Open a page; at the end it must have asked no other host for anything, and thrown nothing."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed; run scripts/setup_debian.sh as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        if not tour:
            context.add_init_script(NO_TOUR)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        asked: list[str] = []
        thrown: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: thrown.append(str(error)))
        yield page
        browser.close()
    assert [url for url in asked if not OUR_HOST.match(url)] == []
    assert thrown == []


def enter(page: Page, url: str) -> None:
    """Open the reading room and wait until its lists are there."""
    page.goto(url)
    expect(page.locator("[data-list=examples] .study").first).to_be_visible()


def open_example(page: Page, title: str) -> None:
    """Choose an example and wait until it is in the active pane."""
    button = page.locator("[data-list=examples] .study").filter(has_text=title).first
    study = str(button.get_attribute("data-series"))
    button.click()
    expect(page.locator(f'.pane.active[data-ref^="{study}"]')).to_be_visible()


def open_files(page: Page, *files: Path) -> None:
    """Open the user's images and wait until the last is in the viewer."""
    before = page.locator("[data-list=studies] .study").count()
    page.set_input_files("#left input[type=file]", [str(file) for file in files])
    expect(page.locator("[data-list=studies] .study")).not_to_have_count(before)
    expect(page.locator('.pane[data-pane="0"][data-ref]')).to_be_visible()


def ask(page: Page, question: str) -> None:
    """Ask a question."""
    page.fill("#ask textarea", question)
    page.click("#ask .submit-button")


def answered(page: Page, text: str) -> None:
    """Wait until an answer is there and its question has ended: until then a session is in use."""
    expect(page.locator("#chat")).to_contain_text(text)
    expect(page.locator("#ask .submit-button")).to_be_visible()


def pane(page: Page, number: int = 0) -> Locator:
    """Return an image area of the viewer."""
    return page.locator(f'.pane[data-pane="{number}"]')


def at(page: Page, x: float, y: float, number: int = 0) -> tuple[float, float]:
    """Return the place on the page of a part (0..1) of an image area."""
    box = pane(page, number).bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def grey(page: Page, number: int = 0) -> float:
    """Return the mean grey level of what an image area shows."""
    script = """element => {
        const canvas = element.querySelector('canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0;
        for (let i = 0; i < data.length; i += 4) sum += data[i];
        return sum / (data.length / 4);
    }"""
    return float(pane(page, number).evaluate(script))


def drag(page: Page, *places: tuple[float, float]) -> None:
    """Drag in the first image area from place to place, parts (0..1) of it."""
    page.mouse.move(*at(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*at(page, *place), steps=3)
    page.mouse.up()
