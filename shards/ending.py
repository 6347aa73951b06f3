"""Decides how an error ends a command or a rank: with one line if a user can act on it, otherwise with a traceback."""

import os
import traceback

from headrace.shards.errors import HeadraceError, error_line
from headrace.shards.open_files import LimitError, refuse_limit
from headrace.shards.version import running_version

REPORT = (
    f"headrace {running_version()}: this is a fault of Headrace, not of your input. Please report it, with all "
    "lines above, on the issues page of its repository"
)


def expected(error: BaseException) -> HeadraceError | None:
    """The error as a HeadraceError, on which a user can act; None if the error is a fault of Headrace.

    An OSError that names a file also counts as an error on which a user can act.
    """
    if isinstance(error, HeadraceError):
        return error
    if not isinstance(error, OSError):
        return None
    try:
        refuse_limit(error)
    except LimitError as limit:
        return limit
    return _of_file(error) if error.filename is not None else None


def expected_elsewhere(error: BaseException) -> HeadraceError | None:
    """Like `expected`, for an error that another process prints.

    The traceback is added to the error as a note, which is printed if HEADRACE_DEBUG=1.
    """
    found = expected(error)
    if found is not None:
        found.add_note("".join(traceback.format_exception(found)))
    return found


def _of_file(error: OSError) -> HeadraceError:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    where = " and ".join(names) or f"descriptor {error.filename}"
    found = HeadraceError(
        f"{where}: {error.strerror or type(error).__name__}. Fix the cause and start again; "
        "HEADRACE_DEBUG=1 shows where the error occurred"
    )
    found.__cause__ = error
    return found


def lines_of(error: HeadraceError) -> str:
    """The last lines that a command prints: the traceback, if HEADRACE_DEBUG=1, and a line about the error."""
    line = error_line(error)
    if os.environ.get("HEADRACE_DEBUG") != "1":
        return line
    return "".join(traceback.format_exception(error)) + line
