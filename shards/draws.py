"""Counter-based draws: every random number is a pure function of a seed, a purpose and counters, such as sample ids.

There is no generator state to keep, pass on or restore. The numbers are hashes by SplitMix64's finalizer (Steele, Lea
and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), applied once per counter. The hash is
implemented here, because another version of NumPy may draw other numbers. Tests compare hashes with stored values.
"""

import random
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """The purpose of a draw. Each purpose has a unique number, which later versions never use for another purpose."""

    ORDER = 1
    CROP = 2
    FLIP = 3
    DEPTH = 4
    DROPOUT = 5
    PREP = 6
    INIT = 7
    MIX = 8
    COLOUR = 9
    AFFINE = 10
    TRIVIAL = 11
    ERASE = 12
    SHARD_ORDER = 13
    RESIDENT = 14
    NETWORK = 15


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer: a bijection of 64-bit words. Works in place."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def hash64(seed: int, stream: Stream, *counters: ArrayLike) -> NDArray[np.uint64]:
    """64-bit hashes of (seed, stream, *counters); counters are integers or integer arrays that NumPy can broadcast.

    If the other arguments are fixed, the map from the last counter to the hash is a bijection. So different values of
    the last counter, such as sample ids, never have the same hash.
    """
    state = _mix(np.array([(seed & _MASK)], np.uint64) + _GOLDEN)
    for counter in (np.uint64(stream), *counters):
        word = np.asarray(counter).astype(np.uint64)
        state = _mix((state ^ word) + _GOLDEN)
    return state


def uniforms(seed: int, stream: Stream, *counters: ArrayLike, count: int) -> NDArray[np.float64]:
    """Uniform draws from [0, 1), shape (..., count): `count` draws for each element of the broadcast counters."""
    columns = [np.atleast_1d(np.asarray(counter))[..., None] for counter in counters]
    words = hash64(seed, stream, *columns, np.arange(count))
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def seed64(seed: int, stream: Stream, *counters: int) -> int:
    """One non-negative 63-bit integer, to seed the random generator of another library."""
    return int(hash64(seed, stream, *counters)[0] >> np.uint64(1))


def global_state() -> bytes:
    """The state of the global generators of Python's `random` and of NumPy, to compare with a later state.

    Headrace never draws from them; a changed state shows that other code did.
    """
    return repr((random.getstate(), [np.asarray(part).tolist() for part in np.random.get_state()])).encode()  # noqa: NPY002
