"""Stores the result of a finished shard in a file, its record, which is kept until the whole set is finished.

A record file begins with the SHA-256 of its other bytes, so that damage is found before the file is parsed. The other
bytes are the length of a JSON text, the JSON text (a Record), and NumPy arrays (Contents). The record has the SHA-256
of the shard's tar and .idx. A shard counts as finished only if its tar, its .idx and its record are unchanged.
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
from headrace.shards.store import write_bytes, writing

_DIGEST = hashlib.sha256().digest_size
_LENGTH = 8  # bytes of the length, which is a little-endian number


class Note(NamedTuple):
    """An entry of report.jsonl: a source file that was converted, omitted, or read for labels or class names."""

    source: str  # a folder, with a slash at its end, if it stands for several files
    action: str  # "converted", "skipped" or "read"
    reason: str
    files: int = 1


class Bad(NamedTuple):
    """An image that does not decode and was omitted."""

    path: str
    reason: str
    split: str
    label: int


class Written(NamedTuple):
    """The SHA-256, size and modification time of a file when it was written."""

    sha256: str
    bytes: int
    time: int  # of the last change, in nanoseconds; the file is not hashed again while time and size are the same

    @classmethod
    def of(cls, path: Path, sha256: str) -> "Written":
        """Return the facts about a file that was just written; `sha256` is its hash.

        Raises HeadraceError if the file is missing.
        """
        with writing(path):
            seen = path.stat()
        return cls(sha256, seen.st_size, seen.st_mtime_ns)

    def is_at(self, path: Path) -> bool:
        """Return whether the file at `path` has the recorded size, and the recorded time of change or SHA-256.

        Raises OSError if the file is missing or unreadable.
        """
        seen = regular.state(path)
        return (seen.st_size, seen.st_mtime_ns) == self[1:] or (
            seen.st_size == self.bytes and _sha256(path) == self.sha256
        )


@dataclass(frozen=True)
class Contents:
    """The arrays of a record: facts about the samples that were written, and about all source files of the job.

    `rows` are the index rows of the written samples, and `kept` the positions of these samples in the job. `crcs`
    (CRC-32) and `times` (of the last change) cover all source files of the job, including omitted ones. `notes` are
    entries for report.jsonl.
    """

    rows: Rows
    kept: NDArray[np.int64]
    crcs: NDArray[np.uint32]
    times: NDArray[np.int64]
    notes: Sequence[Note] = ()


@dataclass(frozen=True)
class Record:
    """The facts about a finished shard that are needed to check it and to describe it in the manifest."""

    name: str  # of the shard, without ending
    made_of: str  # the digest of the planned files and labels
    samples: int
    tar: Written
    idx: Written
    bad: list[Bad] = field(default_factory=list)


def digest_of(listed: Listed) -> str:
    """Return the SHA-256 of the plan of a shard: the paths, labels, sizes and CRC-32s of its files."""
    state = hashlib.sha256("\0".join(listed.files.paths).encode())
    for column in (listed.labels, listed.files.sizes, listed.files.crcs):
        state.update(np.ascontiguousarray(column, np.int64).tobytes())
    return state.hexdigest()


def record_path(folder: Path, name: str) -> Path:
    """Return the path of the record of shard `name` in the folder of records."""
    return folder / f"{name}.record"


def save_record(record: Record, contents: Contents, folder: Path) -> None:
    """Write the record of a shard. Once the record exists, the shard is finished."""
    texts = (record.made_of, record.samples, record.tar, record.idx, record.bad)
    about = json.dumps([texts, contents.notes]).encode()
    arrays = io.BytesIO()
    np.savez(arrays, rows=contents.rows, kept=contents.kept, crcs=contents.crcs, times=contents.times)
    content = len(about).to_bytes(_LENGTH, "little") + about + arrays.getvalue()
    write_bytes(record_path(folder, record.name), hashlib.sha256(content).digest() + content)


def load_record(folder: Path, made: Path, name: str) -> Record | None:
    """Return the record of a shard from `folder`; None if the shard is not finished.

    For a finished shard, the record, and the tar and .idx in the folder `made`, must exist and be undamaged.
    """
    try:
        record = load_header(folder, name)
        whole = record.tar.is_at(made / f"{name}.tar") and record.idx.is_at(made / f"{name}.idx")
    except (OSError, _DamagedError):
        return None
    return record if whole else None


def load_header(folder: Path, name: str) -> Record:
    """Load a record without checking the shard's tar and .idx.

    Raises OSError or ValueError if the record is missing or damaged.
    """
    return _record(name, _content(folder, name)[0][0])


def load_contents(folder: Path, name: str) -> Contents:
    """Return the arrays and notes in a record file. Raises OSError or ValueError if the file is missing or damaged."""
    (_, notes), arrays = _content(folder, name)
    with np.load(io.BytesIO(arrays), allow_pickle=False) as saved:
        rows, kept, crcs, times = (saved[one] for one in ("rows", "kept", "crcs", "times"))
    return Contents(rows, kept, crcs, times, [Note(*note) for note in notes])


class _DamagedError(ValueError):
    """Raised for a record file that has changed since it was written."""


def _content(folder: Path, name: str) -> tuple[Any, bytes]:
    """Return the parsed JSON of a record file, and the bytes of its NumPy arrays."""
    path = record_path(folder, name)
    data = regular.read(path)
    content = data[_DIGEST:]
    if hashlib.sha256(content).digest() != data[:_DIGEST]:
        raise _DamagedError(f"{path}: the record has changed since it was written (its SHA-256 differs)")
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    return json.loads(content[_LENGTH:end]), content[end:]


def _record(name: str, texts: Any) -> Record:
    made_of, samples, tar, idx, bad = texts
    return Record(name, made_of, samples, Written(*tar), Written(*idx), [Bad(*one) for one in bad])


def _sha256(path: Path) -> str:
    with regular.opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
