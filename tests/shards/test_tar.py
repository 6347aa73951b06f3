import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.errors import DataError
from headrace.shards.members import Member, members
from headrace.shards.tar import BLOCK, TarWriter

KEYS = st.lists(st.from_regex(r"[a-z0-9]{1,40}", fullmatch=True), unique=True, max_size=8)


def write(samples: list[tuple[str, bytes, int]]) -> tuple[bytes, list[int], str]:
    """A tar of these samples: its bytes, the offsets of the JPEGs, and the SHA-256 from the writer."""
    stream = io.BytesIO()
    writer = TarWriter(stream)
    offsets = [writer.add(*sample) for sample in samples]
    digest = writer.close()
    return stream.getvalue(), offsets, digest


@given(KEYS, st.data())
def test_standard_library_reads_what_was_written(keys: list[str], data: st.DataObject) -> None:
    """The tarfile module reads back names, contents and plain metadata; the offsets point at the contents."""
    samples = [(key, data.draw(st.binary(max_size=1500)), data.draw(st.integers(0, 99_999))) for key in keys]
    content, offsets, digest = write(samples)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = [(one.name, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
        assert {(one.mtime, one.uid, one.gid, one.mode) for one in archive} <= {(0, 0, 0, 0o644)}
    assert found == [
        member for key, jpeg, label in samples for member in ((f"{key}.jpg", jpeg), (f"{key}.cls", b"%d" % label))
    ]
    assert [content[at : at + len(jpeg)] for at, (_, jpeg, _) in zip(offsets, samples, strict=True)] == [
        jpeg for _, jpeg, _ in samples
    ]
    assert digest == hashlib.sha256(content).hexdigest()


@given(st.from_regex(r"[a-z0-9]{1,90}", fullmatch=True), st.binary(max_size=600), st.integers(0, 10**9))
def test_headers_equal_those_of_the_standard_library(key: str, jpeg: bytes, label: int) -> None:
    """The fast writer gives the same bytes as tarfile in its ustar format, to the last block."""
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in ((f"{key}.jpg", jpeg), (f"{key}.cls", b"%d" % label)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert write([(key, jpeg, label)])[0] == expected.getvalue()


def test_too_long_key_is_refused() -> None:
    """A name too long for ustar is an error and is never cut."""
    with pytest.raises(DataError, match="100"):
        write([("k" * 97, b"", 0)])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.jpg", "folder/" + "n" * 90 + ".jpg", "n" * 95 + "/" + "m" * 90, "été.jpg"])
def test_walk_reads_every_dialect(tmp_path: Path, form: int, name: str) -> None:
    """Members of tars made by other programs are found under their full names, without folders and links."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=form) as archive:
        folder, link, plain = tarfile.TarInfo("folder"), tarfile.TarInfo("link"), tarfile.TarInfo(name)
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "x"
        plain.size, plain.mtime = 700, 1.5  # a float mtime makes PAX headers
        archive.addfile(folder)
        archive.addfile(plain, io.BytesIO(b"7" * 700))
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("empty"))
    first, second = members(path)
    assert (first.name, first.size, second.name) == (name, 700, "empty")
    assert path.read_bytes()[first.offset : first.offset + 700] == b"7" * 700


@given(cut=st.integers(0, 5 * BLOCK - 1))
def test_cut_tar_is_an_error(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A tar that ends early is told apart from a complete one, wherever it ends."""
    content, _, _ = write([("a", b"x" * 600, 1)])
    path = tmp_path_factory.mktemp("cut") / "a.tar"
    path.write_bytes(content[:cut])
    with pytest.raises(DataError, match=r"a\.tar"):
        list(members(path))


@given(place=st.integers(0, BLOCK - 1), value=st.integers(0, 255))
def test_damaged_header_is_never_another_member(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    """Any changed byte of a header is found by its checksum, or makes no difference."""
    content, _, _ = write([("a", b"x" * 600, 1)])
    path = tmp_path_factory.mktemp("bad") / "a.tar"
    path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
    try:
        assert next(members(path)) == Member("a.jpg", BLOCK, 600)
    except DataError as error:
        assert "no tar header" in str(error)  # noqa: PT017


def test_cut_tar_says_where_it_ends(tmp_path: Path) -> None:
    """The message has the byte at which the member would end and the byte at which the file ends."""
    content, offsets, _ = write([("a", b"1" * 5000, 0), ("b", b"2" * 100, 1)])
    path = tmp_path / "a.tar"
    path.write_bytes(content[: offsets[1] + 50])
    said = rf"b\.jpg ends at byte {offsets[1] + 100:,}, but the file has only {offsets[1] + 50:,} bytes"
    with pytest.raises(DataError, match=said):
        list(members(path))
