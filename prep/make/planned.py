"""The plan of a set on the disk: what each shard is made of, for any number of processes and hosts.

A plan is a folder. SPLIT.rows (a numpy file) and SPLIT.paths (UTF-8, one behind the other) have a sample each in the
order of the shards, as `headrace.prep.make.plan` puts them; plan.json says what they belong to and is written last. A
shard is a range of rows, so that a job is a few numbers, and who makes it maps the rows of it alone.

The id of a plan is a hash of all that decides about bytes: paths, sizes, labels, CRC-32s that are known, and options,
but neither times nor the place of anything, so that two copies of one source have one plan.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.prep.command.options import MEGABYTE, Options
from headrace.prep.make import plan
from headrace.prep.sources.files import FileTable
from headrace.prep.sources.source import Listed, Source
from headrace.shards import regular, store
from headrace.shards.errors import DataError
from headrace.shards.manifest import TRAIN, ClassInfo, Scalar

WRITER = 5
"""Raised when the same source and options come to give other bytes, or records or plans another form."""
ABOUT = "plan.json"
_NUMBERS = ("sizes", "crcs", "offsets", "packed", "methods", "times")  # of a FileTable
_ROW = np.dtype([("label", "<i8"), *((name, "<i8") for name in _NUMBERS), ("end", "<i8")])  # of its path
_IDENTITY = ("label", "sizes", "crcs")
_CHUNK = 1 << 16  # rows that are written at a time


@dataclass(frozen=True)
class Job:
    """A shard to make: its samples are those from place `first` of its split on."""

    name: str  # without ending
    number: int  # of the shard in its split
    first: int
    samples: int

    @property
    def split(self) -> str:
        """The split that the shard is of."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class Plan:
    """A plan that is on the disk."""

    folder: Path
    about: dict[str, Any]

    @property
    def id(self) -> str:
        """Hash of all that decides about bytes."""
        return str(self.about["id"])

    @property
    def options(self) -> dict[str, Scalar]:
        """Those that decide."""
        return dict(self.about["options"])

    @property
    def by_parts(self) -> bool:
        """Whether it was made for parts, which other processes may be making."""
        return bool(self.about["by_parts"])

    @property
    def prefix(self) -> str:
        """What a reader takes off the paths."""
        return str(self.about["prefix"])

    @property
    def images(self) -> int:
        """How many were found, with those of classes that are dropped."""
        return int(self.about["images"])

    @property
    def training(self) -> list[int]:
        """Training images of each class."""
        return list(self.about["training"])

    @cached_property
    def classes(self) -> tuple[ClassInfo, ...]:
        """In the order of their labels."""
        return tuple(ClassInfo(id=one, name=name) for one, name in self.about["classes"])

    def jobs(self) -> dict[str, list[Job]]:
        """The shards of each split."""
        found = {}
        for split, (samples, shards) in self.about["splits"].items():
            found[split] = [
                Job(plan.shard_name(split, number), number, first, last - first)
                for number, (first, last) in enumerate(plan.cuts(samples, shards))
            ]
        return found

    def listed(self, job: Job) -> Listed:
        """The files and labels of a shard. Raises DataError where the plan is gone."""
        rows = self._rows(job.split)
        own = np.array(rows[job.first : job.first + job.samples])
        begin = int(rows[job.first - 1]["end"]) if job.first else 0
        try:
            with (self.folder / f"{job.split}.paths").open("rb") as stream:
                stream.seek(begin)
                text = stream.read(int(own["end"][-1]) - begin)
            ends = (own["end"] - begin).tolist()
            paths = [text[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
        except (OSError, ValueError, OverflowError) as error:
            raise self._lost(error) from error
        return Listed(FileTable(paths, *(np.ascontiguousarray(own[name]) for name in _NUMBERS)), own["label"])

    def bytes_of(self, job: Job) -> int:
        """Of its files."""
        return int(self._rows(job.split)["sizes"][job.first : job.first + job.samples].sum())

    def _rows(self, split: str) -> NDArray[np.void]:
        try:
            rows: NDArray[np.void] = np.load(self.folder / f"{split}.rows", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise self._lost(error) from error
        if rows.dtype != _ROW or rows.shape != (self.about["splits"][split][0],):
            raise self._lost(ValueError(f"{split}.rows is not what plan.json says"))
        return rows

    def _lost(self, error: Exception) -> DataError:
        return DataError(
            f"{self.folder}: the plan is gone or damaged ({error}). If no other prep took its place, remove "
            f"{self.folder} and give the same command again: shards that are made are kept"
        )


def load_plan(folder: Path) -> Plan | None:
    """The plan in a folder; None where there is none that this version can use."""
    try:
        about = json.loads(regular.read(folder / ABOUT))
    except (OSError, ValueError, RecursionError):
        return None
    return Plan(folder, about) if isinstance(about, dict) and about.get("writer") == WRITER else None


def write_plan(folder: Path, source: Source, options: Options, *, images: int, by_parts: bool) -> Plan:
    """Write the plan of a source into an empty folder. `images` are all that were found."""
    facts: dict[str, Any] = {
        "writer": WRITER,
        "options": options.deciding(),
        "layout": source.layout,
        "prefix": source.reader.prefix,
        "classes": [[one.id, one.name] for one in source.classes],
    }
    identity = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    splits = {}
    for name, listed in source.splits.items():
        order = plan.permutation(len(listed.labels), options.seed, name)
        shards = plan.shard_count(
            listed.files.sizes, samples_per_shard=options.samples_per_shard, shard_bytes=options.shard_size * MEGABYTE
        )
        splits[name] = (len(order), shards)
        identity.update(f"{name} {len(order)} {shards}\n".encode())
        _write_split(folder, name, _in_order(listed, order), len(order), identity)
    about = facts | {
        "id": identity.hexdigest(),
        "splits": splits,
        "images": images,
        "training": np.bincount(source.splits[TRAIN].labels, minlength=len(source.classes)).tolist(),
        "by_parts": by_parts,
    }
    store.write_bytes(folder / ABOUT, json.dumps(about).encode())
    return Plan(folder, about)


def _in_order(listed: Listed, order: NDArray[np.int64]) -> Iterator[Listed]:
    for first in range(0, len(order), _CHUNK):
        rows = order[first : first + _CHUNK]
        yield Listed(listed.files.take(rows), listed.labels[rows])


def _write_split(folder: Path, name: str, chunks: Iterator[Listed], samples: int, identity: Any) -> None:
    """Write the rows of a split in the order of its shards, and hash what of them decides."""
    end = 0
    with store.replacing(folder / f"{name}.rows") as rows_file, store.replacing(folder / f"{name}.paths") as paths_file:
        head = {"descr": np.lib.format.dtype_to_descr(_ROW), "fortran_order": False, "shape": (samples,)}
        np.lib.format.write_array_header_1_0(rows_file, head)
        for chunk in chunks:
            rows = np.zeros(len(chunk.labels), _ROW)
            texts = [path.encode() for path in chunk.files.paths]
            rows["label"], rows["end"] = chunk.labels, end + np.cumsum([*map(len, texts)])
            for column in _NUMBERS:
                rows[column] = getattr(chunk.files, column)
            end = int(rows["end"][-1])
            rows_file.write(rows.tobytes())
            paths_file.write(b"".join(texts))
            identity.update(b"\0".join(texts))
            identity.update(np.ascontiguousarray(rows[[*_IDENTITY]]).astype(_ROW_OF_IDENTITY).tobytes())


_ROW_OF_IDENTITY = np.dtype([(name, "<i8") for name in _IDENTITY])


def differing(made: Plan, options: Options) -> list[str]:
    """The options in which a plan is another than these, in words."""
    now: Sequence[tuple[str, Scalar]] = sorted(options.deciding().items())
    return [
        f"--{name.replace('_', '-')} {made.options.get(name)} (now {value})"
        for name, value in now
        if made.options.get(name) != value
    ]
