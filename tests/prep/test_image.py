import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from prep import image
from prep.image import BadImageError, admit

WIDTH, HEIGHT = 60, 40


def picture() -> Image.Image:
    """A smooth picture that is not symmetric in any way."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return Image.fromarray(np.stack([x * 4, y * 6, (x + y) * 2], -1).astype(np.uint8))


def encoded(pixels: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    pixels.save(out, form, **options)
    return out.getvalue()


def turned(orientation: int) -> Image.Exif:
    """EXIF data that say how the picture is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def pixels_of(jpeg: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The upright RGB pixels of a JPEG, as PIL sees them."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg))).convert("RGB")).astype(np.int64)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"subsampling": 0}])
def test_jpeg_is_kept_as_it_is(mode: str, options: dict[str, Any]) -> None:
    """A sound JPEG, grey or colour, enters with its own bytes."""
    data = encoded(picture().convert(mode), "JPEG", **options)
    assert admit(data) == (data, WIDTH, HEIGHT, "")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_size_is_that_of_the_upright_image(orientation: int, form: str) -> None:
    """Width and height are those that PIL's exif_transpose gives, whatever the orientation."""
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
    """What is not an RGB or grey JPEG is converted to one that looks the same, and says so."""
    admitted = admit(data)
    assert (admitted.width, admitted.height) == (WIDTH, HEIGHT)
    assert admitted.change == f"{codec} converted to RGB JPEG"
    assert admit(admitted.jpeg).change == ""
    assert np.abs(pixels_of(admitted.jpeg) - pixels_of(data)).mean() < 6


def test_sixteen_bits_become_eight() -> None:
    """A 16-bit picture keeps its brightness: its values are scaled, not cut."""
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
        encoded(picture(), "GIF"),
        encoded(picture(), "JPEG")[:-300],
        encoded(picture(), "JPEG")[:-2],
        encoded(picture(), "JPEG")[:100],
        encoded(picture(), "PNG")[:110],
    ],
)
def test_what_does_not_decode_is_refused(data: bytes) -> None:
    """Empty, foreign and cut files are errors that give a reason, never a crash."""
    with pytest.raises(BadImageError) as error:
        admit(data)
    assert str(error.value)


def test_decompression_bomb_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture above the limit of pixels is refused from its header, before memory is taken for it."""
    monkeypatch.setattr(image, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    for form in ("JPEG", "PNG"):
        with pytest.raises(BadImageError, match="60 x 40 pixels; the limit"):
            admit(encoded(picture(), form))


@settings(max_examples=300)
@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    """Cuts and flipped bits never crash; what is admitted decodes again."""
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


@given(st.binary(max_size=80))
def test_odd_exif_is_no_orientation(junk: bytes) -> None:
    """EXIF data that make no sense leave the image as it is."""
    segment = b"Exif\0\0" + junk
    jpeg = b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2) + segment + b"\xff\xda"
    assert 1 <= image.orientation(jpeg) <= 8
    assert 1 <= image.orientation(b"\xff\xd8\xff\xe1" + junk + b"Exif\0\0") <= 8
