"""What came out of one shard, kept beside it until the set is finished.

A file begins with the SHA-256 of the rest, so that no damaged one is ever parsed; then come the length of a JSON, the
JSON (a Record), and numpy arrays (its Contents). It holds the SHA-256 of the shard's tar and .idx: a shard counts as
finished only where all three are as they were written.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.prep.sources.source import Listed
from headrace.shards import regular
from headrace.shards.sample import Rows
from headrace.shards.store import write_bytes

_DIGEST = hashlib.sha256().digest_size
_LENGTH = 8  # bytes of a little-endian number


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


class Written(NamedTuple):
    """A file as it was written."""

    sha256: str
    bytes: int
    time: int  # of its last change, nanoseconds; while that and the size are the same, nobody hashes it again

    @classmethod
    def of(cls, path: Path, sha256: str) -> "Written":
        """A file that is there, of which the hash is known."""
        seen = path.stat()
        return cls(sha256, seen.st_size, seen.st_mtime_ns)

    def is_at(self, path: Path) -> bool:
        """Whether the file is there and whole. Raises OSError where it cannot be read."""
        seen = regular.state(path)
        return (seen.st_size, seen.st_mtime_ns) == self[1:] or (
            seen.st_size == self.bytes and _sha256(path) == self.sha256
        )


@dataclass(frozen=True)
class Contents:
    """A row for each sample that was written, the place in the job that it came from, and the job's files as read.

    `crcs` (CRC-32) and `times` are those of all files of the job, also of files that were left out.
    """

    rows: Rows
    kept: NDArray[np.int64]
    crcs: NDArray[np.uint32]
    times: NDArray[np.int64]
    notes: Sequence[Note] = ()


@dataclass(frozen=True)
class Record:
    """What everybody needs to know of a finished shard."""

    name: str  # of the shard, without ending
    made_of: str  # the digest of its files and labels, as planned
    samples: int
    tar: Written
    idx: Written
    bad: list[Bad] = field(default_factory=list)


def digest_of(listed: Listed) -> str:
    """SHA-256 of what a shard is planned to be made of."""
    state = hashlib.sha256("\0".join(listed.files.paths).encode())
    for column in (listed.labels, listed.files.sizes, listed.files.crcs):
        state.update(np.ascontiguousarray(column, np.int64).tobytes())
    return state.hexdigest()


def record_path(folder: Path, name: str) -> Path:
    """Where the record of shard `name` lies while the set is being made."""
    return folder / f"{name}.record"


def save_record(record: Record, contents: Contents, folder: Path) -> None:
    """Write the record; with that its shard is finished."""
    texts = (record.made_of, record.samples, record.tar, record.idx, record.bad)
    about = json.dumps([texts, contents.notes]).encode()
    arrays = io.BytesIO()
    np.savez(arrays, rows=contents.rows, kept=contents.kept, crcs=contents.crcs, times=contents.times)
    content = len(about).to_bytes(_LENGTH, "little") + about + arrays.getvalue()
    write_bytes(record_path(folder, record.name), hashlib.sha256(content).digest() + content)


def load_record(folder: Path, made: Path, name: str) -> Record | None:
    """The record in `folder` of a finished shard whose files in `made` are there and whole, else None."""
    try:
        record = load_header(folder, name)
        whole = record.tar.is_at(made / f"{name}.tar") and record.idx.is_at(made / f"{name}.idx")
    except (OSError, _DamagedError):
        return None
    return record if whole else None


def load_header(folder: Path, name: str) -> Record:
    """A record, whatever became of the shard. Raises OSError or ValueError where it is gone or damaged."""
    return _record(name, _content(folder, name)[0][0])


def load_contents(folder: Path, name: str) -> Contents:
    """What a record that was loaded has besides. Raises OSError or ValueError where it was changed since."""
    (_, notes), arrays = _content(folder, name)
    with np.load(io.BytesIO(arrays), allow_pickle=False) as saved:
        rows, kept, crcs, times = (saved[one] for one in ("rows", "kept", "crcs", "times"))
    return Contents(rows, kept, crcs, times, [Note(*note) for note in notes])


class _DamagedError(ValueError):
    """A record is not as it was written."""


def _content(folder: Path, name: str) -> tuple[Any, bytes]:
    """The JSON and the arrays of a record's file."""
    path = record_path(folder, name)
    data = regular.read(path)
    content = data[_DIGEST:]
    if hashlib.sha256(content).digest() != data[:_DIGEST]:
        raise _DamagedError(f"{path}: not as it was written")
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    return json.loads(content[_LENGTH:end]), content[end:]


def _record(name: str, texts: Any) -> Record:
    made_of, samples, tar, idx, bad = texts
    return Record(name, made_of, samples, Written(*tar), Written(*idx), [Bad(*one) for one in bad])


def _sha256(path: Path) -> str:
    with regular.opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
