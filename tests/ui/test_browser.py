"""The app as a person uses it: headless Chromium uploads, asks, looks and downloads."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image as PilImage
from playwright.sync_api import Page, expect, sync_playwright

from overread.imaging.phantoms import generate
from overread.imaging.render import to_view
from overread.imaging.study import Image, ImageRef

pytestmark = pytest.mark.slow

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
PATIENCE_MS = 240_000
OUR_HOST = re.compile(r"(http://127\.0\.0\.1:|data:|blob:)")


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of 1280 x 800; at the end it must have asked no other host for anything."""
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed; run scripts/setup_browser.sh as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        yield page
        browser.close()
    assert [url for url in asked if not OUR_HOST.match(url)] == []


@pytest.fixture(scope="session")
def chest_png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic chest radiograph as PNG."""
    phantom = generate("chest-xray", 38138)
    image = Image(ImageRef("a", "b", "c"), phantom.pixels, window=phantom.window)
    path = tmp_path_factory.mktemp("png") / "chest.png"
    PilImage.fromarray(to_view(image)).save(path)
    return path


def ask(page: Page, question: str, *files: Path) -> None:
    if files:
        page.set_input_files("#ask input[type=file]", [str(file) for file in files])
        expect(page.locator("#ask .thumbnail-item")).to_have_count(len(files))
    page.fill("#ask textarea", question)
    page.click("#ask .submit-button")


def test_upload_ask_look_and_download(
    page: Page, start_chat: Callable[..., str], planner_url: str, chest: Path, chest_png: Path
) -> None:
    page.goto(start_chat("--base-url", planner_url))
    expect(page.locator("#header")).to_contain_text("Research use only. Not a medical device.")

    ask(page, "Where is the thorax?", chest, chest_png)
    expect(page.locator("#chat")).to_contain_text("See the outline [E3]")
    expect(page.locator("#chat .thought-group")).to_contain_text("segment · image 1, thorax")
    cards = page.locator("#evidence [data-evidence]")
    expect(cards).to_have_count(3)
    expect(cards.nth(0)).to_contain_text("modality CR")
    expect(cards.nth(2).locator("img")).to_be_visible()
    expect(page.locator("#chat .bot-row img")).to_be_visible()
    expect(page.locator("#pictures img")).to_have_count(3)

    ask(page, "Write a report of this image.")
    expect(page.locator("#report")).to_be_enabled()
    with page.expect_download() as download:
        page.click("#report")
    assert download.value.suggested_filename.endswith(".md")
    assert "## Impression" in Path(download.value.path()).read_text()

    page.click("#again")
    expect(cards).to_have_count(0)
    expect(page.locator("#chat .bot-row")).to_have_count(0)


def test_an_error_is_one_sentence_and_the_tab_goes_on(
    page: Page, start_chat: Callable[..., str], planner_url: str, tmp_path: Path, chest: Path
) -> None:
    page.goto(start_chat("--base-url", planner_url))
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(chest.read_bytes()[:3000])
    ask(page, "Is there a nodule?", broken)
    expect(page.locator("#chat .bot-row")).to_contain_text("broken.dcm")
    expect(page.locator("#chat")).not_to_contain_text("Traceback")
    ask(page, "What modality is it?", chest)
    expect(page.locator("#chat")).to_contain_text("The modality is CR [E1].")


def test_two_tabs_have_two_sessions_and_stop_stops(
    page: Page, start_chat: Callable[..., str], planner_url: str, chest: Path
) -> None:
    url = start_chat("--base-url", planner_url)
    page.goto(url)
    ask(page, "What modality is it?", chest)
    expect(page.locator("#chat")).to_contain_text("The modality is CR [E1].")
    other = page.context.new_page()
    other.goto(url)
    expect(other.locator("#evidence [data-evidence]")).to_have_count(0)
    ask(other, "Wait for ever?", chest)
    other.click("#ask .stop-button")
    expect(other.locator("#chat")).to_contain_text("Stopped.")
    expect(other.locator("#ask .submit-button")).to_be_visible()


def test_an_example_is_one_click(
    page: Page, start_chat: Callable[..., str], planner_url: str
) -> None:
    page.goto(start_chat("--base-url", planner_url))
    page.get_by_text("Write a report of this image.").click()
    expect(page.locator("#ask .thumbnail-item")).to_have_count(1)
    expect(page.locator("#ask textarea")).to_have_value("Write a report of this image.")


def test_the_bundled_planner_answers_with_evidence(
    page: Page, start_chat: Callable[..., str], real_planner: int, chest: Path
) -> None:
    page.goto(start_chat("--base-url", f"http://127.0.0.1:{real_planner}/v1"))
    ask(page, "Measure the area of the left lung in square millimetres.", chest)
    expect(page.locator("#chat .bot-row")).to_contain_text("planner")
    expect(page.locator("#chat .thought-group").first).to_be_visible()
    expect(page.locator('#evidence [data-evidence="E2"]')).to_be_visible()
    expect(page.locator("#chat .bot-row img").first).to_be_visible()
