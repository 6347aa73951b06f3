"""Reads the headers that precede the pixels in a JPEG: markers, sides and EXIF orientation. All functions are pure."""

import struct
from typing import NamedTuple

from headrace.shards.exif import PREFIX, readable

START = b"\xff\xd8"
CUT = "an end before its pixels"
_HEAD = struct.Struct(">HH").unpack_from  # a marker, and the length of its segment, which includes itself
_FRAME = struct.Struct(">HHB").unpack_from  # height, width, components
_APP1, _SCAN, _FILL = 0xFFE1, 0xFFDA, 0xFFFF
_ALONE = frozenset({0xFF01, *range(0xFFD0, 0xFFD8)})  # TEM and RST: markers without a segment
_SEGMENTS = frozenset(range(0xFFC0, 0xFFFF)) - frozenset(range(0xFFD0, 0xFFDA))
_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}  # except DHT, JPG and DAC


class Headers(NamedTuple):
    """Facts from the headers of a JPEG. The sides are those of the stored pixels, before any rotation."""

    fault: str  # why decoders may disagree about them; "" if they are plain
    width: int
    height: int
    components: int
    exifs: tuple[tuple[int, int], ...]  # start and end of each EXIF segment, including its marker
    frame: int  # the marker of the frame header: 0xFFC0 is baseline, 0xFFC2 progressive; 0 if there is none


def read_headers(jpeg: bytes) -> Headers:
    """Read the markers of a JPEG up to its first scan (4 microseconds for the usual ten markers).

    Headers are plain if they are consecutive segments, each with a length, and contain one frame header and at most one
    EXIF segment. Fill bytes and markers without a segment are legal, but some EXIF readers fail on them. EXIF readers
    also disagree about the orientation if there are two EXIF segments. A decoder that uses two EXIF readers may then
    write pixels of one shape into memory for another shape.
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
    """The number of bytes that a decoder skips at a marker without a segment, and a noun phrase that names the bytes.

    The number is 0 if a decoder stops at this marker.
    """
    if marker == _FILL:
        return 1, "fill bytes before a marker"
    if marker in _ALONE:
        return 2, "a marker without a segment before its pixels"
    return 0, "bytes before its pixels that are not a segment"


def orientation(jpeg: bytes, headers: Headers) -> int:
    """The first readable EXIF orientation, 1 to 8; 1 if there is none."""
    return readable(jpeg[first + 10 : end] for first, end in headers.exifs if jpeg[first + 4 : first + 10] == PREFIX)
