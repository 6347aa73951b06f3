"""Tools of the fuzz tests: archives and listings of known contents, damage to them, and odd names."""

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from headrace.prep.images.admit import encode
from headrace.shards.errors import HeadraceError, error_line
from tests.prep.contents import Contents

Damage = Callable[[random.Random, bytes], bytes]

ODD_NAMES = (
    b"/absolute.jpg",
    b"/etc/class/absolute.jpg",
    b"../class/up.jpg",
    b"../../../class/up.jpg",
    b"class/../../up.jpg",
    b"class/./dot.jpg",
    b"./class/dot.jpg",
    b"class/..jpg",
    b"class/...",
    b"class/.jpg",
    b"../..jpg",
    b"..",
    b".",
    b"/",
    b"//",
    b"class//twice.jpg",
    b"class\\back\\slash.jpg",
    b"C:\\class\\drive.jpg",
    b"class/" + b"n" * 251 + b".jpg",
    b"class/" + b"n" * 3000 + b".jpg",
    b"d/" * 400 + b"deep.jpg",
    b"c" * 300 + b"/long-class.jpg",
    b"class/\xff\xfe.jpg",
    b"\xe9t\xe9/latin.jpg",
    b"class/\xed\xa0\x80.jpg",
    b"class/a\nb.jpg",
    b"class/a\tb.jpg",
    b"class/a\0b.jpg",
    b"class/a\x1b[31mb.jpg",
    b"class/a\x7fb.jpg",
    b"class/ a b .jpg",
    b" /space.jpg",
    "cla\u202ess/turned.jpg".encode(),
    "класс/имя\u0301.jpg".encode(),
    "class/\u2028line.jpg".encode(),
    "class/\U0001f600.jpg".encode(),
    b"class/many.dots.in.a.name.jpg",
    b"class/jpg",
    b"class/name.jpg ",
    b"class/name.jpg.",
    b"class/CON.jpg",
    b"class/--on-bad.jpg",
    b"class/$(touch x).jpg",
    b"class/%s%n.jpg",
    b"wnids.txt",
    b"train/class/one.jpg",
    b"shardset.json/one.jpg",
    b"class/~.jpg",
)


@cache
def tree() -> Contents:
    """Two splits of two classes, in which all images differ."""
    noise = np.arange(12 * 8 * 8 * 3, dtype=np.uint32) * 2654435761 >> 24
    pictures = iter(noise.astype(np.uint8).reshape(12, 8, 8, 3))
    names = (f"{split}/{name}/{k}.jpg" for split in ("train", "val") for name in ("ant", "cat") for k in range(3))
    return {name: encode(picture, 50) for name, picture in zip(names, pictures, strict=True)}


def zipped(contents: dict[bytes, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with these bytes as names, even names that no zip program would write."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for number, data in enumerate(contents.values()):
            archive.writestr(zipfile.ZipInfo(_stand_in(number, list(contents)[number])), data, method)
    data = out.getvalue()
    for number, name in enumerate(contents):
        data = data.replace(_stand_in(number, name).encode(), name)
    return data


def _stand_in(number: int, name: bytes) -> str:
    """A plain name of equal length that occurs nowhere else; a short name stands for itself."""
    return f"@{number:04d}@".ljust(len(name), "@") if len(name) > 5 else name.decode()


def tarred(contents: dict[bytes, bytes], mode: str = "w", form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar with these bytes as names."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form, errors="surrogateescape") as archive:  # type: ignore[call-overload]
        for name, data in contents.items():
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def cut(chance: random.Random, data: bytes) -> bytes:
    """The data cut off at a random place."""
    return data[: chance.randrange(len(data))]


def flipped(chance: random.Random, data: bytes) -> bytes:
    """The data with one bit flipped."""
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def flipped_at_an_end(chance: random.Random, data: bytes) -> bytes:
    """The data with one bit flipped near the beginning or the end, where formats keep their structure."""
    changed = bytearray(data)
    place = chance.randrange(min(len(data), 1500))
    changed[place if chance.random() < 0.3 else -1 - place] ^= 1 << chance.randrange(8)
    return bytes(changed)


def scrambled(chance: random.Random, data: bytes) -> bytes:
    """The data with some bytes changed, some missing, and some doubled."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place, length = chance.randrange(len(changed)), chance.choice((1, 4, 16, 512))
        kind = chance.randrange(4)
        if kind == 0:
            changed[place : place + length] = chance.randbytes(length)
        elif kind == 1 and len(changed) > length + 1:
            del changed[place : place + length]
        elif kind == 2:
            changed[place:place] = changed[place : place + length]
        else:
            changed[place : place + length] = chance.choice((b"\0", b"\xff", b"\x80", b"9")) * length
    return bytes(changed)


def everything_below(folder: Path) -> dict[str, bytes]:
    """The path and the bytes of all files, to check what was written."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(work: Callable[[], object]) -> str | None:
    """The error line with which the work ends, or None if it ends well; any other end fails the test."""
    try:
        work()
    except HeadraceError as error:
        return error_line(error)
    return None
