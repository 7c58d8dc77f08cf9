"""Files on their way in: what a reader is told of those that cannot be opened; what is left behind."""

import time
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image as PilImage
from playwright.sync_api import expect

from overread.agent.config import Config
from overread.agent.resources import Resources
from overread.imaging.errors import InputError
from overread.imaging.phantoms import generate, write
from overread.ui.opening import open_files
from overread.ui.rooms import Room
from tests.ui.browser import chromium, enter


@pytest.fixture
def resources(data_dir: Path) -> Resources:
    return Resources(Config(data_dir=data_dir))


def picture(folder: Path, name: str = "good.png") -> Path:
    PilImage.fromarray(np.eye(40, dtype=np.uint8) * 200).save(folder / name)
    return folder / name


def bad(folder: Path) -> list[Path]:
    """Files that are empty, broken, a text, and a picture of a kind that we do not read."""
    contents = {
        "empty.png": b"", "broken.dcm": b"garbage" * 100, "letter.txt": b"Dear colleague",
        "moving.gif": b"GIF89a" + bytes(40),
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_one_bad_file_does_not_discard_the_good_ones(resources: Resources, tmp_path: Path) -> None:
    room, files = Room(id="s-1"), bad(tmp_path)
    slices = write(generate("chest-xray", 61881), tmp_path)
    with pytest.raises(InputError) as told:
        open_files(resources, room, [*files[:2], picture(tmp_path), slices, *files[2:]])
    assert len(room.images) == 2
    assert all(ref.split("/")[0] in resources.archive for ref in room.images)
    for file in files:
        assert f"{file.name} is " in str(told.value)
    assert str(told.value).startswith("Not every file could be opened; the others were. ")


def test_no_path_of_the_server_is_told(resources: Resources, tmp_path: Path) -> None:
    for file in [*bad(tmp_path), tmp_path / "absent.png"]:
        with pytest.raises(InputError) as told:
            open_files(resources, Room(id="s-1"), [file])
        assert str(told.value).startswith(f"{file.name} ")
        assert str(tmp_path) not in str(told.value) and "/" not in str(told.value)


def test_a_hundred_bad_files_fit_in_a_message(resources: Resources, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(100)]
    for file in files:
        file.touch()
    with pytest.raises(InputError) as told:
        open_files(resources, Room(id="s-1"), files)
    assert str(told.value).endswith(" 95 more could not be opened either.")
    assert str(told.value).count("is empty") == 5


def test_good_files_alone_are_opened_without_a_word(resources: Resources, tmp_path: Path) -> None:
    room = Room(id="s-1")
    assert open_files(resources, room, [picture(tmp_path)]) == room.images
    assert open_files(resources, room, []) == []


@pytest.mark.slow
def test_a_reader_keeps_what_could_be_opened(room_url: str, tmp_path: Path) -> None:
    with chromium() as page:
        enter(page, room_url)
        files = [picture(tmp_path), *bad(tmp_path)]
        page.set_input_files("#left input[type=file]", [str(file) for file in files])
        expect(page.locator("[data-list=studies] .study")).to_have_count(1)
        expect(page.locator("body")).to_contain_text("empty.png is empty")
        assert "/uploads/" not in page.locator("body").inner_text()


@pytest.mark.slow
def test_nothing_is_left_of_uploads_read_or_refused(
    room_url: str, room_data: Path, tmp_path: Path
) -> None:
    uploads = room_data / "uploads"
    with chromium() as page:
        enter(page, room_url)
        files = [picture(tmp_path), *bad(tmp_path)]
        page.set_input_files("#left input[type=file]", [str(file) for file in files])
        expect(page.locator("[data-list=studies] .study")).to_have_count(1)
    client = Client(room_url, verbose=False)
    told = client.predict("Why?", [handle_file(files[1])], "", api_name="/ask")
    assert told == {"error": "empty.png is empty (0 bytes); copy the file again."}
    client.close()
    for _ in range(50):
        left = [path.name for path in uploads.iterdir() if path.name != "vibe_edit_history"]
        if not left:
            break
        time.sleep(0.1)
    assert left == []
