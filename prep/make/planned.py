"""The plan of a set on the disk: what each shard is made of, for any number of processes and hosts.

A plan is a folder of tables (headrace/prep/sources/table.py). SPLIT.rows and SPLIT.paths have a sample a row in the
order of the shards, as `headrace.prep.make.plan` puts them; all.files has all of them sorted by path, as the
fingerprint of the source takes them; plan.json says what they belong to and is written last. A shard is a range of
rows, so that a job is a few numbers, and who makes it reads the rows of it alone. Nobody holds a plan in memory.

The id of a plan is a hash of all that decides about bytes: paths, sizes, labels, CRC-32s that are known, and options,
but neither times nor the place of anything, so that two copies of one source have one plan.
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
"""Raised when the same source and options come to give other bytes, or records or plans another form."""
ABOUT = "plan.json"
ROWS, PATHS = ".rows", ".paths"
ALL = "all.files"
"""The table of all files, sorted by path. No split can have this name."""
DROPPED = -1
"""Split and label of images of classes that are dropped."""


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

    def chunk(self, job: Job) -> Chunk:
        """The rows of a shard. Raises DataError where the plan is gone or damaged."""
        try:
            with (
                (self.folder / f"{job.split}{ROWS}").open("rb") as rows,
                (self.folder / f"{job.split}{PATHS}").open("rb") as paths,
            ):
                return read_rows(rows.fileno(), paths.fileno(), job.first, job.first + job.samples)
        except (OSError, ValueError, OverflowError) as error:
            raise self._lost(error) from error

    def listed(self, job: Job) -> Listed:
        """The files and labels of a shard. Raises what `chunk` raises."""
        chunk = self.chunk(job)
        return Listed(chunk.files, chunk.rows["label"].astype(np.int64))

    def bytes_of(self, job: Job) -> int:
        """Of its files."""
        return int(self.chunk(job).rows["sizes"].sum())

    def all(self) -> Iterator[Chunk]:
        """All files that are samples, or of classes that are dropped, sorted by path."""
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


def differing(made: Plan, options: Options) -> list[str]:
    """The options in which a plan is another than these, in words."""
    now: Sequence[tuple[str, Scalar]] = sorted(options.deciding().items())
    return [
        f"--{name.replace('_', '-')} {made.options.get(name)} (now {value})"
        for name, value in now
        if made.options.get(name) != value
    ]
