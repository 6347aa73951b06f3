"""Images that a user names, wherever they lie: each is read and admitted when it is asked for.

A name is a file, a folder, a glob, a zip, tar or listing, or a shard set. No image is passed over in silence: what
cannot be read, and links, which are not followed, are there with the reason.
"""

import glob
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from headrace.prep.images.admit import Pixels, admit, decode, encode
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import MAX_FILE_BYTES, Files
from headrace.prep.sources.imagefolder import is_image
from headrace.prep.sources.listing import ENDINGS
from headrace.shards import manifest, regular
from headrace.shards.encoded import Given, Ready, Unreadable
from headrace.shards.errors import DataError, HeadraceError, UsageError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.shardset import ShardSet

_ARCHIVES = (*ENDINGS, ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
_AHEAD = 4  # images a thread that are read before they are asked for


class _Part(Protocol):
    """Images of one kind of place."""

    def __len__(self) -> int: ...

    def name(self, place: int) -> str: ...

    def data(self, place: int) -> bytes:
        """The file of an image. Raises DataError or OSError where it cannot be read."""

    def image(self, place: int) -> Given:
        """The same, admitted."""


class Gathered:
    """All images that were named, in order. Read by threads; `close` lets go of archives."""

    def __init__(self, parts: Sequence[_Part], threads: int) -> None:
        self._parts, self._threads = parts, threads
        self._starts = np.cumsum([0, *map(len, parts)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, places: Iterable[int]) -> Iterator[Given]:
        """The images at these places, in that order, a few of them ahead."""
        begun: deque[Future[Given]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="headrace-admit") as pool:
            try:
                for place in places:
                    begun.append(pool.submit(self._image, place))
                    if len(begun) > _AHEAD * self._threads:
                        yield begun.popleft().result()
                while begun:
                    yield begun.popleft().result()
            finally:
                for one in begun:
                    one.cancel()

    def pixels(self, place: int) -> Pixels | None:
        """An image to look at; None where it cannot be read."""
        part, inside = self._find(place)
        try:
            return decode(part.data(inside))
        except (DataError, OSError):
            return None

    def _image(self, place: int) -> Given:
        part, inside = self._find(place)
        return part.image(inside)

    def _find(self, place: int) -> tuple[_Part, int]:
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._parts[number], place - self._starts[number]


def gather(names: Sequence[Any], threads: int, missing: Sequence[str] = ()) -> Gathered:
    """The images at these paths; bytes are image files, arrays uint8 (height, width, 3) are RGB pixels.

    Of the paths in `missing`, which a program may have listed, each is one file, there or not.
    Raises UsageError for another path that is not there, or that has no image.
    """
    parts = [part for number, one in enumerate(names) for part in _parts(one, number)]
    return Gathered([*parts, *([_Files(list(missing))] if missing else [])], threads)


def _parts(one: Any, number: int) -> list[_Part]:
    if isinstance(one, bytes):
        return [_Memory(f"image {number}", one)]
    if isinstance(one, np.ndarray):
        return [_Memory(f"image {number}", _encoded(one, number))]
    if not isinstance(one, str | os.PathLike):
        raise UsageError(f"image {number} is a {type(one).__name__}: give a path, bytes of a file, or an array")
    path = os.fspath(one)
    if os.path.lexists(path):
        return [_at(path)]
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []  # noqa: PTH207  as a shell does
    if not found:
        raise UsageError(f"{path}: no such file or folder, and no pattern that any file has")
    files = [match for match in found if not _is_place(match)]
    return [*([_Files(files)] if files else []), *(_at(match) for match in found if _is_place(match))]


def _encoded(pixels: Pixels, number: int) -> bytes:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UsageError(
            f"image {number} is an array of {pixels.dtype} {pixels.shape}: expected RGB, uint8 (height, width, 3)"
        )
    return encode(np.ascontiguousarray(pixels))


def _is_place(path: str) -> bool:
    """Whether it holds images, and is not one."""
    return Path(path).is_dir() or Path(path).suffix.lower() in _ARCHIVES


def _at(path: str) -> _Part:
    if not _is_place(path):
        return _Files([path])
    if (Path(path) / manifest.NAME).exists():
        return _Set(path)
    part = _Source(path)
    if not len(part):
        raise UsageError(f"{path}: no image in it. Give image files, a folder, a glob, a listing or a shard set")
    return part


def _inside(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"


def _admitted(part: _Part, place: int) -> Given:
    name = part.name(place)
    try:
        found = admit(part.data(place))
    except DataError as error:
        return Unreadable(name, str(error))
    except OSError as error:
        return Unreadable(name, f"cannot be read ({error.strerror or error})")
    return Ready(name, found.jpeg, found.width, found.height)


class _Files:
    """Single files."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, place: int) -> str:
        return self._paths[place]

    def data(self, place: int) -> bytes:
        path = Path(self._paths[place])
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"{size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return regular.read(path)

    def image(self, place: int) -> Given:
        return _admitted(self, place)


class _Memory:
    """One image in memory."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name, self._data = name, data

    def __len__(self) -> int:
        return 1

    def name(self, _: int) -> str:
        return self._name

    def data(self, _: int) -> bytes:
        return self._data

    def image(self, place: int) -> Given:
        return _admitted(self, place)


class _Source:
    """The images of a folder, archive or listing, as prep reads them; those that it does not read come last."""

    def __init__(self, path: str) -> None:
        self._files: Files = open_files(Path(path), Path(tempfile.gettempdir()))
        table = self._files.table()
        rows = [row for row, one in enumerate(table.paths) if is_image(one)]
        self._table, self._reader = table.take(np.array(rows, np.int64)), self._files.reader("")
        self._path = path
        self._entries = list(self._table)
        self._left_out = [(one, why) for one, why in self._files.left_out if is_image(one)]

    def __len__(self) -> int:
        return len(self._entries) + len(self._left_out)

    def name(self, place: int) -> str:
        inside = place - len(self._entries)
        return _inside(self._path, self._entries[place].path if inside < 0 else self._left_out[inside][0])

    def data(self, place: int) -> bytes:
        inside = place - len(self._entries)
        if inside >= 0:
            raise DataError(self._left_out[inside][1])
        return self._reader.read(self._entries[place])

    def image(self, place: int) -> Given:
        return _admitted(self, place)


class _Set:
    """The samples of a shard set, of all its splits: they were admitted when it was made."""

    def __init__(self, path: str) -> None:
        self._path, self._shards = path, ShardSet.open(path)
        refuse_unsafe(self._shards)
        self._splits = [self._shards.split(name) for name in self._shards.split_names]
        self._starts = np.cumsum([0, *map(len, self._splits)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name(self, place: int) -> str:
        split, row = self._find(place)
        return _inside(self._path, f"{self._splits[split].name}/{self._splits[split].keys[row]}")

    def data(self, place: int) -> bytes:
        split, row = self._find(place)
        return self._splits[split].jpegs(np.array([row]))[0].tobytes()

    def image(self, place: int) -> Given:
        split, row = self._find(place)
        try:
            data = self.data(place)
        except HeadraceError as error:
            return Unreadable(self.name(place), str(error))
        found = self._splits[split]
        return Ready(self.name(place), data, int(found.widths[row]), int(found.heights[row]))

    def _find(self, place: int) -> tuple[int, int]:
        split = int(np.searchsorted(self._starts, place, side="right")) - 1
        return split, place - self._starts[split]
