"""Whether a shard set still is what its manifest says, and what to do about each thing that is not."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from headrace.shards import headers, idx, index, labels, regular, remedy
from headrace.shards.errors import DataError, NewerError
from headrace.shards.labels import text_of
from headrace.shards.manifest import Manifest, ShardInfo, SplitInfo, load
from headrace.shards.members import Member, members
from headrace.shards.tar import LABEL_EXTENSION
from headrace.shards.tars import check_size

Decode = Callable[[bytes], tuple[int, int]]  # width and height; raises DataError when an image does not decode
Columns = dict[str, NDArray[Any]]
_COLUMNS = ("shard", "offset", "size", "label", "crc32", "width", "height")
_SHOWN = 3  # problems of a kind that a shard names one by one
_INDEX, _IMAGE = "index", "image"  # to blame where a tar is the manifest's: what is derived from it, or an image in it


class _Problem(NamedTuple):
    """What is wrong, in words, and what is to blame: a file that is not the manifest's, or _INDEX, or _IMAGE."""

    words: str
    blame: str


@dataclass(frozen=True)
class Report:
    """What a verification found. No problems: the set is sound, and needs no remedy."""

    manifest: Manifest
    problems: list[str]
    remedy: str  # of all problems together


def verify(root: Path, *, decode: Decode | None, threads: int, progress: Callable[[int], None]) -> Report:
    """Check sizes, SHA-256 and index of every tar against each other; with `decode`, also every image.

    `progress` gets the samples checked so far.
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
                return list(_check_shard(root, manifest, split.shards[number], own, decode))

            for shard, found in zip(split.shards, pool.map(check, range(len(split.shards))), strict=True):
                problems += found
                done += shard.samples
                progress(done)
    if not problems:
        headers.remember(manifest)
    return Report(manifest, [one.words for one in problems], _remedy(root, manifest, {one.blame for one in problems}))


def _remedy(root: Path, manifest: Manifest, wrong: set[str]) -> str:
    """What mends all that is wrong; what mends the tars also mends the files that are derived from them."""
    tars = {shard.name for split in manifest.splits for shard in split.shards}
    if wrong >= tars | {split.index.name for split in manifest.splits}:
        return f"Not one file is the manifest's, so that may be of another set. {remedy.of_manifest(root)}"
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
        raise DataError(f"{path}: its rows are not the samples of the manifest's shards. {remedy.of_indexes(root)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"{path}: a label is outside the list of {classes} classes. {remedy.of_indexes(root)}")
    return columns


def _part(columns: Columns, number: int) -> Columns:
    first, last = np.searchsorted(columns["shard"], [number, number + 1])
    return {name: column[first:last] for name, column in columns.items()}


def _check_shard(
    root: Path, manifest: Manifest, shard: ShardInfo, rows: Columns | None, decode: Decode | None
) -> Iterator[_Problem]:
    """The problems of one tar and its .idx. Without `rows` of a sound index, only what needs none is checked."""
    path, bad = root / shard.name, remedy.of_tars(root, [shard.name], manifest.made)
    try:
        check_size(root, shard, manifest)
        with regular.opened(path) as stream:
            seen = hashlib.file_digest(stream, "sha256").hexdigest()
        if seen != shard.sha256:
            yield _Problem(f"{path}: SHA-256 {seen[:12]}..., the manifest says {shard.sha256[:12]}... {bad}", path.name)
        found = {member.offset: member for member in members(path)}
    except DataError as error:
        yield _Problem(str(error), path.name)
        return
    except OSError as error:
        yield _Problem(f"{path}: {error.strerror}. {bad}", path.name)
        return
    if rows is None:
        return
    blame = None if seen == shard.sha256 else path.name  # a tar that changed need not fit its indexes
    for file, problems in (
        (path, _check_rows(path, rows, found, decode)),
        (path.with_suffix(".idx"), _check_idx(path, rows, found, partial(text_of, manifest))),
    ):
        yield from _short(root, manifest, file, [_Problem(one.words, blame or one.blame) for one in problems])


def _short(root: Path, manifest: Manifest, file: Path, problems: list[_Problem]) -> Iterator[_Problem]:
    """The first problems with the remedy of each, and how many there are beyond."""
    for words, blame in problems[:_SHOWN]:
        yield _Problem(f"{file}: {words}. {_remedy(root, manifest, {blame})}", blame)
    if len(problems) > _SHOWN:
        words = f"{file}: {len(problems) - _SHOWN:,} more problems like these"
        yield from (_Problem(words, blame) for blame in {one.blame for one in problems[_SHOWN:]})


def _check_rows(path: Path, rows: Columns, found: dict[int, Member], decode: Decode | None) -> Iterator[_Problem]:
    """Each row of the Parquet index: a member where it says, and in the member the bytes that it says."""
    descriptor = regular.descriptor(path)
    try:
        columns = ("offset", "size", "crc32", "width", "height")
        for offset, size, crc, *sides in zip(*(rows[name].tolist() for name in columns), strict=True):
            member = found.get(offset)
            if member is None or member.size != size:
                yield _Problem(f"no member of {size:,} bytes at byte {offset:,}, where the index has a sample", _INDEX)
            elif decode is None:
                if fault := headers.why_unsafe_at(descriptor, offset, size):
                    yield _Problem(f"{member.name}: the image does not decode safely: it has {fault}", _IMAGE)
            elif problem := _image_problem(path, os.pread(descriptor, size, offset), crc, sides, decode):
                yield _Problem(f"{member.name}: {problem.words}", problem.blame)
    finally:
        os.close(descriptor)


def _image_problem(path: Path, data: bytes, crc: int, sides: list[int], decode: Decode) -> _Problem | None:
    """What is wrong with the bytes of an image in the tar `path`, or with what the index says of them."""
    if crc32(data) != crc:
        return _Problem("its bytes are not those that the index describes (CRC-32)", path.name)
    try:
        seen = decode(data)
    except DataError as error:
        return _Problem(str(error), _IMAGE)
    if list(seen) != sides:
        expected = f"{sides[0]:,} x {sides[1]:,}"
        return _Problem(f"decodes to {seen[0]:,} x {seen[1]:,} pixels, the index says {expected}", _INDEX)
    return None


def _check_idx(path: Path, rows: Columns, found: dict[int, Member], text: Callable[[int], str]) -> Iterator[_Problem]:
    """Each line of the .idx: members where it says, among them the row's JPEG and its label, which says `text`."""
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
            yield _Problem(f"{len(lines):,} samples, the index has {len(rows['offset']):,}", _INDEX)
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
    """What is wrong with the line of the sample whose image lies at `offset`, empty where nothing is."""
    for extension, (at, length, name) in line.items():
        if found.get(at) != (name, at, length):
            return f"names a member that the tar does not have: {name}"
        if extension != idx.extension_of(name):
            return f"has {extension!r} for the extension of {name}"
    if (offset, size) not in [(at, length) for at, length, _ in line.values()]:
        return f"byte {offset:,}: not the sample that the index has there"
    return "" if LABEL_EXTENSION in line else f"byte {offset:,}: a sample without its label"


def _label_fault(descriptor: int, place: tuple[int, int, str], expected: str) -> str:
    """What is wrong with a label member, empty where nothing is."""
    try:
        seen = labels.read(descriptor, *place[:2])
    except ValueError as error:
        return str(error)
    return "" if seen == expected else f"its label is {seen!r}, the index has {expected!r}"
