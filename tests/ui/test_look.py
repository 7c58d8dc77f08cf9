"""How the page looks and reads: contrast, layouts, keyboard, help, the tour."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import chromium, enter, open_example, pane

pytestmark = pytest.mark.slow

# Of every text that is seen: its colour, the colour behind it, its size and weight.
TEXTS = """() => {
  const parse = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return parse(getComputedStyle(document.documentElement).getPropertyValue('--body-background-fill'));
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || !box.height || element.closest('.corner, [disabled], script, style')) continue;
    const style = getComputedStyle(element);
    if (style.visibility !== 'visible' || Number(style.opacity) < 0.9) continue;
    found.push({
      text: element.textContent.trim().slice(0, 40), colour: parse(style.color), behind: behind(element),
      size: parseFloat(style.fontSize), weight: Number(style.fontWeight),
    });
  }
  return found;
}"""


def luminance(colour: list[int]) -> float:
    parts = [value / 255 for value in colour[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(room_url: str, dark: bool) -> None:
    with chromium(dark=dark) as page:
        enter(page, room_url)
        if dark:
            expect(page.locator("body.dark")).to_have_count(1)
        open_example(page, "Fundus")
        poor = []
        texts = page.evaluate(TEXTS)
        for item in texts:
            large = item["size"] >= 24 or (item["size"] >= 18.66 and item["weight"] >= 700)
            ratio = contrast(item["colour"], item["behind"])
            if ratio < (3.0 if large else 4.5):
                poor.append((item["text"], round(ratio, 2), item["colour"], item["behind"]))
        assert len(texts) > 30
        assert poor == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768)])
def test_everything_fits_a_small_screen(room_url: str, width: int, height: int) -> None:
    with chromium(width, height) as page:
        enter(page, room_url)
        open_example(page, "Chest X-ray")
        for selector in (
            "#viewer .pane",
            "#ask",
            "#evidence",
            "#header .research",
            "#left",
            "#consent",
        ):
            box = page.locator(selector).first.bounding_box()
            assert box is not None, selector
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, selector
            assert box["y"] >= 0 and box["y"] + box["height"] <= height + 1, selector
        viewer = pane(page).bounding_box()
        assert viewer is not None and viewer["width"] > 380 and viewer["height"] > 300
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def test_help_and_shortcuts(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Brain MR")
    pane(page).click(position={"x": 20, "y": 20})
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("b")
    expect(page.locator("button[data-tool=box]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("c")
    expect(pane(page, 1)).to_be_visible()
    page.keyboard.press("+")
    page.keyboard.press("d")
    expect(page.locator("body.dark")).to_have_count(1)
    page.keyboard.press("/")
    expect(page.locator("#ask textarea")).to_be_focused()
    page.locator("#ask textarea").fill("")
    page.keyboard.type("b?d")
    expect(page.locator("#ask textarea")).to_have_value("b?d")
    expect(dialog).to_have_count(0)


def test_controls_have_names(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Fundus")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, textarea, [role=button], [tabindex="0"]')]
            .filter((item) => item.getBoundingClientRect().width > 0 && item.type !== 'file')
            .filter((item) => !(item.getAttribute('aria-label') || item.title || item.textContent.trim()
                || item.placeholder || item.labels?.length))
            .map((item) => item.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(pane(page)).to_have_attribute("aria-label", "Fundus")


def test_the_first_visit_is_shown_round(room_url: str) -> None:
    with chromium(tour=True) as page:
        enter(page, room_url)
        tour = page.get_by_role("dialog", name="Tour")
        expect(tour).to_contain_text("1 of 6")
        for _ in range(5):
            tour.get_by_role("button", name="Next").click()
        expect(tour).to_contain_text("not a medical device")
        tour.get_by_role("button", name="Done").click()
        expect(tour).to_have_count(0)
        page.reload()
        expect(page.locator("[data-list=examples] .study").first).to_be_visible()
        expect(tour).to_have_count(0)
