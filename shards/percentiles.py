"""Computes exact percentiles of a column by reading it several times, so that its values need not be in memory.

Each reading of the column finds 16 more bits of the values at the percentiles. For this, the values that begin with the
bits found so far are counted by their next 16 bits. Values are passed as keys, which are unsigned integers in the same
order as the values.
"""

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0, 5, 50, 95, 100)
_DIGIT = 16  # bits that a reading finds


class Percentiles:
    """Finds the keys at PERCENTILES among `count` keys below 2**bits. Every result is one of these keys.

    `bits` is a multiple of 16. The caller does the following `readings` times: pass all keys to `add`, in one call or
    in several, and then call `end_reading`.
    """

    def __init__(self, count: int, bits: int) -> None:
        places = np.rint((count - 1) * (np.array(PERCENTILES) / 100)) if count else np.zeros(0)
        self._before = places.astype(np.int64).tolist()  # keys before the wanted one that begin with the same bits
        self._prefixes = [0] * len(self._before)  # the bits found so far
        self._shift = bits - _DIGIT
        self.points = PERCENTILES
        self.readings = bits // _DIGIT
        self._counts: dict[int, NDArray[np.int64]] = {}
        self._begin()

    def add(self, keys: NDArray[np.uint64]) -> None:
        """Count n keys, (n,), of the current reading. Nothing happens once all readings are done."""
        if self._shift < 0:
            return
        digits = keys >> np.uint64(self._shift)
        for prefix in self._counts:
            own = digits[digits >> np.uint64(_DIGIT) == prefix] & np.uint64((1 << _DIGIT) - 1)
            self._counts[prefix] += np.bincount(own.astype(np.int64), minlength=1 << _DIGIT)

    def end_reading(self) -> None:
        """End the current reading: find the next 16 bits of each result from the reading's counts."""
        if self._shift < 0:
            return
        for place, prefix in enumerate(self._prefixes):
            ends = self._counts[prefix].cumsum()
            digit = int(np.searchsorted(ends, self._before[place], side="right"))
            self._before[place] -= int(ends[digit - 1]) if digit else 0
            self._prefixes[place] = prefix << _DIGIT | digit
        self._shift -= _DIGIT
        self._begin()

    @property
    def found(self) -> NDArray[np.uint64]:
        """The keys at PERCENTILES after the last reading, (5,); (0,) if there are no keys."""
        return np.array(self._prefixes, np.uint64)

    def _begin(self) -> None:
        self._counts = {prefix: np.zeros(1 << _DIGIT, np.int64) for prefix in self._prefixes}
