"""From a path to a source: where its files lie, and which layout they have."""

from pathlib import Path

from prep.files import Files
from prep.folder import FolderFiles
from prep.source import Source
from prep.tinyimagenet import find_root, open_tinyimagenet
from prep.zipped import ZipFiles
from shards.errors import DataError, UsageError

_KNOWN = "TinyImageNet in its official layout (wnids.txt, train/, val/), as a zip or a folder"


def open_files(path: Path) -> Files:
    """The files at `path`, a folder or a zip."""
    if path.is_dir():
        return FolderFiles(path)
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder. Give {_KNOWN}")
    with path.open("rb") as stream:
        start = stream.read(4)
    if start[:2] == b"PK" or path.suffix.lower() == ".zip":
        return ZipFiles(path)
    raise UsageError(f"{path}: not a zip (it starts with {start!r}). Give {_KNOWN}")


def open_source(files: Files) -> Source:
    """The data set among these files."""
    table = files.table()
    if (root := find_root(table)) is not None:
        return open_tinyimagenet(files, table, root)
    some = ", ".join(table.paths[:3]) or "nothing"
    raise DataError(f"{files.root}: no data set found: {len(table):,} files ({some}, ...). Give {_KNOWN}")
