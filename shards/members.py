"""Walks over the members of any tar (ustar, GNU or PAX), reading only headers.

A member is a regular file if GNU tar and Python's tarfile treat it as one. Folders are skipped, links and unsupported
members are reported by name, and inconsistent data raise DataError.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headrace.shards import regular, system
from headrace.shards.errors import DataError
from headrace.shards.tar import BLOCK
from headrace.shards.tarheader import Header, NoHeaderError, Records, long_name, parse, sparse_map_follows
from headrace.shards.urls import Location

_MAX_EXTENSION = 1 << 20  # bytes of a PAX header or a GNU long name
_LONG_NAME, _LONG_LINK, _PAX_GLOBAL, _PAX = b"L", b"K", b"g", (b"x", b"X")
_EXTENSIONS = (_LONG_NAME, _LONG_LINK, _PAX_GLOBAL, *_PAX)  # they describe the members that follow
_HARD_LINK, _SYMBOLIC_LINK, _FOLDER, _DUMPED_FOLDER, _SPARSE = b"1", b"2", b"5", b"D", b"S"
_SPARSE_FILE = "a sparse file, which is not read"
_UNREAD = {
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
    _SPARSE: _SPARSE_FILE,
    b"M": "a part of a file that begins in another volume",
    b"V": "the label of a volume",
}
_WITHOUT_CONTENT = (_HARD_LINK, _SYMBOLIC_LINK, b"3", b"4", _FOLDER, b"6")  # whatever size their headers give
_SCAN = 1 << 20  # bytes at a time; whole blocks


class Member(NamedTuple):
    """A regular file in a tar: its name, the byte where its content starts, and the content's size."""

    name: str
    offset: int
    size: int


class Link(NamedTuple):
    """A member that is another name for an earlier member of the tar or, if symbolic, for any path."""

    name: str
    target: str
    symbolic: bool


class Unread(NamedTuple):
    """A member that is neither a regular file nor a link, and a phrase for its kind."""

    name: str
    what: str


def members(path: Path) -> Iterator[Member]:
    """The regular files of a tar. Bytes in names that are not UTF-8 become lone surrogates."""
    return (one for one in all_members(path) if isinstance(one, Member))


def all_members(
    path: Path, name: Location | None = None, folders: list[str] | None = None
) -> Iterator[Member | Link | Unread]:
    """Yield all members except folders: regular files, links (which are not followed), and unsupported members.

    Appends the names of folders to `folders`. Raises DataError if the tar is damaged; errors name the tar `name`, if
    given, instead of `path`.
    """
    descriptor = regular.descriptor(path)
    try:
        walk = _Walk(name or path, descriptor, os.fstat(descriptor).st_size, [] if folders is None else folders)
        yield from walk.members()
    finally:
        os.close(descriptor)


@dataclass
class _Ahead:
    """The values that extension headers give for the next member.

    As in GNU tar, PAX headers take precedence over GNU's headers for long names.
    """

    name: str = ""
    target: str = ""
    records: Records = field(default_factory=Records)
    seen: list[bytes] = field(default_factory=list)

    def read(self, kind: bytes, data: bytes) -> None:
        """Add the content of an extension header.

        Raises ValueError if the member already has an extension header of this kind.
        """
        kind = _PAX[0] if kind in _PAX else kind
        if kind in self.seen:
            raise ValueError(f"a second extension header of type {kind.decode()!r} for one member")
        self.seen.append(kind)
        if kind == _LONG_NAME:
            self.name = long_name(data)
        elif kind == _LONG_LINK:
            self.target = long_name(data)
        else:
            self.records = Records.of(data)


class _Walk:
    """Walks from header to header through an open tar."""

    def __init__(self, path: Location, descriptor: int, end: int, folders: list[str]) -> None:
        self._path, self._descriptor, self._end, self._folders = path, descriptor, end, folders
        self._position = 0
        self._everywhere = Records()  # from global PAX headers

    def members(self) -> Iterator[Member | Link | Unread]:
        """Yield all members except folders."""
        ahead = _Ahead()
        while any(block := system.pread(self._descriptor, BLOCK, self._position)) or len(block) < BLOCK:
            began = self._position
            try:
                head = parse(block)
                if head.kind in _EXTENSIONS:
                    self._read_extension(head, ahead)
                    continue
                found = self._member(head, block, ahead)
            except NoHeaderError as error:
                raise self._damaged(began, "no tar header", "the file is damaged or not a tar") from error
            except ValueError as error:
                raise self._damaged(began, str(error)) from error
            if found is not None:
                yield found
            ahead = _Ahead()
        if ahead.seen:
            why = "the headers before it announce one, so the file is damaged"
            raise self._damaged(self._position, "no member", why)
        self._check_rest()

    def _damaged(self, position: int, what: str, why: str = "the file is damaged") -> DataError:
        return DataError(f"{self._path}: {what} at byte {position:,}: {why}. Get it again")

    def _read_extension(self, head: Header, ahead: _Ahead) -> None:
        if head.size > _MAX_EXTENSION:
            raise ValueError(f"an impossibly long name ({head.size:,} bytes)")
        content = self._advance(head.name, head.size)
        data = system.pread(self._descriptor, head.size, content)
        if head.kind == _PAX_GLOBAL:
            records = Records.of(data)
            if records and self._everywhere:
                raise ValueError("a second global PAX header with a name, size or sparse format")
            self._everywhere = records or self._everywhere
        else:
            ahead.read(head.kind, data)

    def _member(self, head: Header, block: bytes, ahead: _Ahead) -> Member | Link | Unread | None:
        """Move to the end of this header's member, and return the member; return None for a folder."""
        records = Records({**self._everywhere, **ahead.records})
        name = records.path or ahead.name or head.name
        if not name:
            raise ValueError("a member without a name")
        given = head.size if records.size is None else records.size
        size = 0 if head.kind in _WITHOUT_CONTENT else given
        if head.kind == _SPARSE:
            self._pass_sparse_map(block)
        content = self._advance(name, size)
        if head.kind in (_HARD_LINK, _SYMBOLIC_LINK):
            target = records.get("linkpath", "") or ahead.target or head.target
            return Link(name, target, head.kind == _SYMBOLIC_LINK)
        if head.kind in _UNREAD or records.sparse:
            return Unread(name, _UNREAD.get(head.kind, _SPARSE_FILE))
        if head.kind in (_FOLDER, _DUMPED_FOLDER) or (name.endswith("/") and not size):
            self._folders.append(name)
            return None
        return (
            Unread(name, "a folder with the content of a file") if name.endswith("/") else Member(name, content, size)
        )

    def _pass_sparse_map(self, block: bytes) -> None:
        """Skip the map of a sparse file in the old GNU format: blocks between the file's header and its content."""
        first = True
        while sparse_map_follows(block, first=first):
            first = False
            self._position += BLOCK
            block = system.pread(self._descriptor, BLOCK, self._position)
            if len(block) < BLOCK:
                raise ValueError("the map of a sparse file is cut short")

    def _advance(self, name: str, size: int) -> int:
        """Skip a header and its content of `size` bytes; return the offset of the content."""
        content = self._position + BLOCK
        self._position = content + size + -size % BLOCK
        if content + size > self._end:
            raise DataError(
                f"{self._path}: cut short: {name} ends at byte {content + size:,}, but the file has only "
                f"{self._end:,} bytes. Get it again"
            )
        return content

    def _check_rest(self) -> None:
        """Raise DataError if members follow the end mark: the file is two tars in one, or a part of it became zeros."""
        for start in range(self._position, self._end, _SCAN):
            data = system.pread(self._descriptor, _SCAN, start)
            if not data.strip(b"\0"):
                continue
            for at in range(0, len(data), BLOCK):
                if any(data[at : at + BLOCK]) and _is_header(data[at : at + BLOCK]):
                    raise self._damaged(
                        start + at,
                        "a member after the end of the archive",
                        "a part of the file was lost, or the file is two tars in one",
                    )


def _is_header(block: bytes) -> bool:
    try:
        parse(block)
    except NoHeaderError:
        return False
    return True
