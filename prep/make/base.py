"""Reads the set to which images are appended, and checks whether appending to it is possible."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.shards import index, regular
from headrace.shards.errors import DataError, UsageError
from headrace.shards.index_writer import NUMBERS, TYPES
from headrace.shards.manifest import SUBSET, Manifest, SplitInfo
from headrace.shards.names import REPORT, STAMP
from headrace.shards.prepared import Prepared
from headrace.shards.sample import ROW, Rows
from headrace.shards.urls import Location

_TOGETHER = 1 << 16  # rows whose texts are converted to Python objects at a time


class IndexRows(NamedTuple):
    """Rows of an index with their keys and source paths, which are the arguments of `IndexWriter.add`."""

    rows: Rows
    keys: list[str]
    sources: list[str]


@dataclass(frozen=True)
class Base:
    """The set at `where`, to which images are appended.

    The folder `root` has the set's indexes, report.jsonl, and source.stat, which has one line for each source of the
    set. `id` is the SHA-256 of the set's manifest. `new_classes` says whether new classes may be added.
    """

    where: Location
    root: Path
    manifest: Manifest
    id: str
    new_classes: bool

    @classmethod
    def of(cls, where: Location, root: Path, manifest: Manifest, content: bytes, *, new_classes: bool) -> "Base":
        """Return the set with this manifest; `content` has the bytes of the manifest, whose SHA-256 is the `id`."""
        return cls(where, root, manifest, hashlib.sha256(content).hexdigest(), new_classes)

    def split(self, name: str) -> SplitInfo | None:
        """Return the entry of a split in the manifest; None if there is no split of this name."""
        return next((one for one in self.manifest.splits if one.name == name), None)

    def behind(self, name: str) -> tuple[int, int]:
        """Return the number of the split's first appended tar, and the key of its first appended sample."""
        info = self.split(name)
        return (0, 0) if info is None else (len(info.shards), self._next_key(info))

    def counts(self, name: str, classes: int) -> NDArray[np.int64]:
        """Return the number of samples of each class in a split, int64 (classes,)."""
        info, found = self.split(name), np.zeros(classes, np.int64)
        if info is not None:
            for columns in index.read_groups(self.root, info.index, ("label",)):
                found += np.bincount(columns["label"].to_numpy(), minlength=classes)
        return found

    def rows(self, name: str) -> Iterator[IndexRows]:
        """Yield the rows of a split's index in order, at most `_TOGETHER` of them at a time."""
        info = self.split(name)
        for columns in index.read_groups(self.root, info.index, tuple(TYPES)) if info is not None else ():
            rows = np.zeros(len(columns["size"]), ROW)
            for column in NUMBERS:
                rows[column] = columns[column].to_numpy()
            if len(rows):
                data = b"".join(columns["sha256"].to_pylist())
                rows["sha256"] = np.frombuffer(data, np.uint8).reshape(len(rows), -1)
            for first in range(0, len(rows), _TOGETHER):
                part = slice(first, first + _TOGETHER)
                keys, sources = (columns[one][part].to_pylist() for one in ("key", "source"))
                yield IndexRows(rows[part], keys, sources)

    def file(self, name: str) -> bytes:
        """Return the content of a file of the set, or empty bytes if there is no such file.

        Raises DataError if the file is unreadable.
        """
        try:
            return regular.read(self.root / name)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise DataError(
                f"{self.where / name}: cannot be read ({error.strerror or error}); after an append, the lines in "
                "this file would be lost. Make the file readable, or remove it"
            ) from error

    @property
    def report(self) -> bytes:
        """The content of report.jsonl, without lines about appended images that the manifest does not include.

        A set at a URL may have such lines, because an append uploads the report before the manifest, and may fail in
        between.
        """
        lines, parts = self.file(REPORT).splitlines(keepends=True), len(self.manifest.parts)
        return b"".join(line for line in lines if _part_of(line) <= parts)

    @property
    def stamps(self) -> bytes:
        """The content of source.stat, with at most one line for each source that the manifest names."""
        return b"".join(self.file(STAMP).splitlines(keepends=True)[: len(self.manifest.parts)])

    def _next_key(self, info: SplitInfo) -> int:
        if not info.samples:
            return 0
        with closing(index.Index(self.root, info.index)) as found:
            last = max(number for number, rows in enumerate(found.group_rows) if rows)
            key = found.read(["key"], last)["key"][-1].as_py()
        if not key.isdecimal():
            raise DataError(
                f"{self.where}: the last sample of split {info.name} has the key {key!r}, but --append needs the "
                "numbers that prep gives as keys. Make the set again"
            )
        return int(key) + 1


def _part_of(line: bytes) -> int:
    """Return the part of the set that a line of the report is about: 1 is the original set, 2 the first append.

    Return 1 if the line is damaged.
    """
    try:
        return int(json.loads(line).get("part", 1))
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return 1


def refuse_as_base(where: Location, manifest: Manifest, options: Options) -> None:
    """Raise UsageError if images cannot be appended to the set at all, or not with these options.

    Images cannot be appended to a set that `headrace index` made from existing tars, nor to a subset. The options that
    change images, such as --quality, must have the values with which the set was made.
    """
    if manifest.made is None:
        raise UsageError(
            f"{where}: its tars were not made by prep, and --append needs the facts that prep records about each file. "
            "Give a set that `headrace prep` made"
        )
    if manifest.source.layout == SUBSET:
        raise UsageError(
            f"{where}: it is a subset of another set, and the other set would not have the appended images. Append "
            "to the other set, and make the subset again"
        )
    for name in ("classes", "classes_from"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} cannot be combined with --append, which uses the classes of {where}"
            )
    ours, theirs = options.prepared, Prepared.of(manifest.options)
    if ours != theirs:
        name = next(one for one in Prepared._fields if getattr(ours, one) != getattr(theirs, one))
        asked, made = options.values()[name], (Options().values() | manifest.options)[name]
        raise UsageError(
            f"--{name.replace('_', '-')} {asked}: the images of {where} were made with {made}. All images of a set "
            "must be made with the same value, which `headrace predict` uses too. Give the set's value"
        )
