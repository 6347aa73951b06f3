"""Tables on disk: rows are read as they were written, and both orders equal those of a sort in memory."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.prep.sources import table
from headrace.prep.sources.listed import share_of
from headrace.prep.sources.splits import validation_part
from headrace.prep.sources.table import ROW, ByKey, ByPath, Chunk, Room, joined

NAMES = st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=60)
SMALL = st.integers(1, 7)


def written(room: Room, paths: list[str], size: int) -> table.Table:
    """A table of these paths, added `size` at a time; ranks are positions, and keys are spread over 64 bits."""
    made = room.table()
    keys = np.arange(1, len(paths) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for first in range(0, len(paths), size):
        some = paths[first : first + size]
        rows = np.zeros(len(some), ROW)
        rows["rank"] = np.arange(first, first + len(some))
        rows["key"] = keys[first : first + len(some)]
        made.add(Chunk(rows, some))
    return made


def ordered(sorter: ByPath | ByKey, rows: table.Table, size: int) -> Chunk:
    """All rows as a sorter returns them."""
    for chunk in rows.chunks(size):
        sorter.add(chunk)
    return joined(list(sorter.sorted()))


@given(paths=NAMES, size=SMALL, read=SMALL)
def test_what_is_written_is_read(paths: list[str], size: int, read: int) -> None:
    """Rows are read back with their paths, whatever the sizes of the pieces."""
    with Room(Path(tempfile.gettempdir())) as room:
        found = joined(list(written(room, paths, size).chunks(read)))
    assert found.paths == paths
    assert found.rows["rank"].tolist() == list(range(len(paths)))


@given(paths=NAMES, size=SMALL, bucket=SMALL)
def test_sorted_by_path(paths: list[str], size: int, bucket: int) -> None:
    """Paths sort as in Python, stably, for any number of buckets, and every row keeps its numbers."""
    with pytest.MonkeyPatch.context() as patch, Room(Path(tempfile.gettempdir())) as room:
        patch.setattr(table, "_BUCKET", bucket)
        made = written(room, paths, size)
        found = ordered(ByPath(room, made), made, size)
    order = sorted(range(len(paths)), key=paths.__getitem__)
    assert found.paths == [paths[row] for row in order]
    assert found.rows["rank"].tolist() == order


@given(paths=NAMES, size=SMALL, bucket=SMALL)
def test_sorted_by_key(paths: list[str], size: int, bucket: int) -> None:
    """Keys are sorted for any number of buckets."""
    with pytest.MonkeyPatch.context() as patch, Room(Path(tempfile.gettempdir())) as room:
        patch.setattr(table, "_BUCKET", bucket)
        made = written(room, paths, size)
        before, after = joined(list(made.chunks())), ordered(ByKey(room, len(made)), made, size)
    order = np.argsort(before.rows["key"], kind="stable")
    assert after.rows["rank"].tolist() == order.tolist()
    assert after.paths == [paths[row] for row in order]


def test_nothing_is_left(tmp_path: Path) -> None:
    """Tables never have a name in the folder, even while they exist."""
    with Room(tmp_path) as room:
        made = written(room, [f"{k}" for k in range(1000)], 100)
        assert len(made) == 1000
        assert list(tmp_path.iterdir()) == []


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=300),
    fraction=st.floats(0, 0.99),
    seed=st.integers(0, 2**63 - 1),
    size=st.integers(1, 50),
)
def test_share_in_chunks_is_the_share_in_memory(labels: list[int], fraction: float, seed: int, size: int) -> None:
    """The same images are chosen for validation, in whatever chunks the labels arrive."""
    every = np.array(labels, np.int64)
    chunks = [every[first : first + size] for first in range(0, len(every), size)]
    share = share_of(lambda: chunks, 6, fraction, seed)
    firsts = range(0, len(every), size)
    found = np.concatenate([share.of(some, first) for first, some in zip(firsts, chunks, strict=True)])
    assert found.tolist() == validation_part(every, fraction, seed).tolist()
