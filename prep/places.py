"""Where single images lie, by kind of place: files, memory, sources as prep reads them, shard sets."""

import os
import tempfile
from bisect import bisect_right
from pathlib import Path
from typing import Protocol

import numpy as np

from headrace.prep.images.admit import admit
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import MAX_FILE_BYTES, OTHER_KIND, UNKNOWN_CRC, Entry, LeftOut
from headrace.prep.sources.files import Files as SourceFiles
from headrace.prep.sources.folder import FolderReader
from headrace.prep.sources.kinds import has_image_ending
from headrace.prep.sources.parquet import ParquetFiles
from headrace.prep.sources.paths import TEXT, listed_paths, stat_listed
from headrace.prep.sources.survey import survey
from headrace.shards import regular
from headrace.shards.encoded import Given, Ready, Unreadable
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.prepared import Prepared
from headrace.shards.shardset import ShardSet


class Part(Protocol):
    """Images of one kind of place."""

    def __len__(self) -> int: ...

    def name(self, place: int) -> str:
        """What an image is called."""

    def data(self, place: int) -> bytes:
        """The file of an image. Raises DataError or OSError where it cannot be read."""

    def image(self, place: int, prepared: Prepared) -> Given:
        """The same, admitted."""


def _inside(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"


def _admitted(part: Part, place: int, prepared: Prepared) -> Given:
    name = part.name(place)
    try:
        found = admit(part.data(place), prepared)
    except DataError as error:
        return Unreadable(name, str(error))
    except OSError as error:
        return Unreadable(name, f"cannot be read ({error.strerror or error})")
    return Ready(name, found.jpeg, found.width, found.height)


class Files:
    """Single files."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, place: int) -> str:
        """What the image is called."""
        return self._paths[place]

    def data(self, place: int) -> bytes:
        """Its file."""
        path = Path(self._paths[place])
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"{size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return regular.read(path)

    def image(self, place: int, prepared: Prepared) -> Given:
        """The same, admitted."""
        return _admitted(self, place, prepared)


class Memory:
    """One image in memory."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name, self._data = name, data

    def __len__(self) -> int:
        return 1

    def name(self, _: int) -> str:
        """What the image is called."""
        return self._name

    def data(self, _: int) -> bytes:
        """Its file."""
        return self._data

    def image(self, place: int, prepared: Prepared) -> Given:
        """The same, admitted."""
        return _admitted(self, place, prepared)


class Source:
    """The images of a folder, archive or Parquet file, as prep reads them; those that it does not read come last."""

    def __init__(self, path: str) -> None:
        self._path = path
        # Held as long as images are wanted: the unpacked copy of an archive goes with it.
        self._files = open_files(Path(path), Path(tempfile.gettempdir()))
        self._entries, self._left_out = _images_in(self._files)
        self._reader = self._files.reader("")

    def __len__(self) -> int:
        return len(self._entries) + len(self._left_out)

    def name(self, place: int) -> str:
        """What the image is called."""
        inside = place - len(self._entries)
        return _inside(self._path, self._entries[place].path if inside < 0 else self._left_out[inside][0])

    def data(self, place: int) -> bytes:
        """Its file."""
        inside = place - len(self._entries)
        if inside >= 0:
            raise DataError(self._left_out[inside][1])
        return self._reader.read(self._entries[place])

    def image(self, place: int, prepared: Prepared) -> Given:
        """The same, admitted."""
        return _admitted(self, place, prepared)


def _images_in(files: SourceFiles) -> tuple[list[Entry], LeftOut]:
    """What is read, and what is an image that is not read, with the reason."""
    if isinstance(files, ParquetFiles):
        return list(files.table()), files.left_out
    seen = survey(files)
    others = [(one, why) for one, why in zip(seen.table.paths, seen.why_not, strict=True) if why == OTHER_KIND]
    links = ((one, why) for one, why in seen.left_out if has_image_ending(one))
    return list(seen.table.take(seen.images)), [*others, *links]


class Listing:
    """What a listing names, in its order, labelled or not: a path that cannot be read is there with the reason."""

    def __init__(self, path: str) -> None:
        self._path, self._folder = path, Path(path).absolute().parent
        self._paths = listed_paths(Path(path))
        self._without = "a row without a path"
        self._reader = FolderReader(self._folder, "")
        if Path(path).suffix.lower() == TEXT and not any(os.path.lexists(self._folder / one) for one in self._paths):
            none = f"no image, and no list of images: none of its lines is a file in {self._folder}"
            self._paths, self._without = [""], none  # of any text, one row says so, and not one for each line

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, place: int) -> str:
        """What the image is called."""
        path = self._paths[place]
        return str(Path(self._path).parent / path) if path else self._path

    def data(self, place: int) -> bytes:
        """Its file."""
        path = self._paths[place]
        if not path:
            raise DataError(self._without)
        size = stat_listed(self._folder, path).st_size
        return self._reader.read(Entry(path, size, UNKNOWN_CRC, 0, size, 0))

    def image(self, place: int, prepared: Prepared) -> Given:
        """The same, admitted."""
        return _admitted(self, place, prepared)


class Samples:
    """The samples of a shard set, of all its splits: they were admitted when it was made."""

    def __init__(self, path: str) -> None:
        self._path, self._shards = path, ShardSet.open(path)
        refuse_unsafe(self._shards)
        self._splits = [self._shards.split(name) for name in self._shards.split_names]
        self._starts = np.cumsum([0, *map(len, self._splits)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name(self, place: int) -> str:
        """What the image is called."""
        split, row = self._find(place)
        return _inside(self._path, f"{self._splits[split].name}/{self._splits[split].keys[row]}")

    def data(self, place: int) -> bytes:
        """Its file."""
        split, row = self._find(place)
        return self._splits[split].jpegs(np.array([row]))[0].tobytes()

    def image(self, place: int, _: Prepared) -> Given:
        """The same, admitted."""
        split, row = self._find(place)
        try:
            data = self.data(place)
        except HeadraceError as error:
            return Unreadable(self.name(place), str(error))
        found = self._splits[split]
        return Ready(self.name(place), data, int(found.widths[row]), int(found.heights[row]))

    def _find(self, place: int) -> tuple[int, int]:
        split = bisect_right(self._starts, place) - 1
        return split, place - self._starts[split]
