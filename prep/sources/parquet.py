"""Reads Parquet files that contain the bytes of images, as Hugging Face's datasets writes them (image: {bytes, path}).

Samples are needed in a permuted order, but Parquet files can be read only by whole row groups. So all images are copied
once, row group by row group, to an unnamed file on the disk of OUT, and samples are read from this copy by position.
The names of classes are in the metadata of the schema, and the names of splits in the names of the files.
"""

import hashlib
import json
import re
import tempfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.prep.command.options import Options
from headrace.prep.sources.beside import others_in
from headrace.prep.sources.bucket import BucketFiles
from headrace.prep.sources.columns import MissingColumnError, find_column
from headrace.prep.sources.file_at import file_at
from headrace.prep.sources.files import UNLABELLED, Entry, Files, FileTable, LeftOut, Unused
from headrace.prep.sources.folder import FolderFiles
from headrace.prep.sources.labelled import Labelled, Layout, labelled_source
from headrace.prep.sources.listing_rows import SPLIT
from headrace.prep.sources.source import TableSource
from headrace.prep.sources.splits import split_of, split_word
from headrace.prep.sources.tar import TarReader
from headrace.prep.sources.unpacked import path_of
from headrace.shards import store
from headrace.shards.errors import DataError, HeadraceError
from headrace.shards.manifest import TRAIN
from headrace.shards.open_files import refuse_limit
from headrace.shards.urls import Location, Url

LAYOUT = "parquet"
_BATCH = 256  # rows in memory at a time, with their images
_NO_BYTES = "a row without the bytes of an image"
_PART = re.compile(r"(.+)-\d{5}-of-\d{5}(-[0-9a-f]+)?")  # the split and the number of a file, as datasets writes them
_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError)


class _Row(NamedTuple):
    entry: Entry
    label: str  # "" if there is none
    split: str  # the source's name for the split


def parquet_files(path: Location) -> list[Location]:
    """Return the Parquet files at `path`, a file or folder; the list is empty if none of them contains images.

    If a folder has no Parquet files, those in its subfolder data/ are returned.
    """
    found: list[Location]
    if isinstance(path, Url):
        found = [path] if path.name.lower().endswith(".parquet") else []
    elif path.is_dir():
        found = _files(path) or _files(path / "data")
    else:
        found = [path] if path.suffix.lower() == ".parquet" and path.is_file() else []
    return found if any(image_column(one) is not None for one in found) else []


def parquet_below(root: Url, names: Collection[str]) -> list[Location]:
    """Like `parquet_files`, for a folder at a URL; `names` are the paths of all files in that folder."""
    own = sorted(name for name in names if name.lower().endswith(".parquet"))
    here = [name for name in own if "/" not in name] or [name for name in own if name.rpartition("/")[0] == "data"]
    found: list[Location] = [root / name for name in here]
    return found if any(image_column(one) is not None for one in found) else []


def _files(folder: Path) -> list[Location]:
    return [*sorted(path for path in folder.glob("*.parquet") if path.is_file())]


def image_column(path: Location) -> str | None:
    """The column that contains the bytes of images; None if there is no such column, or if the file cannot be read."""
    try:
        return _image_in(pq.read_schema(_readable(path)))
    except _DAMAGE as error:
        if isinstance(error, OSError):
            refuse_limit(error)
        return None


def _below(root: Location, path: Location) -> str:
    """The path of the file relative to the folder `root`."""
    if isinstance(root, Url):
        return unquote(str(path).removeprefix(f"{root}/"))
    return Path(str(path)).relative_to(root).as_posix()


def _readable(path: Location) -> Any:
    """A path or a stream from which pyarrow can read the file."""
    return path if isinstance(path, Path) else file_at(path).stream()


def _image_in(schema: pa.Schema) -> str | None:
    fields = {field.name: field.type for field in schema}
    return next((name for name, kind in fields.items() if pa.types.is_struct(kind) and _has_bytes(kind)), None)


def _has_bytes(kind: pa.StructType) -> bool:
    place = kind.get_field_index("bytes")
    return place >= 0 and kind.field(place).type in {pa.binary(), pa.large_binary()}


class ParquetFiles:
    """The images in one or several Parquet files."""

    def __init__(self, root: Location, paths: list[Location], room: Path, options: Options) -> None:
        self.root = root
        self.paths = paths
        self.left_out: LeftOut = []
        self.empty: list[str] = []
        self.rows: list[_Row] = []
        self.names: list[str] = []
        """Names of the classes in order; empty if the files do not name their classes."""
        self.unlabelled: MissingColumnError | None = None
        """The error for a file without a column for labels.

        Only `open_parquet` raises this error: a data set to convert needs labels, but images to predict need none.
        """
        self._room, self._options = room, options
        self._spool: BinaryIO | None = None

    def stamp(self) -> str:
        """The hash of the names, sizes and modification times of the files."""
        seen = [(path.name, file.size, file.time) for path in self.paths for file in [file_at(path)]]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()

    def table(self) -> FileTable:
        """Copy all images to an unnamed file; return a table with an entry for each row that has an image."""
        self.close()
        free = store.free_bytes(self._room)
        needed = sum(file_at(path).size for path in self.paths)
        if needed > free // 2:
            raise HeadraceError(
                f"{self.root}: not enough space in {self._room}: a copy of the images takes about {needed:,} bytes and "
                f"the set made from it about as much again, but {free:,} bytes are free. Free some space or choose an "
                "OUT on another disk"
            )
        self.rows, self.left_out = [], []
        try:
            self._spool = cast(BinaryIO, tempfile.TemporaryFile(dir=self._room))  # noqa: SIM115  see `close`
            for path in self.paths:
                self._copy(path, self._spool)
            self._spool.flush()
        except OSError as error:
            raise store.storage_error(error, self._room) from error
        return FileTable.of([row.entry for row in self.rows])

    def _copy(self, path: Location, spool: BinaryIO) -> None:
        """Copy the images of one Parquet file to `spool`, and add their entries, labels and splits to `rows`."""
        split = TRAIN if path == self.root else _split_in(path, self._options)
        for number, (data, label) in enumerate(self._images(path)):
            name = f"{path.name}/{number:07}"
            if data is None:
                self.left_out.append((name, _NO_BYTES))
                continue
            entry = Entry(name, len(data), zlib.crc32(data), spool.tell(), len(data), 0)
            spool.write(data)
            self.rows.append(_Row(entry, label, split))

    def _label_column(self, path: Location, headers: list[str]) -> str:
        """The column for labels; "" if there is none, in which case the error is kept in `unlabelled`."""
        try:
            return str(find_column("label", path, headers, self._options))
        except MissingColumnError as error:
            self.unlabelled = error
            return ""

    def _images(self, path: Location) -> Iterator[tuple[Any, str]]:
        """Yield the bytes of the image and the label of each row of a file."""
        try:
            with pq.ParquetFile(_readable(path), page_checksum_verification=True, pre_buffer=False) as file:
                schema = file.schema_arrow
                if (image := _image_in(schema)) is None:
                    raise DataError(f"{path}: it has no images, unlike the files beside it. Move it out of the folder")
                label = self._label_column(path, [name for name in schema.names if name != image])
                names = class_names(schema, label)
                if names != self.names and self.rows:
                    raise DataError(
                        f"{path}: its class names differ from those of {self.paths[0].name}. Convert each file "
                        "separately"
                    )
                self.names = names
                columns = [f"{image}.bytes", *filter(None, [label])]
                import pyarrow.compute as pc  # noqa: PLC0415  a slow import that few sources need

                for batch in file.iter_batches(_BATCH, columns=columns, use_threads=False):
                    images = pc.struct_field(batch.column(image), "bytes")
                    labels = batch.column(label).to_pylist() if label else [None] * len(batch)
                    for one, value in zip(images, labels, strict=True):
                        yield (one.as_buffer() if one.is_valid else None), _label(value, names)
        except _DAMAGE as error:
            if isinstance(error, OSError):
                refuse_limit(error)
            raise DataError(f"{path}: not a sound Parquet file ({error}). Get it again") from error

    @property
    def folder(self) -> Files | None:
        """All files of the source folder; None if the source is a single file."""
        if self.paths == [self.root]:
            return None
        if isinstance(self.root, Url):
            return BucketFiles(self.root)
        return FolderFiles(self.root, follow=self._options.follow_links)

    @property
    def names_read(self) -> set[str]:
        """The paths of the Parquet files, relative to the source folder."""
        return {_below(self.root, path) for path in self.paths}

    def reader(self, prefix: str) -> TarReader:
        """A reader of images, which are found by position like members of a tar."""
        del prefix
        if self._spool is None:
            raise ValueError("the images are not copied yet")
        return TarReader(self.root, path_of(self._spool))

    def unpack(self) -> None:
        """Copy the images if `table` has not copied them yet."""
        if self._spool is None:
            self.table()

    def close(self) -> None:
        """Remove the copy."""
        if self._spool is not None:
            self._spool.close()


def class_names(schema: pa.Schema, label: str) -> list[str]:
    """The class names in the order of their numbers, from the metadata of Hugging Face's datasets; may be empty."""
    try:
        about = json.loads((schema.metadata or {})[b"huggingface"])
        names = about["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []


def _label(value: object, names: list[str]) -> str:
    """The class of a row as text; "" if the row has no class, which Hugging Face's datasets marks with -1."""
    if value is None or value == -1 or value != value:  # noqa: PLR0124  NaN
        return ""
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    return value.decode("utf-8").strip() if isinstance(value, bytes) else str(value).strip()


def _split_in(path: Location, options: Options) -> str:
    """The split in a file's name: the part before the numbers, such as extra in extra-00000-of-00002.parquet.

    In a name without such numbers, the split is the first word that is a usual name of a split, or train if there is no
    such word.
    """
    stem = PurePosixPath(path.name).stem.lower()
    if (part := _PART.fullmatch(stem)) is None:
        return split_word(stem, options)
    if not split_of(part[1], options) and not SPLIT.fullmatch(part[1]):
        raise DataError(f"{path}: {part[1]!r} cannot be the name of a split. Rename the file")
    return part[1]


def open_parquet(files: ParquetFiles, options: Options) -> TableSource:
    """Make the source from the Parquet files. Raises MissingColumnError if a file has no column for labels."""
    table = files.table()
    if files.unlabelled is not None:
        raise files.unlabelled
    samples = [Labelled(row, one.label, one.split) for row, one in enumerate(files.rows) if one.label]
    if not samples:
        raise DataError(f"{files.root}: none of its {len(table):,} images has a label, but prep needs labels")
    unused = [Unused(path, why) for path, why in files.left_out]
    unused += [Unused(one.entry.path, UNLABELLED) for one in files.rows if not one.label]
    if files.folder is not None:
        unused += others_in(files.folder, files.names_read)
    layout = Layout(
        LAYOUT,
        FileTable.of([]),
        classes=files.names,
        words={row.split for row in files.rows},
        without_train="Name a file train-00000-of-00001.parquet",
    )
    return labelled_source(files, table, files.reader(""), samples, layout, unused, options)
