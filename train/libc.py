"""The C library, for loops that numba compiles: it is called without the interpreter's lock."""

from typing import Any

from numba import int32, int64, intp, uintp
from numba.types import ExternalFunction  # type: ignore[attr-defined]  # its stubs do not know it

# ssize_t pread(int descriptor, void *to, size_t bytes, off_t from), POSIX.1
pread: Any = ExternalFunction("pread", intp(int32, uintp, uintp, int64))
