"""Reads the files of a batch and checks them, in one compiled loop."""

import numpy as np
from numpy.typing import NDArray

from headrace.train.input.kernels import plain
from headrace.train.input.kernels.arguments import Bytes, Integers
from headrace.train.input.kernels.jit import MISSING, jit

if not MISSING:
    from headrace.train.input.kernels.libc import pread

_POLYNOMIAL = 0xEDB88320  # of CRC-32 (ISO 3309), lowest bit first
_STRIDE = 16  # bytes that the checksum takes at a time


def read_rows(
    descriptors: Integers, offsets: Integers, sizes: NDArray[np.int32], crcs: NDArray[np.uint32], rows: Bytes
) -> bool:
    """Fill `rows` (n, longest) with n files, each followed by zeros. Return whether all files are sound.

    A file is sound if its checksum equals its entry in `crcs`, and if it ends with JPEG's end-of-image marker.
    """
    if MISSING:
        return plain.read_rows(descriptors, offsets, sizes, crcs, rows)
    return _read_rows(descriptors, offsets, sizes, crcs, _TABLES, rows)


def checksum_tables() -> NDArray[np.uint32]:
    """Return tables (16, 256) for a CRC-32 of 16 bytes at a time.

    Entry [i, b] is the contribution of a byte b to the CRC-32 if i bytes follow the byte. The method is "slicing"
    (Kounavis and Berry, "A Systematic Approach to Building High Performance, Software-based, CRC Generators", ISCC
    2005).
    """
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    tables = [table]
    for _ in range(_STRIDE - 1):
        tables.append((tables[-1] >> 8) ^ table[tables[-1] & 0xFF])
    return np.stack(tables)


_TABLES = checksum_tables()


@jit
def _read_rows(
    descriptors: NDArray[np.int64],
    offsets: NDArray[np.int64],
    sizes: NDArray[np.int32],
    crcs: NDArray[np.uint32],
    tables: NDArray[np.uint32],
    rows: Bytes,
) -> bool:
    """Do the work of `read_rows`; `tables` is the result of `checksum_tables`."""
    start = rows.ctypes.data
    for i in range(len(rows)):
        size, row = sizes[i], rows[i]
        if pread(descriptors[i], start + i * rows.shape[1], size, offsets[i]) != size:
            return False
        if size < 2 or row[size - 2] != 0xFF or row[size - 1] != 0xD9:
            return False
        if checksum(row, size, tables) != crcs[i]:
            return False
        row[size:] = 0
    return True


@jit
def checksum(data: Bytes, size: int, tables: NDArray[np.uint32]) -> np.uint32:
    """Return the CRC-32 of the first `size` bytes of `data`, equal to zlib's."""
    state, whole = np.uint32(0xFFFFFFFF), size - size % _STRIDE
    words = data[:whole].view(np.uint32)
    for at in range(0, len(words), 4):
        a, b, c, d = words[at] ^ state, words[at + 1], words[at + 2], words[at + 3]
        state = _four(a, tables, 12) ^ _four(b, tables, 8) ^ _four(c, tables, 4) ^ _four(d, tables, 0)
    for at in range(whole, size):
        state = tables[0, (state ^ data[at]) & np.uint32(0xFF)] ^ (state >> np.uint32(8))
    return state ^ np.uint32(0xFFFFFFFF)


@jit
def _four(word: np.uint32, tables: NDArray[np.uint32], after: int) -> np.uint32:
    """Return the contribution of the four bytes of `word`, lowest first, to a CRC-32 if `after` bytes follow them."""
    one, two = tables[after + 3, word & np.uint32(0xFF)], tables[after + 2, (word >> np.uint32(8)) & np.uint32(0xFF)]
    three, four = tables[after + 1, (word >> np.uint32(16)) & np.uint32(0xFF)], tables[after, word >> np.uint32(24)]
    return one ^ two ^ three ^ four  # type: ignore[no-any-return]  # numpy's stubs do not follow it
