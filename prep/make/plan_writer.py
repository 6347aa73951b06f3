"""Writing a plan: samples in the order of the shards, by two sorts on the disk, and a hash of what decides."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import MEGABYTE, Options
from headrace.prep.make import plan
from headrace.prep.make.planned import ABOUT, ALL, DROPPED, PATHS, ROWS, WRITER, Plan
from headrace.prep.sources.files import BY_EMPTY_CLASS, UNKNOWN_CRC, Unused
from headrace.prep.sources.source import Source, crc32_of
from headrace.prep.sources.table import Chunk, Table, sort_by_key
from headrace.shards import store
from headrace.shards.manifest import TRAIN


def write_plan(
    folder: Path, source: Source, options: Options, lost: Mapping[str, str], labels: Sequence[int], *, by_parts: bool
) -> tuple[Plan, list[Unused]]:
    """Write the plan of a source into an empty folder, and say which images are of classes that are dropped.

    `labels` are those of these classes; `lost` are their training images, and why each does not decode.
    """
    number = np.cumsum(~np.isin(np.arange(len(source.classes)), labels)) - 1
    number[list(labels)] = DROPPED
    classes = tuple(one for label, one in enumerate(source.classes) if label not in set(labels))
    with _table(folder, ALL) as every:
        gathered = _gather(source, number, len(classes), every, lost)
        facts: dict[str, Any] = {
            "writer": WRITER,
            "options": options.deciding(),
            "layout": source.layout,
            "prefix": source.reader.prefix,
            "classes": [[one.id, one.name] for one in classes],
        }
        identity, splits = _Identity(facts), {}
        for code, name in enumerate(source.names):
            samples = int(gathered.counts[code].sum())
            shards = plan.shard_count(
                samples,
                gathered.bytes[code],
                samples_per_shard=options.samples_per_shard,
                shard_bytes=options.shard_size * MEGABYTE,
            )
            splits[name] = (samples, shards)
            with _table(folder, name) as ordered:
                sort_by_key(_keyed(every, code, name, options.seed), samples, ordered, folder)
                identity.add(name, shards, ordered)
    training = gathered.counts[source.names.index(TRAIN)].tolist()
    images = len(every)
    about = facts | {"splits": splits, "images": images, "training": training, "by_parts": by_parts}
    about["id"] = identity.hexdigest()
    store.write_bytes(folder / ABOUT, json.dumps(about).encode())
    return Plan(folder, about), gathered.dropped


class _Gathered(NamedTuple):
    counts: NDArray[np.int64]  # (splits, classes)
    bytes: list[int]  # of the tars of each split
    dropped: list[Unused]


def _gather(
    source: Source, number: NDArray[np.int64], classes: int, every: Table, lost: Mapping[str, str]
) -> _Gathered:
    """Write all samples into `every`, sorted by path, and count them; what is dropped gets its CRC-32 now."""
    splits = len(source.names)
    gathered = _Gathered(np.zeros((splits, classes), np.int64), [0] * splits, [])
    for chunk in source.chunks():
        rows = chunk.rows.copy()
        rows["label"] = number[rows["label"]]
        for row in np.flatnonzero(rows["label"] == DROPPED).tolist():
            (entry,) = chunk.files.take(np.array([row]))
            rows["crcs"][row] = entry.crc32 if entry.crc32 != UNKNOWN_CRC else crc32_of(entry, source.reader)
            gathered.dropped.append(Unused(entry.path, lost.get(entry.path, BY_EMPTY_CLASS)))
        rows["split"][rows["label"] == DROPPED] = DROPPED
        for code in range(splits):
            own = rows[rows["split"] == code]
            gathered.counts[code] += np.bincount(own["label"], minlength=classes)
            gathered.bytes[code] += plan.tar_bytes(own["sizes"])
        every.add(Chunk(rows, chunk.paths))
    return gathered


def _keyed(every: Table, code: int, name: str, seed: int) -> Iterator[Chunk]:
    """The samples of a split, each with the key by which they are permuted, and its place in `every`."""
    place = first = 0
    for chunk in every.chunks():
        own = np.flatnonzero(chunk.rows["split"] == code)
        part = chunk if len(own) == len(chunk.paths) else chunk.take(own)
        rows = part.rows.copy()
        rows["key"] = plan.keys(np.arange(place, place + len(own)), seed, name)
        rows["rank"] = first + own
        place, first = place + len(own), first + len(chunk.paths)
        yield Chunk(rows, part.paths)


class _Identity:
    """The hash of all that decides about bytes; it does not depend on how rows come in chunks."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._state = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())

    def add(self, name: str, shards: int, table: Table) -> None:
        """Add a split in the order of its shards."""
        paths, numbers = hashlib.sha256(), hashlib.sha256()
        for chunk in table.chunks():
            paths.update("".join(f"{path}\0" for path in chunk.paths).encode())
            own = [chunk.rows[column].astype("<i8") for column in ("label", "sizes", "crcs")]
            numbers.update(np.column_stack(own).tobytes())
        self._state.update(f"{name} {len(table)} {shards} {paths.hexdigest()} {numbers.hexdigest()}\n".encode())

    def hexdigest(self) -> str:
        """The hash of all that was added."""
        return self._state.hexdigest()


@contextmanager
def _table(folder: Path, name: str) -> Iterator[Table]:
    """A table in two files of a plan."""
    with store.replacing(folder / f"{name}{ROWS}") as rows, store.replacing(folder / f"{name}{PATHS}") as paths:
        yield Table(rows, paths)
