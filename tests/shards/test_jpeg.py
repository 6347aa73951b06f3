import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.jpeg import CUT, START, orientation, read_headers
from headrace.shards.unsafe import why_unsafe
from tests.prep.odd_jpegs import ANY, OddJpeg, after_start, base, exif, in_exif, odd_jpeg, segment

JPEG = base(random.Random(5))
PLAIN = ["no_exif", "one", "trailing", "thumbnail", "late", "lying_count", "no_entries", "xmp", "other_app1"]


def fault(jpeg: bytes) -> str:
    """What is wrong with the headers of a JPEG."""
    return read_headers(jpeg).fault


def test_what_is_plain() -> None:
    """A generated JPEG is plain if only segments precede its pixels, at most one of them with EXIF data."""
    for number in range(300):
        _compare(odd_jpeg(number))


def _compare(odd: OddJpeg) -> None:
    headers = read_headers(odd.data)
    assert (headers.height, headers.width) == odd.stored.shape[:2]
    if odd.kind in {"two", "broken_first", "fill_bytes", "alone"}:
        assert headers.fault == why_unsafe(odd.data) != ""
    elif odd.kind in PLAIN:
        assert (headers.fault, len(headers.exifs) < 2) == ("", True)
    if odd.orientations != ANY:
        assert orientation(odd.data, headers) == odd.orientations[0]


@pytest.mark.parametrize(
    ("jpeg", "words"),
    [
        (after_start(JPEG, exif(6), exif(3)), "two EXIF segments"),
        (after_start(JPEG, exif(1), segment(0xE1, b"Exif")), "two EXIF segments"),
        (after_start(JPEG, b"\xff"), "fill bytes"),
        (after_start(JPEG, b"\xff\x01"), "without a segment"),
        (after_start(JPEG, b"\xff\xd3"), "without a segment"),
        (after_start(JPEG, b"\xff\xd8"), "bytes before its pixels that are not a segment"),
        (after_start(JPEG, b"\xff\xe1\0\1"), "bytes before its pixels that are not a segment"),
        (after_start(JPEG, b"\0"), "bytes before its pixels that are not a segment"),
        (after_start(JPEG, JPEG[JPEG.index(b"\xff\xc0") :][:19]), "two frame headers"),
        (JPEG[:40], CUT),
        (START, CUT),
        (after_start(JPEG, segment(0xE1, b"http"), exif(6), segment(0xE2, b"Exif\0\0")), ""),
    ],
)
def test_each_fault_is_named(jpeg: bytes, words: str) -> None:
    """The error names what decoders read differently; two APP1 segments are plain, two EXIF segments are not."""
    assert words in fault(jpeg)
    assert bool(words) == bool(fault(jpeg))


@given(st.binary(max_size=120))
def test_any_bytes_have_headers(junk: bytes) -> None:
    """Senseless bytes have faults or no orientation, and never raise an exception."""
    for jpeg in (START + junk, after_start(JPEG, in_exif(junk)), START + b"\xff\xe1" + junk + b"Exif\0\0"):
        headers = read_headers(jpeg)
        assert 1 <= orientation(jpeg, headers) <= 8
