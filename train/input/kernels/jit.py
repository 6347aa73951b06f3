"""Compiles loops over pixels with numba, if it is installed. Only this module uses numba's decorator and caches."""

import pickle
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from headrace.train.input.kernels import origins
from headrace.train.input.kernels.kept import LOOPS

Function = TypeVar("Function", bound=Callable[..., object])
MISSING = ""
"""The reason why numba cannot be imported (missing, broken, or too old for this NumPy), or "" if it can be imported."""
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
        f"numba cannot be imported ({MISSING}), so images are read, resized and scaled without it. Pixels are the "
        "same, but this takes longer. `pip install --force-reinstall numba` may help"
    )
    NullCache = object  # type: ignore[assignment, misc]  # the base of a class that is not used without numba
else:
    _DUMP: Any = dumps
    _REBUILD: Any = CompileResult._rebuild  # noqa: SLF001  numba's own cache calls it too
    _COMPILE: Any = njit(nogil=True, error_model="numpy")
    _VERSIONS = (numba_version, llvmlite_version, np.__version__, sys.version, sys.implementation.cache_tag)


def jit(function: Function) -> Function:
    """Return a function that numba compiles at its first call, and that runs without the interpreter's lock.

    Additions and multiplications are done in the order that the source code states. The compiled code is stored in a
    private folder, where later processes find it. Without such a folder, each process compiles again, which takes a few
    seconds. `LOOPS.trouble` then says why there is no folder. Without numba, the function is returned uncompiled, but
    is never called. Functions that other modules call are decorated with `jit_or` instead.
    """
    if MISSING:
        return function
    compiled: Function = _COMPILE(function)
    if hasattr(compiled, "_cache") and _is_all_in_its_file(function):
        compiled._cache = _Cache(function)  # noqa: SLF001  numba has no other way to a cache that is not its own
    return compiled


def jit_or(plain: Function) -> Callable[[Function], Function]:
    """Return a decorator like `jit`. Without numba, the decorator returns `plain`, a function with the same results."""

    def choose(function: Function) -> Function:
        return plain if MISSING else jit(function)

    return choose


def _is_all_in_its_file(function: Any) -> bool:
    """Return whether the source file alone determines what the function does.

    The file does not determine a function that was made from a string, or that uses variables of an enclosing function.
    """
    return function.__closure__ is None and function.__code__.co_filename == function.__globals__.get("__file__")


class _Cache(NullCache):
    """Stores the compiled code of one function, in place of numba's own cache.

    numba's own cache does not notice changes in the files of other functions that the function calls.
    """

    def __init__(self, function: Any) -> None:
        self._module, self._file = function.__module__, f"{function.__module__}.{function.__qualname__}"
        self._line = function.__code__.co_firstlineno

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function that an earlier process compiled for these types, or None."""
        target_context.refresh()  # other modules may have registered types in the meantime
        key = self._key(sig, target_context.codegen())
        data = LOOPS.get(self._file, key) if key else None
        if data is None:
            LOOPS.missed()
            return None
        reduced = pickle.loads(data)  # noqa: S301  only this user writes that folder, and the hash matches
        return _REBUILD(target_context, *reduced)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store the code that numba has compiled for these types."""
        key = self._key(sig, data.codegen)
        if key and not data.lifted and not data.library.has_dynamic_globals:
            LOOPS.put(self._file, key, _DUMP(data._reduce()))  # noqa: SLF001

    def _key(self, types: Any, codegen: Any) -> bytes | None:
        """Return a key with everything that determines the machine code.

        Return None if the loaded code may differ from its source files. The key consists of a hash of the source
        files (including this one), the versions of Python and of the libraries, the processor, and the types of the
        arguments.
        """
        stamp = origins.stamp(self._module)
        if stamp is None:
            return None
        return repr((self._file, self._line, repr(types), stamp, _VERSIONS, codegen.magic_tuple())).encode()
