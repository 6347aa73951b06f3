"""Files that NVIDIA's decoder must not be handed: their EXIF data can be read in two ways, and it reads them twice.

It takes the sides of the upright image from one reader and turns the pixels by another. Where these differ it writes
outside its memory, or returns memory that it has not written.
"""

from shards import jpeg

_PNG = b"\x89PNG"
_PNG_EXIF = b"eXIf"
_TIFF = (b"II*\0", b"MM\0*")


def why_unsafe(data: bytes) -> str:
    """What is wrong with the whole image file, for a sentence after its name; "" where it may be decoded."""
    if data[:2] == jpeg.START:
        return jpeg.read_headers(data).fault
    if data[:4] == _PNG and data.count(_PNG_EXIF) > 1:
        return "two EXIF chunks"
    if data[:4] in _TIFF and len(jpeg.orientations(data)) > 1:
        return "two orientations"
    return ""
