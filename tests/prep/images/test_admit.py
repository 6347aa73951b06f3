import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from headrace.prep.images import admit as admission
from headrace.prep.images.admit import BadImageError, admit, decode, sides
from headrace.shards.jpeg import read_headers
from headrace.shards.prepared import Prepared
from tests.prep.odd_jpegs import TURNS, after_start, exif, segment

WIDTH, HEIGHT = 60, 40


def picture() -> Image.Image:
    """A smooth picture without any symmetry."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return Image.fromarray(np.stack([x * 4, y * 6, (x + y) * 2], -1).astype(np.uint8))


def encoded(pixels: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    pixels.save(out, form, **options)
    return out.getvalue()


def turned(orientation: int) -> Image.Exif:
    """EXIF data that say how to turn the picture."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def pixels_of(jpeg: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The upright RGB pixels of a JPEG, as PIL sees them."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))).convert("RGB")).astype(np.int64)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"subsampling": 0}])
def test_jpeg_is_kept_as_it_is(mode: str, options: dict[str, Any]) -> None:
    """A sound JPEG, grey or colour, keeps its own bytes."""
    data = encoded(picture().convert(mode), "JPEG", **options)
    assert admit(data) == (data, WIDTH, HEIGHT, "")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_size_is_that_of_the_upright_image(orientation: int, form: str) -> None:
    """Width and height equal those from PIL's exif_transpose in every orientation."""
    data = encoded(picture(), form, exif=turned(orientation))
    admitted = admit(data)
    assert (admitted.width, admitted.height) == ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size
    assert np.abs(pixels_of(admitted.jpeg) - pixels_of(data)).mean() < 3


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (encoded(picture(), "PNG"), "PNG"),
        (encoded(picture().convert("RGBA"), "PNG"), "PNG"),
        (encoded(picture().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), "PNG"),
        (encoded(picture().convert("L"), "PNG"), "PNG"),
        (encoded(picture(), "BMP"), "BMP"),
        (encoded(picture(), "WEBP", lossless=True), "WEBP"),
        (encoded(picture(), "TIFF"), "TIFF"),
        (encoded(picture().convert("CMYK"), "JPEG", quality=95), "JPEG"),
    ],
)
def test_other_formats_become_jpegs(data: bytes, codec: str) -> None:
    """An image that is not an RGB or grey JPEG becomes a JPEG that looks the same, which is reported."""
    admitted = admit(data)
    assert (admitted.width, admitted.height) == (WIDTH, HEIGHT)
    assert admitted.change == f"{codec} converted to RGB JPEG"
    assert admit(admitted.jpeg).change == ""
    assert np.abs(pixels_of(admitted.jpeg) - pixels_of(data)).mean() < 6


def test_sixteen_bits_become_eight() -> None:
    """A 16-bit picture keeps its brightness: its values are scaled, not clipped."""
    grey = np.tile(np.linspace(0, 65535, WIDTH).astype(np.uint16), (HEIGHT, 1))
    seen = pixels_of(admit(encoded(Image.fromarray(grey), "PNG")).jpeg)
    assert np.abs(seen[..., 0] - grey / 257).max() < 8


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"<html><body>404</body></html>",
        bytes(5000),
        encoded(picture(), "GIF")[:60],
        encoded(picture(), "ICO"),
        encoded(picture(), "JPEG")[:-300],
        encoded(picture(), "JPEG")[:-2],
        encoded(picture(), "JPEG")[:100],
        encoded(picture(), "PNG")[:110],
    ],
)
def test_what_does_not_decode_is_refused(data: bytes) -> None:
    """Empty, foreign and cut files give errors with a reason, and never a crash."""
    with pytest.raises(BadImageError) as error:
        admit(data)
    assert str(error.value)


def test_decompression_bomb_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture with too many pixels is refused from its header, before memory is allocated for it."""
    monkeypatch.setattr(admission, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    for form in ("JPEG", "PNG"):
        with pytest.raises(BadImageError, match="60 x 40 pixels; the limit"):
            admit(encoded(picture(), form))


@settings(max_examples=300)
@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    """Cuts and flipped bits never crash; an admitted image decodes again."""
    form = data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "WEBP"]))
    content = bytearray(encoded(picture(), form))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(content)))
    for damaged in (bytes(content), bytes(content[:cut])):
        try:
            admitted = admit(damaged)
        except BadImageError:
            continue
        assert admit(admitted.jpeg)[1:3] == admitted[1:3]


SUBSAMPLINGS = [(across, down) for across in range(6) for down in range(6)]


def subsampled(across: int, down: int) -> bytes:
    """A JPEG whose frame header gives these sampling factors to its first component."""
    data = bytearray(encoded(picture().resize((64, 64)), "JPEG", subsampling=2))
    data[data.index(b"\xff\xc0") + 11] = across << 4 | down
    return bytes(data)


def four_to_one_to_one() -> bytes:
    """A 4:1:1 JPEG whose frame header is changed to stack its blocks, which makes it 4:4:1."""
    pixels = np.asarray(picture().resize((64, 64)))
    data = bytearray(simplejpeg.encode_jpeg(pixels, quality=90, colorsubsampling="411"))
    data[data.index(b"\xff\xc0") + 11] = 0x14
    return bytes(data)


def test_rare_subsampling_is_admitted() -> None:
    """An image in 4:4:1, which libjpeg-turbo decodes although its wrapper has no name for it, is admitted."""
    data = four_to_one_to_one()
    assert admit(data) == (data, 64, 64, "")
    assert sides(data) == (64, 64)


@pytest.mark.parametrize(("across", "down"), SUBSAMPLINGS)
def test_any_subsampling_is_admitted_or_refused(across: int, down: int) -> None:
    """Any sampling factors in a header end in an image or its error."""
    for work in (admit, sides, decode):
        with suppress(BadImageError):
            work(subsampled(across, down))


@pytest.mark.parametrize(
    "raised", [KeyError(6), IndexError("x"), RuntimeError("x"), OverflowError("x"), TypeError("x")]
)
@pytest.mark.parametrize("function", ["decode_jpeg", "encode_jpeg"])
def test_whatever_is_raised_is_the_error_of_the_image(
    raised: Exception, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception of any kind from a library becomes the reason why the image is refused."""
    data = encoded(picture(), "JPEG")

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(simplejpeg, function, fail)
    with pytest.raises(BadImageError):
        admit(data, Prepared(8))


def test_sides_beyond_jpegs_are_refused() -> None:
    """A picture in another format that is longer than a JPEG can be is refused."""
    with pytest.raises(BadImageError, match="cannot be encoded"):
        admit(encoded(Image.new("L", (70_000, 1)), "PNG"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientations", [(6, 3), (3, 6), (1, 6), (6, 1), (8, 6), (2, 5, 7)])
def test_of_two_orientations_the_first_counts(orientations: tuple[int, ...], mode: str) -> None:
    """A JPEG with two EXIF segments, unsafe for the decoder of training, is turned and encoded again."""
    plain = encoded(picture().convert(mode), "JPEG", quality=95)
    data = after_start(plain, *map(exif, orientations))
    admitted = admit(data)
    upright = TURNS[orientations[0]](pixels_of(plain).astype(np.uint8))
    assert admitted.change == "JPEG converted to RGB JPEG, as it has two EXIF segments"
    assert (admitted.height, admitted.width) == upright.shape[:2]
    assert np.abs(pixels_of(admitted.jpeg) - upright).mean() < 6
    assert np.abs(decode(data).astype(int) - upright).mean() < 6
    assert admit(admitted.jpeg).change == ""
    with pytest.raises(BadImageError, match="two EXIF segments"):
        sides(data)


@pytest.mark.parametrize("size", [None, 20])
@pytest.mark.parametrize(
    "parts", [(b"\xff\x01", exif(6)), (exif(6), b"\xff\xff"), (segment(0xE1, b"Exif\0\0"), exif(6))]
)
def test_other_headers_are_stored_anew(parts: tuple[bytes, ...], size: int | None) -> None:
    """An image with markers that EXIF readers misread is encoded again, even when it is made smaller."""
    admitted = admit(after_start(encoded(picture(), "JPEG"), *parts), Prepared(size))
    assert (admitted.width, admitted.height) == ((HEIGHT, WIDTH) if size is None else (13, 20))
    assert "JPEG converted to RGB JPEG, as it has " in admitted.change
    assert read_headers(admitted.jpeg).exifs == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_sides_are_those_of_training(orientation: int, form: str) -> None:
    """`headrace index` records the size of the upright image for a file that keeps its bytes."""
    data = encoded(picture(), form, exif=turned(orientation))
    assert sides(data) == ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size
    assert admit(data)[1:3] == sides(data)
