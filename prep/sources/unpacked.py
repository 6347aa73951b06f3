"""Unpacks a compressed tar into an unnamed file, which disappears when the process ends, however it ends."""

import bz2
import gzip
import lzma
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

from headrace.shards import store
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.urls import Location

Opener = Callable[[Any], Any]
_COMPRESSED: dict[bytes, Opener] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_CHUNK = 1 << 20


def opener(start: bytes) -> Opener | None:
    """The function that opens a compressed file with these first bytes; None if the file is not compressed."""
    return next((found for magic, found in _COMPRESSED.items() if start.startswith(magic)), None)


def unpack(root: Location, opened_by: Opener, folder: Path) -> BinaryIO:
    """Unpack the file `root` to the disk of `folder`; closing the returned stream frees the space.

    Raises HeadraceError if the copy would take more than half of the free space, because the set takes about as much
    space as the copy.
    """
    free = store.free_bytes(folder)
    bound = free // 2
    try:
        with ExitStack() as stack:
            target = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile(dir=folder)))
            for chunk in _chunks(root, stack.enter_context(opened_by(root))):
                if target.tell() + len(chunk) > bound:
                    raise HeadraceError(
                        f"{root}: unpacks to more than {bound:,} bytes, half of the {free:,} that are free in "
                        f"{folder}. Free some space, choose an OUT on another disk, or give the unpacked folder"
                    )
                target.write(chunk)
            target.flush()
            stack.pop_all()
    except OSError as error:
        raise store.storage_error(error, folder) from error
    return target


def path_of(stream: BinaryIO) -> Path:
    """A path by which this process and its workers can open the unnamed file of a stream that is still open."""
    return Path(f"/proc/{os.getpid()}/fd/{stream.fileno()}")


def _chunks(root: Location, packed: Any) -> Iterator[bytes]:
    """The unpacked bytes.

    Raises DataError if the file is damaged. For a damaged file, gzip and bz2 raise OSError; a DataError replaces this
    error, because the caller reports an OSError as a full disk.
    """
    try:
        while chunk := packed.read(_CHUNK):
            yield chunk
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{root}: does not unpack ({error}). The file was probably cut short: get it again") from error
