import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headrace.shards.exif import exif_in, is_plain, is_tiff, orientations, readable, without_turn
from headrace.shards.unsafe import BROKEN, UNCLEAR, why_unsafe
from tests.prep.odd_jpegs import ORIENTATION, entry, tiff


def saved(form: str, **options: Any) -> bytes:
    """A picture encoded in this file format."""
    out = io.BytesIO()
    Image.new("RGB", (9, 5)).save(out, form, **options)
    return out.getvalue()


def turned(orientation: int) -> dict[str, Any]:
    """The options with which Pillow writes a file of this orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return {"exif": exif}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_each_format(form: str, orientation: int) -> None:
    """The orientation that Pillow writes is found, plain and safe; a file without EXIF data has orientation 1."""
    data = saved(form, **turned(orientation))
    (found,) = exif_in(data)
    assert (readable([found]), is_plain(found), why_unsafe(data)) == (orientation, True, "")
    assert readable(exif_in(saved(form))) == 1
    assert why_unsafe(saved(form)) == ""


PLAIN = [entry(0x0128, 2), entry(ORIENTATION, 6)]


@pytest.mark.parametrize(
    "odd",
    [
        tiff(PLAIN, count=3, after=bytes(4)),
        tiff(PLAIN),
        tiff([*PLAIN, entry(ORIENTATION, 3)], after=bytes(4)),
        tiff([*PLAIN, entry(0x0128, 2)], after=bytes(4)),
        tiff([entry(0x0128, 2, kind=0), PLAIN[1]], after=bytes(4)),
        tiff([entry(0x010E, 26, kind=2, count=4_000_000_000), PLAIN[1]], after=bytes(4)),
        tiff([entry(ORIENTATION, 6, kind=4)], after=bytes(4)),
        tiff([entry(ORIENTATION, 6, count=2)], after=bytes(4)),
        tiff([entry(0x0100, 90), entry(0x0100, 4)], after=bytes(4)),
        tiff([entry(0x0101, 90, kind=1)], after=bytes(4)),
    ],
)
def test_what_readers_may_understand_otherwise(odd: bytes) -> None:
    """An EXIF directory with false entries makes a TIFF unsafe, and other files if it has an orientation."""
    assert is_plain(tiff(PLAIN, after=bytes(4)))
    assert not is_plain(odd)
    assert why_unsafe(odd) == BROKEN
    riff = b"RIFF" + bytes(4) + b"WEBPEXIF" + len(odd).to_bytes(4, "little") + odd
    assert why_unsafe(riff) == (UNCLEAR if orientations(odd) else "")


@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"\x89PNG1234", b"RIFF"]))
def test_any_bytes(junk: bytes, start: bytes) -> None:
    """Senseless bytes never raise an exception; a TIFF from which the turn is removed has orientation 1 at most."""
    data = start + junk
    assert why_unsafe(data) in {"", BROKEN, UNCLEAR, "two sets of EXIF data"} or data[:2] == b"\xff\xd8"
    assert 1 <= readable(exif_in(data)) <= 8
    if is_tiff(data):
        assert len(without_turn(data)) == len(data)
        assert set(orientations(without_turn(data))) <= {1}
