"""Files that NVIDIA's decoder must not be handed: their EXIF data can be read in two ways, and it reads them twice.

It takes the sides of the upright image from one reader and turns the pixels by another. Where these differ it writes
outside its memory, or returns memory that it has not written.
"""

from headrace.shards import jpeg
from headrace.shards.exif import exif_in, is_plain, is_tiff, orientations

UNCLEAR = "EXIF data that decoders read in different ways"
BROKEN = "a directory that decoders read in different ways"  # of a TIFF, whose sides stand in it


def why_unsafe(data: bytes) -> str:
    """What is wrong with the whole image file, for a sentence after its name; "" where it may be decoded."""
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
