"""Writes the plan of a shard set: the samples in the order in which they fill the shards, and a hash of the plan."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import MEGABYTE, Options
from headrace.prep.make import plan
from headrace.prep.make.base import Base
from headrace.prep.make.duplicates import Duplicates
from headrace.prep.make.planned import ABOUT, ALL, DROPPED, PATHS, ROWS, WRITER, Plan
from headrace.prep.sources.files import BY_EMPTY_CLASS, UNKNOWN_CRC, Unused
from headrace.prep.sources.source import Source, crc32_of
from headrace.prep.sources.table import ByKey, Chunk, Room, Table
from headrace.shards import store
from headrace.shards.manifest import TRAIN


def write_plan(
    folder: Path,
    source: Source,
    options: Options,
    lost: Mapping[str, str],
    labels: Sequence[int],
    duplicates: Duplicates,
    *,
    by_parts: bool,
    base: Base | None = None,
) -> tuple[Plan, list[Unused]]:
    """Write the plan of a source to the empty folder `folder`; return the plan and the images that are dropped.

    The dropped images are duplicates and the images of dropped classes. `labels` has the labels of the dropped classes.
    `lost` has, by path, the reasons why training images of these classes do not decode. With a `base`, to which the
    samples are appended, the numbers of tars and the keys continue after those of the base. Splits without new samples
    are then omitted.
    """
    number = np.cumsum(~np.isin(np.arange(len(source.classes)), labels)) - 1
    number[list(labels)] = DROPPED
    classes = tuple(one for label, one in enumerate(source.classes) if label not in set(labels))
    facts: dict[str, Any] = {
        "writer": WRITER,
        "options": options.deciding(),
        "layout": source.layout,
        "prefix": source.reader.prefix,
        "classes": [[one.id, one.name] for one in classes],
    }
    if base is not None:
        facts |= {"onto": base.id, "behind": {name: base.behind(name) for name in source.names}}
    with _table(folder, ALL) as every, Room(folder) as room:
        splits = [_Split(name, room, source.samples, len(classes), options.seed) for name in source.names]
        dropped = _gather(source, number, every, splits, lost, duplicates)
        identity = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for split in splits:
            split.write(folder, options)
            identity.update(split.identity)
    before = 0 if base is None else base.counts(TRAIN, len(classes))
    about = facts | {
        "id": identity.hexdigest(),
        "splits": {split.name: (split.samples, split.shards) for split in splits if split.samples or base is None},
        "images": len(every),
        "training": (next(split.counts for split in splits if split.name == TRAIN) + before).tolist(),
        "by_parts": by_parts,
    }
    with store.filling(folder / ABOUT) as stream:
        stream.write(json.dumps(about).encode())
    return Plan(folder, about), dropped


def _gather(
    source: Source,
    number: NDArray[np.int64],
    every: Table,
    splits: Sequence["_Split"],
    lost: Mapping[str, str],
    duplicates: Duplicates,
) -> list[Unused]:
    """Add all images, sorted by path, to the table `every`, and the images that are not dropped also to their splits.

    Return the dropped images. In the table, they have a CRC-32, which is computed if it is unknown.
    """
    dropped = []
    for chunk in source.chunks():
        rows = chunk.rows.copy()
        rows["label"] = number[rows["label"]]
        twice = duplicates.among(len(every), len(rows))
        for row in np.flatnonzero(twice).tolist():
            reason, rows["crcs"][row] = duplicates.gone[len(every) + row]
            dropped.append(Unused(chunk.paths[row], reason))
        for row in np.flatnonzero(~twice & (rows["label"] == DROPPED)).tolist():
            (entry,) = chunk.files.take(np.array([row]))
            rows["crcs"][row] = entry.crc32 if entry.crc32 != UNKNOWN_CRC else crc32_of(entry, source.reader)
            dropped.append(Unused(entry.path, lost.get(entry.path, BY_EMPTY_CLASS)))
        rows["label"][twice] = DROPPED
        rows["split"][rows["label"] == DROPPED] = DROPPED
        rows["rank"] = np.arange(len(every), len(every) + len(rows))
        whole = Chunk(rows, chunk.paths)
        every.add(whole)
        for code, split in enumerate(splits):
            own = np.flatnonzero(rows["split"] == code)
            if len(own):
                split.add(whole if len(own) == len(rows) else whole.take(own))
    return dropped


class _Split:
    """Sorts and counts the samples of a split, and hashes everything that determines the split's bytes."""

    def __init__(self, name: str, room: Room, most: int, classes: int, seed: int) -> None:
        self.name, self._seed = name, seed
        self.samples = self.shards = self._bytes = 0
        self.counts = np.zeros(classes, np.int64)  # samples of each class
        self.identity = b""
        self._sorter = ByKey(room, most)

    def add(self, chunk: Chunk) -> None:
        """Add samples. In order of paths, they must come after all samples that were added before."""
        places = np.arange(self.samples, self.samples + len(chunk.paths))
        chunk.rows["key"] = plan.keys(places, self._seed, self.name)
        self.samples += len(chunk.paths)
        self.counts += np.bincount(chunk.rows["label"], minlength=len(self.counts))
        self._bytes += plan.tar_bytes(chunk.rows["sizes"])
        self._sorter.add(chunk)

    def write(self, folder: Path, options: Options) -> None:
        """Choose the number of shards, and write the samples in the order in which they fill the shards."""
        paths, numbers = hashlib.sha256(), hashlib.sha256()  # two hashes, so that the size of chunks has no effect
        with _table(folder, self.name) as table:
            for chunk in self._sorter.sorted():
                table.add(chunk)
                paths.update("".join(f"{path}\0" for path in chunk.paths).encode())
                own = [chunk.rows[column].astype("<i8") for column in ("label", "sizes", "crcs")]
                numbers.update(np.column_stack(own).tobytes())
        shard_bytes = options.shard_size * MEGABYTE
        self.shards = plan.shard_count(
            self.samples, self._bytes, samples_per_shard=options.samples_per_shard, shard_bytes=shard_bytes
        )
        text = f"{self.name} {self.samples} {self.shards} {paths.hexdigest()} {numbers.hexdigest()}\n"
        self.identity = text.encode()


@contextmanager
def _table(folder: Path, name: str) -> Iterator[Table]:
    """A context with a table of a plan, stored in two files: one for rows and one for paths."""
    with store.filling(folder / f"{name}{ROWS}") as rows, store.filling(folder / f"{name}{PATHS}") as paths:
        yield Table(rows, paths)
