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
from numpy.typing import NDArray

from headrace.prep.command.options import Options
from headrace.prep.images.admit import Admitted, BadImageError, admit
from headrace.prep.make.record import Bad, Note, Record, save_record
from headrace.prep.sources.files import UNKNOWN_CRC, Entry, FileTable, Reader
from headrace.shards import idx
from headrace.shards.errors import DataError
from headrace.shards.sample import Row, key_of, rows_of
from headrace.shards.store import replacing, write_bytes
from headrace.shards.tar import TarWriter

TICK = 64  # samples between two reports of progress


@dataclass(frozen=True)
class Job:
    """What one shard is made of. `first` is the place of its first sample in the split."""

    name: str  # without ending
    number: int  # of the shard in its split
    first: int
    files: FileTable
    labels: NDArray[np.int64]

    @property
    def split(self) -> str:
        """The split that the shard is of."""
        return self.name.rpartition("-")[0]


@dataclass(frozen=True)
class Work:
    """How the jobs of one run are done."""

    folder: Path
    reader: Reader
    options: Options


Tick = Callable[[int, list[Bad]], None]
"""Told how many samples were done since the last call, and which of them were bad."""


def make_shard(job: Job, work: Work, tick: Tick) -> Record:
    """Read, check and write the samples of one shard, with its .idx and its record."""
    crcs = np.zeros(len(job.files), np.uint32)
    kept: list[int] = []
    rows: list[Row] = []
    lines: list[str] = []
    notes: list[Note] = []
    bad: list[Bad] = []
    with replacing(work.folder / f"{job.name}.tar") as stream:
        writer = TarWriter(stream)
        for place, (entry, label) in enumerate(zip(job.files, job.labels.tolist(), strict=True)):
            if place % TICK == 0 and place:
                tick(TICK, bad)
                bad = []
            data = work.reader.read(entry)
            crcs[place] = crc = zlib.crc32(data) if entry.crc32 == UNKNOWN_CRC else entry.crc32
            image = _admit(entry, data, work, notes)
            if image is None:
                bad.append(Bad(entry.path, notes[-1].reason, job.split, label))
            else:
                key = key_of(job.first + place)
                offset = writer.add(key, image.jpeg, label)
                lines.append(idx.sample_line(key, offset, len(image.jpeg), label))
                rows.append(_row(job.number, offset, label, image, (len(data), crc)))
                kept.append(place)
        sha256 = writer.close()
    tick(len(job.files) - (len(job.files) - 1) // TICK * TICK, bad)
    index = idx.render(lines)
    write_bytes(work.folder / f"{job.name}.idx", index)
    idx_sha256 = hashlib.sha256(index).hexdigest()
    places = np.array(kept, np.int64)
    record = Record(job.name, rows_of(rows), places, crcs, sha256, writer.position, idx_sha256, notes)
    save_record(record, work.folder)
    return record


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
