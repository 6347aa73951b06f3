"""Paths that no system call takes, or that this user may not follow: refused before anything is done with them."""

import errno
from pathlib import Path

from headrace.shards.errors import UsageError

_WHY = {
    errno.ENAMETOOLONG: "it, or a name in it, is longer than file systems allow (255 bytes). Choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle. Choose another",
    errno.EACCES: "you may not look into a folder on the way (Permission denied). Have its owner allow it",
    errno.EPERM: "you may not look there (Operation not permitted). Have its owner allow it",
}


def refuse_impossible(path: Path) -> None:
    """Raise UsageError where the system cannot say whether anything is at `path`. Nothing has to be there."""
    try:
        path.stat()
    except ValueError as error:
        raise UsageError(f"{path}: no file has such a name ({error}). Give another path") from error
    except OSError as error:
        if error.errno in _WHY:
            raise UsageError(f"{path}: {_WHY[error.errno]}") from error
