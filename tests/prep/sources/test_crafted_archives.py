"""Archives crafted to mislead, which random damage would hardly produce."""

import os
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.sources.detect import open_files
from headrace.prep.sources.files import REPLACED
from headrace.prep.sources.tar import TarFiles
from headrace.prep.sources.zip import ZipFiles
from headrace.shards.errors import DataError
from headrace.shards.members import members
from headrace.shards.shardset import ShardSet
from tests.prep import fields
from tests.prep.damage import refusal, tarred, tree, zipped

JPEG = next(iter(tree().values()))


def resummed(tar: bytes, start: int, field: bytes) -> bytes:
    """The tar with other bytes in its first header and a matching checksum."""
    header = bytearray(tar[:512])
    header[start : start + len(field)] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar[512:]


@pytest.mark.parametrize("size", [b"-0000001000\0", b"+0000000010\0", b"0000_000010\0", b"0x000000010\0"])
def test_size_that_is_no_number(size: bytes, tmp_path: Path) -> None:
    """A negative size, which would make the reader loop, is an error, as is anything that is not octal."""
    (tmp_path / "a.tar").write_bytes(resummed(tarred({b"a/1.jpg": JPEG}), 124, size))
    with pytest.raises(DataError, match="no tar header at byte 0"):
        list(members(tmp_path / "a.tar"))


@pytest.mark.parametrize("size", ["-512", "x", "", "3.5", "9" * 40, "9" * 5000, "\u0663"])
def test_pax_size_that_is_no_number(size: str, tmp_path: Path) -> None:
    """A senseless size in a PAX header is an error, however many digits it has."""
    data = fields.pax((b"size", size.encode())) + fields.member(b"a/1.jpg", JPEG) + fields.END
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(DataError, match=r"an invalid PAX header \(size is "):
        list(members(tmp_path / "a.tar"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"12 path=short\n", "an invalid record"),
        (b"9" * 5000 + b" path=x\n", "an invalid record"),
        (b"0 path=x\n", "an invalid record"),
        (b"9 path=xy", "an invalid record"),
        (b"6 =xy\n", "an invalid record"),
        (fields.record(b"path", b""), "path is empty"),
    ],
)
@pytest.mark.parametrize("kind", [b"x", b"g"])
def test_pax_header_that_makes_no_sense(data: bytes, words: str, kind: bytes, tmp_path: Path) -> None:
    """An unreadable record may have been a name or a size, so it is an error, for one member or for all."""
    path = tmp_path / "a.tar"
    path.write_bytes(fields.member(b"x", data, kind) + fields.member(b"a/1.jpg", JPEG) + fields.END)
    with pytest.raises(DataError, match=words):
        list(members(path))


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ([fields.long_name(b"b/1.jpg")] * 2, "a second extension header of type 'L' for one member"),
        ([fields.pax((b"path", b"b/1.jpg"))] * 2, "a second extension header of type 'x' for one member"),
        ([fields.pax((b"size", b"3"), kind=b"g")] * 2, "a second global PAX header with a name"),
        ([fields.member(b"", JPEG)], "a member without a name"),
        ([fields.END, fields.member(b"b/1.jpg", JPEG)], "a member after the end of the archive at byte 1,024"),
        ([bytes(512), fields.member(b"b/1.jpg", JPEG)], "a member after the end of the archive at byte 512"),
    ],
)
def test_tar_that_programs_read_in_two_ways(before: list[bytes], words: str, tmp_path: Path) -> None:
    """A second header, or a member after the end of the archive, is an error and is not dropped silently."""
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(before) + fields.member(b"a/1.jpg", JPEG) + fields.END)
    with pytest.raises(DataError, match=words):
        list(members(path))


def test_headers_without_their_member(tmp_path: Path) -> None:
    """A name header at the end of a tar, whose member was lost, is an error."""
    (tmp_path / "a.tar").write_bytes(fields.member(b"a/1.jpg", JPEG) + fields.pax((b"path", b"b/1.jpg")) + fields.END)
    with pytest.raises(DataError, match="no member at byte"):
        list(members(tmp_path / "a.tar"))


SPARSE = {
    "old": fields.old_sparse(b"ant/s.jpg", random.Random(1), extended=False),
    "old, map in more blocks": fields.old_sparse(b"ant/s.jpg", random.Random(1), extended=True),
    **{form: fields.pax_sparse(b"ant/s.jpg", random.Random(1), form) for form in ("0.0", "0.1", "1.0")},
}


@pytest.mark.parametrize("form", SPARSE)
def test_sparse_files_are_named(form: str, tmp_path: Path) -> None:
    """A sparse file of any form is left out by name, and reading continues; a sparse image ends prep."""
    path = tmp_path / "a.tar"
    path.write_bytes(SPARSE[form] + b"".join(fields.member(b"ant/%d.jpg" % k, JPEG) for k in range(3)) + fields.END)
    files = TarFiles(path, tmp_path)
    assert files.table().paths == ["ant/0.jpg", "ant/1.jpg", "ant/2.jpg"]
    assert files.left_out == [("ant/s.jpg", "a sparse file, which is not read")]
    assert "ant/s.jpg: a sparse file" in (refusal(lambda: made(path, Options(val_fraction=0))) or "")
    made(path, Options(val_fraction=0, on_bad="skip"))
    assert "ant/s.jpg" in (tmp_path / "out/report.jsonl").read_text()


def made(source: Path, options: Options) -> None:
    """Make a set of the source, beside it."""
    prep(source, source.parent / "out", options, workers=1, if_exists="error", say=lambda _: None)


@pytest.mark.parametrize(("kind", "what"), [(b"3", "a device"), (b"4", "a device"), (b"6", "a named pipe")])
def test_devices_are_named(kind: bytes, what: str, tmp_path: Path) -> None:
    """Devices are left out by name; no content follows them, whatever size their header gives."""
    path = tmp_path / "a.tar"
    path.write_bytes(fields.header(b"x", fields.octal(700), kind) + fields.member(b"a/1.jpg", JPEG) + fields.END)
    files = TarFiles(path, tmp_path)
    assert (files.table().paths, files.left_out) == (["a/1.jpg"], [("x", what)])


@pytest.mark.parametrize("kind", ["a.tar", "pax.tar", "a.zip", "folder"])
def test_names_that_are_not_utf8_are_refused_all_at_once(kind: str, tmp_path: Path) -> None:
    """All names that are not UTF-8 are listed before reading, so that no two classes merge."""
    contents = {b"k\xe4ln/1.jpg": JPEG, b"k\xf6ln/1.jpg": JPEG, b"ant/1.jpg": JPEG}
    source = tmp_path / "in"
    if kind == "folder":
        for name, data in contents.items():
            place = source / os.fsdecode(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    else:
        makers: dict[str, Callable[[dict[bytes, bytes]], bytes]] = {
            "a.tar": tarred,
            "pax.tar": partial(tarred, form=tarfile.PAX_FORMAT),
            "a.zip": zip_said_to_be_utf8,
        }
        source.with_suffix(f".{kind}").write_bytes(makers[kind](contents))
        source = source.with_suffix(f".{kind}")
    with pytest.raises(DataError, match="2 names are not UTF-8, or with unprintable characters") as caught:
        made(source, Options(val_fraction=0, on_bad="skip"))
    assert "k\\udce4ln/1.jpg" in str(caught.value)
    assert "k\\udcf6ln/1.jpg" in str(caught.value)


def zip_said_to_be_utf8(contents: dict[bytes, bytes]) -> bytes:
    """A zip with these names, all flagged as UTF-8."""
    data = bytearray(zipped(contents))
    for signature, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + flags + 1] |= 0x08
    return bytes(data)


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_file_of_a_type_that_is_none(form: str, tmp_path: Path) -> None:
    """A pipe named like an image would be a missing image, so it ends prep by name or is reported."""
    path = tmp_path / f"a.{form}"
    if form == "tar":
        path.write_bytes(
            fields.member(b"ant/1.jpg", JPEG) + fields.header(b"ant/2.jpg", fields.octal(0), b"6") + fields.END
        )
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ant/1.jpg", JPEG)
            info = zipfile.ZipInfo("ant/2.jpg")
            info.external_attr = 0o010644 << 16
            archive.writestr(info, b"")
    with pytest.raises(DataError, match=r"ant/2\.jpg: "):
        made(path, Options(val_fraction=0))
    made(path, Options(val_fraction=0, on_bad="skip"))
    assert "ant/2.jpg" in (tmp_path / "out/report.jsonl").read_text()


def test_file_that_a_later_one_replaces_is_reported(tmp_path: Path) -> None:
    """The last of equal names is used, as in tar(1), and the earlier ones are in the report."""
    other = tree()["train/cat/1.jpg"]
    path = tmp_path / "a.tar"
    path.write_bytes(fields.member(b"ant/1.jpg", JPEG) + fields.member(b"./ant//1.jpg", other) + fields.END)
    result = prep(path, tmp_path / "out", Options(val_fraction=0), workers=1, if_exists="error", say=lambda _: None)
    split = ShardSet.open(tmp_path / "out").split("train")
    assert [one.tobytes() for one in split.jpegs(np.arange(len(split)))] == [other]
    assert "an earlier file of the same name" in (tmp_path / "out/report.jsonl").read_text()
    assert result.tally.unused == {REPLACED: 1}


def test_name_that_is_a_bomb(tmp_path: Path) -> None:
    """A name of several megabytes is refused before it is read."""
    (tmp_path / "a.tar").write_bytes(tarred({b"n" * (2 << 20): b""}))
    with pytest.raises(DataError, match=r"an impossibly long name \(2,097,15"):
        list(members(tmp_path / "a.tar"))


def test_two_names_for_one_member(tmp_path: Path) -> None:
    """A zip member with another name, and so class, in the directory than before its bytes is an error."""
    data = zipped({b"ant/1.jpg": JPEG, b"cat/1.jpg": JPEG})
    at = data.rindex(b"ant/1.jpg")
    (tmp_path / "a.zip").write_bytes(data[:at] + b"cow" + data[at + 3 :])
    files = ZipFiles(tmp_path / "a.zip")
    entry = next(one for one in files.table() if one.path == "cow/1.jpg")
    with pytest.raises(DataError, match="the name in the member's header is not the name in the zip's directory"):
        files.reader("").read(entry)


@pytest.mark.parametrize("name", ["äpfel/ö.jpg", "яблоки/1.jpg"])
def test_names_of_any_alphabet(name: str, tmp_path: Path) -> None:
    """Names that are not ASCII are compared like any other, even below a root folder."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"größe/{name}", JPEG)
    files = ZipFiles(tmp_path / "a.zip")
    (entry,) = files.table()
    assert files.reader("größe/").read(entry._replace(path=name)) == JPEG


@pytest.mark.parametrize("name", ["a.tar.bz2", "a.tar.gz", "a.tar.xz"])
def test_junk_behind_a_magic_number(name: str, tmp_path: Path) -> None:
    """A file that only starts like a compressed one is reported as impossible to unpack."""
    magic = {"bz2": b"BZh9", "gz": b"\x1f\x8b", "xz": b"\xfd7zXZ\0"}[name.rsplit(".", 1)[-1]]
    (tmp_path / name).write_bytes(magic + bytes(600))
    files = open_files(tmp_path / name, tmp_path)
    assert isinstance(files, TarFiles)
    with pytest.raises(DataError, match=f"{name}: does not unpack"):
        files.table()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_zip_whose_directory_lost_members(tmp_path: Path) -> None:
    """A directory with fewer entries than the end record announces is an error, never a smaller data set."""
    contents = {name.encode(): data for name, data in tree().items()}
    whole = zipped(contents)
    end = whole.rindex(b"PK\5\6")
    length = int.from_bytes(whole[end + 12 : end + 16], "little")
    second = whole.index(b"PK\1\2", end - length + 4)
    shorter = whole[: end - length] + whole[second:end]
    resized = (len(shorter) - (end - length)).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(shorter + whole[end : end + 12] + resized + whole[end + 16 :])
    with pytest.raises(DataError, match=f"holds {len(contents) - 1} members, but its end record says {len(contents)}"):
        ZipFiles(tmp_path / "a.zip").table()


def test_zip_of_many_members_and_behind_other_bytes(tmp_path: Path) -> None:
    """A zip may have more members than 16 bits count, and offsets that start after a preamble."""
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
    """A member with sizes in the 64-bit form is read like any other."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("a/1.jpg", "w", force_zip64=True) as member:
        member.write(JPEG)
    files = ZipFiles(tmp_path / "a.zip")
    (entry,) = files.table()
    assert files.reader("").read(entry) == JPEG


def test_directory_of_a_zip_takes_few_bytes_a_member(tmp_path: Path) -> None:
    """The listing, which sets the memory of a large prep, peaks below half of zipfile's 0.8 KB per member."""
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
