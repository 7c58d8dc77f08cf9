"""The viewer under fingers: one drags, two pinch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser import at, chromium, enter, grey, open_example, open_files, pane

pytestmark = pytest.mark.slow

Place = tuple[float, float]
Touch = Callable[..., None]


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium(1024, 768) as opened:
        yield opened


@pytest.fixture
def touch(page: Page) -> Touch:
    """Put fingers, by number, on the screen, move them, and take those away that are not named."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    down: set[int] = set()

    def call(**fingers: Place) -> None:
        named = {int(name.removeprefix("finger")): place for name, place in fingers.items()}
        kind = "touchMove" if named.keys() == down else "touchStart"
        kind = "touchEnd" if named.keys() < down else kind
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in named.items()]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        down.clear()
        down.update(named)

    return call


def centre(page: Page) -> list[float]:
    page.wait_for_timeout(100)
    return [float(part) for part in str(pane(page).get_attribute("data-centre")).split(",")]


def test_a_pinch_zooms_about_its_middle_and_carries_the_image_along(
    page: Page, room_url: str, touch: Touch
) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    window = pane(page).get_attribute("data-window")
    (x, y) = at(page, 0.5, 0.5)
    touch(finger1=(x - 40, y))
    touch(finger1=(x - 40, y + 5))
    touch(finger1=(x - 40, y), finger2=(x + 40, y))
    for step in range(1, 9):
        touch(finger1=(x - 40 - 5 * step, y), finger2=(x + 40 + 5 * step, y))
    expect(pane(page)).to_have_attribute("data-zoom", "2.00")
    assert centre(page) == pytest.approx([0.5, 0.5], abs=0.01)
    for step in range(1, 7):
        touch(finger1=(x - 80 + 10 * step, y), finger2=(x + 80 + 10 * step, y))
    expect(pane(page)).to_have_attribute("data-zoom", "2.00")
    assert centre(page)[0] < 0.45
    assert centre(page)[1] == pytest.approx(0.5, abs=0.01)
    expect(pane(page)).to_have_attribute("data-window", str(window))
    # One finger is lifted first; the other does nothing on its way.
    touch(finger1=(x - 20, y))
    touch(finger1=(x + 40, y + 80))
    touch()
    expect(pane(page)).to_have_attribute("data-zoom", "2.00")
    expect(pane(page)).to_have_attribute("data-window", str(window))


def test_one_finger_drags_the_window(page: Page, room_url: str, touch: Touch) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    window, before = pane(page).get_attribute("data-window"), grey(page)
    (x, y) = at(page, 0.5, 0.3)
    touch(finger1=(x, y))
    for step in range(1, 9):
        touch(finger1=(x, y + 15 * step))
    touch()
    expect(pane(page)).not_to_have_attribute("data-window", str(window))
    expect(pane(page)).to_have_attribute("data-zoom", "1.00")
    assert grey(page) < before - 3


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("point", "expected Dice"),
        ("exclude", "Nothing there"),
        ("box", "expected Dice"),
        ("scribble", "expected Dice"),
        ("brush", "Edited by hand"),
    ],
)
def test_a_pinch_draws_nothing_and_a_finger_does(
    page: Page, room_url: str, touch: Touch, tool: str, said: str
) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.click(f"[data-tool={tool}]")
    (x, y) = at(page, 0.5, 0.5)
    touch(finger1=(x - 40, y))
    touch(finger1=(x - 46, y + 6))
    touch(finger1=(x - 46, y), finger2=(x + 40, y))
    for step in range(1, 6):
        touch(finger1=(x - 46 - 5 * step, y), finger2=(x + 40 + 5 * step, y))
    touch(finger1=(x - 71, y))
    touch()
    expect(pane(page)).not_to_have_attribute("data-zoom", "1.00")
    page.wait_for_timeout(300)
    assert [url for url in asked if url.endswith("/clicks")] == []
    page.click("[data-action=accept]")
    expect(page.locator("#viewer-status")).to_have_text("Outline something first.")
    # And one finger draws as a mouse does.
    page.click("[data-action=reset]")
    touch(finger1=at(page, 0.34, 0.42))
    touch(finger1=at(page, 0.4, 0.5))
    touch()
    expect(page.locator("#viewer-status")).to_contain_text(said)


def test_the_slider_is_large_enough_for_a_finger(
    page: Page, room_url: str, touch: Touch, tmp_path: Path
) -> None:
    path = tmp_path / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((16, 16, 12), np.int16), np.eye(4)), path)
    enter(page, room_url)
    open_files(page, path)
    place = pane(page).locator(".place")
    expect(place).to_have_text("7 / 12")
    box = pane(page).locator("input[type=range]").bounding_box()
    assert box is not None
    assert box["width"] >= 36
    middle = (box["x"] + 3, box["y"] + box["height"] / 2)
    touch(finger1=middle)
    touch(finger1=(middle[0], box["y"] + box["height"] - 2))
    touch()
    expect(place).to_have_text("12 / 12")
