"""Drawing on an image, and what becomes of the outline."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import (
    ask,
    at,
    chromium,
    drag,
    enter,
    grey,
    open_example,
    open_files,
    pane,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def pixels(page: Page) -> int:
    return int(pane(page).get_attribute("data-mask-pixels") or 0)


def changed(page: Page, before: int) -> int:
    """Wait until the mask has another size, and return it."""
    expect(pane(page)).not_to_have_attribute("data-mask-pixels", str(before))
    return pixels(page)


def test_every_tool_changes_the_mask_and_undo_takes_it_back(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    status = page.locator("#viewer-status")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(status).to_contain_text("mm²")
    first = pixels(page)
    assert first > 100
    page.keyboard.press("x")
    page.mouse.click(*at(page, 0.36, 0.6))
    second = changed(page, first)
    page.click("[data-action=clear]")
    page.click("[data-tool=box]")
    drag(page, (0.55, 0.55), (0.72, 0.8))
    third = changed(page, second)
    page.click("[data-action=clear]")
    page.click("[data-tool=scribble]")
    drag(page, (0.65, 0.3), (0.68, 0.4), (0.7, 0.55))
    fourth = changed(page, third)
    page.click("[data-tool=eraser]")
    drag(page, (0.6, 0.45), (0.8, 0.45))
    fifth = changed(page, fourth)
    assert fifth < fourth
    expect(status).to_contain_text("Edited by hand")
    page.click("[data-tool=brush]")
    drag(page, (0.6, 0.45), (0.8, 0.45))
    assert changed(page, fifth) > fifth
    page.keyboard.press("u")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.66, 0.35))
    expect(status).to_contain_text("expected Dice")


def test_it_is_shown_where_an_outline_is_unsure(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    status, unsure = page.locator("#viewer-status"), page.locator("[data-action=unsure]")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(status).to_contain_text("ms")
    plain = grey(page)
    unsure.click()
    expect(unsure).to_have_attribute("aria-pressed", "true")
    expect(status).to_contain_text("with prompts moved a little; bright: unsure")
    assert grey(page) > plain + 0.3
    page.keyboard.press("m")  # hidden with all that lies over the image
    assert grey(page) < plain
    page.keyboard.press("m")
    before = pixels(page)
    page.mouse.click(*at(page, 0.66, 0.45))  # asked again for the outline as it is now
    changed(page, before)
    expect(status).to_contain_text("with prompts moved a little")
    page.keyboard.press("u")
    expect(pane(page)).to_have_attribute("data-mask-pixels", str(before))
    expect(status).to_contain_text("with prompts moved a little")
    page.keyboard.press("q")
    expect(unsure).to_have_attribute("aria-pressed", "false")
    assert abs(grey(page) - plain) < 0.05
    page.click("[data-tool=brush]")
    drag(page, (0.4, 0.4), (0.5, 0.4))
    expect(status).to_contain_text("Edited by hand")
    unsure.click()
    expect(status).to_contain_text("drawn by hand")


def test_an_accepted_outline_is_evidence_by_the_reader(
    page: Page, room_url: str, room_data: Path
) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.36, 0.45))
    expect(page.locator("#viewer-status")).to_contain_text("mm²")
    page.click("[data-action=accept]")
    expect(page.locator("#viewer-status")).to_contain_text("Name the outline")
    page.get_by_label("Name of the outline").fill("my shadow")
    page.click("[data-action=accept]")
    card = page.locator('#evidence [data-evidence="E2"]')
    expect(card).to_contain_text("by the reader")
    expect(card).to_contain_text("outlined by the reader: my shadow in image 1")
    expect(pane(page)).to_have_attribute("data-layers", "my shadow")
    ask(page, "What modality is it?")
    expect(page.locator("#chat")).to_contain_text("The modality is CR")
    page.reload()
    expect(card).to_contain_text("my shadow")
    card.click()
    expect(pane(page)).to_have_attribute("data-layers", "my shadow")
    page.keyboard.press("q")
    expect(page.locator("#viewer-status")).to_contain_text("E2 was outlined by a reader")


def outlined(page: Page) -> int:
    """Return how many points of the left image have the colour of the reader's outline."""
    script = """element => {
        const canvas = element.querySelector('canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 0; i < data.length; i += 4)
            count += data[i] > data[i + 1] + 40 && data[i + 2] > data[i + 1];
        return count;
    }"""
    return int(pane(page).evaluate(script))


def test_a_stroke_on_a_large_image_touches_what_lies_around_it(
    page: Page, room_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.png"
    PIL.Image.fromarray(np.full((3000, 2500), 90, np.uint8)).save(path)
    enter(page, room_url)
    open_files(page, path)
    expect(pane(page).locator(".facts")).to_contain_text("resolution 1:2")
    page.click("[data-tool=brush]")
    drag(page, (0.4, 0.5), (0.6, 0.5))
    before = changed(page, 0)
    page.evaluate("""() => {
        window.touched = 0;
        const own = CanvasRenderingContext2D.prototype;
        const [put, draw] = [own.putImageData, own.drawImage];
        own.putImageData = function (part, ...rest) {
            window.touched += part.width * part.height;
            return put.call(this, part, ...rest);
        };
        own.drawImage = function (...given) {
            window.touched += this.canvas.width * this.canvas.height;
            return draw.apply(this, given);
        };
    }""")
    page.click("[data-tool=eraser]")
    drag(page, *[(0.5 + 0.01 * step, 0.4 + 0.01 * step) for step in range(10)])
    assert changed(page, before) < before
    # 27 moves; each of them drew the whole mask, seven times over.
    assert page.evaluate("window.touched") < 4 * 3000 * 2500


def test_masks_are_hidden_until_asked_for(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    page.click("[data-tool=brush]")
    drag(page, (0.4, 0.5), (0.6, 0.5))
    before = outlined(page)
    assert before > 100
    hide = page.locator("[data-action=hide]")
    expect(hide).to_have_attribute("aria-pressed", "false")
    hide.click()
    expect(hide).to_have_attribute("aria-pressed", "true")
    assert outlined(page) == 0
    hide.click()
    assert outlined(page) == before
    hide.click()
    drag(page, (0.4, 0.6), (0.6, 0.6))
    expect(hide).to_have_attribute("aria-pressed", "false")
    assert outlined(page) > before
    hide.click()
    page.get_by_label("Name of the outline").fill("stroke")
    page.click("[data-action=accept]")
    expect(pane(page)).to_have_attribute("data-layers", "stroke")
    expect(hide).to_have_attribute("aria-pressed", "false")


def test_where_nothing_can_be_drawn_is_told(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    status = page.locator("#viewer-status")
    page.click("[data-tool=point]")
    page.mouse.click(*at(page, 0.02, 0.5))
    expect(status).to_have_text("That is outside the image.")
    page.click("[data-tool=box]")
    page.mouse.click(*at(page, 0.5, 0.5))
    expect(status).to_have_text("Drag a box over a part of the image.")
    drag(page, (0.02, 0.3), (0.5, 0.7))
    expect(status).to_contain_text("expected Dice")
    page.click("[data-action=compare]")
    open_example(page, "Brain MR")
    page.mouse.click(*at(page, 0.5, 0.5, 1))
    expect(status).to_have_text("Drawing is on the left image.")
