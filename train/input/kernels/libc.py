"""The C library, for loops that numba compiles: it is called without the interpreter's lock."""

from typing import Any

from numba import int32, int64, intp, uintp
from numba.types import ExternalFunction  # type: ignore[attr-defined]  # its stubs do not know it

# As in POSIX.1, pointers as numbers
pread: Any = ExternalFunction("pread", intp(int32, uintp, uintp, int64))  # descriptor, to, bytes, from
