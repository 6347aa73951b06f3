"""Damaged copies of a file: cut short, bits flipped, numbers made huge, pieces of a wrong type."""

import random
import re
from collections.abc import Callable, Iterator
from typing import Literal

Mutation = Callable[[bytes, random.Random], bytes]
CASES = 1000
ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
NUMBERS = (b"-1", b"0", b"99999999999999999999999", b"1e999", b"-0.0", b"NaN", b"9" * 5000, b"\xc2\xb2")
VALUES = (b"null", b"true", b'"x"', b"[]", b"{}", b"[[[[[[[[", b'"\\u001b[31m\\n"', b"\x00", b"\xff\xfe", b'"../../x"')


def mutations(data: bytes, seed: int, *, text: bool, cases: int = CASES) -> Iterator[bytes]:
    """`cases` copies of `data`, each damaged in one way; in `text` also its numbers and words are exchanged."""
    draw = random.Random(seed)
    kinds = [cut, flip, zero, insert, *((number, value) if text else ())]
    for case in range(cases):
        yield kinds[case % len(kinds)](data, draw)


def cut(data: bytes, draw: random.Random) -> bytes:
    """Without its end."""
    return data[: draw.randrange(len(data))]


def flip(data: bytes, draw: random.Random) -> bytes:
    """One to eight bits flipped."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def zero(data: bytes, draw: random.Random) -> bytes:
    """A block of zeros in it, as a crash of the machine leaves them."""
    start, length = draw.randrange(len(data)), draw.randint(1, 512)
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def insert(data: bytes, draw: random.Random) -> bytes:
    """A piece of itself at another place."""
    start, place = draw.randrange(len(data)), draw.randrange(len(data))
    return data[:place] + data[start : start + draw.randint(1, 64)] + data[place:]


def limits(data: bytes, draw: random.Random) -> bytes:
    """A field of 1, 2, 4 or 8 bytes, anywhere in it, at a limit of what it can hold or beside its value."""
    return limits_between(data, draw, 0, len(data))


def limits_between(data: bytes, draw: random.Random, first: int, last: int) -> bytes:
    """The same of a field between these bytes, of which there is at least one."""
    width, order = draw.choice([one for one in (1, 2, 4, 8) if one <= last - first]), draw.choice(ORDERS)
    place, end = draw.randint(first, last - width), 1 << 8 * width
    now = int.from_bytes(data[place : place + width], order)
    value = draw.choice((0, 1, end - 1, end // 2 - 1, end // 2, (now + 1) % end, (now - 1) % end))
    return data[:place] + value.to_bytes(width, order) + data[place + width :]


def letter(data: bytes, draw: random.Random) -> bytes:
    """One of its letters replaced by another."""
    return _replaced(data, rb"[A-Za-z]", (b"a", b"q", b"x", b"E", b"\xc3\xa9"), draw)


def number(data: bytes, draw: random.Random) -> bytes:
    """One of its numbers replaced by an odd one."""
    return _replaced(data, rb"(?<![\w.])\d+(\.\d+)?(?![\w.])", NUMBERS, draw)


def value(data: bytes, draw: random.Random) -> bytes:
    """One of its values replaced by one of another type."""
    return _replaced(data, rb'(?<![\w.])(\d+(\.\d+)?|true|false|"[^"\n]*")(?![\w.])', VALUES, draw)


def _replaced(data: bytes, pattern: bytes, choices: tuple[bytes, ...], draw: random.Random) -> bytes:
    found = list(re.finditer(pattern, data))
    if not found:
        return cut(data, draw)
    one = draw.choice(found)
    return data[: one.start()] + draw.choice(choices) + data[one.end() :]
