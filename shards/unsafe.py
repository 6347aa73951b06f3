"""Finds files that NVIDIA's decoder must not get: their EXIF data are ambiguous, and it reads them in two ways.

It takes the sides of the upright image from one reader and rotates the pixels according to another. If these disagree,
it writes outside its memory, or returns memory that it has not written.
"""

from headrace.shards import jpeg, system
from headrace.shards.exif import exif_in, is_plain, is_tiff, orientations

UNCLEAR = "EXIF data that decoders read in different ways"
RULE = 1
"""The version of the rule. Increase it when `why_unsafe` refuses more, so that sets are checked again."""
# Bytes read of an image: most headers end within the first, those with a thumbnail within the second.
_FIRST, _LONGER = 4 << 10, 128 << 10
BROKEN = "a directory that decoders read in different ways"  # in a TIFF, where it holds the sides


def why_unsafe(data: bytes) -> str:
    """What is wrong with an image file, as words after its name; "" if it may be decoded."""
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
    """The same for an image in a tar, of which only the headers are read if it is a JPEG."""
    for length in (_FIRST, _LONGER):
        data = system.pread(descriptor, min(size, length), offset)
        if size <= length or data[:2] != jpeg.START:
            break
        fault = jpeg.read_headers(data).fault
        if fault != jpeg.CUT:
            return fault
    return why_unsafe(data if size <= len(data) else system.pread(descriptor, size, offset))
