"""Printing, with foreign parts escaped, to standard streams that may go away: what they do not take is dropped."""

import io
import os
import select
import sys
from typing import Any, TextIO

from headrace.shards.errors import HeadraceError
from headrace.shards.printable import printable


class _Lasting(io.FileIO):
    """A descriptor that takes whatever is written to it. `lost` is the first error that it met, and kept to itself."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """All or a part of the bytes. A pipe that does not block is waited for, as for one that does."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.lost = self.lost or error
            return len(data)
        return written


def make_lasting() -> None:
    """Have sys.stdout and sys.stderr of this process drop what a reader who left, or a full disk, does not take.

    They then raise nothing, at the interpreter's end neither. Streams that somebody has put in their place stay. A
    standard descriptor that is closed leads to /dev/null from now on: a file that is opened later would otherwise get
    its number, and with it what libraries print.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, descriptor: int) -> TextIO:
    """The stream anew, over a descriptor that it does not close; one that is not there writes UTF-8."""
    encoding, errors = (stream.encoding, stream.errors) if stream else ("utf-8", "backslashreplace")
    raw = _Lasting(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True)


def lost() -> OSError | None:
    """What standard output could not take, as the error of its first write that failed; None while all is well."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Lasting) else None


def say(line: str, *, error: bool = False) -> None:
    """Print one line, with foreign parts escaped; `error`: on standard error."""
    print(printable(line), file=sys.stderr if error else sys.stdout, flush=True)


def say_all(text: str, *, error: bool = False) -> None:
    """Print lines of our own, with foreign parts escaped; `error`: on standard error."""
    for line in text.split("\n"):
        say(line, error=error)


def print_result(text: str) -> None:
    """Print what a command is there to tell. Raises HeadraceError if it is not written whole; a reader may leave."""
    say_all(text)
    error = lost()
    if error is not None and not isinstance(error, BrokenPipeError):
        raise HeadraceError(f"standard output: {error.strerror or error}. The result is not there whole; try again")


def print_bytes(data: bytes) -> None:
    """Write a part of a result, text in UTF-8, as it is. Raises HeadraceError as `print_result`."""
    sys.stdout.write(data.decode("utf-8"))
    error = lost()
    if error is not None and not isinstance(error, BrokenPipeError):
        raise HeadraceError(f"standard output: {error.strerror or error}. The result is not there whole; try again")
