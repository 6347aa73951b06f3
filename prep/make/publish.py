"""Writes the files that complete a set: indexes, report.jsonl, source.stat and the manifest."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.make.base import Base
from headrace.prep.make.planned import DROPPED, Job
from headrace.prep.make.record import Contents, Note, Record, load_contents
from headrace.prep.make.shard import Work
from headrace.prep.sources.files import READ, FileTable, Unused
from headrace.prep.sources.source import State, fingerprint, states
from headrace.shards import index_writer, stamps, store
from headrace.shards.errors import DataError
from headrace.shards.manifest import NAME, AppendedInfo, Manifest, ShardInfo, SourceInfo, SplitInfo
from headrace.shards.names import REPORT, STAMP
from headrace.shards.sample import key_of


class Written(NamedTuple):
    """The manifest of a finished set, and facts about the set for the summary that prep prints."""

    manifest: Manifest
    notes: list[Note]  # about images that were converted or omitted
    samples: dict[str, NDArray[np.int64]]  # by split, the number of samples of each class


def write_set(
    work: Work,
    layout: str,
    others: FileTable,
    records: dict[str, Record],
    unused: list[Unused],
    stamp: bytes,
    base: Base | None = None,
) -> Written:
    """Write all files of a set except the tars and .idx. The manifest is written last.

    With a `base`, to which samples are appended, the files describe the samples of the base and the new samples.
    `others` are the files that determine labels and class names; `unused` are all files that are not samples.

    The fingerprint (a hash of paths, sizes and contents) covers the whole source, including images of dropped classes.
    These are included because a later prep compares fingerprints before it knows which classes to drop.
    """
    crcs, notes, samples = _Crcs(work), list[Note](), dict[str, NDArray[np.int64]]()
    splits = dict[str, SplitInfo]()
    if base is not None:
        splits = {one.name: one for one in base.manifest.splits}
        samples = {name: base.counts(name, len(work.plan.classes)) for name in splits}
    for name, jobs in work.plan.jobs().items():
        split = _Split(work, name, [(job, records[job.name]) for job in jobs], base)
        splits[name] = split.write(crcs)
        notes += split.notes
        samples[name] = samples.get(name, 0) + split.samples
    notes_of_unused = [Note(one.path, _action(one), one.reason, one.files) for one in unused]
    _write_report(work.folder, notes + notes_of_unused, base)
    digest, files = fingerprint(crcs.states(), states(others, work.reader))
    about = SourceInfo(layout=layout, files=files, fingerprint=digest)
    manifest = _manifest(work, tuple(splits.values()), about, base)
    store.write_bytes(work.folder / STAMP, _stamps(stamp, base))
    store.write_bytes(work.folder / NAME, manifest.render())
    return Written(manifest, notes, samples)


def _manifest(work: Work, splits: tuple[SplitInfo, ...], about: SourceInfo, base: Base | None) -> Manifest:
    classes, options = work.plan.classes, work.options.record()
    if base is None:
        return Manifest.make(classes, splits, about, options)
    old, shards = base.manifest, {name: len(jobs) for name, jobs in work.plan.jobs().items()}
    new = AppendedInfo(source=about, options=options, classes=len(classes) - len(old.classes), shards=shards)
    return Manifest.make(classes, splits, old.source, old.options, (*old.appended, new))


def _stamps(stamp: bytes, base: Base | None) -> bytes:
    return stamp if base is None else stamps.with_line(base.stamps, len(base.manifest.parts), stamp)


class _Crcs:
    """An array on the disk with the CRC-32 of every image of a plan, in the order of the sorted paths."""

    def __init__(self, work: Work) -> None:
        self._plan = work.plan
        with store.writing(work.plan.folder):
            path = work.plan.folder / "crcs"
            self._crcs = np.memmap(path, np.uint32, "w+", shape=(work.plan.images,))

    def add(self, places: NDArray[np.int64], crcs: NDArray[np.uint32]) -> None:
        """Store the CRC-32s of the images with these indices, (n,) each."""
        self._crcs[places] = crcs

    def states(self) -> Iterator[list[State]]:
        """Yield the path, size and CRC-32 of all images, sorted by path, in chunks."""
        first = 0
        for chunk in self._plan.all():
            crcs = self._crcs[first : first + len(chunk.paths)].astype(np.int64)
            first += len(chunk.paths)
            known = np.where(chunk.rows["split"] == DROPPED, chunk.rows["crcs"], crcs)
            yield list(zip(chunk.paths, chunk.rows["sizes"].tolist(), known.tolist(), strict=True))


class _Split:
    """Writes the index of a split from the records of its shards, and counts the samples of each class.

    `notes` collects the shards' entries for report.jsonl.
    """

    def __init__(self, work: Work, name: str, shards: list[tuple[Job, Record]], base: Base | None) -> None:
        self._work, self._name, self._shards, self._base = work, name, shards, base
        self.notes: list[Note] = []
        self.samples = np.zeros(len(work.plan.classes), np.int64)  # of each class

    def write(self, crcs: _Crcs) -> SplitInfo:
        """Write the Parquet index of the split; return its entry for the manifest."""
        before = self._base.split(self._name) if self._base else None
        samples = sum(record.samples for _, record in self._shards) + (before.samples if before else 0)
        with index_writer.writing(self._work.folder / self._index_name(), samples) as index:
            for part in self._base.rows(self._name) if self._base else ():
                index.add(*part)
            for job, _ in self._shards:
                contents, chunk = self._contents(job), self._work.plan.chunk(job)
                kept = contents.kept.tolist()
                keys = [key_of(job.key + place) for place in kept]
                index.add(contents.rows, keys, [chunk.paths[place] for place in kept])
                crcs.add(chunk.rows["rank"], contents.crcs)
                self.notes += contents.notes
                self.samples += np.bincount(contents.rows["label"], minlength=len(self.samples))
        shards = [
            ShardInfo(name=f"{one.name}.tar", samples=one.samples, bytes=one.tar.bytes, sha256=one.tar.sha256)
            for _, one in self._shards
        ]
        there = before.shards if before else ()
        return SplitInfo(name=self._name, samples=samples, index=index.info, shards=(*there, *shards))

    def _index_name(self) -> str:
        """Return the file name of the new index. No file is replaced: programs that read the old set need its index."""
        if self._base is None:
            return f"{self._name}.parquet"
        taken = {one.index.name for one in self._base.manifest.splits}
        names = (f"{self._name}-{number}.parquet" for number in count(len(self._base.manifest.parts) + 1))
        return next(name for name in names if name not in taken)

    def _contents(self, job: Job) -> Contents:
        try:
            return load_contents(self._work.records, job.name)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self._work.records}: the record of shard {job.name} was changed during this prep ({error}). "
                "Give the same command again"
            ) from error


def _action(unused: Unused) -> str:
    return "read" if unused.reason == READ else "skipped"


def _write_report(folder: Path, notes: list[Note], base: Base | None) -> None:
    """Write report.jsonl, with a line for each changed image and each file that is not a sample.

    If there are no lines, no file is written.
    """
    content = base.report + report(notes, len(base.manifest.parts) + 1) if base else report(notes)
    if content:
        store.write_bytes(folder / REPORT, content)


def report(notes: list[Note], part: int = 1) -> bytes:
    """Return the content of report.jsonl, sorted by path.

    Non-ASCII characters are escaped, because they could confuse a terminal that shows the report.
    """
    return "".join(json.dumps(_line(note, part)) + "\n" for note in sorted(notes)).encode()


def _line(note: Note, part: int) -> dict[str, str | int]:
    """Return a line of the report as a dict.

    The dict has `files` only if the line is about a folder, and `part` only if the line is about appended images.
    """
    fields: dict[str, str | int] = note._asdict()
    if not note.source.endswith("/"):
        del fields["files"]
    return fields if part == 1 else fields | {"part": part}
