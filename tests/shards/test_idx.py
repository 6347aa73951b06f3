import io
import tarfile
from pathlib import Path

import pytest

from headrace.shards import idx
from headrace.shards.errors import DataError
from headrace.shards.tar import TarWriter


def test_lines_point_at_the_members() -> None:
    """The index has the same offsets and sizes as a tar reader finds, for both the JPEG and the label."""
    stream = io.BytesIO()
    writer = TarWriter(stream)
    samples = [("k1", b"abc", 7), ("k2", b"x" * 512, 123), ("k3", b"", 0)]
    lines = [idx.sample_line(key, writer.add(key, jpeg, label), len(jpeg), label) for key, jpeg, label in samples]
    writer.close()
    found = [(at, size, name) for sample in idx.parse(idx.render(lines).decode()) for at, size, name in sample.values()]
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        assert found == [(one.offset_data, one.size, one.name) for one in archive]


def test_equal_to_dalis_own_tool(tiny_set: Path) -> None:
    """The file equals that of wds2idx byte for byte: a first line with the count, then four words per member."""
    first, *lines = (tiny_set / "val-000000.idx").read_text().splitlines()
    assert first == f"v1.2 {len(lines)}"
    with tarfile.open(tiny_set / "val-000000.tar") as archive:
        pairs = zip(*[iter(archive)] * 2, strict=True)
        expected = [
            " ".join(f"{one.name.split('.')[1]} {one.offset_data} {one.size} {one.name}" for one in pair)
            for pair in pairs
        ]
    assert lines == expected


@pytest.mark.parametrize(
    "text", ["", "v1.1 0\n", "v1.2 2\njpg 512 3 a.jpg\n", "v1.2 1\njpg 512 a.jpg 3\n", "v1.2 1\n\n"]
)
def test_what_is_not_an_index_is_refused(text: str) -> None:
    """A file with another version, a wrong count or a broken line is refused."""
    with pytest.raises(DataError):
        list(idx.parse(text))
