"""Finds image files that NVIDIA's decoder must not receive, because it reads their ambiguous EXIF data in two ways.

The decoder takes the sides of the upright image from one EXIF reader, and rotates the pixels according to another. If
the two readers disagree, the decoder writes outside its memory, or returns memory that it has not written.
"""

from headrace.shards import jpeg, system
from headrace.shards.exif import exif_in, is_plain, is_tiff, orientations

UNCLEAR = "EXIF data that decoders read in different ways"
RULE = 1
"""The version of the rules of `why_unsafe`.

Increase this number when the rules refuse more files; sets are then checked again.
"""
# Bytes that are read of an image: most headers end within _FIRST bytes, headers with a thumbnail within _LONGER.
_FIRST, _LONGER = 4 << 10, 128 << 10
BROKEN = "a directory that decoders read in different ways"  # for a TIFF, whose directory also holds the sides


def why_unsafe(data: bytes) -> str:
    """The fault because of which an image file must not be decoded, as a noun phrase; "" if there is no fault."""
    if data[: len(jpeg.START)] == jpeg.START:
        return jpeg.read_headers(data).fault
    if is_tiff(data):
        return "" if is_plain(data) else BROKEN
    found = exif_in(data)
    if len(found) > 1:
        return "two sets of EXIF data"
    if any(not is_plain(one) and set(orientations(one)) - {1} for one in found):
        return UNCLEAR
    return ""


def why_unsafe_at(descriptor: int, offset: int, size: int) -> str:
    """Like `why_unsafe`, for an image in an open tar. Of a JPEG, only the headers are read."""
    for length in (_FIRST, _LONGER):
        data = system.pread(descriptor, min(size, length), offset)
        if size <= length or data[:2] != jpeg.START:
            break
        fault = jpeg.read_headers(data).fault
        if fault != jpeg.CUT:
            return fault
    return why_unsafe(data if size <= len(data) else system.pread(descriptor, size, offset))
