"""The tar inside a compressed one, in a file without a name: nothing of it outlives the process, however that ends."""

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

Opener = Callable[[Path], Any]
_COMPRESSED: dict[bytes, Opener] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_CHUNK = 1 << 20


def opener(start: bytes) -> Opener | None:
    """What reads a file that begins with these bytes, if it is compressed."""
    return next((found for magic, found in _COMPRESSED.items() if start.startswith(magic)), None)


def unpack(root: Path, opened_by: Opener, folder: Path) -> BinaryIO:
    """What the compressed file `root` holds, on the disk of `folder`; closing it gives the space back.

    Stops at half of the space that is free there: the set that is made of it needs about as much again.
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
                        f"{folder}. Free some space, choose an OUT on another disk, or unpack it and give the folder"
                    )
                target.write(chunk)
            target.flush()
            stack.pop_all()
    except OSError as error:
        raise store.storage_error(error, folder) from error
    return target


def path_of(stream: BinaryIO) -> Path:
    """By which this process and its workers open a file without a name, for as long as the stream is open."""
    return Path(f"/proc/{os.getpid()}/fd/{stream.fileno()}")


def _chunks(root: Path, packed: Any) -> Iterator[bytes]:
    """The unpacked bytes. OSError is what gzip and bz2 raise for damage, apart from that of a full disk."""
    try:
        while chunk := packed.read(_CHUNK):
            yield chunk
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{root}: does not unpack ({error}). It was probably cut short: get it again") from error
