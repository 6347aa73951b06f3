"""Checks whether a shard set still matches its manifest, and tells what to do about each problem."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headrace.shards import headers, idx, index, labels, regular, remedy, system
from headrace.shards.errors import DataError, NewerError
from headrace.shards.labels import text_of
from headrace.shards.manifest import Manifest, ShardInfo, SplitInfo, load
from headrace.shards.members import Member, members
from headrace.shards.tar import LABEL_EXTENSION
from headrace.shards.tars import check_size
from headrace.shards.unsafe import why_unsafe_at

Decode = Callable[[bytes], tuple[int, int]]  # width and height; raises DataError if an image does not decode
Present = Callable[[ShardInfo], AbstractContextManager[object]]
"""A function that returns a context in which a tar and its .idx are in the set's folder and can be checked."""
Columns = dict[str, NDArray[Any]]
_COLUMNS = ("shard", "offset", "size", "label", "crc32", "width", "height")
_SHOWN = 3  # problems that are listed one by one for a shard
_INDEX, _IMAGE = "index", "image"  # what is to blame if a tar matches the manifest: a derived file, or an image in it


class _Problem(NamedTuple):
    """A problem in words, and what is at fault: a file (by name) that differs from the manifest, _INDEX or _IMAGE."""

    words: str
    blame: str


@dataclass(frozen=True)
class Report:
    """The findings of a verification. If there are no problems, the set is intact, and `remedy` is empty."""

    manifest: Manifest
    problems: list[str]
    remedy: str  # for all problems together


def verify(
    root: Path,
    *,
    decode: Decode | None,
    threads: int,
    progress: Callable[[int], None],
    present: Present = nullcontext,
) -> Report:
    """Check every tar against the manifest (size, SHA-256) and against its indexes; with `decode`, decode every image.

    `progress` is called after each tar with the number of samples checked so far.
    """
    manifest = load(root)
    problems: list[_Problem] = []
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for split in manifest.splits:
            rows: Columns | None = None
            try:
                rows = _columns(root, split, len(manifest.classes))
            except NewerError:
                raise
            except DataError as error:
                problems.append(_Problem(str(error), split.index.name))

            def check(number: int, split: SplitInfo = split, rows: Columns | None = rows) -> list[_Problem]:
                own = None if rows is None else _part(rows, number)
                with present(split.shards[number]):
                    return list(_check_shard(root, manifest, split.shards[number], own, decode))

            for shard, found in zip(split.shards, pool.map(check, range(len(split.shards))), strict=True):
                problems += found
                done += shard.samples
                progress(done)
    if not problems:
        headers.remember(manifest)
    return Report(manifest, [one.words for one in problems], _remedy(root, manifest, {one.blame for one in problems}))


def _remedy(root: Path, manifest: Manifest, wrong: set[str]) -> str:
    """The remedy for all problems; a remedy for tars also repairs the files derived from them."""
    tars = {shard.name for split in manifest.splits for shard in split.shards}
    if wrong >= tars | {split.index.name for split in manifest.splits}:
        return f"No file matches the manifest, which may belong to another set. {remedy.of_manifest(root)}"
    if wrong & tars:
        return remedy.of_tars(root, wrong & tars, manifest.made)
    if _IMAGE in wrong:
        return remedy.of_images(root, manifest.made)
    return remedy.of_indexes(root) if wrong else ""


def _columns(root: Path, split: SplitInfo, classes: int) -> Columns:
    index.check_whole(root, split.index)
    columns = index.read_numbers(root, split.index, _COLUMNS)
    labels, counts = columns["label"], [shard.samples for shard in split.shards]
    path = root / split.index.name
    if not np.array_equal(columns["shard"], np.repeat(np.arange(len(counts)), counts)):
        raise DataError(f"{path}: its rows do not match the shards in the manifest. {remedy.of_indexes(root)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"{path}: a label is outside the list of {classes} classes. {remedy.of_indexes(root)}")
    return columns


def _part(columns: Columns, number: int) -> Columns:
    first, last = np.searchsorted(columns["shard"], [number, number + 1])
    return {name: column[first:last] for name, column in columns.items()}


def _check_shard(
    root: Path, manifest: Manifest, shard: ShardInfo, rows: Columns | None, decode: Decode | None
) -> Iterator[_Problem]:
    """The problems of one tar and its .idx. If `rows` is None because the index is damaged, only the tar is checked."""
    path, bad = root / shard.name, remedy.of_tars(root, [shard.name], manifest.made)
    try:
        check_size(root, shard, manifest)
        with regular.opened(path) as stream:
            seen = hashlib.file_digest(stream, "sha256").hexdigest()
        if seen != shard.sha256:
            yield _Problem(
                f"{path}: SHA-256 {seen[:12]}..., but the manifest says {shard.sha256[:12]}... {bad}", path.name
            )
        found = {member.offset: member for member in members(path)}
    except DataError as error:
        yield _Problem(str(error), path.name)
        return
    except OSError as error:
        yield _Problem(f"{path}: {error.strerror}. {bad}", path.name)
        return
    if rows is None:
        return
    blame = None if seen == shard.sha256 else path.name  # a changed tar need not match its indexes
    for file, problems in (
        (path, _check_rows(path, rows, found, decode)),
        (path.with_suffix(".idx"), _check_idx(path, rows, found, partial(text_of, manifest))),
    ):
        yield from _short(root, manifest, file, [_Problem(one.words, blame or one.blame) for one in problems])


def _short(root: Path, manifest: Manifest, file: Path, problems: list[_Problem]) -> Iterator[_Problem]:
    """Yield the first `_SHOWN` problems of a file, each with its remedy, and then the number of other problems."""
    for words, blame in problems[:_SHOWN]:
        yield _Problem(f"{file}: {words}. {_remedy(root, manifest, {blame})}", blame)
    if len(problems) > _SHOWN:
        words = f"{file}: {len(problems) - _SHOWN:,} more problems like these"
        yield from (_Problem(words, blame) for blame in {one.blame for one in problems[_SHOWN:]})


def _check_rows(path: Path, rows: Columns, found: dict[int, Member], decode: Decode | None) -> Iterator[_Problem]:
    """Check each row of the Parquet index: the tar must have a member at the row's position, with the row's bytes."""
    descriptor = regular.descriptor(path)
    try:
        columns = ("offset", "size", "crc32", "width", "height")
        for offset, size, crc, *sides in zip(*(rows[name].tolist() for name in columns), strict=True):
            member = found.get(offset)
            if member is None or member.size != size:
                yield _Problem(
                    f"no member of {size:,} bytes at byte {offset:,}, where the index lists a sample", _INDEX
                )
            elif decode is None:
                if fault := why_unsafe_at(descriptor, offset, size):
                    yield _Problem(f"{member.name}: the image cannot be decoded safely: it has {fault}", _IMAGE)
            elif problem := _image_problem(path, system.pread(descriptor, size, offset), crc, sides, decode):
                yield _Problem(f"{member.name}: {problem.words}", problem.blame)
    finally:
        os.close(descriptor)


def _image_problem(path: Path, data: bytes, crc: int, sides: list[int], decode: Decode) -> _Problem | None:
    """The problem with the bytes of an image in the tar `path`, or with its entry in the index."""
    if crc32(data) != crc:
        return _Problem("its bytes do not match the index (CRC-32)", path.name)
    try:
        seen = decode(data)
    except DataError as error:
        return _Problem(str(error), _IMAGE)
    if list(seen) != sides:
        expected = f"{sides[0]:,} x {sides[1]:,}"
        return _Problem(f"decodes to {seen[0]:,} x {seen[1]:,} pixels, but the index says {expected}", _INDEX)
    return None


def _check_idx(path: Path, rows: Columns, found: dict[int, Member], text: Callable[[int], str]) -> Iterator[_Problem]:
    """Check each line of the .idx.

    The members that a line names must be in the tar. Among them must be the JPEG of the row and a label member with the
    content that `text` gives.
    """
    try:
        lines = list(idx.parse(regular.read(path.with_suffix(".idx")).decode("utf-8")))
        descriptor = regular.descriptor(path)
    except OSError as error:
        yield _Problem(error.strerror or str(error), _INDEX)
        return
    except (DataError, UnicodeDecodeError) as error:
        yield _Problem(str(error), _INDEX)
        return
    try:
        if len(lines) != len(rows["offset"]):
            yield _Problem(f"{len(lines):,} samples, but the index has {len(rows['offset']):,}", _INDEX)
            return
        places = zip(*(rows[name].tolist() for name in ("offset", "size", "label")), strict=True)
        for line, (offset, size, label) in zip(lines, places, strict=True):
            if fault := _line_fault(line, found, offset, size):
                yield _Problem(fault, _INDEX)
            elif fault := _label_fault(descriptor, line[LABEL_EXTENSION], text(label)):
                yield _Problem(f"{line[LABEL_EXTENSION][2]}: {fault}", _INDEX)
    finally:
        os.close(descriptor)


def _line_fault(line: dict[str, tuple[int, int, str]], found: dict[int, Member], offset: int, size: int) -> str:
    """The problem with the line of the sample whose image is at `offset`; empty if there is none."""
    for extension, (at, length, name) in line.items():
        if found.get(at) != (name, at, length):
            return f"names a member that the tar does not have: {name}"
        if extension != idx.extension_of(name):
            return f"gives {extension!r} as the extension of {name}"
    if (offset, size) not in [(at, length) for at, length, _ in line.values()]:
        return f"byte {offset:,}: not the sample that the index lists there"
    return "" if LABEL_EXTENSION in line else f"byte {offset:,}: a sample without its label"


def _label_fault(descriptor: int, place: tuple[int, int, str], expected: str) -> str:
    """The problem with a label member; empty if there is none."""
    try:
        seen = labels.read(descriptor, *place[:2])
    except ValueError as error:
        return str(error)
    return "" if seen == expected else f"its label is {seen!r}, but the index has {expected!r}"
