import errno
import multiprocessing
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from headrace.shards import remains, store
from headrace.shards.errors import HeadraceError, UsageError
from headrace.shards.lock import locked


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """The name does not exist during the write; an error leaves nothing behind, and an older file stays."""
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
    """The finished folder replaces an older one under the target name, with no leftovers of killed writers."""
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
    with locked(target):
        ready.set()
        signal.pause()


def test_second_writer_is_told_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    """A target has one writer at a time; the kernel releases the lock of a process that was killed."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "set", ready))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(HeadraceError, match="another headrace"), locked(tmp_path / "set"):
        pass
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    with locked(tmp_path / "set"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, store.FullError, "disk is full"),
        (errno.EROFS, UsageError, "cannot write there"),
        (errno.EACCES, UsageError, "cannot write there"),
        (errno.EIO, HeadraceError, "Input/output error"),
    ],
)
def test_failed_write_says_what_to_do(tmp_path: Path, number: int, kind: type[HeadraceError], words: str) -> None:
    """The errors for a full disk, a read-only target and a failing disk differ."""
    path = tmp_path / "deep" / "file"
    error = store.storage_error(OSError(number, os.strerror(number)), path)
    assert type(error) is kind
    assert words in str(error)
    assert str(path) in str(error)


def test_full_disk_while_writing(tmp_path: Path) -> None:
    """A full device ends the write with one clear error."""
    with pytest.raises(HeadraceError, match="disk is full"), store.replacing(tmp_path / "file") as stream:
        raise OSError(errno.ENOSPC, "No space left on device", str(stream))


def _write_slowly(path: Path, ready: Any, go: Any) -> None:
    with store.replacing(path) as stream:
        stream.write(b"whole")
        stream.flush()
        ready.set()
        go.wait()


def pid_in(partial: Path, path: Path) -> int:
    """The process id in the name of an unfinished file."""
    found = re.fullmatch(rf"{re.escape(path.name)}\.(\d+)\.[0-9a-f]{{16}}\.partial", partial.name)
    assert found, partial
    return int(found[1])


def test_remains_of_the_dead_are_removed_and_nothing_of_the_living(tmp_path: Path) -> None:
    """Files of a killed writer go at the next start, while a living writer of the same file finishes."""
    context, path = multiprocessing.get_context("spawn"), tmp_path / "file[1]"
    writers = []
    for _ in range(2):
        ready, go = context.Event(), context.Event()
        writers.append((context.Process(target=_write_slowly, args=(path, ready, go)), go))
        writers[-1][0].start()
        assert ready.wait(60)
    (dead, _), (living, go) = writers
    os.kill(dead.pid or 0, signal.SIGKILL)
    dead.join()
    assert {pid_in(one, path) for one in tmp_path.iterdir()} == {dead.pid, living.pid}
    remains.remove_remains(path)
    assert [pid_in(one, path) for one in tmp_path.iterdir()] == [living.pid]
    go.set()
    living.join()
    assert (living.exitcode, path.read_bytes(), len(list(tmp_path.iterdir()))) == (0, b"whole", 1)


def test_files_of_others_are_no_remains(tmp_path: Path) -> None:
    """Only a regular file with exactly the name that a writer of this file uses is ever removed."""
    names = ("file.partial", "file.old.partial", "file.7.partial.txt", "afile.7.partial", "other.7.partial", "file.7")
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "file.8.partial").symlink_to("file.7")
    (tmp_path / "file.9.partial").mkdir()
    os.mkfifo(tmp_path / "file.10.partial")
    before = sorted(tmp_path.iterdir())
    remains.remove_remains(tmp_path / "file")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "file.11.partial").write_bytes(b"left")
    remains.remove_remains(tmp_path / "file")
    assert sorted(tmp_path.iterdir()) == before


def test_no_write_is_lost_to_a_removal(tmp_path: Path) -> None:
    """A write succeeds whenever a removal happens, even between making the file and locking it."""
    path, stop = tmp_path / "file", threading.Event()

    def remove() -> None:
        while not stop.is_set():
            remains.remove_remains(path)

    remover = threading.Thread(target=remove)
    remover.start()
    end = time.monotonic() + 0.5
    try:
        while time.monotonic() < end:
            store.write_bytes(path, b"x")
    finally:
        stop.set()
        remover.join()
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
