"""Reads the paths in a listing, which needs no labels: a text file with one path per line, CSV, JSON lines or Parquet.

Relative paths start at the folder of the listing and must stay inside this folder. Absolute paths may lead anywhere.
"""

import codecs
import csv
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prep.command.options import Options
from headrace.prep.sources.columns import MissingColumnError, find_column, objects_of, text_of
from headrace.prep.sources.files import SYMBOLIC
from headrace.prep.sources.kinds import has_image_ending
from headrace.shards import regular
from headrace.shards.errors import DataError
from headrace.shards.open_files import refuse_limit

TEXT = ".txt"
LEADS_OUT = "leads out of the listing's folder"
_ROWS = 4096  # rows of a Parquet file in memory at a time


Real = Callable[[Path], str]
"""A function that returns the real path of a folder, such as os.path.realpath, or the same function with a cache."""


def stat_listed(folder: Path, path: str, *, follow: bool = False, real: Real = os.path.realpath) -> os.stat_result:
    """The stat result of a file that a listing in `folder` names.

    Raises DataError if the file cannot be used; the message is only the reason.
    """
    try:
        inside = folder / path
        bound = not follow and not path.startswith("/")
        if bound and not _lies_in(real(inside.parent), folder, real):
            raise DataError(LEADS_OUT)
        found = inside.stat() if follow else inside.lstat()
        if bound and stat.S_ISLNK(found.st_mode) and not _lies_in(os.path.realpath(inside), folder, real):
            raise DataError(LEADS_OUT)
    except (OSError, ValueError) as error:
        raise DataError(f"no such file ({error})") from error
    if stat.S_ISLNK(found.st_mode):
        raise DataError(SYMBOLIC)
    if not stat.S_ISREG(found.st_mode):
        raise DataError("not a regular file")
    return found


def _lies_in(path: str, folder: Path, real: Real) -> bool:
    return Path(path).is_relative_to(real(folder))


def listed_paths(root: Path) -> list[str]:
    """The paths as written in the listing, in its order, possibly with duplicates; "" for a row without a path.

    Raises DataError if the listing cannot be read or has no column of paths.
    """
    kind = root.suffix.lower()
    try:
        if kind == ".parquet":
            return _in_parquet(root)
        if kind == TEXT:
            lines = regular.read(root).removeprefix(codecs.BOM_UTF8).splitlines()
            return [os.fsdecode(line) for line in lines if line.strip()]
        with root.open(encoding="utf-8-sig", newline="") as stream:
            return [text_of(cell).strip() for cell in (_in_jsonl if kind == ".jsonl" else _in_csv)(root, stream)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{root}: not a table in UTF-8 ({error}). Correct it and try again") from error
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError):
            refuse_limit(error)
        raise DataError(f"{root}: cannot be read ({error}). Get it again") from error


def _in_csv(root: Path, lines: Iterable[str]) -> Iterator[Any]:
    """Yield the paths in a CSV; if the first row contains the name of an image, this row is not a header."""
    rows = csv.reader(lines, strict=True)
    first = next(rows, [])
    try:
        at = first.index(_path_column(root, first))
    except MissingColumnError:
        images = [place for place, cell in enumerate(first) if has_image_ending(cell.strip())]
        if not images:
            raise
        at = images[0]
        yield first[at]
    for row in rows:
        if row:
            yield row[at] if at < len(row) else ""


def _in_jsonl(root: Path, lines: Iterable[str]) -> Iterator[Any]:
    column = ""
    for _, row in objects_of(lines, root):
        column = column or _path_column(root, list(row))
        yield row.get(column)


def _in_parquet(root: Path) -> list[str]:
    with pq.ParquetFile(root, page_checksum_verification=True, pre_buffer=False) as file:
        column = _path_column(root, file.schema_arrow.names)
        batches = file.iter_batches(_ROWS, columns=[column], use_threads=False)
        return [text_of(cell).strip() for batch in batches for cell in batch.column(column).to_pylist()]


def _path_column(root: Path, headers: list[str]) -> str:
    try:
        return str(find_column("path", root, headers, Options()))
    except MissingColumnError as error:
        raise MissingColumnError(
            f"{root}: its columns are {', '.join(headers[:20]) or 'none'}; none of them has a usual name for paths "
            "(path, file, file_name, image, ...). Rename one, or give a text file (.txt) with one path per line"
        ) from error
