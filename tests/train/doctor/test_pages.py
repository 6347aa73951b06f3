import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.train.doctor.pages import evict, resident_bytes, users_of

SIZE = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return two files that are on the disk."""
    paths = [tmp_path / "one", tmp_path / "other"]
    for path in paths:
        with path.open("wb") as file:
            file.write(os.urandom(SIZE))
            file.flush()
            os.fsync(file.fileno())
    return paths


def test_files_are_evicted_and_come_back(files: list[Path]) -> None:
    """A new file is in memory, an evicted one is not, and after reading it is again; the other file stays."""
    if resident_bytes(files) != 2 * SIZE:
        pytest.skip("this file system does not keep what was written in memory")
    evict(files[:1])
    left = resident_bytes(files[:1])
    if left == SIZE:
        pytest.skip("this file system keeps files in memory, as tmpfs does")
    assert left == 0
    assert resident_bytes(files[1:]) == SIZE
    files[0].read_bytes()
    assert resident_bytes(files[:1]) == SIZE


def test_what_is_mapped_stays(files: list[Path]) -> None:
    """Pages that a process uses through a mapping stay, and the count says that they were not evicted."""
    with files[0].open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) >= 0
        evict(files[:1])
        assert resident_bytes(files[:1]) == SIZE


def test_empty_file_has_no_pages(tmp_path: Path) -> None:
    """An empty file, which cannot be mapped, has no pages."""
    (tmp_path / "empty").touch()
    assert resident_bytes([tmp_path / "empty"]) == 0


@pytest.mark.parametrize("how", ["file", "mapping"])
def test_other_users_are_seen(files: list[Path], how: str) -> None:
    """Other processes that have a file open or mapped are named; this process and its own children are not."""
    program = (
        "import mmap, sys\nfile = open(sys.argv[1], 'rb')\n"
        "if sys.argv[2] == 'mapping':\n"
        "    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n    file.close()\n"
        "print('open', flush=True)\nsys.stdin.read()"
    )
    assert users_of(files, {os.getpid()}) == {}
    command = [sys.executable, "-c", program, str(files[1]), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert users_of(files, {os.getpid()}) == {process.pid: files[1]}
        assert users_of(files, {os.getpid(), process.pid}) == {}
        process.communicate()
    assert users_of(files, {os.getpid()}) == {}
