"""Where small blocks of memory begin, which decides how fast libjpeg-turbo writes into them.

Its colour conversion for AVX2 (simd/x86_64/jdcolext-avx2.asm) writes a row that begins at a multiple of 32 bytes around
the caches, and waits for the memory at the row's end; any other row goes through the caches. nvImageCodec decodes a
part of an image row by row into one small block, and reads each row from there at once, which is slow where the block
begins at a multiple of 32 (docs/decisions/0018). malloc gives multiples of 16, and glibc's threads keep the blocks that
they freed, up to seven of a size, for themselves ("thread cache" in the source of its malloc).
"""

import ctypes
import platform

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels.jit import jit
from headrace.train.input.kernels.libc import free, malloc

SMALLEST, LARGEST = 104, 1032  # bytes: rows of 32 pixels, below which it always goes through the caches, to the most
_STEP = 16  # bytes between the sizes that glibc knows
_KEPT, _MOST_TRIES, _MOST_FILLS = 7, 128, 8  # blocks of a size
_SHIM = 1064  # bytes: takes an odd multiple of 16 from the heap, as no thread keeps blocks of this size
_MATTERS = platform.machine() == "x86_64" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def choose_blocks() -> None:
    """Have most of this thread's next small blocks begin beside multiples of 32 bytes, where that matters.

    It takes about 2 microseconds. What glibc does in between is its own affair, so some sizes stay as they were.
    """
    if _MATTERS:
        _choose(np.empty((2, _MOST_TRIES), np.uint64))  # 2 KiB, more than what is chosen


@jit
def _choose(room: NDArray[np.uint64]) -> None:
    """Look at the next block of each size, and where it lies badly, fill the thread's cache with others."""
    for size in range(SMALLEST, LARGEST + 1, _STEP):
        for _ in range(_MOST_FILLS):  # glibc may have filled it meanwhile, with what it found of that size
            block = malloc(size)
            free(block)
            if block % 32 != 0:
                break
            _fill(size, room[0], room[1])


@jit
def _fill(size: int, found: NDArray[np.uint64], shims: NDArray[np.uint64]) -> None:
    """Take blocks until enough of them lie well, and free those first: most of the others find the cache full.

    Blocks that are cut one after another from a larger one may all lie badly, so a shim is cut off between them.
    """
    tried, good = 0, 0
    while good < _KEPT and tried < len(found):
        shims[tried], found[tried] = malloc(_SHIM), malloc(size)
        good += found[tried] % 32 != 0
        tried += 1
    for well in (True, False):
        for i in range(tried):
            if (found[i] % 32 != 0) == well:
                free(found[i])
    for i in range(tried):
        free(shims[i])
