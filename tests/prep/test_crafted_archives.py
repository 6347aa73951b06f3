"""Archives that somebody made to mislead, which random damage would hardly hit."""

import io
import tarfile
import zipfile
from pathlib import Path

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
    files = open_files(tmp_path / name, tmp_path / "spool")
    assert isinstance(files, TarFiles)
    with pytest.raises(DataError, match=f"{name}: does not unpack"):
        files.table()
    assert not (tmp_path / "spool").exists()
