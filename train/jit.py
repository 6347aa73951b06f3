"""Loops over pixels, compiled by numba: the only home of its decorator."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])
_COMPILE: Any = njit(nogil=True, error_model="numpy")
_COMPILE_AND_KEEP: Any = njit(nogil=True, error_model="numpy", cache=True)


def jit(function: Function) -> Function:
    """The function as machine code for this processor, made at its first call; it runs without the interpreter's lock.

    It adds and multiplies in the order that is written. Where a folder for it can be written, beside the module or in
    the user's cache, later processes find it there; otherwise each compiles it anew, which takes a few seconds.
    """
    try:
        compiled: Function = _COMPILE_AND_KEEP(function)
    except RuntimeError:  # there is no folder to keep it in
        compiled = _COMPILE(function)
    return compiled
