"""Errors name what a full disk has run out of: bytes, inodes, or the quota of the user."""

import errno
import os
import sys
from pathlib import Path

from headrace.shards.store import FullError, storage_error
from tests.disks import in_namespace
from tests.prep.contents import as_zip, small

SCRIPT = """
mkdir "$2/disk"; mount -t tmpfs -o size=400m,nr_inodes=18 tmpfs "$2/disk"
"$3" -P -m headrace prep "$1" "$2/disk/out" --samples-per-shard 2 --workers "$4" || echo "ended with $?"
mount -o remount,nr_inodes=999 "$2/disk"
"$3" -P -m headrace prep "$1" "$2/disk/out" --samples-per-shard 2; ls -A "$2/disk"
"""


def test_no_inode_left_is_not_called_a_full_disk(tmp_path: Path) -> None:
    """The error says that inodes ran out and what to do; the same command goes on once there are more."""
    source = as_zip(small(), tmp_path / "a.zip")
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        done = in_namespace(SCRIPT, source, tmp_path / str(workers), sys.executable, workers)
        lines = done.stdout.splitlines()
        assert lines[0] == "ended with 1", done
        assert lines[1].startswith("continuing an interrupted run")
        assert lines[-1] == "out"
        (error,) = [line for line in done.stderr.splitlines() if "error" in line]
        assert "the disk has no inode left for another file (all 18 are in use; 4" in error
        assert "remove some files, however small, and try again: finished shards are kept" in error
        assert "disk is full" not in error


def test_quota_is_named(tmp_path: Path) -> None:
    """A quota that is used up is not called a full disk either."""
    error = storage_error(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), tmp_path / "none" / "file")
    assert isinstance(error, FullError)
    assert "the user's quota on this disk is used up" in str(error)
    assert "shards" not in str(error)
