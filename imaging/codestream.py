"""Sizes that compressed frames state about themselves, so a bomb is refused before decoding."""

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xDA)}
_J2K_START = b"\xff\x4f\xff\x51"


def stated_size(frame: bytes) -> tuple[int, int] | None:
    """Return the rows and columns of a JPEG, JPEG-LS or JPEG 2000 frame; None if neither.

    Source: ITU-T T.81, B.2.2 (SOF); T.87, C.2.2; T.800, A.5.1 (SIZ).

    >>> stated_size(bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 01 11 00"))
    (16, 32)
    """
    if frame[:2] == b"\xff\xd8":
        return _jpeg_size(frame)
    start = frame.find(_J2K_START, 0, 4096)
    if start < 0 or len(frame) < start + 24:
        return None
    at = start + 8
    right, bottom, left, top = (
        int.from_bytes(frame[at + 4 * n : at + 4 * n + 4], "big") for n in range(4)
    )
    return bottom - top, right - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            return (
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 9], "big"),
            )
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
