"""What came out of one shard, kept beside it until the set is finished.

A file begins with the SHA-256 of the rest, so that no damaged one is ever parsed, and holds the SHA-256 of the shard's
tar and .idx: a shard counts as finished only where all three are as they were written.
"""

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.shards import regular
from headrace.shards.sample import Rows
from headrace.shards.store import write_bytes

_DIGEST = hashlib.sha256().digest_size


class Note(NamedTuple):
    """A file of the source that was changed, left out, or read for something else than its pixels, for the report."""

    source: str  # a folder, with a slash at its end, where it stands for several files
    action: str  # "converted", "skipped" or "read"
    reason: str
    files: int = 1


class Bad(NamedTuple):
    """An image that does not decode and was left out."""

    path: str
    reason: str
    split: str
    label: int


@dataclass(frozen=True)
class Record:
    """A row for each sample that was written, the place in the job that it came from, and CRC-32s.

    `crcs` are those of all source files of the job, also of files that were left out.
    """

    name: str  # of the shard, without ending
    rows: Rows
    kept: NDArray[np.int64]
    crcs: NDArray[np.uint32]
    sha256: str  # of the tar
    bytes: int  # of the tar
    idx_sha256: str
    notes: list[Note] = field(default_factory=list)


def record_path(folder: Path, name: str) -> Path:
    """Where the record of shard `name` lies while the set is being made."""
    return folder / f"{name}.record"


def save_record(record: Record, folder: Path) -> None:
    """Write the record; with that its shard is finished."""
    texts = (record.sha256, record.bytes, record.idx_sha256, record.notes)
    about = np.frombuffer(json.dumps(texts).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, rows=record.rows, kept=record.kept, crcs=record.crcs, about=about)
    content = out.getvalue()
    write_bytes(record_path(folder, record.name), hashlib.sha256(content).digest() + content)


def load_record(folder: Path, name: str) -> Record | None:
    """The record of a finished shard whose files are there and whole, else None."""
    try:
        data = regular.read(record_path(folder, name))
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        record = _parse(name, data[_DIGEST:])
        whole = (_sha256(folder / f"{name}.tar"), _sha256(folder / f"{name}.idx"))
    except OSError:
        return None
    return record if whole == (record.sha256, record.idx_sha256) else None


def _parse(name: str, content: bytes) -> Record:
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        sha256, size, idx_sha256, notes = json.loads(saved["about"].tobytes())
        rows, kept, crcs = saved["rows"], saved["kept"], saved["crcs"]
    return Record(name, rows, kept, crcs, sha256, size, idx_sha256, [Note(*note) for note in notes])


def _sha256(path: Path) -> str:
    with regular.opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
