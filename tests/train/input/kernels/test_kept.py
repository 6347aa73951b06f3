"""Files of compiled loops are whole or missing, whoever writes them and however they are damaged."""

import os
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.shards.user_cache import private_folder
from headrace.train.input.kernels import kept
from headrace.train.input.kernels.kept import Kept

KEY, DATA = b"of this code, on this processor", b"\x00machine code\xff" * 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a private folder for this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = private_folder("loops")
    assert found is not None
    return found


@pytest.fixture
def loops() -> Kept:
    """Return the store in this folder."""
    return Kept("loops", "nothing is kept")


def only(folder: Path) -> Path:
    """Return the only file in the folder."""
    (path,) = folder.iterdir()
    return path


def test_what_was_put_is_there_for_its_key_alone(folder: Path, loops: Kept) -> None:
    """Bytes are returned for the same name and key, and for no other."""
    loops.put("one", KEY, DATA)
    assert Kept("loops", "").get("one", KEY) == DATA
    assert loops.get("other", KEY) is None
    assert loops.get("one", KEY + b"!") is None
    assert only(folder).name.startswith("one-")
    assert loops.trouble == ""


def test_every_cut_and_every_flipped_bit_is_seen(folder: Path, loops: Kept) -> None:
    """No file with one cut or one flipped bit is accepted; after another `put` the file is whole."""
    loops.put("one", KEY, DATA)
    path = only(folder)
    whole = path.read_bytes()
    cuts = [whole[:length] for length in range(len(whole))]
    flips = [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :] for at in range(len(whole)) for bit in range(8)
    ]
    assert len(cuts) + len(flips) > 200
    for damaged in (*cuts, *flips, whole + b"\0"):
        path.write_bytes(damaged)
        assert loops.get("one", KEY) is None
    loops.put("one", KEY, DATA)
    assert loops.get("one", KEY) == DATA


@settings(max_examples=50)
@given(damaged=st.binary(max_size=100))
def test_other_bytes_are_never_taken(tmp_path_factory: pytest.TempPathFactory, damaged: bytes) -> None:
    """A file with the right name and other content is never accepted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("any")))
        loops, folder = Kept("loops", ""), private_folder("loops")
        assert folder is not None
        loops.put("one", KEY, DATA)
        only(folder).write_bytes(damaged)
        assert loops.get("one", KEY) is None


def test_file_under_the_name_of_another_is_not_taken(folder: Path, loops: Kept) -> None:
    """Intact code of another function, other types or another processor is not accepted."""
    loops.put("one", KEY, DATA)
    path = only(folder)
    loops.put("one", b"another key", DATA)
    (other,) = set(folder.iterdir()) - {path}
    path.replace(other)
    assert loops.get("one", b"another key") is None


def test_folder_that_others_may_write_is_not_used(folder: Path, loops: Kept) -> None:
    """Nothing is read from such a folder, as anybody could forge code with its hash; a warning says so."""
    loops.put("one", KEY, DATA)
    folder.chmod(0o777)
    assert loops.get("one", KEY) is None
    loops.put("two", KEY, DATA)
    assert only(folder).name.startswith("one-")
    assert loops.trouble.startswith("nothing is kept: there is no folder headrace/loops")


def test_full_disk_is_said(folder: Path, loops: Kept) -> None:
    """A failed write is a warning, not an error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        loops.put("one", KEY, DATA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []
    assert loops.trouble == f"nothing is kept: {folder}: File too large"


def test_folder_does_not_grow_for_ever(folder: Path, loops: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a number of files, the least recently used ones are removed, and so are remains of killed processes."""
    monkeypatch.setattr(kept, "_MOST", 3)
    now = time.time()
    for number in range(3):
        loops.put(str(number), KEY, DATA)
        path = next(folder.glob(f"{number}-*"))
        os.utime(path, (now - 1000 + number, now - 1000 + number))
    assert loops.get("0", KEY) == DATA  # that is a use
    for name, age in (("left.1.partial", 7200), ("being-written.2.partial", 60), ("notes.txt", 7200)):
        (folder / name).touch()
        os.utime(folder / name, (now - age, now - age))
    loops.put("3", KEY, DATA)
    left = {path.name.split("-")[0] for path in folder.iterdir()}
    assert left == {"0", "2", "3", "being", "notes.txt"}


def test_what_has_to_be_made_is_told_once(folder: Path, loops: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one message for any number of loops; if nothing can be stored, it does not promise reuse."""
    told: list[str] = []
    loops.tell = told.append
    loops.missed()
    loops.missed()
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    homeless = Kept("loops", "nothing is kept")
    homeless.tell = told.append
    assert homeless.get("one", KEY) is None
    homeless.missed()
    assert list(folder.iterdir()) == []
    line = "compiling the loops over pixels for this processor, which takes some seconds"
    assert told == [f"{line}; later starts reuse them", line]
