"""Whether a shard set still is what its manifest says, and what to do about each thing that is not."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from shards import headers, idx, index, regular
from shards.errors import DataError
from shards.manifest import Manifest, ShardInfo, SplitInfo, load
from shards.shardset import check_size
from shards.tar import LABEL_EXTENSION, Member, members

Decode = Callable[[bytes], tuple[int, int]]  # width and height; raises DataError when an image does not decode
Columns = dict[str, NDArray[Any]]
_COLUMNS = ("shard", "offset", "size", "label", "crc32", "width", "height")
_SHOWN = 3  # problems of a kind that a shard names one by one


@dataclass(frozen=True)
class Report:
    """What a verification found. No problems: the set is sound."""

    manifest: Manifest
    problems: list[str]


def verify(root: Path, *, decode: Decode | None, threads: int, progress: Callable[[int], None]) -> Report:
    """Check sizes, SHA-256 and index of every tar against each other; with `decode`, also every image.

    `progress` gets the samples checked so far.
    """
    manifest = load(root)
    problems: list[str] = []
    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for split in manifest.splits:
            try:
                columns = _columns(root, split, len(manifest.classes))
            except DataError as error:
                problems.append(str(error))
                continue

            def check(number: int, split: SplitInfo = split, columns: Columns = columns) -> list[str]:
                return list(_check_shard(root, split.shards[number], _part(columns, number), decode))

            for shard, found in zip(split.shards, pool.map(check, range(len(split.shards))), strict=True):
                problems += found
                done += shard.samples
                progress(done)
    if not problems:
        headers.remember(manifest)
    return Report(manifest, problems)


def _columns(root: Path, split: SplitInfo, classes: int) -> Columns:
    columns = index.read_numbers(root, split.index, _COLUMNS)
    labels, counts = columns["label"], [shard.samples for shard in split.shards]
    path = root / split.index.name
    if not np.array_equal(columns["shard"], np.repeat(np.arange(len(counts)), counts)):
        raise DataError(f"{path}: its rows are not the samples of the manifest's shards. {index.remedy(root)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"{path}: a label is outside the list of {classes} classes. {index.remedy(root)}")
    return columns


def _part(columns: Columns, number: int) -> Columns:
    first, last = np.searchsorted(columns["shard"], [number, number + 1])
    return {name: column[first:last] for name, column in columns.items()}


def _check_shard(root: Path, shard: ShardInfo, rows: Columns, decode: Decode | None) -> Iterator[str]:
    """The problems of one tar and its .idx."""
    path = root / shard.name
    try:
        check_size(root, shard.name, shard.bytes)
        with regular.opened(path) as stream:
            seen = hashlib.file_digest(stream, "sha256").hexdigest()
        if seen != shard.sha256:
            yield f"{path}: SHA-256 {seen[:12]}..., the manifest says {shard.sha256[:12]}... {index.remedy(root)}"
        found = {member.offset: member for member in members(path)}
    except DataError as error:
        yield str(error)
        return
    except OSError as error:
        yield f"{path}: {error.strerror}. {index.remedy(root)}"
        return
    yield from _short(path, "the index", _check_rows(path, rows, found, decode), root)
    yield from _short(path.with_suffix(".idx"), "DALI's index", _check_idx(path, rows, found), root)


def _short(path: Path, what: str, problems: Iterator[str], root: Path) -> Iterator[str]:
    """The first problems, and how many there are beyond."""
    every = list(problems)
    for problem in every[:_SHOWN]:
        yield f"{path}: {problem}. {index.remedy(root)}"
    if len(every) > _SHOWN:
        yield f"{path}: {len(every) - _SHOWN:,} more problems like these with {what}"


def _check_rows(path: Path, rows: Columns, found: dict[int, Member], decode: Decode | None) -> Iterator[str]:
    """Each row of the Parquet index: a member where it says, and in the member the bytes that it says."""
    descriptor = regular.descriptor(path)
    try:
        columns = ("offset", "size", "crc32", "width", "height")
        for offset, size, crc, *sides in zip(*(rows[name].tolist() for name in columns), strict=True):
            member = found.get(offset)
            if member is None or member.size != size:
                yield f"no member of {size:,} bytes at byte {offset:,}, where the index has a sample"
            elif decode is None:
                if fault := headers.why_unsafe_at(descriptor, offset, size):
                    yield f"{member.name}: the image does not decode safely: it has {fault}"
            elif problem := _image_problem(os.pread(descriptor, size, offset), crc, sides, decode):
                yield f"{member.name}: {problem}"
    finally:
        os.close(descriptor)


def _image_problem(data: bytes, crc: int, sides: list[int], decode: Decode) -> str:
    """What is wrong with the bytes of an image, or with what the index says of them; "" when nothing is."""
    if crc32(data) != crc:
        return "its bytes are not those that the index describes (CRC-32)"
    try:
        seen = decode(data)
    except DataError as error:
        return str(error)
    if list(seen) != sides:
        return f"decodes to {seen[0]:,} x {seen[1]:,} pixels, the index says {sides[0]:,} x {sides[1]:,}"
    return ""


def _check_idx(path: Path, rows: Columns, found: dict[int, Member]) -> Iterator[str]:
    """Each line of the .idx: members where it says, among them the row's JPEG and its label."""
    try:
        lines = list(idx.parse(regular.read(path.with_suffix(".idx")).decode("utf-8")))
        descriptor = regular.descriptor(path)
    except OSError as error:
        yield error.strerror or str(error)
        return
    except (DataError, UnicodeDecodeError) as error:
        yield str(error)
        return
    try:
        if len(lines) != len(rows["offset"]):
            yield f"{len(lines):,} samples, the index has {len(rows['offset']):,}"
            return
        places = zip(*(rows[name].tolist() for name in ("offset", "size", "label")), strict=True)
        for line, (offset, size, label) in zip(lines, places, strict=True):
            if any(found.get(at) != (name, at, length) for at, length, name in line.values()):
                yield f"names a member that the tar does not have: {next(iter(line.values()))[2]}"
            elif (offset, size) not in [(at, length) for at, length, _ in line.values()]:
                yield f"byte {offset:,}: not the sample that the index has there"
            elif LABEL_EXTENSION in line and _label(descriptor, *line[LABEL_EXTENSION][:2]) not in {label, None}:
                yield f"{line[LABEL_EXTENSION][2]}: not the label {label} that the index has"
    finally:
        os.close(descriptor)


def _label(descriptor: int, offset: int, size: int) -> int | None:
    """The integer in a label member; None when it is a word, as in tars made by others."""
    text = os.pread(descriptor, min(size, 20), offset)
    return int(text) if text.strip().isdigit() else None
