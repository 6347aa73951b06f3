"""Calls libturbojpeg from a compiled loop: decodes the JPEGs of a batch without the interpreter's lock."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels.arguments import Bytes, Integers
from headrace.train.input.kernels.jit import MISSING, jit

_SYMBOL = "headrace_tjDecompress2"  # a name of its own, because the process may hold other copies of the library
_RGB = 0  # TJPF_RGB

if not MISSING:
    from llvmlite.binding import add_symbol
    from numba import int32, uint64, uintp
    from numba.types import ExternalFunction  # type: ignore[attr-defined]  # missing in its stubs

    # As in turbojpeg.h, with pointers as numbers: decoder, JPEG, bytes, pixels, width, pitch, height, format, flags
    _decompress: Any = ExternalFunction(_SYMBOL, int32(uintp, uintp, uint64, uintp, int32, int32, int32, int32, int32))


def bind(address: int) -> None:
    """Set the address of libturbojpeg's function `tjDecompress2`. Call this before `decode_rows`."""
    add_symbol(_SYMBOL, address)


@jit
def decode_rows(
    decoder: int,
    rows: Bytes,
    sizes: NDArray[np.int32],
    starts: Integers,
    heights: NDArray[np.int32],
    widths: NDArray[np.int32],
    taken: NDArray[np.bool_],
    pixels: Bytes,
) -> None:
    """Decode each JPEG i for which taken[i] is True to RGB, into `pixels` from byte starts[i] on.

    JPEG i consists of the first sizes[i] bytes of rows[i]. taken[i] becomes False if the library gives an error or a
    warning. heights[i] and widths[i] must agree with the JPEG's header.
    """
    jpegs, made = rows.ctypes.data, pixels.ctypes.data
    for i in range(len(rows)):
        if taken[i]:
            jpeg = jpegs + i * rows.shape[1]
            if _decompress(decoder, jpeg, sizes[i], made + starts[i], widths[i], 0, heights[i], _RGB, 0) != 0:
                taken[i] = False
