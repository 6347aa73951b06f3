"""PNG, TIFF and WebP files with odd EXIF data, admitted one after another: `python -m tests.prep.admit_odd_files 0 99`.

Prints the number of each before it is admitted, so that a signal has a name, and what is wrong with it after that.
"""

import io
import random
import struct
import sys
import zlib

import numpy as np
from PIL import Image

from headrace.prep.images.admit import BadImageError, Pixels, admit, sides
from tests.prep.odd_jpegs import ORIENTATION, TURNS, entry, tiff

WIDTH, HEIGHT = 90, 50
_X, _Y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
PICTURE: Pixels = np.stack([_X * 2, _Y * 4, _X + _Y], -1).astype(np.uint8)


def scrambled(chance: random.Random, data: bytes) -> bytes:
    """The data with some bytes changed."""
    changed = bytearray(data)
    for _ in range(chance.randint(0, 3)):
        changed[chance.randrange(len(data))] = chance.choice((0, 1, 2, 6, 0x12, 0x80, 0xFF, chance.randrange(256)))
    return bytes(changed)


def exif_data(chance: random.Random) -> bytes:
    """EXIF data that give orientation 6, or are broken in some way."""
    plain = tiff([entry(0x0128, 2), entry(ORIENTATION, 6)], after=bytes(8))
    return chance.choice((plain, scrambled(chance, plain), b"Exif\0\0" + plain, plain[: chance.randrange(len(plain))]))


def saved(form: str, **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, form, **options)
    return out.getvalue()


def odd_png(chance: random.Random) -> bytes:
    """A PNG with one or two chunks of EXIF data, before the pixels or behind them."""
    data = saved("PNG")
    for _ in range(chance.choice((1, 1, 2))):
        content, place = b"eXIf" + exif_data(chance), chance.choice((33, len(data) - 12))
        chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
        data = data[:place] + chunk + data[place:]
    return data


def odd_tiff(chance: random.Random) -> bytes:
    """A TIFF with any orientation and some broken entries."""
    packed = chance.choice((None, "tiff_lzw", "jpeg", "tiff_adobe_deflate"))
    data = saved("TIFF", tiffinfo={ORIENTATION: chance.randint(1, 8)}, compression=packed)
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little") + 4
    return data[:first] + scrambled(chance, data[first:end]) + data[end:]


def odd_webp(chance: random.Random) -> bytes:
    """A WebP with odd EXIF data."""
    return saved("WEBP", exif=exif_data(chance) or b"\0", lossless=True)


def distance(pixels: Pixels, seen: Pixels) -> float:
    """The mean difference in levels; pictures of different shapes get the largest value."""
    return float(np.abs(pixels.astype(int) - seen).mean()) if pixels.shape == seen.shape else 255.0


def problem(data: bytes, *, damaged: bool) -> str:
    """What is wrong with the admission of a file; a damaged file may be refused or look in any way."""
    try:
        admitted = admit(data)
    except BadImageError as error:
        return "" if damaged else f"refused: {error}"
    try:
        if sides(data) != admitted[1:3]:
            return f"index would note {sides(data)}, prep {admitted[1:3]}"
    except BadImageError:
        pass  # its bytes are not for training, which prep converts
    seen = np.asarray(Image.open(io.BytesIO(admitted.jpeg)))
    nearest = min(distance(np.ascontiguousarray(turn(PICTURE)), seen) for turn in TURNS.values())
    return "" if damaged or nearest < 3 else f"{nearest:.1f} levels from the picture"


def main(first: int, last: int) -> None:
    """Admit all files of these numbers."""
    for number in range(first, last):
        for make in (odd_png, odd_tiff, odd_webp):
            sys.stdout.write(f"{number} {make.__name__}\n")
            sys.stdout.flush()
            found = problem(make(random.Random(number)), damaged=make is odd_tiff)
            sys.stdout.write(f"problem: {found}\n" if found else "")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
