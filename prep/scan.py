"""Scans a WebDataset tar: decodes the image of each sample once, and notes why some samples are unusable."""

import hashlib
import os
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from headrace.prep.images.admit import BadImageError, sides
from headrace.prep.make.record import Note
from headrace.prep.sources.files import MAX_FILE_BYTES
from headrace.shards import idx, labels
from headrace.shards.errors import DataError
from headrace.shards.members import Link, Member, Unread, all_members
from headrace.shards.open_files import refuse_limit
from headrace.shards.sample import Row
from headrace.shards.tar import LABEL_EXTENSION

EXTENSIONS = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "pgm", "jp2", "gif", "avif", "heic")
"""Extensions of images. If a sample has several images, the image whose extension comes first in this list is used."""


class Found(NamedTuple):
    """A usable sample. `label` is the text of the sample's .cls member."""

    key: str
    label: str
    row: Row  # the row for the Parquet index, in which shard and label are still 0
    line: str  # for the .idx


@dataclass
class Scan:
    """The result of scanning one tar: its usable samples, and a note about each unusable sample."""

    path: Path
    sha256: str = ""
    bytes: int = 0
    samples: list[Found] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def scan_tar(path: Path) -> Scan:
    """Read and decode every sample of a tar; return the usable samples, and notes about the others.

    Raises DataError if the tar cannot be read.
    """
    scan = Scan(path)
    try:
        with path.open("rb") as stream:
            scan.bytes = os.fstat(stream.fileno()).st_size
            scan.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            for key, parts in groupby(all_members(path), key=lambda member: _key_and_extension(member.name)[0]):
                try:
                    scan.samples.append(_sample(stream.fileno(), key, list(parts)))
                except BadImageError as error:
                    scan.notes.append(Note(f"{path.name}: {key}", "skipped", str(error)))
    except OSError as error:
        refuse_limit(error)
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Check the disk and the file's permissions"
        ) from error
    return scan


def _key_and_extension(name: str) -> tuple[str, str]:
    """Split a name into key and extension as the webdataset library does: at the first dot after the last slash."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0], idx.extension_of(name)


def _sample(descriptor: int, key: str, parts: list[Member | Link | Unread]) -> Found:
    _check_names(key, parts)
    named = [(_key_and_extension(one.name)[1], _file(one)) for one in parts]
    of = {
        extension: member for extension, member in named if extension
    }  # a member without an extension is not part of a sample
    picture = next((of[one] for one in EXTENSIONS if one in of), None)
    label = of.get(LABEL_EXTENSION)
    if picture is None or label is None:
        raise BadImageError(
            f"the sample needs an image and a .{LABEL_EXTENSION} member; the extensions of its members are "
            f"{', '.join(of) or 'missing'}"
        )
    if picture.size > MAX_FILE_BYTES:
        raise BadImageError(f"its image has {picture.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
    data = os.pread(descriptor, picture.size, picture.offset)
    try:
        text = labels.read(descriptor, label.offset, label.size)
    except ValueError as error:
        raise BadImageError(str(error)) from error
    (width, height), crc = sides(data), crc32(data)
    sha256 = hashlib.sha256(data).digest()
    row: Row = (0, picture.offset, len(data), 0, width, height, crc, sha256, len(data), crc)
    line = " ".join(f"{extension} {one.offset} {one.size} {one.name}" for extension, one in of.items())
    return Found(key, text, row, line)


def _file(one: Member | Link | Unread) -> Member:
    """Return a member that is a regular file.

    Raises BadImageError for links and for members of other kinds, which no index can describe.
    """
    if isinstance(one, Member):
        return one
    what = "a link" if isinstance(one, Link) else one.what
    raise BadImageError(f"{one.name} is {what}, which DALI's index cannot hold")


def _check_names(key: str, parts: list[Member | Link | Unread]) -> None:
    """Raise BadImageError for names that an index cannot contain, or that WebDataset readers interpret differently."""
    extensions = [_key_and_extension(one.name)[1] for one in parts]
    if not key.rpartition("/")[2]:
        raise BadImageError("the sample's name begins with a dot, which is not allowed")
    if len(set(extensions)) < len(extensions):
        raise BadImageError(f"the sample has two members of the same kind ({', '.join(extensions)})")
    if any(
        letter.isspace() or letter == "\0" or "\ud800" <= letter <= "\udfff" for one in parts for letter in one.name
    ):
        raise BadImageError("a member's name has a space or is not UTF-8, and DALI's index cannot hold such a name")
