"""Where GNU tar and Python's tarfile read the same from a tar, prep reads the same too."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.prep.sources.tar import TarFiles
from headrace.shards.errors import DataError
from tests.prep.fields import archive, spoilt

ROUNDS = [range(16), pytest.param(range(16, 616), marks=[pytest.mark.faults, pytest.mark.timeout(1800)])]
Tree = dict[bytes, bytes]  # path -> content of each regular file


@pytest.fixture(scope="session")
def gnu_tar() -> str:
    """The GNU tar program; a test that needs it is skipped if it is missing."""
    found = shutil.which("gtar") or shutil.which("tar")
    said = subprocess.run([found, "--version"], capture_output=True, check=False).stdout if found else b""
    if found is None or b"GNU tar" not in said:
        pytest.skip("there is no GNU tar on PATH")
    return found


def files_below(root: Path) -> Tree:
    """The regular files below `root`."""
    return {
        os.fsencode(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def by_gnu_tar(program: str, tar: Path, room: Path) -> tuple[Tree, bool]:
    """The files that GNU tar unpacks, and whether it succeeds."""
    room.mkdir()
    command = [program, "-xf", str(tar), "-C", str(room), "--no-same-owner"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return files_below(room), done.returncode == 0


def by_tarfile(tar: Path, room: Path) -> Tree | None:
    """The files that Python's tarfile unpacks, or None if it raises an exception."""
    room.mkdir()
    try:
        with tarfile.open(tar) as opened:
            opened.extractall(room, filter="tar")
    except (MemoryError, tarfile.TarError, OSError, ValueError, OverflowError, KeyError):
        return None
    return files_below(room)


def by_prep(tar: Path, room: Path) -> tuple[Tree, set[bytes]] | None:
    """The files that prep reads and the names that it leaves out, or None if it refuses the tar."""
    files = TarFiles(tar, room)
    try:
        table = files.table()
    except DataError:
        return None
    read = files.reader("").read
    return {os.fsencode(one.path): read(one) for one in table}, {os.fsencode(path) for path, _ in files.left_out}


def compared(tar: Path, gnu_tar: str, room: Path) -> tuple[bool, bool]:
    """Whether both other programs read the same from a tar, and whether prep refuses it.

    Where they do, each file is read with their bytes, or named; where they do not, with the bytes of one of them.
    """
    (one, sound), other = by_gnu_tar(gnu_tar, tar, room / "gnu"), by_tarfile(tar, room / "py")
    same = sound and one == other
    found = by_prep(tar, room)
    if found is not None:
        files, left_out = found
        if same:
            assert set(one) - set(files) <= left_out, f"{tar}: files vanish"
        if sound or other is not None:
            strange = [name for name, data in files.items() if data not in {one.get(name), (other or {}).get(name)}]
            assert strange == [], f"{tar}: names or bytes that no other program reads"
    return same, found is None


def tried(make: Callable[[int], bytes], seeds: range, gnu_tar: str, tmp_path: Path) -> list[tuple[bool, bool]]:
    """The comparison for the tar of each seed; a failure leaves a folder named after the seed."""
    results = []
    for seed in seeds:
        room = tmp_path / f"seed-{seed}"
        room.mkdir()
        (room / "a.tar").write_bytes(make(seed))
        results.append(compared(room / "a.tar", gnu_tar, room))
        shutil.rmtree(room)
    return results


@pytest.mark.parametrize("seeds", ROUNDS, ids=lambda seeds: f"{len(seeds)} archives")
def test_reads_what_two_others_read(seeds: range, gnu_tar: str, tmp_path: Path) -> None:
    """Of tars made field by field, prep accepts most of those that the two programs read alike."""
    results = tried(archive, seeds, gnu_tar, tmp_path)
    agreed = sum(same for same, _ in results)
    assert agreed > len(seeds) / 3
    assert sum(same and refused for same, refused in results) <= agreed / 20


@pytest.mark.parametrize("seeds", ROUNDS, ids=lambda seeds: f"{len(seeds)} archives")
def test_damaged_tars_lose_nothing_without_a_word(seeds: range, gnu_tar: str, tmp_path: Path) -> None:
    """The same holds for fields at limits, flipped bits, and blocks lost, zeroed or doubled."""
    results = tried(spoilt, seeds, gnu_tar, tmp_path)
    assert any(refused for _, refused in results)
    assert not all(refused for _, refused in results)
