"""Memory of batches that is used again when nobody holds the batch any more.

Batches are of the same size again and again, and large: C libraries map such memory anew each time, and the system
fills it with zeros, page by page, which takes longer than to write the batch. A run tells the C library to keep it
(`train/run/process.py`); the Loader, which leaves its process as it is, keeps it here.
"""

from collections import deque
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOST_KEPT = 4  # blocks: of one batch that is looked at, one that is made, and a few that were held longer


class Memory:
    """Makes tensors on the CPU, in any thread, from memory of those of the same size that are gone.

    A tensor's memory is free when neither it nor anything that shares its memory is there any more.
    """

    def __init__(self) -> None:
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=_MOST_KEPT)

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor whose values are what was there before."""
        size = prod(shape) * dtype.itemsize
        return torch.from_numpy(np.asarray(_Block(self._take(size), self._free))).view(dtype).view(shape)

    def _take(self, size: int) -> NDArray[np.uint8]:
        """Memory of so many bytes; what is free of other sizes is let go, as sizes change once in a while at most."""
        while self._free:
            try:
                held = self._free.pop()
            except IndexError:  # another thread was faster
                break
            if len(held) == size:
                return held
        return np.empty(size, np.uint8)


class _Block:
    """What an array and all that shares its memory hold, so that it ends with the last of them."""

    def __init__(self, memory: NDArray[np.uint8], free: deque[NDArray[np.uint8]]) -> None:
        self._memory, self._free = memory, free

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._memory.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._memory)
