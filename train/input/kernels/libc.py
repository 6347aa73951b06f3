"""Declares functions of the C library, which numba's compiled loops call without the interpreter's lock."""

from typing import Any

from numba import int32, int64, intp, uintp
from numba.types import ExternalFunction  # type: ignore[attr-defined]  # missing in its stubs

# The function of POSIX.1, with pointers as numbers
pread: Any = ExternalFunction("pread", intp(int32, uintp, uintp, int64))  # descriptor, to, bytes, from
