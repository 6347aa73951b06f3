"""How an error ends a command or a rank: one line for what a user can act on, a traceback for a fault of Headrace."""

import os
import traceback

from headrace.shards.errors import HeadraceError, error_line
from headrace.shards.open_files import LimitError, refuse_limit
from headrace.shards.version import running_version

REPORT = (
    f"headrace {running_version()}: this is a fault of Headrace, not of what you did. Report it, with all lines above, "
    "on the issues page of its repository"
)


def expected(error: BaseException) -> HeadraceError | None:
    """The error as one that a user can act on; None where it is a fault of Headrace.

    An OSError that names a file is the system's word on that file, which nobody on the way knew better words for.
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


def _of_file(error: OSError) -> HeadraceError:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    where = " and ".join(names) or f"descriptor {error.filename}"
    found = HeadraceError(
        f"{where}: {error.strerror or type(error).__name__}. Mend that and start again; HEADRACE_DEBUG=1 shows what "
        "was done with it"
    )
    found.__cause__ = error
    return found


def lines_of(error: HeadraceError) -> str:
    """What the command ends with: the error's one line, after its traceback with all causes if HEADRACE_DEBUG=1."""
    line = error_line(error)
    if os.environ.get("HEADRACE_DEBUG") != "1":
        return line
    return "".join(traceback.format_exception(error)) + line
