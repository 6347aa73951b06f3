"""Reads the orientation in EXIF data, which have TIFF format, and tells whether all EXIF readers agree about it."""

import struct
from collections.abc import Iterable
from typing import Literal

Order = Literal["little", "big"]
PREFIX = b"Exif\0\0"  # before EXIF data in JPEGs
_ORDERS: dict[bytes, Order] = {b"II*\0": "little", b"MM\0*": "big"}
_FIELDS: dict[Order, str] = {"little": "<HHII", "big": ">HHII"}
_PNG, _RIFF = b"\x89PNG", b"RIFF"
_ORIENTATION = 0x0112
_ENTRY = 12  # bytes of an entry: tag, type, number of values, the values or their offset
_SIDES = (0x0100, 0x0101)  # width and height
_SHORT = 3
_COUNTS = ((_SHORT, 1), (4, 1))  # type and number of values of a count of pixels
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes of each type


def readable(found: Iterable[bytes]) -> int:
    """The first readable orientation in these EXIF data, 1 to 8; 1 if there is none."""
    firsts = (next(iter(orientations(one)), 0) for one in found)
    return next((value for value in firsts if 1 <= value <= 8), 1)


def orientations(exif: bytes) -> list[int]:
    """The values of all orientation entries in the first directory (IFD); entries that are cut off are ignored."""
    order, places, _ = _directory(exif)
    return [int.from_bytes(exif[at + 8 : at + 10], order) for at in places if _is_orientation(exif, at, order)]


def without_turn(tiff: bytes) -> bytes:
    """The TIFF file with every orientation entry in the first directory set to 1."""
    order, places, _ = _directory(tiff)
    changed = bytearray(tiff)
    for at in places:
        if _is_orientation(tiff, at, order):
            changed[at : at + _ENTRY] = struct.pack(_FIELDS[order][:-1] + "HH", _ORIENTATION, _SHORT, 1, 1, 0)
    return bytes(changed)


def is_plain(exif: bytes) -> bool:
    """Whether the first directory follows the format, so that every EXIF reader reads the whole directory."""
    order, places, whole = _directory(exif)
    fields = [struct.unpack_from(_FIELDS[order], exif, at) for at in places]
    tags = {tag: (kind, number) for tag, kind, number, _ in fields}
    return (
        whole
        and len(tags) == len(fields)
        and tags.get(_ORIENTATION, (_SHORT, 1)) == (_SHORT, 1)
        and all(tags.get(side, (_SHORT, 1)) in _COUNTS for side in _SIDES)
        and all(_fits(kind, number, value, len(exif)) for _, kind, number, value in fields)
    )


def _fits(kind: int, number: int, value: int, length: int) -> bool:
    size = _SIZES.get(kind, 0) * number
    return 0 < size <= 4 or 0 < size <= length - value


def _is_orientation(exif: bytes, at: int, order: Order) -> bool:
    return int.from_bytes(exif[at : at + 2], order) == _ORIENTATION


def _directory(exif: bytes) -> tuple[Order, list[int], bool]:
    """The byte order, the offsets of the first directory's entries, and whether the data has the whole directory."""
    order = _ORDERS.get(exif[:4])
    if order is None:
        return "little", [], False
    first = int.from_bytes(exif[4:8], order)
    end = first + 2 + _ENTRY * int.from_bytes(exif[first : first + 2], order)
    return order, list(range(first + 2, min(end, len(exif) - _ENTRY + 1), _ENTRY)), end + 4 <= len(exif)


def is_tiff(data: bytes) -> bool:
    """Whether the file begins like a TIFF."""
    return data[:4] in _ORDERS


def exif_in(data: bytes) -> list[bytes]:
    """The EXIF data of a PNG, WebP or TIFF file (a TIFF is its own EXIF data); none for other files."""
    if is_tiff(data):
        return [data]
    if data[:4] == _PNG:
        return _chunks(data, 8, ">I4s", b"eXIf", 12, 1)
    if data[:4] == _RIFF:
        return _chunks(data, 12, "<4sI", b"EXIF", 8, 2)
    return []


def _chunks(data: bytes, at: int, head: str, name: bytes, around: int, even: int) -> list[bytes]:
    """The content of all chunks with this name from byte `at` on. A chunk has `around` bytes besides its content.

    `head` is the struct format of the size and the name of a chunk; content is padded to a multiple of `even` bytes.
    """
    found = []
    while at + 8 <= len(data):
        fields = struct.unpack_from(head, data, at)
        size = next(one for one in fields if isinstance(one, int))
        if name in fields:
            content = data[at + 8 : at + 8 + size]
            found.append(content.removeprefix(PREFIX))
        at += around + size + size % even
    return found
