"""Damage that knows a format: fields of zips and tars, with checksums that fit, and what lies inside a compression."""

import random
import re
import struct
from collections.abc import Callable

from headrace.shards.tar import BLOCK
from tests.faults.mutations import Mutation, cut, limits_between
from tests.prep.fields import to_limit

_ZIP_RECORDS = {b"\1\2": 46, b"\3\4": 30, b"\5\6": 22, b"\6\6": 56, b"\6\7": 20, b"\7\x08": 16}
_END = struct.Struct("<4s4H2LH")


def field_of_a_zip(data: bytes, draw: random.Random) -> bytes:
    """A number in one of the records of a zip at a limit, in the directory at its end as often as in all others."""
    found = [(one.start(), one[1]) for one in re.finditer(rb"PK([\1\3\5-\7][\2\4\6-\x08])", data)]
    found = [(at, kind) for at, kind in found if kind in _ZIP_RECORDS]
    ends = [(at, kind) for at, kind in found if kind not in (b"\3\4", b"\7\x08")]
    if not found:
        return cut(data, draw)
    at, kind = draw.choice(ends if ends and draw.random() < 0.5 else found)
    return limits_between(data, draw, at + 4, at + _ZIP_RECORDS[kind])


def with_wide_end(data: bytes) -> bytes:
    """A zip without comment whose directory is described by numbers of 64 bits, as only large zips need it."""
    *_, entries, length, offset, _ = _END.unpack_from(data, len(data) - _END.size)
    place = len(data) - _END.size
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, length, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    return data[:place] + wide + locator + _END.pack(b"PK\5\6", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)


def field_of_a_header(data: bytes, draw: random.Random) -> bytes:
    """A field of one of a tar's headers at a limit, with a checksum that fits."""
    changed = bytearray(data)
    to_limit(changed, draw)
    return bytes(changed)


def bits_of_a_header(data: bytes, draw: random.Random) -> bytes:
    """One to three bits of one of a tar's headers flipped, with a checksum that fits."""
    headers = [at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return cut(data, draw)
    at = draw.choice(headers)
    block = bytearray(data[at : at + BLOCK])
    for _ in range(draw.randint(1, 3)):
        block[draw.randrange(BLOCK)] ^= 1 << draw.randrange(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:at] + bytes(block) + data[at + BLOCK :]


def inside(kind: Mutation, unpack: Callable[[bytes], bytes], pack: Callable[[bytes], bytes]) -> Mutation:
    """The damage done to what is packed, which is then packed again."""

    def within(data: bytes, draw: random.Random) -> bytes:
        return pack(kind(unpack(data), draw))

    within.__name__ = f"{kind.__name__} inside"
    return within
