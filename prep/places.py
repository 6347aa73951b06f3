"""Reads single images from files, memory, sources of prep, listings and shard sets, on disks and at URLs."""

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
from headrace.prep.sources.servers import Servers, shown
from headrace.prep.sources.survey import survey
from headrace.shards import regular
from headrace.shards.encoded import Given, Ready, Unreadable
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.headers import refuse_unsafe
from headrace.shards.prepared import Prepared
from headrace.shards.shardset import ShardSet
from headrace.shards.urls import is_url, location


class Part(Protocol):
    """The images of one file, folder, archive, listing or shard set, in order.

    `place` is the index of an image in this order.
    """

    def __len__(self) -> int: ...

    def name(self, place: int) -> str:
        """The name that output shows for an image."""

    def data(self, place: int) -> bytes:
        """The bytes of an image file. Raises DataError or OSError if the file cannot be read."""

    def image(self, place: int, prepared: Prepared) -> Given:
        """The image as prep would store it, or the reason why the image cannot be used."""


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
    """Single files, on a disk or at URLs. The name of an image at a URL omits the query, which may contain a secret."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._servers = Servers()

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, place: int) -> str:
        """The name that output shows for the image."""
        path = self._paths[place]
        return shown(path) if is_url(path) else path

    def data(self, place: int) -> bytes:
        """The bytes of the image file."""
        if is_url(self._paths[place]):
            return self._servers.read(self._paths[place], MAX_FILE_BYTES)
        path = Path(self._paths[place])
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"the file has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return regular.read(path)

    def image(self, place: int, prepared: Prepared) -> Given:
        """The image as prep would store it, or the reason why the image cannot be used."""
        return _admitted(self, place, prepared)


class Memory:
    """One image whose file the caller passes as bytes."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name, self._data = name, data

    def __len__(self) -> int:
        return 1

    def name(self, _: int) -> str:
        """The name that output shows for the image."""
        return self._name

    def data(self, _: int) -> bytes:
        """The bytes of the image file."""
        return self._data

    def image(self, place: int, prepared: Prepared) -> Given:
        """The image as prep would store it, or the reason why the image cannot be used."""
        return _admitted(self, place, prepared)


class Source:
    """The images of a folder, archive or Parquet file, as prep reads them; images that prep cannot read come last."""

    def __init__(self, path: str) -> None:
        self._path = shown(path) if is_url(path) else path
        # Held while images are needed, because the unpacked copy of an archive is removed together with this object.
        self._files = open_files(location(path), Path(tempfile.gettempdir()))
        self._entries, self._left_out = _images_in(self._files)
        self._reader = self._files.reader("")

    def __len__(self) -> int:
        return len(self._entries) + len(self._left_out)

    def name(self, place: int) -> str:
        """The name that output shows for the image."""
        inside = place - len(self._entries)
        return _inside(self._path, self._entries[place].path if inside < 0 else self._left_out[inside][0])

    def data(self, place: int) -> bytes:
        """The bytes of the image file."""
        inside = place - len(self._entries)
        if inside >= 0:
            raise DataError(self._left_out[inside][1])
        return self._reader.read(self._entries[place])

    def image(self, place: int, prepared: Prepared) -> Given:
        """The image as prep would store it, or the reason why the image cannot be used."""
        return _admitted(self, place, prepared)


def _images_in(files: SourceFiles) -> tuple[list[Entry], LeftOut]:
    """The images that prep can read, and the images that it cannot read, each with the reason."""
    if isinstance(files, ParquetFiles):
        return list(files.table()), files.left_out
    seen = survey(files)
    others = [(one, why) for one, why in zip(seen.table.paths, seen.why_not, strict=True) if why == OTHER_KIND]
    links = ((one, why) for one, why in seen.left_out if has_image_ending(one))
    return list(seen.table.take(seen.images)), [*others, *links]


class Listing:
    """The images that a listing names, in the order of the listing. Labels are not needed; paths may be URLs.

    An image that cannot be read is included with the reason.
    """

    def __init__(self, path: str) -> None:
        self._path, self._folder = path, Path(path).absolute().parent
        self._paths = listed_paths(Path(path))
        self._without = "a row without a path"
        self._reader, self._servers = FolderReader(self._folder, ""), Servers()
        if Path(path).suffix.lower() == TEXT and not any(
            is_url(one) or os.path.lexists(self._folder / one) for one in self._paths
        ):
            none = f"neither an image nor a list of images: none of its lines names a file in {self._folder}"
            self._paths, self._without = [""], none  # one row for the whole file instead of one for each line

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, place: int) -> str:
        """The name that output shows for the image."""
        path = self._paths[place]
        if is_url(path):
            return shown(path)
        return str(Path(self._path).parent / path) if path else self._path

    def data(self, place: int) -> bytes:
        """The bytes of the image file."""
        path = self._paths[place]
        if not path:
            raise DataError(self._without)
        if is_url(path):
            return self._servers.read(path, MAX_FILE_BYTES)
        size = stat_listed(self._folder, path).st_size
        return self._reader.read(Entry(path, size, UNKNOWN_CRC, 0, size, 0))

    def image(self, place: int, prepared: Prepared) -> Given:
        """The image as prep would store it, or the reason why the image cannot be used."""
        return _admitted(self, place, prepared)


class Samples:
    """The samples of all splits of a shard set; the images were decoded and checked when the set was made."""

    def __init__(self, path: str) -> None:
        self._shards = ShardSet.open(path)
        self._path = str(self._shards.where)
        refuse_unsafe(self._shards)
        self._splits = [self._shards.split(name) for name in self._shards.split_names]
        for split in self._splits:
            split.read_in_order(0, len(split))
        self._starts = np.cumsum([0, *map(len, self._splits)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name(self, place: int) -> str:
        """The name that output shows for the image."""
        split, row = self._find(place)
        return _inside(self._path, f"{self._splits[split].name}/{self._splits[split].keys[row]}")

    def data(self, place: int) -> bytes:
        """The bytes of the image file."""
        split, row = self._find(place)
        return self._splits[split].jpegs(np.array([row]))[0].tobytes()

    def image(self, place: int, _: Prepared) -> Given:
        """The image as prep would store it, or the reason why the image cannot be used."""
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
