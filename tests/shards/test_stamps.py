from pathlib import Path

import pytest

from headrace.shards.stamps import parse, same_source, source_of, stamp_of, with_line


@pytest.mark.parametrize("cut", [b"", b'{"source"', b"{}"])
def test_line_after_a_cut_file_is_a_line(cut: bytes) -> None:
    """The line of the next part is added whole, even if the last line of the file was cut off."""
    line = stamp_of(Path("/b"), "2", {})
    assert parse(with_line(cut, 1, line)) == [{}, {"source": "/b", "stamp": "2", "options": {}}]


def test_lines_of_other_parts_stay() -> None:
    """A new line replaces only the line of its own part."""
    first, second, other = (stamp_of(Path(name), "1", {}) for name in ("/a", "/b", "/c"))
    content = with_line(with_line(b"", 0, first), 1, second)
    assert [one["source"] for one in parse(with_line(content, 0, other))] == ["/c", "/b"]


def test_source_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set may be passed on, so "~" stands for the home folder; lines of earlier versions mean the same source."""
    monkeypatch.setenv("HOME", "/house/al")
    (line,) = parse(stamp_of(Path("/house/al/photos"), "1", {}))
    earlier = {"source": "/house/al/photos", "stamp": "1"}
    assert line["source"] == "~/photos"
    assert source_of(line) == "/house/al/photos"
    assert same_source(line, earlier)
    assert not same_source(line, earlier | {"stamp": "2"})
    assert not same_source(line, earlier | {"source": "/house/al/other"})
