"""The page as a reader sees it: headless Chromium without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from overread.evals.reports.write import write_report
from overread.evals.runs import read_run

pytestmark = pytest.mark.slow

CHROMIUM = Path("/usr/bin/chromium")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"


@pytest.fixture
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed; run scripts/setup_debian.sh as root")
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page_file(make_run, tmp_path) -> Path:
    long = "endpoint:" + "a-very-long-model-name-without-a-break" * 3
    folders = [make_run("agent", skill=0.7), make_run("bare"), make_run(long[:120], sure=False)]
    return write_report([read_run(folder) for folder in folders], tmp_path / "out").html


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_opens_without_network_errors_or_overflow(browser, page_file, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_file.as_uri())
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.get_by_role("cell", name="accuracy").first).to_be_attached()
    assert page.locator("figure svg").count() >= 5
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate("document.querySelectorAll('img').forEach(one => one.loading = 'eager')")
    page.wait_for_function(f"{BROKEN} === 0")
    assert page.evaluate(OVERFLOW) == 0
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    dark, light = "rgb(17, 22, 27)", "rgb(255, 255, 255)"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == (dark if scheme == "dark" else light)
    words = page.locator("figure svg text").first
    size = words.evaluate("text => text.getBoundingClientRect().height")
    assert size > 8, "words of plots are legible"
    context.close()
