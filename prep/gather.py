"""Finds the images that a user names, on disks and at URLs; each image is read and decoded when it is requested.

A name is the path of an image file, folder, zip, tar, listing or shard set, or a glob pattern. A listing needs no
labels; a .txt file is a listing with one path per line. Files, folders, archives and shard sets may be at URLs; a
listing must be on a disk, but its paths may be URLs. No image is skipped silently: unreadable images and symbolic
links, which are not followed, are included with the reason.
"""

import glob
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from headrace.prep.images.admit import Pixels, decode
from headrace.prep.places import Files, Listing, Memory, Part, Samples, Source
from headrace.prep.sources.kinds import has_image_ending
from headrace.prep.sources.listing import ENDINGS
from headrace.prep.sources.parquet import parquet_files
from headrace.prep.sources.paths import TEXT
from headrace.shards import manifest
from headrace.shards.encoded import Given
from headrace.shards.errors import DataError, UsageError
from headrace.shards.prepared import Prepared
from headrace.shards.remote import AbsentError, Remote
from headrace.shards.urls import Url, is_url

_LISTINGS = (*ENDINGS, TEXT)
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
_AHEAD = 4  # images per thread that are read ahead


class Gathered:
    """All images that a user named, in order. Several threads may read images at the same time."""

    def __init__(self, parts: Sequence[Part], threads: int) -> None:
        self._parts, self._threads = parts, threads
        self._starts = np.cumsum([0, *map(len, parts)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, places: Iterable[int], prepared: Prepared = Prepared()) -> Iterator[Given]:  # noqa: B008  immutable
        """Yield the images with the indices `places`, in this order.

        The images are as prep would store them with the options `prepared`. Threads read a few images in advance.
        """
        begun: deque[Future[Given]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="headrace-admit") as pool:
            try:
                for place in places:
                    begun.append(pool.submit(self._image, place, prepared))
                    if len(begun) > _AHEAD * self._threads:
                        yield begun.popleft().result()
                while begun:
                    yield begun.popleft().result()
            finally:
                for one in begun:
                    one.cancel()

    def pixels(self, place: int) -> Pixels | None:
        """The pixels of an image for display; None if the image cannot be read or decoded."""
        part, inside = self._find(place)
        try:
            return decode(part.data(inside))
        except (DataError, OSError):
            return None

    def _image(self, place: int, prepared: Prepared) -> Given:
        part, inside = self._find(place)
        return part.image(inside, prepared)

    def _find(self, place: int) -> tuple[Part, int]:
        number = bisect_right(self._starts, place) - 1
        return self._parts[number], place - self._starts[number]


def gather(names: Sequence[Any], threads: int, missing: Sequence[str] = ()) -> Gathered:
    """Find the images that `names` stand for.

    A name is a path, the bytes of an image file, or an RGB array, uint8 (height, width, 3). Each path in `missing`
    counts as one image, even if no such file exists; such paths may come from another program. Raises UsageError for a
    path in `names` that does not exist or contains no image.
    """
    parts = [part for number, one in enumerate(names) for part in _parts(one, number)]
    return Gathered([*parts, *([Files(list(missing))] if missing else [])], threads)


def _parts(one: Any, number: int) -> list[Part]:
    if isinstance(one, bytes):
        return [Memory(f"image {number}", one)]
    if isinstance(one, np.ndarray):
        return [Memory(f"image {number}", _as_file(one, number))]
    if not isinstance(one, str | os.PathLike):
        raise UsageError(f"image {number} is a {type(one).__name__}: give a path, bytes of a file, or an array")
    path = os.fspath(one)
    if is_url(path):
        return [_at_url(path)]
    if os.path.lexists(path):
        return [_at(path)]
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []  # noqa: PTH207  as a shell does
    if not found:
        raise UsageError(f"{path}: no such file or folder, and no file matches it as a pattern")
    files = [match for match in found if not _is_place(match)]
    return [*([Files(files)] if files else []), *(_at(match) for match in found if _is_place(match))]


def _as_file(pixels: Pixels, number: int) -> bytes:
    """The array as a PPM file, which is lossless and is decoded like a PNG file."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise UsageError(
            f"image {number} is an array of {pixels.dtype} {pixels.shape}: expected RGB, uint8 (height, width, 3)"
        )
    return b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def _is_place(path: str) -> bool:
    """Whether the path is a folder, an archive or a listing, and not a single image file."""
    return Path(path).is_dir() or Path(path).suffix.lower() in (*_LISTINGS, *_ARCHIVES)


def _is_listing(path: Path) -> bool:
    """Whether the file is a listing of paths, and not a Parquet file that contains images."""
    return path.is_file() and path.suffix.lower() in _LISTINGS and not parquet_files(path)


def _at(path: str) -> Part:
    if not _is_place(path):
        return Files([path])
    if (Path(path) / manifest.NAME).exists():
        return Samples(path)
    return _with_images(Listing(path) if _is_listing(Path(path)) else Source(path), path)


def _at_url(path: str) -> Part:
    url = Url(path)
    ending = Path(url.name).suffix.lower()
    if has_image_ending(url.name):
        return Files([path])
    if ending in _LISTINGS and not parquet_files(url):
        raise UsageError(f"{url}: a listing must be on a disk; only the paths in it may be URLs. Copy it to this host")
    if ending in (*_LISTINGS, *_ARCHIVES) or (url.in_bucket and not _has_set(url)):
        return _with_images(Source(path), str(url))
    return Samples(path)


def _has_set(url: Url) -> bool:
    """Whether there is a shard set at the URL."""
    try:
        return Remote(url).size(manifest.NAME) > 0
    except AbsentError:
        return False


def _with_images(part: Part, name: str) -> Part:
    if not len(part):
        raise UsageError(
            f"{name}: there is no image in it. Give image files, a folder, a glob, a listing or a shard set"
        )
    return part
