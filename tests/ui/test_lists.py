"""The lists at the left: what tells studies apart, what stays in sight, which ones are marked."""

import re
from collections.abc import Iterator
from pathlib import Path

import av
import nibabel
import numpy as np
import pytest
from PIL import Image as PilImage
from playwright.sync_api import Page, expect

from overread.imaging.archive import Archive
from overread.imaging.study import Image, ImageRef, Series, Study
from overread.ui.slices import study_facts
from tests.ui.browser import ask, chromium, enter, open_example, open_files, pane

STATIC = Path(__file__).parents[2] / "ui" / "static"


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as opened:
        yield opened


def pictures(folder: Path, count: int) -> list[Path]:
    """Write noise, each picture a pixel wider than the one before."""
    random = np.random.default_rng(7)
    files = [folder / f"Jane Doe {number:02d}.png" for number in range(count)]
    for number, file in enumerate(files):
        PilImage.fromarray(random.integers(0, 255, (60, 80 + number), np.uint8)).save(file)
    return files


def volume(folder: Path) -> Path:
    path = folder / "jane.nii.gz"
    voxels = np.arange(32 * 24 * 5, dtype=np.int16).reshape(32, 24, 5)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


def film(folder: Path) -> Path:
    path = folder / "jane.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(4):
            picture = np.full((48, 64, 3), 40 * number, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_a_study_tells_only_what_this_session_opened(tmp_path: Path) -> None:
    def one(series: str) -> Series:
        ref = ImageRef("st-1", series, "i0")
        return Series(id=series, modality="CR", images=(Image(ref, np.zeros((3, 4), np.float32)),))

    archive = Archive(tmp_path)
    archive.add([Study(id="st-1", patient_id="p", series=(one("mine"), one("hers")))])
    facts = study_facts(archive, "st-1", ["st-1/mine/i0"])
    assert facts["series"] == [{"id": "mine", "images": ["st-1/mine/i0"], "size": (3, 4)}]


@pytest.mark.slow
def test_studies_are_told_apart_without_the_names_of_their_files(
    page: Page, room_url: str, tmp_path: Path
) -> None:
    enter(page, room_url)
    open_files(page, *pictures(tmp_path, 2), volume(tmp_path), film(tmp_path))
    rows = page.locator("[data-list=studies] .study")
    expect(rows).to_have_count(4)
    told = [text.replace("\N{NO-BREAK SPACE}", " ") for text in rows.all_inner_texts()]
    assert sorted(re.sub(r"\s?\d+.*", "", text, flags=re.DOTALL) for text in told) == [
        "Clip", "Picture", "Picture", "Volume",
    ]  # fmt: skip
    for number, text in enumerate(told, 1):
        assert f"{number} of 4" in text
        assert re.search(r"opened \d\d:\d\d", text)
    whole = " ".join(told).replace("\N{MULTIPLICATION SIGN}", "x")
    for known in ("80 x 60 px", "81 x 60 px", "5 slices", "4 frames", "64 x 48 px"):
        assert known in whole
    assert "OT" not in whole and "ane" not in whole


@pytest.mark.slow
def test_each_study_has_a_small_picture_that_is_fetched_once(
    page: Page, room_url: str, tmp_path: Path
) -> None:
    fetched: list[str] = []
    page.on("request", lambda one: "/thumbnails/" in one.url and fetched.append(one.url))
    enter(page, room_url)
    open_files(page, *pictures(tmp_path, 3))
    images = page.locator("[data-list=studies] .study img")
    expect(images).to_have_count(3)
    for image in images.all():
        expect(image).to_have_attribute("alt", "")
        expect(image).to_have_attribute("loading", "lazy")
        expect(image).to_have_js_property("naturalWidth", 80)
    before = len(fetched)
    ask(page, "Where is the thorax?")
    expect(page.locator("#evidence [data-evidence]")).to_have_count(2)
    expect(page.locator("#studies .session .told").first).to_contain_text("1 question")
    assert len(fetched) == before == len(set(fetched))


@pytest.mark.slow
def test_fifty_studies_push_nothing_out_of_sight(page: Page, room_url: str, tmp_path: Path) -> None:
    enter(page, room_url)
    open_files(page, *pictures(tmp_path, 50))
    expect(page.locator("[data-list=studies] .study")).to_have_count(50)
    for place in (*page.locator("#studies h2").all(), page.locator("#new-session")):
        box = place.bounding_box()
        assert box is not None and box["y"] > 0 and box["y"] + box["height"] < 800
    for name in ("studies", "sessions"):
        box = page.locator(f"[data-list={name}] ul").bounding_box()
        assert box is not None and box["height"] > 60
    shown = page.locator("[data-list=studies] [aria-current=true]")
    expect(shown).to_be_in_viewport()
    expect(shown).to_contain_text("50")


@pytest.mark.slow
def test_study_and_session_are_marked_each_for_itself(page: Page, room_url: str) -> None:
    enter(page, room_url)
    open_example(page, "Chest X-ray")
    ask(page, "Where is the thorax?")
    session = page.locator("#studies .session .study[aria-current=true]")
    expect(session).to_have_count(1)
    expect(page.locator("#evidence [data-evidence]")).to_have_count(2)
    open_example(page, "Fundus")
    marked = page.locator("[data-series][aria-current=true]")
    expect(marked).to_have_text(re.compile("Fundus"))
    expect(session).to_have_count(1)
    page.click('#evidence [data-evidence="E2"]')
    expect(pane(page)).to_have_attribute("data-layers", "thorax")
    expect(marked).to_have_text(re.compile("Chest X-ray"))


@pytest.mark.slow
def test_the_help_names_every_key(page: Page, room_url: str) -> None:
    enter(page, room_url)
    page.get_by_role("button", name="Help and shortcuts").click()
    told = page.locator("#help th").all_inner_texts()
    said = " ".join(told)
    named = {key.lower() for text in told for key in re.split(r"[ ,…]+", text)}
    source = (STATIC / "room.js").read_text()
    table = source.split("const SHORTCUTS = {")[1].split("\n};")[0]
    keys = set(re.findall(r'(?:^|[{,])\s*"?([^\s":,]+| )"?: ', table, re.MULTILINE))
    assert {"f", "?", "a"} <= keys
    keys |= set(
        page.evaluate("import('/reading/static/drawing.js').then((d) => d.TOOLS.map((t) => t.key))")
    )
    words = {"ArrowUp": "↑", "ArrowDown": "↓", " ": "Space", "-": "\N{MINUS SIGN}"}
    words |= {"PageUp": "Page Up", "PageDown": "Page Down"}
    assert [key for key in keys if words.get(key, key) not in said and key not in named] == []
