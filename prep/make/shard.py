"""One shard, from its list of files to a finished tar: the work that is handed to worker processes.

A shard is finished when its record exists (prep/make/record.py). It is written last, so that a run that was killed at
any moment knows which shards it may keep.
"""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headrace.prep.command.options import Options
from headrace.prep.images.admit import Admitted, BadImageError, admit
from headrace.prep.make.planned import Job, Plan
from headrace.prep.make.record import Bad, Contents, Note, Record, Written, digest_of, save_record
from headrace.prep.sources.files import UNKNOWN_CRC, Entry, Reader
from headrace.prep.sources.source import Listed
from headrace.shards import idx
from headrace.shards.errors import DataError
from headrace.shards.sample import Row, key_of, rows_of
from headrace.shards.store import replacing, write_bytes
from headrace.shards.tar import TarWriter

TICK = 64  # samples between two reports of progress


@dataclass(frozen=True)
class Work:
    """How the jobs of one run are done: `folder` takes the tars, `records` their records."""

    folder: Path
    records: Path
    plan: Plan
    reader: Reader
    options: Options


Tick = Callable[[int, list[Bad]], None]
"""Told how many samples were done since the last call, and which of them were bad."""


def make_shard(job: Job, work: Work, tick: Tick) -> Record:
    """Read, check and write the samples of one shard, with its .idx and its record."""
    listed = work.plan.listed(job)
    making = _Making(job, work)
    tar, index = work.folder / f"{job.name}.tar", work.folder / f"{job.name}.idx"
    with replacing(tar) as stream:
        writer = TarWriter(stream)
        making.fill(writer, listed, tick)
        sha256 = writer.close()
    text = idx.render(making.lines)
    write_bytes(index, text)
    written = Written.of(tar, sha256), Written.of(index, hashlib.sha256(text).hexdigest())
    record = Record(job.name, digest_of(listed), len(making.rows), *written, making.bad)
    save_record(record, making.contents(), work.records)
    return record


class _Making:
    """What comes of a shard while it is made."""

    def __init__(self, job: Job, work: Work) -> None:
        self._job, self._work = job, work
        self._crcs: list[int] = []
        self._times: list[int] = []
        self._kept: list[int] = []
        self._notes: list[Note] = []
        self._told = 0
        self.rows: list[Row] = []
        self.lines: list[str] = []
        self.bad: list[Bad] = []

    def fill(self, writer: TarWriter, listed: Listed, tick: Tick) -> None:
        """Read, check and write all files of the job."""
        read, time, first, number = self._work.reader.read, self._work.reader.time, self._job.first, self._job.number
        for place, (entry, label) in enumerate(zip(listed.files, listed.labels.tolist(), strict=True)):
            if place % TICK == 0 and place:
                tick(TICK, self._news())
            crc, since = entry.crc32, 0
            if crc == UNKNOWN_CRC:
                since = time(entry)  # before the file is read: one that is replaced then looks older
            data = read(entry)
            if crc == UNKNOWN_CRC:
                crc = zlib.crc32(data)
            self._crcs.append(crc)
            self._times.append(since)
            image = _admit(entry, data, self._work, self._notes)
            if image is None:
                self.bad.append(Bad(entry.path, self._notes[-1].reason, self._job.split, label))
                continue
            key = key_of(first + place)
            offset = writer.add(key, image.jpeg, label)
            self.lines.append(idx.sample_line(key, offset, len(image.jpeg), label))
            self.rows.append(_row(number, offset, label, image, (len(data), crc)))
            self._kept.append(place)
        tick(self._job.samples - (self._job.samples - 1) // TICK * TICK, self._news())

    def _news(self) -> list[Bad]:
        """The bad images since the last time."""
        news = self.bad[self._told :]
        self._told = len(self.bad)
        return news

    def contents(self) -> Contents:
        """What the record keeps."""
        crcs, times = np.array(self._crcs, np.uint32), np.array(self._times, np.int64)
        return Contents(rows_of(self.rows), np.array(self._kept, np.int64), crcs, times, self._notes)


def _admit(entry: Entry, data: bytes, work: Work, notes: list[Note]) -> Admitted | None:
    """The image as it will be stored, or None when it is left out."""
    try:
        image = admit(data, work.options.prepared)
    except BadImageError as error:
        if work.options.on_bad != "skip":
            raise DataError(
                f"{entry.path}: {error}. Replace the file, or leave such files out with --on-bad skip"
            ) from error
        notes.append(Note(entry.path, "skipped", str(error)))
        return None
    if image.change:
        notes.append(Note(entry.path, "converted", image.change))
    return image


def _row(shard: int, offset: int, label: int, image: Admitted, source: tuple[int, int]) -> Row:
    """What the index keeps of a sample. `source`: size and CRC-32 of the source file."""
    jpeg = image.jpeg
    crc = zlib.crc32(jpeg) if image.change else source[1]
    return (shard, offset, len(jpeg), label, image.width, image.height, crc, hashlib.sha256(jpeg).digest(), *source)
