"""Admission of images: the only home of decoding and encoding.

Every image is decoded in full before it may enter a shard, because a damaged one ends a training run later, without
its name. JPEGs go through libjpeg-turbo with its warnings as errors, which finds damaged scans that other decoders
accept; their bytes are kept as they are. Other formats go through nvImageCodec and become JPEGs.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from prep.resize import shrink
from shards.errors import DataError

MAX_PIXELS = 1 << 28  # 268 million: a larger picture is a decompression bomb or needs another tool
QUALITY = 95  # of JPEGs made here, without chroma subsampling
_one_thread = threading.Lock()
_JPEG = b"\xff\xd8"
# What may be handed to nvImageCodec: formats whose damaged files it refuses. A damaged JPEG 2000 file ends its process.
_ADMITTED = re.compile(rb"\xff\xd8|\x89PNG|BM|RIFF....WEBP|II\*\0|MM\0\*|P[1-6]\s", re.DOTALL)
_SWAPS_SIDES = (5, 6, 7, 8)  # EXIF orientations that turn by a quarter


class BadImageError(DataError):
    """An image that cannot be admitted. The message is the reason alone; who calls adds the path."""


class Admitted(NamedTuple):
    """A JPEG that decodes, the size of its upright image, and what was changed ("" when the bytes are the source's)."""

    jpeg: bytes
    width: int
    height: int
    change: str


def admit(data: bytes, *, max_side: int | None = None, quality: int = QUALITY) -> Admitted:
    """Decode an image file; the JPEG to store. BadImageError when it does not decode.

    A larger image than `max_side` pixels is made smaller. `quality` is that of JPEGs that are made here.
    """
    if data[:2] != _JPEG:
        return _converted(data, max_side, quality)
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        _check_pixels(width, height)
        if colors in ("CMYK", "YCCK"):
            return _converted(data, max_side, quality)
        simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError as error:
        raise BadImageError(f"not a sound JPEG: {error}") from error
    if max_side is not None and max(width, height) > max_side:
        return _converted(data, max_side, quality)
    if orientation(data) in _SWAPS_SIDES:
        width, height = height, width
    return Admitted(data, width, height, "")


def decode(data: bytes) -> NDArray[np.uint8]:
    """Upright RGB pixels of shape (height, width, 3), to look at. BadImageError when the image does not decode."""
    return _decode_rgb(data)[0]


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,}")


def orientation(jpeg: bytes) -> int:
    """The EXIF orientation of a JPEG, 1 to 8; 1 when there is none or it makes no sense."""
    if b"Exif\0\0" not in jpeg:
        return 1
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] == 0xE1 and jpeg[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation_of_tiff(jpeg[at + 10 : end])
        at = end
    return 1


def _orientation_of_tiff(tiff: bytes) -> int:
    """Tag 0x0112 of the first directory."""
    order: Any = {b"II*\0": "little", b"MM\0*": "big"}.get(tiff[:4])
    if order is None:
        return 1
    first = int.from_bytes(tiff[4:8], order)
    for entry in range(int.from_bytes(tiff[first : first + 2], order)):
        field = tiff[first + 2 + 12 * entry :][:12]
        if len(field) == 12 and int.from_bytes(field[:2], order) == 0x0112:
            value = int.from_bytes(field[8:10], order)
            return value if 1 <= value <= 8 else 1
    return 1


@cache
def _codec_decoder() -> Any:
    """The nvImageCodec library on the CPU, in one thread: workers are the parallelism. Imported late (0.3 s)."""
    import nvidia.nvimgcodec as codec  # noqa: PLC0415

    return codec.Decoder(
        device_id=codec.NVIMGCODEC_DEVICE_CPU_ONLY,
        max_num_cpu_threads=1,
        backends=[codec.Backend(codec.BackendKind.CPU_ONLY)],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's own complaints off the terminal: what is wrong is in the error. One thread at a time."""
    with _one_thread:
        saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(nowhere)


def _stream(data: bytes) -> tuple[Any, str, int, int]:
    """The library's view of the file, with the format's name, width and height."""
    import nvidia.nvimgcodec as codec  # noqa: PLC0415

    unknown = BadImageError(
        "not a readable image in JPEG, PNG, WebP, BMP, TIFF or PNM "
        f"({len(data):,} bytes, the first are {data[:8].hex(' ') or 'none'})"
    )
    if not _ADMITTED.match(data):
        raise unknown
    try:
        stream = codec.CodeStream(data)
        return stream, str(stream.codec_name).upper(), int(stream.width), int(stream.height)
    except (RuntimeError, ValueError) as error:
        raise unknown from error


def encode(pixels: NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """RGB pixels of shape (height, width, 3) as a JPEG."""
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="444"))


def _converted(data: bytes, max_side: int | None, quality: int) -> Admitted:
    """The image as an upright RGB JPEG, not larger than `max_side`."""
    pixels, codec = _decode_rgb(data)
    change = f"{codec} converted to RGB JPEG"
    height, width, _ = pixels.shape
    if max_side is not None and max(width, height) > max_side:
        pixels = shrink(pixels, max_side)
        change += f", {width} x {height} made {pixels.shape[1]} x {pixels.shape[0]}"
    height, width, _ = pixels.shape
    return Admitted(encode(pixels, quality), width, height, change)


def _decode_rgb(data: bytes) -> tuple[NDArray[np.uint8], str]:
    import nvidia.nvimgcodec as codec  # noqa: PLC0415

    with _quiet():
        stream, name, width, height = _stream(data)
        _check_pixels(width, height)
        parameters = codec.DecodeParams(color_spec=codec.ColorSpec.SRGB, apply_exif_orientation=True)
        image = _codec_decoder().decode(stream, params=parameters)
    if image is None:
        raise BadImageError(f"the {name} does not decode: it is damaged or cut short")
    return np.ascontiguousarray(image.cpu()), name
