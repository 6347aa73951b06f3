"""Loops over pixels, compiled by numba where there is one: the only home of its decorator and of what is kept."""

import pickle
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from headrace.train.input.kernels import origins
from headrace.train.input.kernels.kept import LOOPS

Function = TypeVar("Function", bound=Callable[..., object])
MISSING = ""
"""Why numba cannot be imported: it is not installed, it is broken, or it does not know this NumPy. "" where it can."""
try:
    from llvmlite import __version__ as llvmlite_version
    from numba import __version__ as numba_version
    from numba import njit
    from numba.core.caching import NullCache
    from numba.core.compiler import CompileResult
    from numba.core.serialize import dumps
except (ImportError, OSError) as error:  # OSError: llvmlite without its library
    MISSING = " ".join(f"{type(error).__name__}: {error}".split())
    LOOPS.trouble = (
        f"numba cannot be imported ({MISSING}), so images are read, resized and scaled without it: the same pixels, "
        "more slowly; `pip install --force-reinstall numba` may mend that"
    )
    NullCache = object  # type: ignore[assignment, misc]  # the base of a class that is not used then
else:
    _DUMP: Any = dumps
    _REBUILD: Any = CompileResult._rebuild  # noqa: SLF001  its own cache calls it, too
    _COMPILE: Any = njit(nogil=True, error_model="numpy")
    _VERSIONS = (numba_version, llvmlite_version, np.__version__, sys.version, sys.implementation.cache_tag)


def jit(function: Function) -> Function:
    """The function as machine code for this processor, made at its first call; it runs without the interpreter's lock.

    It adds and multiplies in the order that is written. Where there is a private folder for it, later processes find
    it there; otherwise each compiles it anew, which takes a few seconds, and `LOOPS.trouble` says why.
    Without numba it stays as it is, for nobody to call: what others call is decorated by `jit_or`.
    """
    if MISSING:
        return function
    compiled: Function = _COMPILE(function)
    if hasattr(compiled, "_cache") and _is_all_in_its_file(function):
        compiled._cache = _Cache(function)  # noqa: SLF001  numba has no other way to a cache that is not its own
    return compiled


def jit_or(plain: Function) -> Callable[[Function], Function]:
    """As `jit`, but without numba the function is `plain`, which makes the same bits."""

    def choose(function: Function) -> Function:
        return plain if MISSING else jit(function)

    return choose


def _is_all_in_its_file(function: Any) -> bool:
    """Whether the source says all about a function: not of one that was made from a string, or around values."""
    return function.__closure__ is None and function.__code__.co_filename == function.__globals__.get("__file__")


class _Cache(NullCache):
    """What numba asks of a cache of one function; its own would not see an edit in a file that the function calls."""

    def __init__(self, function: Any) -> None:
        self._module, self._file = function.__module__, f"{function.__module__}.{function.__qualname__}"
        self._line = function.__code__.co_firstlineno

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The function compiled for these types by another process, or None."""
        target_context.refresh()  # it may hold what other modules have registered since
        key = self._key(sig, target_context.codegen())
        data = LOOPS.get(self._file, key) if key else None
        if data is None:
            LOOPS.missed()
            return None
        reduced = pickle.loads(data)  # noqa: S301  nobody else writes that folder, and not a bit has changed
        return _REBUILD(target_context, *reduced)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what numba has compiled for these types."""
        key = self._key(sig, data.codegen)
        if key and not data.lifted and not data.library.has_dynamic_globals:
            LOOPS.put(self._file, key, _DUMP(data._reduce()))  # noqa: SLF001

    def _key(self, types: Any, codegen: Any) -> bytes | None:
        """All that decides about the machine code: sources, this file among them, versions, processor, types."""
        stamp = origins.stamp(self._module)
        if stamp is None:
            return None
        return repr((self._file, self._line, repr(types), stamp, _VERSIONS, codegen.magic_tuple())).encode()
