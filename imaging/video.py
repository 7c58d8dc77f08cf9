"""Frames of a video file, evenly spaced. The demuxer is named, so no playlist can fetch a URL."""

from pathlib import Path

import av
import numpy as np

from overread.imaging import loose
from overread.imaging.errors import UnreadableImage
from overread.imaging.limits import check_size, reading
from overread.imaging.pseudonym import Pseudonymiser
from overread.imaging.study import Study

DEFAULT_FRAMES = 32
"""How many frames of a video are kept."""

MAX_VIDEO_FRAMES = 20_000
"""Longest video we decode: eleven minutes at 30 frames a second."""


def read(
    path: Path, demuxer: str, pseudonymiser: Pseudonymiser, count: int = DEFAULT_FRAMES
) -> Study:
    """Read up to `count` frames from the first to the last; `ref.frame` is the place in the video.

    Args:
        path: The file; opened as a stream, sound and metadata are ignored.
        demuxer: "mov" (MP4 too), "matroska" (WebM too) or "avi".
        pseudonymiser: Names the study by the file's content.
        count: At least 1.

    Raises:
        UnreadableImage: Damaged, too long, without pictures, or in an unknown codec.
    """
    av.logging.set_level(None)
    with reading(path, "video"):
        total = _packets(path, demuxer)
        if total > MAX_VIDEO_FRAMES:
            raise UnreadableImage(
                f"{path} has {total:,} frames; cut a clip of at most {MAX_VIDEO_FRAMES:,}."
            )
        wanted = {int(n) for n in np.linspace(0, total - 1, min(count, total)).round()}
        found, rate = _decode(path, demuxer, wanted)
        if not found:
            raise UnreadableImage(f"{path} holds no picture that we can decode.")
        grey = all(loose.as_pixels(frame).ndim == 2 for frame in found.values())
        return loose.study(
            path,
            pseudonymiser,
            [loose.as_pixels(f) if grey else np.ascontiguousarray(f) for f in found.values()],
            {"format": "video", "frames_in_file": total, "frames_per_second": rate},
            frame_numbers=list(found),
            window=loose.EIGHT_BIT_WINDOW,
        )


def _packets(path: Path, demuxer: str) -> int:
    """Count frames without decoding, and check their size."""
    with path.open("rb") as file, av.open(file, "r", format=demuxer) as container:
        if not container.streams.video:
            raise UnreadableImage(f"{path} has no video stream; give a video or a picture.")
        stream = container.streams.video[0]
        check_size(path, stream.codec_context.height, stream.codec_context.width, 1)
        total = sum(bool(packet.size) for packet in container.demux(stream))
    if total == 0:
        raise UnreadableImage(f"{path} holds no frames; it is truncated.")
    return total


def _decode(
    path: Path, demuxer: str, wanted: set[int]
) -> tuple[dict[int, np.ndarray], float | None]:
    """Return the wanted frames as uint8 RGB by number, and the frame rate."""
    found: dict[int, np.ndarray] = {}
    with path.open("rb") as file, av.open(file, "r", format=demuxer) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate) if stream.average_rate else None
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                check_size(path, frame.height, frame.width, len(wanted))
                picture = frame.to_ndarray(format="rgb24")
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                found[number] = np.rot90(picture, turns)
            if len(found) == len(wanted):
                break
    return found, rate
