"""JPEGs built by code, whose upright picture is known: odd EXIF data, markers, scans and endings."""

import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
ORIENTATION = 0x0112
XMP = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
    b'22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/></rdf:RDF>'
    b"</x:xmpmeta>"
)


@dataclass(frozen=True)
class OddJpeg:
    """A file and the orientations that a reader may find; only one unless its form is ambiguous."""

    kind: str
    evil: bool  # two or more APP1, fill bytes, markers without a segment, broken directories, XMP
    data: bytes
    stored: Pixels  # as Pillow decodes the file without what this module put into it
    orientations: tuple[int, ...]

    def uprights(self) -> list[Pixels]:
        """The upright pictures that a reader may see."""
        return [upright(self.stored, one) for one in self.orientations]


TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: np.rot90,
}
ANY = tuple(TURNS)


def upright(stored: Pixels, orientation: int) -> Pixels:
    """The upright picture for one that is stored in this EXIF orientation."""
    return np.ascontiguousarray(TURNS[orientation](stored))


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def entry(tag: int, value: int, order: str = "<", kind: int = 3, count: int = 1) -> bytes:
    """An entry of a directory: kind 3 stores its value in two bytes, other kinds in four."""
    return struct.pack(order + ("HHIHxx" if kind == 3 else "HHII"), tag, kind, count, value)


def tiff(entries: list[bytes], order: str = "<", count: int | None = None, first: int = 8, after: bytes = b"") -> bytes:
    """EXIF data with one directory that claims to have `count` entries."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", first)
    number = struct.pack(order + "H", len(entries) if count is None else count)
    return mark.ljust(first, b"\0") + number + b"".join(entries) + after


def exif(orientation: int, order: str = "<", **form: Any) -> bytes:
    """A plain EXIF segment."""
    return in_exif(tiff([entry(ORIENTATION, orientation, order)], order, **{"after": bytes(4), **form}))


def in_exif(data: bytes) -> bytes:
    """An EXIF segment with this content."""
    return segment(0xE1, b"Exif\0\0" + data)


def after_start(jpeg: bytes, *parts: bytes) -> bytes:
    """The JPEG with these bytes inserted after its first marker."""
    return jpeg[:2] + b"".join(parts) + jpeg[2:]


def before_scan(jpeg: bytes, number: int, *parts: bytes) -> bytes:
    """The JPEG with these bytes inserted before scan `number`, if it has that many scans."""
    place = jpeg.index(b"\xff\xda")
    for _ in range(number):
        following = jpeg.find(b"\xff\xc4", place + 2)
        place = following if following > 0 else place
    return jpeg[:place] + b"".join(parts) + jpeg[place:]


def picture(chance: random.Random) -> Pixels:
    """A smooth picture that every turn and mirror changes."""
    width, height = (chance.choice((1, 7, 8, 16, 33, 48, 64, 97)) for _ in "wh")
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [255 * x**1.5, 200 * y + 20, 120 * x * y + 60 * np.sin(3 * x + chance.random()) + 60]
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def base(chance: random.Random) -> bytes:
    """A JPEG without EXIF data: any subsampling, baseline or progressive, with or without restart intervals."""
    pixels = picture(chance)
    if chance.random() < 0.4:
        form = chance.choice(("444", "422", "420", "440", "411", "Gray"))
        grey = np.ascontiguousarray(pixels[..., :1]) if form == "Gray" else pixels
        space = "GRAY" if form == "Gray" else "RGB"
        return bytes(simplejpeg.encode_jpeg(grey, quality=95, colorspace=space, colorsubsampling=form))
    options: dict[str, Any] = {"quality": chance.choice((60, 80, 95)), "subsampling": chance.choice((0, 1, 2))}
    if chance.random() < 0.4:
        options["progressive"] = True
    if chance.random() < 0.3:
        options["restart_marker_blocks"] = chance.randint(1, 5)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(chance.choice(("RGB", "RGB", "L"))).save(out, "JPEG", **options)
    return out.getvalue()


Made = tuple[bytes, tuple[int, ...]]


def _one(chance: random.Random, jpeg: bytes) -> Made:
    """One EXIF segment in a form that every reader understands in the same way."""
    value, order = chance.randint(1, 8), chance.choice("<>")
    others = [entry(0x010F, 7, order, 4), entry(0x0128, 2, order)]
    before = others[: chance.randint(0, 2)]
    entries = [*before, entry(ORIENTATION, value, order), *others[len(before) :]]
    data = tiff(entries, order, first=chance.choice((8, 8, 26, 3000)), after=bytes(4))
    return after_start(jpeg, in_exif(data)), (value,)


def _no_exif(chance: random.Random, jpeg: bytes) -> Made:
    extra = [
        b"",
        segment(0xFE, exif(6)),
        segment(0xE2, b"Exif\0\0" + tiff([entry(ORIENTATION, 6)])),
        segment(0xE5, b""),
    ]
    return after_start(jpeg, chance.choice(extra)), (1,)


def _trailing(chance: random.Random, jpeg: bytes) -> Made:
    tail = chance.choice((bytes(100), chance.randbytes(333), after_start(jpeg, exif(6)), b"\xff\xd9"))
    return after_start(jpeg, exif(3)) + tail, (3,)


def _thumbnail(chance: random.Random, jpeg: bytes) -> Made:
    """The second directory has an orientation of its own, followed by a JPEG with EXIF data."""
    value = chance.randint(1, 8)
    linked = struct.pack("<I", 26) + struct.pack("<H", 1) + entry(ORIENTATION, 6) + bytes(4)
    return after_start(jpeg, exif(value, after=linked + after_start(jpeg, exif(8)))), (value,)


def _two(chance: random.Random, jpeg: bytes) -> Made:
    values = [chance.randint(1, 8) for _ in range(chance.choice((2, 2, 2, 3)))]
    between = chance.choice((b"", b"", segment(0xFE, b"between"), segment(0xE1, XMP % 8)))
    return after_start(jpeg, exif(values[0]), between, *map(exif, values[1:])), (values[0],)


def _broken_first(chance: random.Random, jpeg: bytes) -> Made:
    """An unreadable EXIF segment comes before a readable one."""
    value = chance.randint(1, 8)
    broken = [b"", b"II*\0", b"XX*\0" + bytes(20), tiff([entry(ORIENTATION, 0)]), b"II*\0\xff\xff\xff\x7f" + bytes(9)]
    broken += [tiff([entry(ORIENTATION, 9)], after=bytes(4)), tiff([entry(0x0128, 2)], count=90)]
    return after_start(jpeg, in_exif(chance.choice(broken)), exif(value)), (value,)


def _fill_bytes(chance: random.Random, jpeg: bytes) -> Made:
    value, fill = chance.randint(1, 8), b"\xff" * chance.randint(1, 4)
    if chance.random() < 0.5:
        return after_start(jpeg, fill, exif(value)), (value,)
    return after_start(jpeg, exif(value), fill), (value,)


def _alone(chance: random.Random, jpeg: bytes) -> Made:
    """A TEM or RST marker comes before the headers."""
    value, marker = chance.randint(1, 8), bytes([0xFF, chance.choice((0x01, 0xD0, 0xD7))])
    return after_start(jpeg, *chance.sample((marker, exif(value)), 2)), (value,)


def _lying_count(chance: random.Random, jpeg: bytes) -> Made:
    """The directory claims more entries than there are bytes for."""
    value, after = chance.randint(1, 8), chance.choice((b"", bytes(4), bytes(30)))
    return after_start(jpeg, exif(value, count=chance.choice((2, 3, 100, 65535)), after=after)), (value,)


def _no_entries(_: random.Random, jpeg: bytes) -> Made:
    return after_start(jpeg, exif(6, count=0)), (1,)


def _xmp(chance: random.Random, jpeg: bytes) -> Made:
    """An orientation in XMP data, before or after the EXIF data, does not count."""
    value, xmp = chance.randint(1, 8), segment(0xE1, XMP % chance.randint(1, 8))
    parts = chance.choice(((xmp,), (xmp, exif(value)), (exif(value), xmp)))
    return after_start(jpeg, *parts), (value if len(parts) == 2 else 1,)


def _other_app1(chance: random.Random, jpeg: bytes) -> Made:
    value = chance.randint(1, 8)
    other = chance.choice((b"", b"abc", b"http:/" + tiff([entry(ORIENTATION, 6)])))
    return after_start(jpeg, segment(0xE1, other), exif(value)), (value,)


def _late(chance: random.Random, jpeg: bytes) -> Made:
    """The EXIF segment comes after the frame header or, where it is not read, after the first scan."""
    value = chance.randint(1, 8)
    if chance.random() < 0.5 or jpeg.count(b"\xff\xda") < 2:
        return before_scan(jpeg, 0, exif(value)), (value,)
    return after_start(before_scan(jpeg, 1, exif(chance.randint(1, 8))), exif(value)), (value,)


def _unclear(chance: random.Random, jpeg: bytes) -> Made:
    """Forms that readers understand differently."""
    value, order = chance.randint(1, 8), chance.choice("<>")
    entries = [
        [entry(ORIENTATION, value, order, 4)],
        [entry(ORIENTATION, value, order, 1)],
        [entry(ORIENTATION, value, order, 3, 0)],
        [entry(ORIENTATION, value, order), entry(ORIENTATION, chance.randint(1, 8), order)],
        [entry(0x010E, 26, order, 2, 4_000_000_000), entry(ORIENTATION, value, order)],
    ]
    data = tiff(chance.choice(entries), order, after=bytes(4))
    return after_start(jpeg, segment(0xE1, chance.choice((b"Exif\0\0", b"Exif\0\xff")) + data)), ANY


def _scrambled(chance: random.Random, jpeg: bytes) -> Made:
    """Any byte of the EXIF data may be changed."""
    data = bytearray(tiff([entry(0x0128, 2), entry(ORIENTATION, 6)], after=bytes(8)))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 3, 6, 8, 0x12, 0x80, 0xFF, chance.randrange(256)))
    return after_start(jpeg, in_exif(bytes(data))), ANY


FORMS: dict[Callable[[random.Random, bytes], Made], tuple[int, bool]] = {
    _no_exif: (3, False),
    _one: (6, False),
    _trailing: (2, False),
    _thumbnail: (2, False),
    _late: (2, False),
    _two: (3, True),
    _broken_first: (2, True),
    _fill_bytes: (2, True),
    _alone: (1, True),
    _lying_count: (1, True),
    _no_entries: (1, True),
    _xmp: (2, True),
    _other_app1: (1, True),
    _unclear: (1, True),
    _scrambled: (2, True),
}
"""How often each form comes, and whether it is an evil one."""


def odd_jpeg(number: int) -> OddJpeg:
    """The file of this number, always the same."""
    chance = random.Random(number)
    jpeg = base(chance)
    (form,) = chance.choices(list(FORMS), [share for share, _ in FORMS.values()])
    data, orientations = form(chance, jpeg)
    stored = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    return OddJpeg(form.__name__.strip("_"), FORMS[form][1], data, stored, orientations)
