"""Reads text files of a source line by line, so that a huge file is never in memory as a whole."""

from collections.abc import Iterator

from headrace.prep.sources.files import Entry, Reader
from headrace.shards.errors import DataError
from headrace.shards.urls import Location

LONGEST = 1 << 20  # bytes of a line


def lines(root: Location, entry: Entry, reader: Reader) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line of a file in the source at `root`; lines end as in str.splitlines.

    Raises DataError if a line has more than LONGEST bytes or is not UTF-8. Errors from the reader are raised too.
    """
    number = 0
    for data in _pieces(root, entry, reader):
        try:
            found = data.decode("utf-8").splitlines() or [""]
        except UnicodeDecodeError as error:
            raise DataError(
                f"{root}: {entry.path}: line {number + 1} is not UTF-8 text ({error.reason}). Get the file again"
            ) from error
        for line in found:
            number += 1
            yield number, line


def _pieces(root: Location, entry: Entry, reader: Reader) -> Iterator[bytes]:
    """The bytes of the file, cut at each newline."""
    rest = b""
    for chunk in reader.chunks(entry):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > LONGEST:
            raise DataError(f"{root}: {entry.path}: a line of more than {LONGEST:,} bytes. Get the file again")
    if rest:
        yield rest
