"""Small blocks of memory begin where the decoder is fast with them, and none is lost."""

import ctypes
import platform
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headrace.train.input.decode.blocks import LARGEST, SMALLEST, choose_blocks

LIBC = ctypes.CDLL(None)
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or not hasattr(LIBC, "gnu_get_libc_version"),
    reason="only glibc's thread caches and libjpeg-turbo's code for x86-64 are meant",
)
LIBC.malloc.restype, LIBC.malloc.argtypes, LIBC.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
SIZES = range(SMALLEST, LARGEST + 1, 16)


class Heap(ctypes.Structure):
    """Struct mallinfo2 of glibc."""

    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(7)] + [
        ("in_use", ctypes.c_size_t),
        ("free", ctypes.c_size_t),
        ("releasable", ctypes.c_size_t),
    ]


def disturb(seed: int) -> None:
    """Leave blocks of any sizes, and so of any places, in this thread's cache and in the heap."""
    sizes = np.random.default_rng(seed).integers(1, 1500, 4000)
    held = [LIBC.malloc(int(size)) for size in sizes]
    for place in np.random.default_rng(seed + 1).permutation(len(held)).tolist():
        LIBC.free(held[place])


def misplaced() -> int:
    """How many sizes have a next block at a multiple of 32 bytes."""
    count = 0
    for size in SIZES:
        block = LIBC.malloc(size)
        count += block % 32 == 0
        LIBC.free(block)
    return count


def test_most_next_blocks_lie_beside_multiples_of_32() -> None:
    """Whatever the thread did before, at most half as many sizes as then have a next block that lies badly."""

    def work() -> tuple[int, int]:
        before, after = 0, 0
        for seed in range(6):
            disturb(seed)
            before += misplaced()
            choose_blocks()
            after += misplaced()
        return before, after

    with ThreadPoolExecutor(1) as pool:
        before, after = pool.submit(work).result()
    assert before > len(SIZES)
    assert after <= before / 2


def test_no_block_is_lost() -> None:
    """Bytes that are in use do not grow, however often blocks are chosen."""
    LIBC.mallinfo2.restype = Heap

    def work() -> int:
        held = []
        for seed in range(40):
            disturb(seed % 4)
            choose_blocks()
            held.append(LIBC.mallinfo2().in_use)
        return held[-1] - held[7]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() < 100_000
