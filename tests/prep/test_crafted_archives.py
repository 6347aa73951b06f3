"""Archives that somebody made to mislead, which random damage would hardly hit."""

import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from prep.sources import open_files
from prep.tarred import TarFiles
from prep.zipped import ZipFiles
from shards.errors import DataError
from shards.tar import members
from tests.prep.damage import tarred, tree, zipped

JPEG = next(iter(tree().values()))


def resummed(tar: bytes, start: int, field: bytes) -> bytes:
    """The tar with other bytes in its first header, and a sum that fits them."""
    header = bytearray(tar[:512])
    header[start : start + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar[512:]


@pytest.mark.parametrize("size", [b"-0000001000\0", b"+0000000010\0", b"0000_000010\0", b"0x000000010\0"])
def test_size_that_is_no_number(size: bytes, tmp_path: Path) -> None:
    """A size below 0 would lead the walk round in a circle; it is an error, as all that is not octal."""
    (tmp_path / "a.tar").write_bytes(resummed(tarred({b"a/1.jpg": JPEG}), 124, size))
    with pytest.raises(DataError, match="no tar header at byte 0"):
        list(members(tmp_path / "a.tar"))


@pytest.mark.parametrize("size", ["-512", "x", "", "9" * 40])
def test_pax_size_that_is_no_number(size: str, tmp_path: Path) -> None:
    """A size in a PAX header that makes no sense is not followed, one beyond the file is an error."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a/1.jpg")
        info.size, info.pax_headers = len(JPEG), {"size": size}
        archive.addfile(info, io.BytesIO(JPEG))
    (tmp_path / "a.tar").write_bytes(out.getvalue())
    if size.isdecimal():
        with pytest.raises(DataError, match="cut short"):
            list(members(tmp_path / "a.tar"))
    else:
        assert [one.size for one in members(tmp_path / "a.tar")] == [len(JPEG)]


def test_name_that_is_a_bomb(tmp_path: Path) -> None:
    """A name of megabytes is refused before it is read."""
    (tmp_path / "a.tar").write_bytes(tarred({b"n" * (2 << 20): b""}))
    with pytest.raises(DataError, match="a name of 2,097,15"):
        list(members(tmp_path / "a.tar"))


def test_two_names_for_one_member(tmp_path: Path) -> None:
    """The directory of a zip gives a member another name, so another class, than stands before its bytes: an error."""
    data = zipped({b"ant/1.jpg": JPEG, b"cat/1.jpg": JPEG})
    at = data.rindex(b"ant/1.jpg")
    (tmp_path / "a.zip").write_bytes(data[:at] + b"cow" + data[at + 3 :])
    files = ZipFiles(tmp_path / "a.zip")
    entry = next(one for one in files.table() if one.path == "cow/1.jpg")
    with pytest.raises(DataError, match="another name in front of its bytes"):
        files.reader("").read(entry)


@pytest.mark.parametrize("name", ["äpfel/ö.jpg", "яблоки/1.jpg"])
def test_names_of_any_alphabet(name: str, tmp_path: Path) -> None:
    """Names that are not ASCII are compared as well as others, below a root too."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"größe/{name}", JPEG)
    files = ZipFiles(tmp_path / "a.zip")
    (entry,) = files.table()
    assert files.reader("größe/").read(entry._replace(path=name)) == JPEG


@pytest.mark.parametrize("name", ["a.tar.bz2", "a.tar.gz", "a.tar.xz"])
def test_junk_behind_a_magic_number(name: str, tmp_path: Path) -> None:
    """A file that only begins like a compressed one is named as what it is: not to be unpacked."""
    magic = {"bz2": b"BZh9", "gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0"}[name.rsplit(".", 1)[-1]]
    (tmp_path / name).write_bytes(magic + bytes(600))
    files = open_files(tmp_path / name, tmp_path)
    assert isinstance(files, TarFiles)
    with pytest.raises(DataError, match=f"{name}: does not unpack"):
        files.table()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_zip_whose_directory_lost_members(tmp_path: Path) -> None:
    """A directory with fewer entries than its end announces is an error, never a smaller data set."""
    contents = {name.encode(): data for name, data in tree().items()}
    whole = zipped(contents)
    end = whole.rindex(b"PK\5\6")
    length = int.from_bytes(whole[end + 12 : end + 16], "little")
    second = whole.index(b"PK\1\2", end - length + 4)
    shorter = whole[: end - length] + whole[second:end]
    resized = (len(shorter) - (end - length)).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(shorter + whole[end : end + 12] + resized + whole[end + 16 :])
    with pytest.raises(DataError, match=f"holds {len(contents) - 1} members, and says that they are {len(contents)}"):
        ZipFiles(tmp_path / "a.zip").table()


def test_zip_of_many_members_and_behind_other_bytes(tmp_path: Path) -> None:
    """More members than 16 bits count, and offsets that begin after a preamble."""
    names = [f"a/{number:05d}.jpg" for number in range(66_000)]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), name)
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes())
    for path in (tmp_path / "a.zip", tmp_path / "b.zip"):
        files = ZipFiles(path)
        table = files.table()
        assert table.paths == names
        entry = next(iter(table.take(np.array([65_999]))))
        assert files.reader("").read(entry) == names[-1].encode()


def test_zip_member_of_64_bit_size(tmp_path: Path) -> None:
    """A member written with the 64-bit form of its sizes is read as any other."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("a/1.jpg", "w", force_zip64=True) as member:
        member.write(JPEG)
    files = ZipFiles(tmp_path / "a.zip")
    (entry,) = files.table()
    assert files.reader("").read(entry) == JPEG


def test_directory_of_a_zip_takes_few_bytes_a_member(tmp_path: Path) -> None:
    """The listing decides the memory of a large prep: at its peak less than half of zipfile's 0.8 KB a member."""
    count = 20_000
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"train/n{number % 100:05d}/{number:08d}.jpg"), b"")
    files = ZipFiles(tmp_path / "a.zip")
    tracemalloc.start()
    try:
        table = files.table()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table) == count
    assert peak < 400 * count
