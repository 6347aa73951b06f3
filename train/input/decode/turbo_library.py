"""Uses the system's libturbojpeg, if it is installed, to decode a whole batch without the interpreter's lock.

simplejpeg, which is always installed, takes the lock for each image, so lanes (threads) wait for one another.
simplejpeg's wheel contains libjpeg-turbo, but exports none of its functions (docs/decisions/0027).
"""

import ctypes
import sys
import weakref
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from simplejpeg import decode_jpeg, encode_jpeg

from headrace.train.input.kernels import turbojpeg
from headrace.train.input.kernels.jit import MISSING

NAME = "libturbojpeg.so.0"
"""The file name of libturbojpeg in versions 1.2 to 3 of libjpeg-turbo for Linux."""
_SAMPLINGS = ("Gray", "444", "422", "420", "440", "411")
_SIDES = 37, 45  # pixels of the pictures that are compared; not multiples of a block


class SystemDecoder:
    """Decodes the JPEGs of a batch with libturbojpeg. Each object has a separate decompressor."""

    def __init__(self, library: ctypes.CDLL) -> None:
        handle = library.tjInitDecompress()
        if not handle:
            raise MemoryError("libturbojpeg has no memory for a decompressor: free memory, and start again")
        self._handle = int(handle)
        weakref.finalize(self, library.tjDestroy, self._handle)

    def __call__(
        self,
        rows: NDArray[np.uint8],
        sizes: NDArray[np.int32],
        starts: NDArray[np.int64],
        sides: tuple[NDArray[np.int32], NDArray[np.int32]],
        taken: NDArray[np.bool_],
        pixels: NDArray[np.uint8],
    ) -> None:
        """Decode JPEGs like `kernels.turbojpeg.decode_rows`; `sides` are the heights and the widths, (n,) each."""
        turbojpeg.decode_rows(self._handle, rows, sizes, starts, *sides, taken, pixels)


@cache
def system_library() -> ctypes.CDLL | None:
    """Return libturbojpeg, or None if it cannot be used.

    The library cannot be used if it lacks a function or gives other pixels than simplejpeg, or if libturbojpeg or numba
    is not installed.
    """
    if MISSING:
        return None
    for name in (NAME, str(Path(sys.prefix, "lib", NAME))):
        try:
            library = ctypes.CDLL(name)
            library.tjInitDecompress.restype = ctypes.c_void_p
            library.tjDestroy.argtypes = [ctypes.c_void_p]
            address = ctypes.cast(library.tjDecompress2, ctypes.c_void_p).value
        except (OSError, AttributeError):
            continue
        if address:
            turbojpeg.bind(address)
            return library if _gives_the_same_bits(SystemDecoder(library)) else None
    return None


def _gives_the_same_bits(decoder: SystemDecoder) -> bool:
    """Return whether libturbojpeg gives simplejpeg's pixels for all chroma formats, and refuses truncated files."""
    for sampling in _SAMPLINGS:
        jpeg = _picture(sampling)
        expected = decode_jpeg(jpeg, "RGB")
        for file, sound in ((jpeg, True), (jpeg[:-40] + jpeg[-2:], False)):
            rows, made = np.frombuffer(file, np.uint8)[None], np.zeros(expected.shape, np.uint8)
            sizes, taken = np.array([len(file)], np.int32), np.array([True])
            high, wide = (np.array([side], np.int32) for side in _SIDES)
            decoder(rows, sizes, np.zeros(1, np.int64), (high, wide), taken, made.reshape(-1))
            if taken[0] != sound or (sound and not np.array_equal(made, expected)):
                return False
    return True


def _picture(sampling: str) -> bytes:
    """Return a JPEG with this chroma subsampling and sharp edges between colours."""
    colours = 1 if sampling == "Gray" else 3
    values = np.arange(_SIDES[0] * _SIDES[1] * colours, dtype=np.int64)
    pixels = (values * values * 7919 % 251).astype(np.uint8).reshape(*_SIDES, colours)
    space = "GRAY" if colours == 1 else "RGB"
    return bytes(encode_jpeg(pixels, quality=90, colorspace=space, colorsubsampling=sampling))
