"""Reads the plan of a set from the disk: files that say which samples each shard gets.

A plan is a folder of tables (headrace/prep/sources/table.py). SPLIT.rows and SPLIT.paths have one sample per row, in
the order in which the samples fill the shards (headrace/prep/make/plan.py). The table all.files has all images sorted
by path, to compute a hash of the source (its fingerprint). plan.json describes the tables and is written last. A shard
is a range of rows. So a job (a shard to make) consists of a few numbers, and any number of workers on any host can read
just the rows of their jobs. No process loads a whole plan into memory.

The id of a plan is a hash of everything that determines the bytes: paths, sizes, labels, known CRC-32s and options. The
hash does not cover modification times and locations, so the plans of two copies of a source have the same id.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.make import plan
from headrace.prep.sources.source import Listed
from headrace.prep.sources.table import CHUNK, ROW, Chunk, read_rows
from headrace.shards import regular
from headrace.shards.errors import DataError
from headrace.shards.manifest import ClassInfo, Scalar

WRITER = 5
"""The version of the code that writes plans and shards.

Increase it if equal sources and options give other bytes than before, or if a file format changes.
"""
ABOUT = "plan.json"
ROWS, PATHS = ".rows", ".paths"
ALL = "all.files"
"""The table of all files, sorted by path. No split can have this name."""
DROPPED = -1
"""The number that replaces the split and the label of a dropped image."""


@dataclass(frozen=True)
class Job:
    """A shard to make.

    The shard gets `samples` consecutive samples of its split, beginning with the sample at index `first`.
    """

    name: str  # without ending
    number: int  # the index of the shard in its split
    first: int
    samples: int
    key: int  # the key of the first sample

    @property
    def split(self) -> str:
        """The name of the split that gets the shard."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class Plan:
    """A plan in the folder `folder` on the disk; `about` is the content of its plan.json."""

    folder: Path
    about: dict[str, Any]

    @property
    def id(self) -> str:
        """The hash of everything that determines the bytes of the set."""
        return str(self.about["id"])

    @property
    def options(self) -> dict[str, Scalar]:
        """The options that determine the bytes of the set."""
        return dict(self.about["options"])

    @property
    def by_parts(self) -> bool:
        """Whether the plan was made for processes with --part. Such processes may be making the shards now."""
        return bool(self.about["by_parts"])

    @property
    def prefix(self) -> str:
        """The prefix that the reader of the source removes from paths."""
        return str(self.about["prefix"])

    @property
    def images(self) -> int:
        """The number of images found in the source, including those of dropped classes."""
        return int(self.about["images"])

    @property
    def training(self) -> list[int]:
        """The number of training images of each class, by label."""
        return list(self.about["training"])

    @cached_property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes in the order of their labels."""
        return tuple(ClassInfo(id=one, name=name) for one, name in self.about["classes"])

    def jobs(self) -> dict[str, list[Job]]:
        """Return the jobs of each split, with one job for each shard."""
        found = {}
        for split, (samples, shards) in self.about["splits"].items():
            tars, key = self.about.get("behind", {}).get(split, (0, 0))
            found[split] = [
                Job(plan.shard_name(split, number), number, first, last - first, key + first)
                for number, (first, last) in enumerate(plan.cuts(samples, shards), tars)
            ]
        return found

    def chunk(self, job: Job) -> Chunk:
        """Return the plan's rows for the shard of a job. Raises DataError if the plan is missing or damaged."""
        try:
            with (
                (self.folder / f"{job.split}{ROWS}").open("rb") as rows,
                (self.folder / f"{job.split}{PATHS}").open("rb") as paths,
            ):
                return read_rows(rows.fileno(), paths.fileno(), job.first, job.first + job.samples)
        except (OSError, ValueError, OverflowError) as error:
            raise self._lost(error) from error

    def listed(self, job: Job) -> Listed:
        """Return the files and labels of a shard. Raises DataError if the plan is missing or damaged."""
        chunk = self.chunk(job)
        return Listed(chunk.files, chunk.rows["label"].astype(np.int64))

    def bytes_of(self, job: Job) -> int:
        """Return the total size of the source files of a shard, in bytes."""
        return int(self.chunk(job).rows["sizes"].sum())

    def all(self) -> Iterator[Chunk]:
        """Yield the rows of all samples and all dropped images, sorted by path, in chunks."""
        rows, paths = self.folder / f"{ALL}{ROWS}", self.folder / f"{ALL}{PATHS}"
        try:
            with rows.open("rb") as first, paths.open("rb") as second:
                count = os.fstat(first.fileno()).st_size // ROW.itemsize
                for begin in range(0, count, CHUNK):
                    yield read_rows(first.fileno(), second.fileno(), begin, min(begin + CHUNK, count))
        except (OSError, ValueError, OverflowError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> DataError:
        return DataError(
            f"{self.folder}: the plan is missing or damaged ({error}). If no other prep has replaced it, remove "
            f"{self.folder} and give the same command again; finished shards are kept"
        )


def load_plan(folder: Path) -> Plan | None:
    """Return the plan in a folder; None if there is no plan that this version of Headrace can use."""
    try:
        about = json.loads(regular.read(folder / ABOUT))
    except (OSError, ValueError, RecursionError):
        return None
    return Plan(folder, about) if isinstance(about, dict) and about.get("writer") == WRITER else None


def differing(made: Plan, options: Options) -> list[str]:
    """Return the options in which a plan differs from `options`, as phrases such as "--seed 0 (now 9)"."""
    now: Sequence[tuple[str, Scalar]] = sorted(options.deciding().items())
    return [
        f"--{name.replace('_', '-')} {made.options.get(name)} (now {value})"
        for name, value in now
        if made.options.get(name) != value
    ]
