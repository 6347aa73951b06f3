"""Makes one shard, from its list of files to a finished tar. Worker processes do this work.

A shard is finished when its record exists (prep/make/record.py). The record is written last. So, after a process has
been killed, the records tell which shards are complete.
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
from headrace.prep.make.uploads import Uploads
from headrace.prep.sources.files import UNKNOWN_CRC, Entry, Reader
from headrace.prep.sources.read_ahead import read_all
from headrace.prep.sources.source import Listed
from headrace.shards import idx
from headrace.shards.errors import DataError
from headrace.shards.sample import Row, key_of, rows_of
from headrace.shards.store import replacing, write_bytes
from headrace.shards.tar import TarWriter

TICK = 64  # samples between two reports of progress


@dataclass(frozen=True)
class Work:
    """The data that all jobs of a prep share.

    Tars are written to the folder `folder`, and the records of the shards to the folder `records`. With `uploads`, each
    finished tar is uploaded and then removed from the folder.
    """

    folder: Path
    records: Path
    plan: Plan
    reader: Reader
    options: Options
    uploads: Uploads | None = None


Tick = Callable[[int, list[Bad]], None]
"""A function that is called with the number of samples finished since the last call, and the bad ones among them."""


def make_shard(job: Job, work: Work, tick: Tick) -> Record:
    """Read, check and write the samples of one shard; write its .idx and its record; return the record."""
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
    if work.uploads is not None:
        work.uploads.keep(record, work.folder, work.records, work.plan)
    return record


class _Making:
    """Collects the results of a shard while the shard is being made."""

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
        first, number = self._job.key, self._job.number
        files = read_all(self._work.reader, listed.files)
        for place, ((entry, since, data), label) in enumerate(zip(files, listed.labels.tolist(), strict=True)):
            if place % TICK == 0 and place:
                tick(TICK, self._news())
            crc = zlib.crc32(data) if entry.crc32 == UNKNOWN_CRC else entry.crc32
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
        """Return the bad images found since the last call of this method."""
        news = self.bad[self._told :]
        self._told = len(self.bad)
        return news

    def contents(self) -> Contents:
        """Return the contents that are stored in the shard's record."""
        crcs, times = np.array(self._crcs, np.uint32), np.array(self._times, np.int64)
        return Contents(rows_of(self.rows), np.array(self._kept, np.int64), crcs, times, self._notes)


def _admit(entry: Entry, data: bytes, work: Work, notes: list[Note]) -> Admitted | None:
    """Return the image as it will be stored.

    If the image does not decode, returns None with --on-bad skip, and raises DataError without it.
    """
    try:
        image = admit(data, work.options.prepared)
    except BadImageError as error:
        if work.options.on_bad != "skip":
            raise DataError(
                f"{entry.path}: {error}. Replace the file, or omit such files with --on-bad skip"
            ) from error
        notes.append(Note(entry.path, "skipped", str(error)))
        return None
    if image.change:
        notes.append(Note(entry.path, "converted", image.change))
    return image


def _row(shard: int, offset: int, label: int, image: Admitted, source: tuple[int, int]) -> Row:
    """Return the row of the index for a sample; `source` has the size and the CRC-32 of the source file."""
    jpeg = image.jpeg
    crc = zlib.crc32(jpeg) if image.change else source[1]
    return (shard, offset, len(jpeg), label, image.width, image.height, crc, hashlib.sha256(jpeg).digest(), *source)
