"""Reads files in order; several threads request files at URLs in advance."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from headrace.prep.sources.files import UNKNOWN_CRC, Entry, FileTable, Reader

T = TypeVar("T")
_THREADS = 16
_AHEAD = 32  # files that are held in memory


def read_all(reader: Reader, files: FileTable) -> Iterator[tuple[Entry, int, bytes]]:
    """Yield each file's entry, the time of its last change (0 if the file's CRC-32 is known), and its bytes.

    The time is taken before the file is read, so a later comparison of times shows whether the file was replaced
    meanwhile. Errors of the reader are passed on.
    """

    def read(entry: Entry) -> tuple[Entry, int, bytes]:
        return entry, reader.time(entry) if entry.crc32 == UNKNOWN_CRC else 0, reader.read(entry)

    yield from each(reader, files, read)


def each(reader: Reader, files: FileTable, work: Callable[[Entry], T]) -> Iterator[T]:
    """The result of `work` for each file, in order. Errors of `work` are passed on."""
    if not any(map(reader.is_remote, files.paths)):
        yield from map(work, files)
        return
    pool, waiting = ThreadPoolExecutor(_THREADS), deque[Future[T]]()
    try:
        for entry in files:
            waiting.append(pool.submit(work, entry))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
