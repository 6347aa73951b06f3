import errno
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from shards import store
from shards.errors import HeadraceError, UsageError


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """While it is written the name does not exist; after an error nothing is left, and an older file stays."""
    path = tmp_path / "file"
    with store.replacing(path) as stream:
        stream.write(b"first")
        assert not path.exists()
    with pytest.raises(RuntimeError, match="halfway"):
        _break_off(path)
    assert path.read_bytes() == b"first"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def _break_off(path: Path) -> None:
    with store.replacing(path) as stream:
        stream.write(b"second")
        raise RuntimeError("halfway")


def test_folder_is_published_in_one_step(tmp_path: Path) -> None:
    """The finished folder takes the target's name, without leftovers of killed writers, in place of an older one."""
    target = tmp_path / "set"
    for content in (b"one", b"two"):
        work = store.work_folder(target)
        work.mkdir()
        (work / "file").write_bytes(content)
        (work / f"file.1{store.PARTIAL}").write_bytes(b"")
        store.publish(work, target)
        assert [(one.name, one.read_bytes()) for one in target.iterdir()] == [("file", content)]
    assert [one.name for one in tmp_path.iterdir()] == ["set"]


def _hold(target: Path, ready: Any) -> None:
    with store.locked(target):
        ready.set()
        signal.pause()


def test_second_writer_is_told_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    """One target has one writer at a time; the kernel frees the lock of a process that was killed."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "set", ready))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(HeadraceError, match="another headrace"), store.locked(tmp_path / "set"):
        pass
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    with store.locked(tmp_path / "set"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, HeadraceError, "disk is full"),
        (errno.EROFS, UsageError, "cannot write there"),
        (errno.EACCES, UsageError, "cannot write there"),
        (errno.EIO, HeadraceError, "Input/output error"),
    ],
)
def test_failed_write_says_what_to_do(tmp_path: Path, number: int, kind: type[HeadraceError], words: str) -> None:
    """A full disk, a read-only target and a failing disk are told apart."""
    path = tmp_path / "deep" / "file"
    error = store.storage_error(OSError(number, os.strerror(number)), path)
    assert type(error) is kind
    assert words in str(error)
    assert str(path) in str(error)


def test_full_disk_while_writing(tmp_path: Path) -> None:
    """A device that is full ends the write with one clear error."""
    with pytest.raises(HeadraceError, match="disk is full"), store.replacing(tmp_path / "file") as stream:
        raise OSError(errno.ENOSPC, "No space left on device", str(stream))
