"""How the page looks and reads: contrast, layouts, keyboard, help, the tour."""

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from overread.tools.base import Evidence
from overread.ui.wording import told
from tests.ui.browser import ask, chromium, enter, open_example, open_files, pane

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


def answered(page: Page, url: str) -> None:
    enter(page, url)
    open_example(page, "Chest X-ray")
    ask(page, "Where is the thorax?")
    expect(page.locator("#evidence [data-evidence]")).to_have_count(2)
    expect(page.locator("#ask .submit-button")).to_be_visible()


def height(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["height"]


def test_the_main_actions_are_large_and_the_first_one_is_lit(page: Page, room_url: str) -> None:
    enter(page, room_url)
    assert height(page, "#upload") >= 32
    back = "element => getComputedStyle(element).backgroundColor"
    lit = str(page.locator("#upload").evaluate(back))  # the pressed tool's comes by and by
    expect(page.locator("[aria-pressed=true]").first).to_have_css("background-color", lit)
    page.get_by_role("tab", name="Report").click()
    for name in ("#draft-report", "#save-report", "#sign"):
        assert height(page, name) >= 32


def test_a_note_covers_neither_menu_nor_tabs(page: Page, room_url: str) -> None:
    answered(page, room_url)
    page.locator("#chat").get_by_role("button", name="Like", exact=True).last.click()
    expect(page.locator(".toast-body").first).to_be_visible()
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    note = page.locator(".toast-wrap").first.bounding_box()
    assert note is not None
    for selector in ("#header .research", "#menu", "#tabs [role=tablist]", "#ask", "#new-session"):
        other = page.locator(selector).first.bounding_box()
        assert other is not None, selector
        beside = note["x"] >= other["x"] + other["width"] or other["x"] >= note["x"] + note["width"]
        assert beside or note["y"] >= other["y"] + other["height"], selector


def test_a_long_question_leaves_the_conversation_in_sight(page: Page, room_url: str) -> None:
    answered(page, room_url)
    page.fill("#ask textarea", "word " * 600)
    page.wait_for_function("document.querySelector('#ask textarea').scrollHeight > 600")
    assert height(page, "#ask") < 300
    assert height(page, "#chat") > 250
    page.locator("#chat .user-row").last.hover()
    page.get_by_role("button", name="Edit").last.click()
    editor = page.locator("#chat .edit-textarea").bounding_box()
    assert editor is not None and editor["width"] > 250


def test_cards_say_all_when_asked_and_their_strip_scrolls_in_sight(room_url: str) -> None:
    with chromium(1024, 768) as page:
        answered(page, room_url)
        card = page.locator('#evidence [data-evidence="E2"]')
        whole = str(card.get_attribute("title"))
        assert "mm²" in whole and "confidence" in whole and "st-" in whole
        assert "st-" not in card.inner_text()
        name = card.locator(".tool")
        assert name.evaluate("element => element.scrollWidth <= element.clientWidth")
        assert (
            page.locator(".evidence").evaluate(
                "element => getComputedStyle(element, '::-webkit-scrollbar').height"
            )
            == "7px"
        )


@pytest.mark.parametrize(("width", "rows"), [(1280, [5]), (1024, [2, 3])])
def test_no_export_stands_alone_on_a_line(room_url: str, width: int, rows: list[int]) -> None:
    with chromium(width, 768) as page:
        answered(page, room_url)
        page.get_by_role("tab", name="Report").click()
        page.click("#draft-report")
        links = page.locator(".report-status a")
        expect(links).to_have_count(5)
        tops = [link.evaluate("element => element.offsetTop") for link in links.all()]
        assert [tops.count(top) for top in sorted(set(tops))] == rows


def test_a_long_name_stays_inside_the_question_whether_to_delete(page: Page, room_url: str) -> None:
    answered(page, room_url)
    session = page.locator("#studies .session").first
    session.get_by_role("button", name="Rename").click()
    page.get_by_label("New name of the session").fill("n" * 80)
    page.keyboard.press("Enter")
    expect(session).to_contain_text("nnn")
    session.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Confirm")
    assert dialog.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_a_slider_stands_beside_the_image(page: Page, room_url: str, tmp_path: Path) -> None:
    voxels = np.full((64, 96, 4), 100, np.int16)
    voxels[0, 0] = 0
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "volume.nii.gz")
    enter(page, room_url)
    open_files(page, tmp_path / "volume.nii.gz")
    slider = pane(page).locator("input[type=range]").bounding_box()
    canvas = pane(page).locator("canvas").bounding_box()
    assert slider is not None and canvas is not None
    assert slider["x"] >= canvas["x"] + canvas["width"]


def test_units_and_numbers_read_as_they_should() -> None:
    said = "generate_report for image 1: draft with 1 findings; area 12.5 mm2, 3 mm3, MR mm2x"
    shown = told(Evidence(id="E1", tool="x", arguments={}, content=said, version="1"))
    assert (
        shown == "generate_report for image 1: draft with 1 finding; area 12.5 mm², 3 mm³, MR mm2x"
    )
