"""Reads a source in a tar: a plain tar on a disk in place, a compressed tar or a tar at a URL from a copy."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headrace.prep.sources.file_at import LocalFile, RemoteFile, file_at
from headrace.prep.sources.files import (
    CHUNK,
    MAX_FILE_BYTES,
    REPLACED,
    SYMBOLIC,
    UNKNOWN_CRC,
    Entry,
    FileTable,
    LeftOut,
    changed,
    without_files,
)
from headrace.prep.sources.unpacked import Opener, opener, path_of, unpack
from headrace.shards.members import Link, Member, Unread, all_members
from headrace.shards.open_files import refuse_limit
from headrace.shards.urls import Location


def is_tar(start: bytes) -> bool:
    """Whether a file with these first 512 bytes is a tar, possibly compressed."""
    return start[257:262] == b"ustar" or opener(start) is not None


def _copied_by(file: LocalFile | RemoteFile) -> Opener | None:
    """The function that opens a compressed or remote tar for copying; None if the tar is read in place."""
    packed = opener(file.pread(8, 0))
    file.close()
    if isinstance(file, LocalFile):
        return packed
    return (lambda _: file.once()) if packed is None else lambda _: packed(file.once())


class TarFiles:
    """The members of a tar. A compressed or remote tar is copied to the disk of the folder `room`."""

    def __init__(self, root: Location, room: Path) -> None:
        self.root = root
        self._file = file_at(root)
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self._room = room
        self._unpacked: BinaryIO | None = None
        self._time = 0
        self._opener = _copied_by(self._file)

    def stamp(self) -> str:
        """Size and modification time of the tar."""
        return self._file.stamp()

    def table(self) -> FileTable:
        """All regular members, sorted by name.

        Of several members with the same name, only the last is listed, because tar(1) would overwrite the others. A
        hard link stands for the earlier member that it names; GNU tar writes a hard link for the second name of a file.
        """
        self.unpack()
        found: dict[str, Member] = {}
        left_out: dict[str, str] = {}
        replaced: LeftOut = []
        folders: list[str] = []
        for one in all_members(self._plain(), self.root, folders):
            name = _as_unpacked(one.name)
            member = _file(one, found)
            before = found.pop(name, None)
            if before not in {None, member}:
                replaced.append((name, REPLACED))
            left_out.pop(name, None)
            if isinstance(member, Member):
                found[name] = member
            else:
                left_out[name] = member
        self.left_out = sorted([*left_out.items(), *(one for one in replaced if one[0] not in left_out)])
        table = FileTable.of(
            [
                Entry(name, one.size, UNKNOWN_CRC, one.offset, one.size, 0, self._time)
                for name, one in sorted(found.items())
            ]
        )
        names = (_as_unpacked(name) for name in folders)
        inside = (f"{name}/" for name in names if name.strip("./"))
        self.empty = without_files(inside, table.paths, [path for path, _ in self.left_out])
        return table

    def unpack(self) -> None:
        """Copy the content of a compressed or remote tar."""
        self._time = self._file.time
        if self._opener is not None:
            self.close()
            self._unpacked = unpack(self.root, self._opener, self._room)

    def _plain(self) -> Path:
        return Path(str(self.root)) if self._unpacked is None else path_of(self._unpacked)

    def reader(self, prefix: str) -> "TarReader":
        """A reader of members; `prefix` is ignored, because members are found by position."""
        del prefix
        return TarReader(self.root, self._plain(), self._time)

    def close(self) -> None:
        """Remove the unpacked copy."""
        if self._unpacked is not None:
            self._unpacked.close()


def _as_unpacked(name: str) -> str:
    """The path at which tar(1) unpacks a member with this name.

    Different names of the same file, such as a.jpg and ./a.jpg, give the same path.
    """
    return "/".join(part for part in name.split("/") if part not in {"", "."}) or name


def _file(one: Member | Link | Unread, found: dict[str, Member]) -> Member | str:
    """Return a member that is a file; for a hard link, return the earlier member that the link names.

    For any other member, return the reason why the member is not a regular file.
    """
    if isinstance(one, Member):
        return one
    if isinstance(one, Unread):
        return one.what
    if one.symbolic:
        return SYMBOLIC
    return found.get(_as_unpacked(one.target)) or f"a hard link to {one.target!r}, which is not an earlier member"


class TarReader:
    """Reads members of the tar `root`, each with one `pread`.

    `plain` is the path of the tar, or of its uncompressed copy.
    """

    prefix = ""

    def __init__(self, root: Location, plain: Path, time: int = 0) -> None:
        self._root = root
        self._plain = plain
        self._time = time
        self._descriptor = -1

    @property
    def is_of_a_copy(self) -> bool:
        """Whether the reader reads an unnamed copy, which only processes of this machine can open."""
        return str(self._plain) != str(self._root)

    def is_remote(self, _: str) -> bool:
        """Return False: a tar at a URL is copied to a disk first."""
        return False

    def read(self, entry: Entry) -> bytes:
        """The bytes of the member."""
        if entry.size > MAX_FILE_BYTES:
            raise changed(self._root, entry.path, f"the file has {entry.size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        return self._bytes(entry, 0, entry.size)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of the member in parts."""
        return (self._bytes(entry, at, min(CHUNK, entry.size - at)) for at in range(0, entry.size, CHUNK))

    def start(self, entry: Entry, size: int) -> bytes:
        """The first bytes of the member."""
        return self._bytes(entry, 0, min(size, entry.size))

    def time(self, _: Entry) -> int:
        """The time of the tar's last change in nanoseconds, as it was before the tar was read."""
        return self._time

    def _bytes(self, entry: Entry, at: int, size: int) -> bytes:
        """`size` bytes of the member, from its byte `at` on."""
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._plain, os.O_RDONLY | os.O_CLOEXEC)
            data = os.pread(self._descriptor, size, entry.offset + at)
        except OSError as error:
            refuse_limit(error)
            raise changed(self._root, entry.path, f"the file cannot be read ({error.strerror})") from error
        if len(data) != size:
            seen = at + len(data)
            raise changed(self._root, entry.path, f"the tar ends inside this member ({seen:,} of {entry.size:,} bytes)")
        return data

    def __getstate__(self) -> dict[str, object]:
        return {"_root": self._root, "_plain": self._plain, "_time": self._time, "_descriptor": -1}
