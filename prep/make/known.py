"""Finds files of a source that a set already has, by path or by content, so that they are not appended again.

The index of the set is read twice, one row group at a time, so memory holds only the paths and sizes of the source.
A new image is omitted only if the JPEG that the set would store for it has the SHA-256 of an image in the set.
"""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.images.admit import BadImageError, admit
from headrace.prep.make.base import Base
from headrace.prep.make.duplicates import Conflict, Duplicates, Gone, conflict_error, sums_of
from headrace.prep.sources.files import KNOWN, KNOWN_OTHERWISE, KNOWN_PATH, Entry
from headrace.prep.sources.source import Source
from headrace.prep.sources.table import Chunk, joined
from headrace.shards import index

_COLUMNS = ("source_size", "source_crc32", "size", "crc32", "sha256", "label", "source")


class _Sample(NamedTuple):
    """A sample of the set whose source file had the same size and CRC-32 as a file of the new source."""

    sha256: bytes  # of the JPEG
    kept: bool  # whether the JPEG is the unchanged source file
    label: int
    path: str


class _Judge:
    """Decides whether a file of the source is omitted, and collects images that the set has in another class."""

    def __init__(self, source: Source, options: Options) -> None:
        self._source, self._options = source, options
        self.conflicts: list[Conflict] = []

    def reason(self, entry: Entry, label: int, sha256: bytes, alike: list[_Sample], has_path: bool) -> str:
        """Return the reason to omit the file, or "" to keep the file.

        `alike` are samples whose source files have equal size and CRC-32.
        """
        stored = sha256 if all(one.kept for one in alike) else self._admitted(entry)
        same = [one for one in alike if one.sha256 == (sha256 if one.kept else stored)]
        if same and (own := [one for one in same if one.label == label]):
            return f"{KNOWN}: {min(one.path for one in own)}"
        if same:
            other = min(one.path for one in same)
            self.conflicts.append(Conflict(entry.path, other))
            return f"{KNOWN_OTHERWISE}: {other}"
        return KNOWN_PATH if has_path else ""

    def _admitted(self, entry: Entry) -> bytes:
        """Return the SHA-256 of the JPEG that prep would store for the file; empty if the file does not decode."""
        try:
            return hashlib.sha256(admit(self._source.reader.read(entry), self._options.prepared).jpeg).digest()
        except BadImageError:
            return b""


def find_known(source: Source, base: Base, options: Options, workers: int) -> Duplicates:
    """Return the files of a source to omit because the set already has them. `source` must have the labels of the set.

    With --dedupe exact, raises DataError for an image that the set has with another label, unless such images are
    dropped (--on-conflict drop).
    """
    chunks = [chunk for chunk in source.chunks() if chunk.paths]
    if not chunks:
        return Duplicates()
    whole = joined(chunks)
    places = {path: place for place, path in enumerate(whole.paths)}
    sizes = whole.rows["sizes"]
    paths, own_sizes = _first_look(base, places, sizes)
    wanted = np.flatnonzero(np.isin(sizes, own_sizes))
    wanted = np.union1d(wanted, np.array(sorted(paths), np.int64)).astype(np.int64)
    files, labels = whole.files.take(wanted), whole.rows["label"][wanted].tolist()
    judge, found = _Judge(source, options), Duplicates()
    with ThreadPoolExecutor(workers) as pool:
        hashes, crcs = zip(*pool.map(partial(sums_of, source.reader), files), strict=True) if len(files) else ((), ())
        alike = _second_look(base, files.sizes, np.array(crcs, np.int64))
        samples = [alike.get(_mark(*key), []) for key in zip(files.sizes.tolist(), crcs, strict=True)]
        has_path = [place in paths for place in wanted.tolist()]
        reasons = pool.map(judge.reason, files, labels, hashes, samples, has_path)
        for place, crc, reason in zip(wanted.tolist(), crcs, reasons, strict=True):
            if reason:
                found.gone[place] = Gone(reason, crc)
    if judge.conflicts and options.dedupe == "exact" and options.on_conflict != "drop":
        raise conflict_error(source, judge.conflicts)
    return found


def _first_look(base: Base, places: dict[str, int], sizes: NDArray[np.int64]) -> tuple[set[int], NDArray[np.int64]]:
    """Return the indices of source files whose paths occur in the set, and the file sizes that occur in the set."""
    paths, found, asked = set[int](), [np.zeros(0, np.int64)], np.unique(sizes)
    for info in base.manifest.splits:
        for columns in index.read_groups(base.root, info.index, ("source", "source_size")):
            paths.update(places[one] for one in columns["source"].to_pylist() if one in places)
            found.append(np.intersect1d(asked, columns["source_size"].to_numpy()))
    return paths, np.unique(np.concatenate(found))


def _second_look(base: Base, sizes: NDArray[np.int64], crcs: NDArray[np.int64]) -> dict[int, list[_Sample]]:
    """Return the samples of the set whose source file had one of these pairs of size and CRC-32.

    The keys of the result are the integers that `_marks` computes.
    """
    asked, found = np.unique(_marks(sizes, crcs)), dict[int, list[_Sample]]()
    for columns in _columns(base):
        size, crc = columns["source_size"].to_numpy(), columns["source_crc32"].to_numpy()
        marks = _marks(size, crc)
        rows = np.flatnonzero(np.isin(marks, asked))
        kept = (columns["size"].to_numpy()[rows] == size[rows]) & (columns["crc32"].to_numpy()[rows] == crc[rows])
        own = {name: columns[name].take(rows).to_pylist() for name in ("sha256", "label", "source")}
        samples = zip(own["sha256"], kept.tolist(), own["label"], own["source"], strict=True)
        for mark, sample in zip(marks[rows].tolist(), samples, strict=True):
            found.setdefault(mark, []).append(_Sample(*sample))
    return found


def _columns(base: Base) -> Iterator[dict[str, Any]]:
    for info in base.manifest.splits:
        yield from index.read_groups(base.root, info.index, _COLUMNS)


def _mark(size: int, crc: int) -> int:
    return size << 32 | crc


def _marks(sizes: NDArray[np.int64], crcs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one int64 for each pair of size and CRC-32, (n,).

    An integer has enough bits for size and CRC-32, because every file of a source has less than 2 GB.
    """
    return sizes.astype(np.int64) << 32 | crcs.astype(np.int64)


def remaining(chunks: Iterable[Chunk], gone: Duplicates, classes: int) -> NDArray[np.int64]:
    """Return the number of samples of each class that are not omitted, int64 (classes,)."""
    found, first = np.zeros(classes, np.int64), 0
    for chunk in chunks:
        kept = ~gone.among(first, len(chunk.paths))
        first += len(chunk.paths)
        found += np.bincount(chunk.rows["label"][kept], minlength=classes)
    return found
