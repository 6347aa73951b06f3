"""Chooses the folder of a host for staging files from object storage, and the limit of its size."""

import os
import re
import sys
from pathlib import Path

from headrace.shards import system
from headrace.shards.errors import UsageError
from headrace.shards.home import with_home
from headrace.shards.mounts import file_system
from headrace.shards.paths import refuse_impossible
from headrace.shards.store import make_folder, storage_error
from headrace.shards.user_cache import private_folder

FOLDER, LIMIT = "HEADRACE_STAGE_DIR", "HEADRACE_STAGE_LIMIT"
"""Environment variables for the folder and the limit; runtime.stage_dir and runtime.stage_limit take precedence."""
LIMIT_FORM = r"^[0-9]{1,9}(\.[0-9]{1,6})? ?(MB|GB|TB)$"
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_NETWORK = re.compile(r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|glusterfs|beegfs|gpfs|fuse\.(sshfs|s3fs|gcsfuse|.*nfs.*)")
_GIVE = f"Set runtime.stage_dir or {FOLDER} to a folder on a local disk"


def stage_folder(named: str | None) -> Path:
    """The folder `named`, else the folder in HEADRACE_STAGE_DIR, else a folder in the user's cache; made if missing.

    Raises UsageError for a folder that cannot be used.
    """
    if not system.POSIX:
        raise UsageError(
            f"sets at a URL need locks on open files, which {sys.platform} lacks: copy the set to a folder"
        )
    named = named or os.environ.get(FOLDER)
    found = Path(with_home(named)) if named else private_folder("stage")
    if found is None:
        raise UsageError(
            f"there is no folder headrace/stage in $XDG_CACHE_HOME or ~/.cache that only this user can write. {_GIVE}"
        )
    refuse_impossible(found)
    make_folder(found, private=True)
    _refuse_unfit(found)
    return found.absolute()


def stage_limit(named: str | None) -> int | None:
    """The limit in bytes: `named`, else HEADRACE_STAGE_LIMIT, else None. Raises UsageError for an invalid limit."""
    text = named or os.environ.get(LIMIT)
    if not text:
        return None
    if not re.fullmatch(LIMIT_FORM, text):
        raise UsageError(
            f"{LIMIT} or runtime.stage_limit = {text[:40]!r}: expected a size such as 200GB, 1.5TB or 800MB"
        )
    return round(float(text[:-2]) * _UNITS[text[-2:]])


def _refuse_unfit(folder: Path) -> None:
    """Raise UsageError for a folder that others may write to, or that is on a network disk."""
    try:
        seen = folder.stat()
    except OSError as error:
        raise storage_error(error, folder) from error
    if not system.is_own(seen):
        raise UsageError(
            f"{folder}: other users may write to this folder, but Headrace trusts tars in it. Protect it with "
            "`chmod 700`, or give another folder"
        )
    kind = file_system(folder)
    if _NETWORK.fullmatch(kind):
        raise UsageError(
            f"{folder}: it is on a network disk ({kind}), but each host needs a local disk for tars. {_GIVE}"
        )
