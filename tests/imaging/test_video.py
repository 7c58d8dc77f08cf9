"""Frames of videos written here with PyAV."""

from pathlib import Path

import av
import numpy as np
import pytest

from overread.imaging import video
from overread.imaging.errors import UnreadableImage
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.read import read_studies

CODECS = {"a.mp4": "mpeg4", "a.mov": "mpeg4", "a.avi": "mjpeg", "a.webm": "libvpx"}


def _write(path: Path, frames: int, colour: bool = False, codec: str = "mpeg4") -> Path:
    """Write frames whose brightness grows with their number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.bit_rate = 64, 48, 4_000_000
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            pixels = np.full((48, 64, 3), 20 + 200 * number // max(1, frames - 1), np.uint8)
            if colour:
                pixels[..., 1:] = 0
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.mark.parametrize("name", CODECS)
def test_frames_are_evenly_spaced(name: str, tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    path = _write(tmp_path / name, 101, codec=CODECS[name])
    (study,) = read_studies([path], pseudonymiser)
    numbers = [image.ref.frame for image in study.images]
    assert len(numbers) == video.DEFAULT_FRAMES
    assert (numbers[0], numbers[-1]) == (0, 100)
    assert {int(step) for step in np.diff(np.array(numbers, int))} == {3, 4}
    means = [float(image.pixels.mean()) for image in study.images]
    np.testing.assert_allclose(means, [20 + 2 * int(n or 0) for n in numbers], atol=8)
    assert study.header["frames_in_file"] == 101
    assert study.header["frames_per_second"] == pytest.approx(10)


def test_short_video_gives_all_frames(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    study = video.read(_write(tmp_path / "a.mp4", 5), "mov", pseudonymiser, count=8)
    assert [image.ref.frame for image in study.images] == [0, 1, 2, 3, 4]


def test_colour_is_kept_and_grey_is_grey(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    grey, colour = (
        read_studies([_write(tmp_path / f"{flag}.mp4", 4, colour=flag)], pseudonymiser)[0]
        for flag in (False, True)
    )
    assert not any(image.is_colour for image in grey.images)
    assert all(image.is_colour for image in colour.images)


def test_long_video_is_refused(
    tmp_path: Path, pseudonymiser: Pseudonymiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MAX_VIDEO_FRAMES", 10)
    with pytest.raises(UnreadableImage, match="11 frames"):
        read_studies([_write(tmp_path / "a.mp4", 11)], pseudonymiser)


def test_playlist_cannot_reach_the_network(tmp_path: Path, pseudonymiser: Pseudonymiser) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(UnreadableImage):
        read_studies([path], pseudonymiser)
