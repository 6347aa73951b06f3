"""Finds the kind of a source at a path or URL, and the layout of its files."""

from pathlib import Path

from headrace.prep.command.options import Options
from headrace.prep.sources.bucket import BucketFiles
from headrace.prep.sources.class_order import read_classes, with_classes
from headrace.prep.sources.file_at import RemoteFile
from headrace.prep.sources.files import Files
from headrace.prep.sources.folder import FolderFiles
from headrace.prep.sources.imagefolder import KNOWN, open_imagefolder
from headrace.prep.sources.listing import ENDINGS, ListingFiles, open_listing
from headrace.prep.sources.metadata import find_metadata, open_metadata
from headrace.prep.sources.parquet import ParquetFiles, open_parquet, parquet_below, parquet_files
from headrace.prep.sources.source import Source
from headrace.prep.sources.survey import survey
from headrace.prep.sources.tar import TarFiles, is_tar
from headrace.prep.sources.tinyimagenet import find_root, open_tinyimagenet
from headrace.prep.sources.zip import ZipFiles
from headrace.shards import regular
from headrace.shards.errors import UsageError
from headrace.shards.open_files import refuse_limit
from headrace.shards.urls import Location, Url, location

_OF_FILES = (".zip", ".tar", ".tgz", *ENDINGS)  # endings of files, not of folders


def open_files(path: Location, room: Path, options: Options | None = None) -> Files:
    """The files of the source at `path`: a folder, zip, tar, listing or Parquet file.

    Temporary files, such as an unpacked tar, are stored in the folder `room`.
    """
    options = options or Options()
    if isinstance(path, Url):
        return open_files_at(path, room, options)
    try:
        if parquet := parquet_files(path):
            return ParquetFiles(path, parquet, room, options)
        if path.is_dir():
            return FolderFiles(path, follow=options.follow_links)
        with regular.opened(path) as stream:
            start = stream.read(512)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file or folder. Give {KNOWN}") from error
    except OSError as error:
        refuse_limit(error)
        raise UsageError(f"{path}: cannot be read ({error.strerror}). Give {KNOWN}") from error
    if path.suffix.lower() in ENDINGS:
        return ListingFiles(path, room, options)
    if start[:2] == b"PK" or path.suffix.lower() == ".zip":
        return ZipFiles(path)
    if is_tar(start) or ".tar" in path.suffixes:
        return TarFiles(path, room)
    raise UsageError(f"{path}: not a folder, zip, tar or listing (it starts with {start[:8]!r}). Give {KNOWN}")


def open_files_at(url: Url, room: Path, options: Options) -> Files:
    """The files of the source at a URL.

    If an archive, listing or Parquet file is at the URL, these are the files that it contains or names. Otherwise these
    are the files below the URL in object storage.
    """
    file = RemoteFile(url)
    name = url.name.lower()
    if url.in_bucket and not any(mark in name for mark in _OF_FILES):
        found = BucketFiles(url)
        if paths := found.table().paths:
            parquet = parquet_below(url, paths)
            return ParquetFiles(url, parquet, room, options) if parquet else found
    if parquet := parquet_files(url):
        return ParquetFiles(url, parquet, room, options)
    if name.endswith(ENDINGS):
        return ListingFiles(url, room, options)
    start = file.pread(512, 0) if file.size else b""
    if start[:2] == b"PK" or name.endswith(".zip"):
        return ZipFiles(url)
    if is_tar(start) or ".tar" in name:
        return TarFiles(url, room)
    raise UsageError(f"{url}: not a zip, tar or listing (it starts with {start[:8]!r}). Give {KNOWN}")


def open_source(files: Files, options: Options) -> Source:
    """The data set that these files form, after options such as --classes-from and --per-class are applied."""
    source = _whole_source(files, options)
    if options.classes_from is not None:
        source = with_classes(source, read_classes(location(options.classes_from)), str(options.classes_from))
    return source.limited(options.classes, options.per_class)


def _whole_source(files: Files, options: Options) -> Source:
    if isinstance(files, ListingFiles):
        return open_listing(files, options)
    if isinstance(files, ParquetFiles):
        return open_parquet(files, options)
    seen = survey(files)
    root = find_root(seen.table)
    if root is None:
        metadata = find_metadata(seen, options)
        return open_metadata(seen, metadata, options) if metadata else open_imagefolder(seen, options)
    if options.val_fraction is not None or options.val is not None:
        given = "--val" if options.val is not None else "--val-fraction"
        raise UsageError(f"{files.root}: TinyImageNet already has a validation split. Omit {given}")
    return open_tinyimagenet(seen, root)
