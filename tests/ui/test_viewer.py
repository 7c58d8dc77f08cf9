"""The viewer as a reader uses it: windows, zoom, slices, frames, two images, evidence."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import nibabel
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from overread.imaging.phantoms import sample, write_manifest
from tests.ui.browser import ask, at, chromium, drag, enter, grey, open_example, open_files, pane
from tests.ui.conftest import INTERRUPTIBLE, environment

pytestmark = pytest.mark.slow


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of 12 slices, each brighter than the one before."""
    voxels = np.zeros((64, 64, 12), np.int16)
    for number in range(12):
        voxels[16:48, 16:48, number] = 100 * (number + 1)
    path = tmp_path_factory.mktemp("volume") / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), path)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 10 frames."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(10):
            picture = np.full((64, 64, 3), 20 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def test_window_zoom_pan_and_reset(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Brain MR")
    expect(pane(page)).to_have_attribute("data-zoom", "1.00")
    before, window = grey(page), pane(page).get_attribute("data-window")
    page.mouse.move(*at(page, 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 0.5, 0.9), steps=4)
    page.mouse.up()
    expect(pane(page)).not_to_have_attribute("data-window", str(window))
    assert grey(page) < before - 3
    page.mouse.wheel(0, -300)
    expect(pane(page)).not_to_have_attribute("data-zoom", "1.00")
    page.click("[data-action=reset]")
    expect(pane(page)).to_have_attribute("data-window", str(window))
    assert abs(grey(page) - before) < 0.5
    page.click("[data-tool=pan]")
    page.mouse.move(*at(page, 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 1.2, 0.5), steps=4)
    page.mouse.up()
    assert grey(page) < before - 3


def test_slices_by_wheel_slider_and_keys_and_windows_by_number(
    page: Page, room_url: str, volume: Path
) -> None:
    enter(page, room_url)
    open_files(page, volume)
    place = pane(page).locator(".place")
    expect(place).to_have_text("7 / 12")
    pane(page).click(position={"x": 30, "y": 30})
    page.mouse.wheel(0, 100)
    expect(place).to_have_text("8 / 12")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(place).to_have_text("6 / 12")
    pane(page).locator("input[type=range]").fill("0")
    expect(place).to_have_text("1 / 12")
    page.keyboard.press("2")
    expect(page.get_by_label("Window preset")).to_have_value("1")
    expect(pane(page)).to_have_attribute("data-window", "51/101")


def test_the_view_stays_where_it_is_when_its_pane_changes(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Brain MR")
    page.mouse.move(*at(page, 0.6, 0.4))
    page.mouse.wheel(300, 10)
    page.mouse.wheel(0, -300)
    expect(pane(page)).to_have_attribute("data-zoom", "1.15")
    for _ in range(9):
        page.mouse.wheel(0, -100)
    expect(pane(page)).to_have_attribute("data-zoom", "4.05")
    look = """element => {
        const canvas = element.querySelector('canvas');
        const [x, y] = [canvas.width / 2 - 20, canvas.height / 2 - 20];
        const data = canvas.getContext('2d').getImageData(x, y, 40, 40).data;
        return data.reduce((sum, value) => sum + value, 0) / data.length;
    }"""
    centre, before = pane(page).get_attribute("data-centre"), pane(page).evaluate(look)
    page.click("[data-action=compare]")
    expect(pane(page, 1)).to_be_visible()
    expect(pane(page)).to_have_attribute("data-centre", str(centre))
    assert abs(pane(page).evaluate(look) - before) < 6
    page.set_viewport_size({"width": 1100, "height": 700})
    page.wait_for_timeout(200)
    assert abs(pane(page).evaluate(look) - before) < 6


def test_words_over_an_image_have_a_dark_rim(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    style = "e => [getComputedStyle(e).webkitTextStroke, getComputedStyle(e).paintOrder]"
    stroke, order = pane(page).locator(".facts").evaluate(style)
    assert stroke == "3px rgb(0, 0, 0)"
    assert order.startswith("stroke")


def test_an_outline_is_followed_through_the_slices(page: Page, room_url: str, volume: Path) -> None:
    enter(page, room_url)
    open_files(page, volume)
    status = page.locator("#viewer-status")
    page.click("[data-action=carry]")
    expect(status).to_contain_text("Outline something first.")
    page.click("[data-tool=box]")
    drag(page, (0.25, 0.25), (0.75, 0.75))
    expect(status).to_contain_text("expected Dice")
    page.keyboard.press("t")
    expect(status).to_contain_text("of 12 images: scroll to check")
    followed = int(pane(page).get_attribute("data-carried") or 0)
    assert followed >= 2
    before = pane(page).screenshot()
    page.click("[data-action=clear]")
    assert pane(page).screenshot() != before
    page.click("[data-tool=box]")
    drag(page, (0.25, 0.25), (0.75, 0.75))
    expect(status).to_contain_text("expected Dice")
    page.click("[data-action=carry]")
    expect(status).to_contain_text("of 12 images: scroll to check")
    page.keyboard.press("ArrowUp")
    page.get_by_label("Name of the outline").fill("block")
    page.click("[data-action=accept]")
    card = page.locator('#evidence [data-evidence="E2"]')
    expect(card).to_contain_text(f"carried through {followed} of 12 images of its series, volume")


def test_a_video_plays(page: Page, room_url: str, film: Path) -> None:
    enter(page, room_url)
    open_files(page, film)
    place = pane(page).locator(".place")
    expect(place).to_have_text("6 / 10")
    page.click("[data-action=play]")
    expect(place).to_have_text("9 / 10")
    expect(place).to_have_text("2 / 10")
    page.click("[data-action=play]")
    expect(page.locator("[data-action=play]")).to_contain_text("Play")


def test_two_images_scroll_together_until_the_link_is_off(
    page: Page, room_url: str, volume: Path
) -> None:
    enter(page, room_url)
    open_files(page, volume)
    page.click("[data-action=compare]")
    page.locator("[data-list=studies] .study").click()
    expect(pane(page, 1).locator(".place")).to_have_text("7 / 12")
    pane(page, 0).click(position={"x": 30, "y": 30})
    page.mouse.wheel(0, 100)
    expect(pane(page, 0).locator(".place")).to_have_text("8 / 12")
    expect(pane(page, 1).locator(".place")).to_have_text("8 / 12")
    page.click("[data-action=link]")
    pane(page, 1).click(position={"x": 30, "y": 30})
    page.mouse.wheel(0, 100)
    expect(pane(page, 1).locator(".place")).to_have_text("9 / 12")
    expect(pane(page, 0).locator(".place")).to_have_text("8 / 12")


def test_a_prior_stands_beside(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "follow-up")
    expect(page.locator("#viewer-status")).to_contain_text("earlier image of this patient")
    page.click("[data-action=compare]")
    open_example(page, "prior")
    expect(pane(page, 0).locator(".title")).to_have_text("Chest X-ray, follow-up")
    expect(pane(page, 1).locator(".title")).to_have_text("Chest X-ray, prior")
    assert grey(page, 0) > 5 and grey(page, 1) > 5


def test_a_citation_jumps_to_its_image_and_mask(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Where is the thorax?")
    expect(page.locator("#chat")).to_contain_text("See the outline")
    expect(pane(page)).to_have_attribute("data-layers", "thorax")
    open_example(page, "Fundus")
    expect(pane(page).locator(".title")).to_have_text("Fundus")
    expect(pane(page)).not_to_have_attribute("data-evidence", "E2")
    page.click('#chat a[href*="#E2"]')
    expect(pane(page).locator(".title")).to_have_text("Chest X-ray")
    expect(pane(page)).to_have_attribute("data-evidence", "E2")
    expect(page.locator('#evidence [data-evidence="E2"]')).to_have_class("card current")
    colours = pane(page).evaluate(
        """element => {
            const canvas = element.querySelector('canvas');
            const {width, height} = canvas;
            const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
            let blue = 0, yellow = 0;
            for (let i = 0; i < data.length; i += 4) {
                if (data[i + 2] > data[i] + 25) blue++;
                if (data[i] > 200 && data[i + 2] < 120) yellow++;
            }
            return [blue / (width * height), yellow];
        }"""
    )
    assert colours[0] > 0.1 and colours[1] > 200
    sure = grey(page)
    page.click("[data-action=unsure]")
    expect(pane(page)).to_have_attribute("data-layers", "thorax,unsure")
    expect(page.locator("#viewer-status")).to_contain_text("E2: expected Dice of thorax 0.9")
    assert grey(page) > sure
    page.keyboard.press("q")
    expect(pane(page)).to_have_attribute("data-layers", "thorax")
    assert grey(page) == sure
    page.locator('#evidence [data-evidence="E1"]').focus()
    page.keyboard.press("Enter")
    expect(pane(page)).to_have_attribute("data-evidence", "E1")
    expect(pane(page)).to_have_attribute("data-layers", "")


@pytest.fixture(scope="module")
def cases(room_data: Path, room_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An index of some phantoms in the data folder of the running app."""
    folder = tmp_path_factory.mktemp("cases")
    manifest = write_manifest(sample("train", 6, 5, ("chest-xray",)), folder)
    built = subprocess.run(
        [sys.executable, "-c", INTERRUPTIBLE, "index", "build", str(manifest)],
        env=environment(room_data), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr


@pytest.mark.usefixtures("cases")
def test_similar_cases_stand_beside_the_image(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Find cases that look like this one.")
    expect(page.locator("#chat")).to_contain_text("similar cases", ignore_case=True)
    page.locator('#chat a[href*="#E2"]').click()
    expect(pane(page, 1).locator(".title")).to_have_text("similar case 1")
    near = page.get_by_label("Similar case", exact=True)
    near.select_option(index=1)
    expect(pane(page, 1).locator(".title")).to_have_text("similar case 2")
    # Why: the heat of the case that is chosen, over the image; again, and it is gone.
    reddish = """element => {
        const canvas = element.querySelector('canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let i = 0; i < data.length; i += 4) count += data[i] > data[i + 1] + 30;
        return count;
    }"""
    plain = pane(page).evaluate(reddish)
    why = page.locator("button[data-action=why]")
    why.click()
    expect(pane(page)).to_have_attribute("data-layers", "heat case 2")
    assert pane(page).evaluate(reddish) > plain + 1000
    near.select_option(index=0)
    expect(pane(page)).to_have_attribute("data-layers", "heat case 1")
    why.click()
    expect(pane(page)).to_have_attribute("data-layers", "")
    assert pane(page).evaluate(reddish) == plain
    page.locator('#evidence [data-evidence="E1"]').click()
    expect(why).to_be_hidden()
