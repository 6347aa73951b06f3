"""One shard, from its list of files to a finished tar: the work that is handed to worker processes.

A shard is finished when its record exists. The record is written last, so that a run that was killed at any
moment knows which shards it may keep.
"""

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prep.files import UNKNOWN_CRC, Entry, FileTable, Reader
from prep.image import Admitted, BadImageError, admit
from prep.options import Options
from shards import idx
from shards.errors import DataError
from shards.sample import Row, Rows, key_of, rows_of
from shards.store import replacing, write_bytes
from shards.tar import TarWriter

TICK = 64  # samples between two reports of progress


class Note(NamedTuple):
    """An image that was changed or left out, for the report."""

    source: str
    action: str  # "converted" or "skipped"
    reason: str


@dataclass(frozen=True)
class Job:
    """What one shard is made of. `first` is the place of its first sample in the split."""

    name: str  # without ending
    number: int  # of the shard in its split
    first: int
    files: FileTable
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """What came out: a row for each sample that was written, the place in the job that it came from, and CRC-32s.

    `crcs` are those of all source files of the job, also of files that were left out.
    """

    name: str
    rows: Rows
    kept: NDArray[np.int64]
    crcs: NDArray[np.uint32]
    sha256: str
    bytes: int
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """How the jobs of one run are done."""

    folder: Path
    reader: Reader
    options: Options


def make_shard(job: Job, work: Work, tick: Callable[[int], None]) -> Record:
    """Read, check and write the samples of one shard, with its .idx and its record."""
    crcs = np.zeros(len(job.files), np.uint32)
    kept: list[int] = []
    rows: list[Row] = []
    lines: list[str] = []
    notes: list[Note] = []
    with replacing(work.folder / f"{job.name}.tar") as stream:
        writer = TarWriter(stream)
        for place, (entry, label) in enumerate(zip(job.files, job.labels.tolist(), strict=True)):
            if place % TICK == TICK - 1:
                tick(TICK)
            data = work.reader.read(entry)
            crcs[place] = crc = zlib.crc32(data) if entry.crc32 == UNKNOWN_CRC else entry.crc32
            image = _admit(entry, data, work, notes)
            if image is not None:
                key = key_of(job.first + place)
                offset = writer.add(key, image.jpeg, label)
                lines.append(idx.sample_line(key, offset, len(image.jpeg), label))
                rows.append(_row(job.number, offset, label, image, (len(data), crc)))
                kept.append(place)
        sha256 = writer.close()
    tick(len(job.files) % TICK)
    write_bytes(work.folder / f"{job.name}.idx", idx.render(lines))
    record = Record(job.name, rows_of(rows), np.array(kept, np.int64), crcs, sha256, writer.position, notes)
    _save(record, work.folder)
    return record


def _admit(entry: Entry, data: bytes, work: Work, notes: list[Note]) -> Admitted | None:
    """The image as it will be stored, or None when it is left out."""
    try:
        image = admit(data, max_side=work.options.max_side, quality=work.options.quality)
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


def record_path(folder: Path, name: str) -> Path:
    """Where the record of shard `name` lies while the set is being made."""
    return folder / f"{name}.record.npz"


def _save(record: Record, folder: Path) -> None:
    about = json.dumps({"sha256": record.sha256, "bytes": record.bytes, "notes": record.notes})
    with replacing(record_path(folder, record.name)) as stream:
        np.savez(
            stream, rows=record.rows, kept=record.kept, crcs=record.crcs, about=np.frombuffer(about.encode(), np.uint8)
        )


def load_record(folder: Path, name: str) -> Record | None:
    """The record of a finished shard whose files are there and whole, else None."""
    try:
        with np.load(record_path(folder, name), allow_pickle=False) as saved:
            rows, kept, crcs, about = saved["rows"], saved["kept"], saved["crcs"], json.loads(saved["about"].tobytes())
        with (folder / f"{name}.tar").open("rb") as tar:
            sha256 = hashlib.file_digest(tar, "sha256").hexdigest()
    except (OSError, ValueError, KeyError, EOFError, zlib.error):
        return None
    if sha256 != about["sha256"] or not (folder / f"{name}.idx").exists():
        return None
    return Record(name, rows, kept, crcs, sha256, about["bytes"], [Note(*note) for note in about["notes"]])
