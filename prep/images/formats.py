"""Decodes GIF, JPEG 2000, AVIF and HEIC with Pillow, because the decoder for training never decodes these formats.

Pillow decodes JPEG 2000, because a damaged JPEG 2000 file makes nvImageCodec end the process. Pillow also decodes the
other three formats. The number of pixels is checked before any pixel is decoded. Only the first picture of an animation
is used. This module also handles the transparency of images in all formats.
"""

import io
import re
import struct
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.shards.prepared import Colour

Pixels = NDArray[np.uint8]
_KINDS = {
    "GIF": re.compile(rb"GIF8[79]a"),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    "AVIF": re.compile(rb"....ftypavi[fs]|....ftypmi[fa][12f]....(....)*?avif", re.DOTALL),
    "HEIC": re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif[12]|msf1)", re.DOTALL),
}
_ORIENTATION = 0x0112  # of EXIF


class MissingExtraError(ValueError):
    """The format of a file needs an optional package (an extra) that is not installed; the file may be intact."""


@cache
def plugins() -> dict[str, Any]:
    """Pillow's image classes, by Headrace's name of the format.

    The classes are imported only when needed, because most data sets need none of them. `Image.open` is not used,
    because it would also try Pillow's other plugins, and would apply Pillow's limit on the number of pixels.
    """
    from PIL import (  # noqa: PLC0415
        AvifImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        PngImagePlugin,
        WebPImagePlugin,
    )

    return {
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
        "AVIF": AvifImagePlugin.AvifImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
    }


def _damage() -> tuple[type[Exception], ...]:
    """The errors that Pillow raises for damaged files."""
    from PIL import Image  # noqa: PLC0415

    known = (ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError)
    return (*known, Image.DecompressionBombError, struct.error)


def kind_of(data: bytes) -> str:
    """The name of the file's format if this module decodes that format; otherwise ""."""
    return next((name for name, start in _KINDS.items() if start.match(data[:64])), "")


def decode(data: bytes, kind: str, most: int, background: Colour) -> tuple[Pixels, int]:
    """Decode a file to RGB pixels, uint8 (height, width, 3); return the pixels and the EXIF orientation.

    Transparent pixels are blended with the background. Raises ValueError for damage and for more than `most` pixels.
    Raises MissingExtraError for a format whose extra is not installed.
    """
    try:
        image = _heic(data, most) if kind == "HEIC" else _checked(plugins()[kind](io.BytesIO(data)), most)
        image.load()
        orientation = image.getexif().get(_ORIENTATION, 1) if kind == "AVIF" else 1
        return _rgb(image, background), orientation if orientation in range(1, 9) else 1
    except _damage() as error:
        raise ValueError(f"the {kind} does not decode: {error or type(error).__name__}") from error


def _checked(image: Any, most: int) -> Any:
    """Return `image`, which is not decoded yet. Raises ValueError if the image has more than `most` pixels."""
    width, height = image.size
    if width * height > most:
        raise ValueError(f"the image has {width} x {height} pixels; the limit is {most:,}")
    return image


def _heic(data: bytes, most: int) -> Any:
    """The primary picture of a HEIC file, already upright."""
    try:
        import pillow_heif  # noqa: PLC0415  the extra `formats`
    except ImportError as error:
        raise MissingExtraError(
            "HEIC needs an extra that is not installed: `pip install 'headrace[formats]'` installs the extra. Or "
            "convert the files to another format"
        ) from error
    return _checked(pillow_heif.open_heif(io.BytesIO(data)), most).to_pillow()


def _rgb(image: Any, background: Colour) -> Pixels:
    """Convert an image to RGB with eight bits per channel; transparent pixels are blended with the background."""
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[..., None], 3, 2))
    if image.has_transparency_data:
        seen = np.array(image.convert("RGBA"), np.uint8)
        return over(seen[..., :3], seen[..., 3], background)
    return np.array(image.convert("RGB"), np.uint8)


def over(pixels: Pixels, alpha: NDArray[np.uint8], background: Colour) -> Pixels:
    """Blend pixels with a background; `alpha`, (height, width), is the opacity of each pixel.

    The computation uses whole numbers only, so that every machine gives equal pixels.
    """
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(pixels)
    share = alpha[..., None].astype(np.uint32)
    mixed = pixels * share + np.array(background, np.uint32) * (255 - share)
    return ((mixed + 127) // 255).astype(np.uint8)


def alpha_of(data: bytes) -> NDArray[np.uint8] | None:
    """The opacity of each pixel of a PNG or WebP file, uint8 (height, width); None if all pixels are opaque.

    The header tells whether pixels may be transparent; the file is decoded only if they may. Raises ValueError for a
    damaged file.
    """
    try:
        if data[:4] == b"\x89PNG" and (data[25:26] in (b"\4", b"\6") or b"tRNS" in data[: data.find(b"IDAT")]):
            image: Any = plugins()["PNG"](io.BytesIO(data))
        elif (data[8:16] == b"WEBPVP8X" and data[20] & 0x10) or (data[8:16] == b"WEBPVP8L" and data[24] & 0x10):
            image = plugins()["WebP"](io.BytesIO(data))
        else:
            return None
        with image:
            return np.array(image.convert("RGBA").getchannel("A"), np.uint8) if image.has_transparency_data else None
    except _damage() as error:
        raise ValueError(f"the image's transparency does not decode: {error or type(error).__name__}") from error
