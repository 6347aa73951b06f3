"""Errors that a user can act on, and the exit code of the command for each kind of error.

    HeadraceError       1  the run failed
    |-- UsageError      2  wrong arguments, recipe, or a missing file
    `-- DataError       3  data failed verification
        `-- NewerError  3  a newer Headrace wrote the data; nothing is wrong with it

Messages follow one form: what happened, where, the actual and the expected value, what to do next.
"""

from headrace.shards.printable import printable
from headrace.shards.version import running_version


class HeadraceError(Exception):
    """A command or a run failed; the message says why and what to do."""

    exit_code = 1


class UsageError(HeadraceError):
    """The request cannot be carried out as given."""

    exit_code = 2


class DataError(HeadraceError):
    """The data is damaged, or does not match its manifest or its source."""

    exit_code = 3


class NewerError(DataError):
    """The data has a format or a field that only a newer version of Headrace can read."""

    @classmethod
    def of(cls, where: object, what: str) -> "NewerError":
        """The error about the file or other data at `where`; `what` says what this Headrace cannot read."""
        return cls(f"{where}: {what}: made by a newer Headrace: upgrade (this is {running_version()})")


def error_line(error: HeadraceError) -> str:
    """The error as the one line that ends the command; text from files and users is escaped."""
    return printable(f"headrace: error: {error}".replace("\n", " "))
