"""Refuses impossible paths, and paths that this user may not follow, before a command uses them."""

import errno
from pathlib import Path

from headrace.shards.errors import UsageError

_WHY = {
    errno.ENAMETOOLONG: "the path, or a name in it, is longer than the system allows. Choose a shorter one",
    errno.ELOOP: "its symbolic links form a loop. Choose another path",
    errno.EACCES: "no permission to enter a folder above it (Permission denied). Ask the folder's owner for permission",
    errno.EPERM: "no permission to access it (Operation not permitted). Ask its owner for permission",
}


def refuse_impossible(path: Path) -> None:
    """Raise UsageError if the system cannot tell whether `path` exists. A path that does not exist is accepted."""
    try:
        path.stat()
    except ValueError as error:
        raise UsageError(f"{path}: not a possible file name ({error}). Give another path") from error
    except OSError as error:
        if error.errno in _WHY:
            raise UsageError(f"{path}: {_WHY[error.errno]}") from error


def refuse_without_folder(path: Path) -> None:
    """Raise UsageError unless the folder of `path`, a file to be written, exists."""
    refuse_impossible(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        if folder.exists():
            raise UsageError(f"{path}: {path.parent} is a file, not a folder. Give another name")
        raise UsageError(f"{path}: the folder {path.parent} does not exist. Make it first, or give another name")
