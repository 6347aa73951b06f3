"""The last part of a prep: indexes, report, manifest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.make.planned import DROPPED, Job
from headrace.prep.make.record import Contents, Note, Record, load_contents
from headrace.prep.make.shard import Work
from headrace.prep.sources.files import READ, FileTable, Unused
from headrace.prep.sources.source import State, fingerprint, states
from headrace.shards import index_writer, store
from headrace.shards.errors import DataError
from headrace.shards.manifest import NAME, Manifest, ShardInfo, SourceInfo, SplitInfo
from headrace.shards.names import REPORT, STAMP
from headrace.shards.sample import key_of


class Written(NamedTuple):
    """What stands in the folder of a set that is whole, and what its summary says of it."""

    manifest: Manifest
    notes: list[Note]  # of images that were converted or left out
    samples: dict[str, NDArray[np.int64]]  # of each class in each split


def write_set(
    work: Work, layout: str, others: FileTable, records: dict[str, Record], unused: list[Unused], stamp: bytes
) -> Written:
    """Write all that stands beside the tars, the manifest last.

    `others` are the files that decide about labels and names, `unused` all that are no samples.

    The fingerprint is of the whole source, with the images of classes that are dropped: it is compared with a source
    of which nobody has decoded anything yet.
    """
    crcs, notes, samples, splits = _Crcs(work), list[Note](), dict[str, NDArray[np.int64]](), list[SplitInfo]()
    for name, jobs in work.plan.jobs().items():
        split = _Split(work, name, [(job, records[job.name]) for job in jobs])
        splits.append(split.write(crcs))
        notes += split.notes
        samples[name] = split.samples
    _write_report(work.folder, notes + [Note(one.path, _action(one), one.reason, one.files) for one in unused])
    digest, files = fingerprint(crcs.states(), states(others, work.reader))
    about = SourceInfo(layout=layout, files=files, fingerprint=digest)
    manifest = Manifest.make(work.plan.classes, tuple(splits), about, work.options.record())
    store.write_bytes(work.folder / STAMP, stamp)
    store.write_bytes(work.folder / NAME, manifest.render())
    return Written(manifest, notes, samples)


class _Crcs:
    """The CRC-32 of every file of a plan, by its place among all paths: numbers in a file, of any length."""

    def __init__(self, work: Work) -> None:
        self._plan = work.plan
        with store.writing(work.plan.folder):
            path = work.plan.folder / "crcs"
            self._crcs = np.memmap(path, np.uint32, "w+", shape=(work.plan.images,))

    def add(self, places: NDArray[np.int64], crcs: NDArray[np.uint32]) -> None:
        """Those of the files at these places."""
        self._crcs[places] = crcs

    def states(self) -> Iterator[list[State]]:
        """Path, size and CRC-32 of all files, sorted by path, some at a time."""
        first = 0
        for chunk in self._plan.all():
            crcs = self._crcs[first : first + len(chunk.paths)].astype(np.int64)
            first += len(chunk.paths)
            known = np.where(chunk.rows["split"] == DROPPED, chunk.rows["crcs"], crcs)
            yield list(zip(chunk.paths, chunk.rows["sizes"].tolist(), known.tolist(), strict=True))


class _Split:
    """A split whose shards are finished, and what is gathered of it while its index is written, a shard at a time."""

    def __init__(self, work: Work, name: str, shards: list[tuple[Job, Record]]) -> None:
        self._work, self._name, self._shards = work, name, shards
        self.notes: list[Note] = []
        self.samples = np.zeros(len(work.plan.classes), np.int64)  # of each class

    def write(self, crcs: _Crcs) -> SplitInfo:
        """Write the Parquet index of the split; its entry in the manifest."""
        samples, path = sum(record.samples for _, record in self._shards), self._work.folder / f"{self._name}.parquet"
        with index_writer.writing(path, samples) as index:
            for job, _ in self._shards:
                contents, chunk = self._contents(job), self._work.plan.chunk(job)
                kept = contents.kept.tolist()
                keys = [key_of(job.first + place) for place in kept]
                index.add(contents.rows, keys, [chunk.paths[place] for place in kept])
                crcs.add(chunk.rows["rank"], contents.crcs)
                self.notes += contents.notes
                self.samples += np.bincount(contents.rows["label"], minlength=len(self.samples))
        shards = (
            ShardInfo(name=f"{one.name}.tar", samples=one.samples, bytes=one.tar.bytes, sha256=one.tar.sha256)
            for _, one in self._shards
        )
        return SplitInfo(name=self._name, samples=samples, index=index.info, shards=tuple(shards))

    def _contents(self, job: Job) -> Contents:
        try:
            return load_contents(self._work.records, job.name)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self._work.records}: the record of {job.name} was changed meanwhile ({error}). Try again"
            ) from error


def _action(unused: Unused) -> str:
    return "read" if unused.reason == READ else "skipped"


def _write_report(folder: Path, notes: list[Note]) -> None:
    """One line for each image that was changed and each file that is no sample; no file when there is none."""
    if notes:
        store.write_bytes(folder / REPORT, report(notes))


def report(notes: list[Note]) -> bytes:
    """The report's content, sorted. What is not ASCII is escaped: names are foreign, and a terminal may show it."""
    return "".join(json.dumps(_line(note)) + "\n" for note in sorted(notes)).encode()


def _line(note: Note) -> dict[str, str | int]:
    """The fields of a line; `files` is there where it stands for a folder."""
    fields: dict[str, str | int] = note._asdict()
    return fields if note.source.endswith("/") else {name: fields[name] for name in ("source", "action", "reason")}
