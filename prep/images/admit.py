"""Admits images to a shard set: decodes each file in full to check it, and converts it to a JPEG if necessary.

Every image is decoded in full before it may enter a shard, because a damaged image would later end a training run with
an error that does not name the image. JPEGs are decoded by libjpeg-turbo, whose warnings are treated as errors, because
they reveal damage that other decoders accept. The bytes of a JPEG are kept unchanged if the decoder for training
decodes them to the same upright image. PNG, WebP, BMP, TIFF and PNM files are decoded by nvImageCodec, and the formats
in formats.py by Pillow. Images in all these formats are stored as new JPEGs. A file with EXIF data that NVIDIA's
decoder reads in two ways (`headrace.shards.unsafe`) is never rotated by this decoder.
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

from headrace.prep.images import formats
from headrace.prep.images.resize import shrink
from headrace.shards import jpeg
from headrace.shards.errors import DataError
from headrace.shards.exif import exif_in, is_tiff, readable, without_turn
from headrace.shards.prepared import QUALITY, Colour, Prepared
from headrace.shards.unsafe import UNCLEAR, why_unsafe

MAX_PIXELS = 1 << 28  # 268 million: a larger picture is a decompression bomb or needs another tool
_SAME = 3  # levels of mean difference: two decoders see the same image
_one_thread = threading.Lock()

# nvImageCodec decodes these formats, because it refuses damaged files of them. On a damaged JPEG 2000 file it would end
# the process.
_FOREIGN = "a format that training does not decode"
_ADMITTED = re.compile(rb"\xff\xd8|\x89PNG|BM|RIFF....WEBP|II\*\0|MM\0\*|P[1-6]\s", re.DOTALL)
_RAISED = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)  # by libraries for odd files
Pixels = NDArray[np.uint8]
"""The pixels of an upright RGB image, uint8 (height, width, 3)."""


class BadImageError(DataError):
    """An image that cannot be admitted. The message is only the reason; the caller adds the path."""


class Admitted(NamedTuple):
    """The JPEG to store, its upright width and height in pixels, and how the image was changed ("" if it was not)."""

    jpeg: bytes
    width: int
    height: int
    change: str


class _Seen(NamedTuple):
    """The upright image that a file contains, and facts about the file."""

    pixels: Pixels
    form: str
    storable: bool  # whether a shard made by prep may hold the file: an RGB or grey JPEG
    fault: str  # why training must not decode the file; "" if it may


def admit(data: bytes, prepared: Prepared = Prepared()) -> Admitted:  # noqa: B008  it is immutable
    """Decode an image file and return the JPEG to store. Raises BadImageError if the file does not decode."""
    seen = _see(data, prepared.background)
    height, width, _ = seen.pixels.shape
    max_side = prepared.max_side
    large = max_side is not None and max(width, height) > max_side
    if seen.storable and not seen.fault and not large:
        return Admitted(data, width, height, "")
    change = f"{seen.form} converted to RGB JPEG"
    if seen.fault and seen.fault != _FOREIGN:
        change += f", as it has {seen.fault}"
    pixels = seen.pixels
    if max_side is not None and large:
        pixels = shrink(pixels, max_side)
        change += f", {width} x {height} made {pixels.shape[1]} x {pixels.shape[0]}"
    try:
        return Admitted(encode(pixels, prepared.quality), pixels.shape[1], pixels.shape[0], change)
    except _RAISED as error:
        raise BadImageError(f"cannot be encoded as a JPEG: {error}") from error


def sides(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the upright image that training decodes from a file in any admitted format.

    Raises BadImageError if the file does not decode, or if training cannot use it without conversion.
    """
    seen = _see(data)
    if seen.fault:
        raise BadImageError(f"the file has {seen.fault}: training cannot use it without conversion")
    return seen.pixels.shape[1], seen.pixels.shape[0]


def decode(data: bytes) -> Pixels:
    """Upright RGB pixels for display. Raises BadImageError if the image does not decode."""
    return _see(data).pixels


def encode(pixels: Pixels, quality: int = QUALITY) -> bytes:
    """Encode RGB pixels as a JPEG; return its bytes."""
    return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="444"))


def _see(data: bytes, background: Colour | None = None) -> _Seen:
    """Decode an image file.

    Without a background, transparent pixels get the colours that the decoder for training gives them.
    """
    is_jpeg = data[: len(jpeg.START)] == jpeg.START
    try:
        if is_jpeg:
            return _see_jpeg(data)
        if kind := formats.kind_of(data):
            pixels, orientation = formats.decode(data, kind, MAX_PIXELS, background or Prepared().background)
            return _Seen(_turned(pixels, orientation), kind, storable=False, fault=_FOREIGN)
        return _see_other(data, background)
    except formats.MissingExtraError as error:
        raise BadImageError(str(error)) from error
    except _RAISED as error:
        raise BadImageError(f"not a sound {'JPEG' if is_jpeg else 'image'}: {error}") from error


def _see_jpeg(data: bytes) -> _Seen:
    """Decode a JPEG with libjpeg-turbo, and rotate it by its EXIF orientation.

    A JPEG with EXIF data is also decoded as in training, to compare the pixels.
    """
    headers = jpeg.read_headers(data)
    _check_pixels(headers.width, headers.height)
    cmyk = headers.components == 4  # libjpeg-turbo does not convert CMYK to RGB
    if cmyk:
        pixels, _ = _codec_rgb(data, turn=False)
    else:
        pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    fault = headers.fault
    if headers.exifs:
        pixels = _turned(pixels, jpeg.orientation(data, headers))
        if not fault and not _trains_alike(data, pixels):
            fault = UNCLEAR
    return _Seen(pixels, "JPEG", not cmyk, fault)


def _see_other(data: bytes, background: Colour | None) -> _Seen:
    """Decode a file in a format other than JPEG with nvImageCodec.

    prep stores such an image as a JPEG, but `headrace index` leaves the file in its tar unchanged.
    """
    fault, orientation = why_unsafe(data), readable(exif_in(data))
    if is_tiff(data):
        if fault:
            raise BadImageError(f"the TIFF file is not sound: it has {fault}")
        # If the pixels are damaged, an orientation does harm in the decoder even if it is not applied.
        stored, form = _codec_rgb(without_turn(data), turn=False)
    else:
        stored, form = _codec_rgb(data, turn=False)
    pixels = _turned(stored, orientation)
    if not fault and orientation > 1 and not _trains_alike(data, pixels):
        fault = UNCLEAR
    if background is not None and (alpha := formats.alpha_of(data)) is not None:
        pixels = _turned(formats.over(stored, alpha, background), orientation)
    return _Seen(pixels, form, storable=False, fault=fault)


def _trains_alike(data: bytes, pixels: Pixels) -> bool:
    """Whether the decoder for training decodes the file to nearly the same pixels as `pixels`."""
    try:
        return _same(pixels, _codec_rgb(data, turn=True)[0])
    except BadImageError:
        return False


def _same(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and bool(np.abs(one.astype(np.int16) - other).mean() <= _SAME)


def _turned(stored: Pixels, orientation: int) -> Pixels:
    """Return the image in upright form: rotated and mirrored as its EXIF orientation requires."""
    pixels = stored.transpose(1, 0, 2) if orientation >= 5 else stored
    down, across = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if down else 1, :: -1 if across else 1])


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"the image has {width} x {height} pixels; the limit is {MAX_PIXELS:,}")


@cache
def _codec_decoder() -> Any:
    """A CPU decoder of nvImageCodec, with one thread, because worker processes run in parallel.

    The import takes 0.3 s.
    """
    import nvidia.nvimgcodec as codec  # noqa: PLC0415

    return codec.Decoder(
        device_id=codec.NVIMGCODEC_DEVICE_CPU_ONLY,
        max_num_cpu_threads=1,
        backends=[codec.Backend(codec.BackendKind.CPU_ONLY)],
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """A context that suppresses nvImageCodec's messages on standard error, because the raised error gives the reason.

    Only one thread at a time can be in this context.
    """
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
    """The file as a CodeStream of nvImageCodec, the name of the format, and width and height in pixels."""
    import nvidia.nvimgcodec as codec  # noqa: PLC0415

    unknown = BadImageError(
        "not a readable image in JPEG, PNG, WebP, BMP, TIFF, PNM, GIF, JPEG 2000, AVIF or HEIC "
        f"({len(data):,} bytes, the first are {data[:8].hex(' ') or 'none'})"
    )
    if not _ADMITTED.match(data):
        raise unknown
    try:
        stream = codec.CodeStream(data)
        return stream, str(stream.codec_name).upper(), int(stream.width), int(stream.height)
    except (RuntimeError, ValueError) as error:
        raise unknown from error


def _codec_rgb(data: bytes, *, turn: bool) -> tuple[Pixels, str]:
    """Decode a file with nvImageCodec, the decoder for training; return the pixels and the name of the format.

    With `turn`, nvImageCodec rotates the image by its EXIF orientation. Give `turn` only for files that `why_unsafe`
    accepts.
    """
    import nvidia.nvimgcodec as codec  # noqa: PLC0415

    with _quiet():
        stream, name, width, height = _stream(data)
        _check_pixels(width, height)
        parameters = codec.DecodeParams(color_spec=codec.ColorSpec.SRGB, apply_exif_orientation=turn)
        image = _codec_decoder().decode(stream, params=parameters)
    if image is None:
        raise BadImageError(f"the {name} does not decode: it is damaged or cut short")
    return np.ascontiguousarray(image.cpu()), name
