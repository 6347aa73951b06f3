"""What stands before the pixels of a JPEG: its markers, sides and EXIF orientation. Pure functions over bytes."""

import struct
from typing import NamedTuple

from headrace.shards.exif import PREFIX, readable

START = b"\xff\xd8"
CUT = "an end before its pixels"
_HEAD = struct.Struct(">HH").unpack_from  # a marker, and the length of its segment, which counts itself
_FRAME = struct.Struct(">HHB").unpack_from  # height, width, components
_APP1, _SCAN, _FILL = 0xFFE1, 0xFFDA, 0xFFFF
_ALONE = frozenset({0xFF01, *range(0xFFD0, 0xFFD8)})  # TEM and RST: markers without a segment
_SEGMENTS = frozenset(range(0xFFC0, 0xFFFF)) - frozenset(range(0xFFD0, 0xFFDA))
_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}  # but DHT, JPG and DAC


class Headers(NamedTuple):
    """What the markers say. The sides are those of the pixels as they are stored, not yet turned."""

    fault: str  # why decoders may read them in different ways; "" where they are plain
    width: int
    height: int
    components: int
    exifs: tuple[tuple[int, int], ...]  # first byte and end of each EXIF segment, from its marker
    frame: int  # the marker of the frame header: 0xFFC0 is baseline, 0xFFC2 progressive; 0 where there is none


def read_headers(jpeg: bytes) -> Headers:
    """Walk over the markers of a JPEG, to its first scan (4 microseconds for the usual ten).

    Plain are segments with a length, one after another, with one frame and at most one EXIF segment. Fill bytes and
    markers without a segment are legal, but readers of EXIF stumble over them; of two EXIF segments they take this one
    or that. A decoder that asks two readers then writes pixels of one shape into memory of another.
    """
    at, fault, frame = 2, "", (0, 0, 0, 0)
    exifs: list[tuple[int, int]] = []
    try:
        while True:
            marker, length = _HEAD(jpeg, at)
            if marker not in _SEGMENTS or length < 2:
                skipped = _skipped(marker)
                fault = fault or skipped[1]
                if not skipped[0]:
                    break
                at += skipped[0]
                continue
            if marker in _FRAMES:
                fault = fault or ("two frame headers" if any(frame) else "")
                frame = (*_FRAME(jpeg, at + 5), marker)
            elif marker == _SCAN:
                break
            elif marker == _APP1 and jpeg[at + 4 : at + 8] == PREFIX[:4]:
                fault = fault or ("two EXIF segments" if exifs else "")
                exifs.append((at, at + 2 + length))
            at += 2 + length
    except struct.error:
        fault = CUT
    return Headers(fault, frame[1], frame[0], frame[2], tuple(exifs), frame[3])


def _skipped(marker: int) -> tuple[int, str]:
    """Bytes that a decoder skips where no segment begins, 0 where it would not go on, and what is there."""
    if marker == _FILL:
        return 1, "fill bytes before a marker"
    if marker in _ALONE:
        return 2, "a marker without a segment before its pixels"
    return 0, "something that is no segment before its pixels"


def orientation(jpeg: bytes, headers: Headers) -> int:
    """The first EXIF orientation that can be read, 1 to 8; 1 when there is none."""
    return readable(jpeg[first + 10 : end] for first, end in headers.exifs if jpeg[first + 4 : first + 10] == PREFIX)
