"""Reuses the memory of batches that are no longer referenced.

Batches are large and mostly of the same size. C libraries return such memory to the system and request it again for
each batch. The system then fills the memory with zeros page by page, which takes longer than writing the batch. A
training run tells the C library to keep the memory (`train/run/process.py`). The Loader must not change settings of its
process, so this module keeps the memory instead.
"""

from collections import deque
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOST_KEPT = 4  # blocks: for a batch in use, one being made, and a few that are held longer


class Memory:
    """Makes CPU tensors, if possible in the memory of earlier tensors of the same size.

    An object may be used from any thread. A tensor's memory is reused once neither the tensor nor anything that shares
    its memory exists.
    """

    def __init__(self) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=_MOST_KEPT)

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor with uninitialised values."""
        size = prod(shape) * dtype.itemsize
        return torch.from_numpy(np.asarray(_Block(self._take(size), self._free))).view(dtype).view(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        """Return a block of `size` bytes.

        Free blocks of other sizes that the search finds are released: sizes rarely change, so these blocks are probably
        no longer needed.
        """
        while self._free:
            try:
                held = self._free.pop()
            except IndexError:  # another thread took it
                break
            if len(held) == size:
                return held
        return np.empty(size, np.uint8)


class _Block:
    """A block of memory that an array uses. The block becomes free when no array refers to the block any more."""

    def __init__(self, memory: NDArray[np.uint8], free: deque[NDArray[np.uint8]]) -> None:
        self._memory, self._free = memory, free

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._memory.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)
