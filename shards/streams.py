"""Prints to standard streams, with text from outside escaped.

Output that a broken stream does not accept is dropped.
"""

import io
import os
import select
import sys
from typing import Any, TextIO

from headrace.shards.errors import HeadraceError
from headrace.shards.printable import printable


class _Lasting(io.FileIO):
    """A raw file for a descriptor; its writes never raise an error. `lost` is the error of the first failed write."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Write the bytes or a part of them; return the number of bytes written or dropped.

        If a non-blocking pipe is full, wait as for a blocking pipe.
        """
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.lost = self.lost or error
            return len(data)
        return written


def make_lasting() -> None:
    """Make sys.stdout and sys.stderr drop output that a closed pipe or a full disk does not accept.

    They then raise no errors, not even at the interpreter's exit. Streams that other code has replaced are unchanged. A
    closed standard descriptor is opened on /dev/null. Otherwise the next file to be opened would get its number, and
    libraries would write their output to this file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, descriptor: int) -> TextIO:
    """A new stream that writes to a descriptor without closing it, encoded like `stream`; UTF-8 if `stream` is None."""
    encoding, errors = (stream.encoding, stream.errors) if stream else ("utf-8", "backslashreplace")
    raw = _Lasting(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True)


def lost() -> OSError | None:
    """The error of the first failed write to standard output; None if there was none."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Lasting) else None


def say(line: str, *, error: bool = False) -> None:
    """Print one line with text from outside escaped, on standard error if `error`, otherwise on standard output."""
    print(printable(line), file=sys.stderr if error else sys.stdout, flush=True)


def say_all(text: str, *, error: bool = False) -> None:
    """Print several lines like `say`."""
    for line in text.split("\n"):
        say(line, error=error)


def print_result(text: str) -> None:
    """Print the result of a command.

    Raises HeadraceError if the output is incomplete, unless the reader closed the pipe.
    """
    say_all(text)
    error = lost()
    if error is not None and not isinstance(error, BrokenPipeError):
        raise HeadraceError(f"standard output: {error.strerror or error}. The result is incomplete; try again")


def print_bytes(data: bytes) -> None:
    """Write a part of a result, as UTF-8 text without escaping. Raises HeadraceError like `print_result`."""
    sys.stdout.write(data.decode("utf-8"))
    error = lost()
    if error is not None and not isinstance(error, BrokenPipeError):
        raise HeadraceError(f"standard output: {error.strerror or error}. The result is incomplete; try again")
