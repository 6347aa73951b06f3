"""Formats that only prep reads, and transparency."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.prep.command.options import Options
from headrace.prep.images import formats
from headrace.prep.images.admit import MAX_PIXELS, BadImageError, admit, decode, sides
from headrace.shards.errors import UsageError
from headrace.shards.prepared import Prepared
from tests.checkout import ROOT
from tests.prep.contents import as_folder
from tests.prep.test_bad_images import made

SIDE = 32
_X, _Y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
PICTURE = np.stack([_X * 7, _Y * 7, 255 - _X * 4], -1).astype(np.uint8)[: SIDE // 2]
LOSSLESS: dict[str, dict[str, object]] = {"JPEG2000": {}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}, "GIF": {}}
KINDS = {"JPEG2000": "JPEG 2000", "AVIF": "AVIF", "GIF": "GIF"}


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    """The image as a file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def jpeg_pixels(data: bytes) -> np.ndarray:
    """The pixels of an admitted JPEG as Pillow decodes them."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("form", LOSSLESS)
def test_format_becomes_a_jpeg_of_its_pixels(form: str) -> None:
    """The image becomes a JPEG, and the report names its format, which no decoder of training may see."""
    data = saved(Image.fromarray(PICTURE), form, **LOSSLESS[form])
    admitted = admit(data)
    assert admitted[1:] == (SIDE, SIDE // 2, f"{KINDS[form]} converted to RGB JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(jpeg_pixels(admitted.jpeg) - expected).mean() < 3
    assert np.abs(decode(data).astype(int) - expected).max() == 0
    with pytest.raises(BadImageError, match="a format that training does not decode"):
        sides(data)


def test_first_picture_of_an_animation() -> None:
    """The first picture of an animated GIF or AVIF is used."""
    pictures = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "blue")]
    for form in ("GIF", "AVIF"):
        data = saved(pictures[0], form, save_all=True, append_images=pictures[1:])
        red, _, blue = jpeg_pixels(admit(data).jpeg).mean((0, 1))
        assert (red > 240, blue < 15) == (True, True)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_of_an_avif(orientation: int) -> None:
    """The images of an AVIF are upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(PICTURE), "AVIF", exif=exif, **LOSSLESS["AVIF"])
    turned = {3: 2, 6: 3, 8: 1}[orientation]
    assert np.abs(decode(data).astype(int) - np.rot90(PICTURE, turned)).mean() < 3


def test_sixteen_bits_and_grey() -> None:
    """16-bit values keep their upper eight bits, and a single channel becomes three."""
    grey = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 60
    pixels = decode(saved(Image.fromarray(grey), "JPEG2000"))
    assert (pixels == (grey >> 8)[..., None]).all()


@pytest.mark.parametrize("form", ["GIF", "JPEG2000", "AVIF"])
def test_pixels_are_counted_before_any_is_decoded(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that claims to be huge takes no memory."""
    data = saved(Image.new("RGB", (300, 200)), form)
    monkeypatch.setattr(Image.Image, "load", None)
    for plugin in formats.plugins().values():
        monkeypatch.setattr(plugin, "load", None)
    with pytest.raises(ValueError, match="300 x 200 pixels; the limit is 59,999"):
        formats.decode(data, KINDS[form], 59_999, Prepared().background)


def test_gif_of_a_huge_screen_is_refused() -> None:
    """A GIF of 800 bytes that claims four thousand million pixels is refused."""
    data = bytearray(saved(Image.new("RGB", (8, 8)), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    with pytest.raises(BadImageError, match=f"65535 x 65535 pixels; the limit is {MAX_PIXELS:,}"):
        admit(bytes(data))


def test_gif_whose_picture_is_larger_than_its_screen_is_refused() -> None:
    """Pillow's own limit on such a picture becomes the error of the image."""
    data = bytearray(saved(Image.new("RGB", (8, 8)), "GIF"))
    at = data.index(b"\x2c\0\0\0\0\x08\0\x08\0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(BadImageError, match=r"the GIF does not decode: .*4294836225 pixels"):
        admit(bytes(data))


def test_heic_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        BadImageError, match=r"^HEIC needs an extra that is not installed: `pip install 'headrace\[formats\]'`"
    ):
        admit(b"\0\0\0\x18ftypheic" + bytes(100))


def see_through(mode: str) -> tuple[Image.Image, np.ndarray]:
    """A red picture, transparent on the left and half so in the middle, and its opacity."""
    alpha = np.repeat([0, 128, 255, 255], SIDE // 4).astype(np.uint8)[None].repeat(SIDE, 0)
    pixels = np.dstack([np.full((SIDE, SIDE), 200), np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE)), alpha])
    image = Image.fromarray(pixels.astype(np.uint8), "RGBA")
    return (image if mode == "RGBA" else image.convert(mode)), alpha


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "RGBA"), ("PNG", "LA"), ("WEBP", "RGBA"), ("AVIF", "RGBA"), ("JPEG2000", "RGBA")],
)
@pytest.mark.parametrize("background", ["white", "#103050"])
def test_transparent_pixels_show_the_background(form: str, mode: str, background: str) -> None:
    """Transparent pixels show white or the chosen background, as far as they are transparent."""
    image, alpha = see_through(mode)
    options: dict[str, object] = {"lossless": True, "exact": True} if form == "WEBP" else {}
    prepared = Options(background=background).prepared
    found = jpeg_pixels(admit(saved(image, form, **options), prepared).jpeg)
    over = np.asarray(image.convert("RGB")).astype(int)
    share = alpha[..., None] / 255
    assert np.abs(found - (over * share + np.array(prepared.background) * (1 - share))).mean() < 6


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_transparent_colour_of_a_palette(form: str) -> None:
    """A single entry of a palette may be transparent."""
    image = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE).astype(np.uint8) % 2, "P")
    image.putpalette([0, 0, 0, 0, 128, 0])
    found = jpeg_pixels(admit(saved(image, form, transparency=0), Prepared(quality=100)).jpeg)
    assert np.abs(found[:, ::2] - 255).mean() < 30
    assert np.abs(found[:, 1::2] - (0, 128, 0)).mean() < 30


def test_opaque_images_are_what_they_were() -> None:
    """An alpha channel that is fully opaque changes no pixel."""
    opaque = Image.fromarray(np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)]), "RGBA")
    assert admit(saved(opaque, "PNG")).jpeg == admit(saved(Image.fromarray(PICTURE), "PNG")).jpeg


@pytest.mark.parametrize("value", ["", "blue-ish", "#fff", "#12345g", "255,0,0"])
def test_senseless_backgrounds_are_refused(value: str) -> None:
    """The error says which values are possible."""
    with pytest.raises(UsageError, match=r"--background .*white, black, grey"):
        Options(background=value)


def test_prep_reads_them(tmp_path: Path) -> None:
    """Files in these formats are read whatever their names."""
    image = Image.fromarray(PICTURE)
    files = {f"ant/{k}.{end}": saved(image, form) for k, (end, form) in enumerate((("gif", "GIF"), ("", "AVIF")))}
    files |= {"bee/1.jp2": saved(image, "JPEG2000"), "bee/2.txt": saved(image, "GIF")}
    result = made(as_folder(files, tmp_path / "in"), tmp_path / "out")
    assert result.manifest.samples == 4
    assert result.tally.converted["GIF converted to RGB JPEG"] == 2


@pytest.mark.parametrize("cases", [100, pytest.param(3000, marks=[pytest.mark.faults, pytest.mark.timeout(1800)])])
def test_damaged_files_end_in_an_error(cases: int) -> None:
    """Each damaged file, tried in a fork of its own, ends in an image or its error and never in a signal."""
    command = [sys.executable, "-m", "tests.prep.admit_damaged_formats", str(cases)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert [line for line in lines if "signal" in line or "raised" in line] == []
    assert len(lines) == len(LOSSLESS) + 2
