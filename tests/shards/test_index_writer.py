"""The index of a split, written as its rows arrive; up to four million samples its bytes never change."""

import hashlib
import io
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from headrace.shards import index, index_writer, parts
from headrace.shards.errors import DataError
from headrace.shards.index_writer import NUMBERS, writing
from headrace.shards.manifest import FileInfo
from headrace.shards.parts import PART
from headrace.shards.sample import ROW, Rows
from tests.checkout import ROOT

COLUMNS = ("shard", "offset", "size", "label", "width", "height", "crc32")


def rows_in(sizes: list[int]) -> Rows:
    """Rows of shards that have these numbers of samples, with values that do not compress."""
    rows = np.zeros(sum(sizes), ROW)
    bits = np.random.default_rng(1).integers(0, 1 << 30, (len(rows), 16), dtype=np.int64)
    for place, name in enumerate(NUMBERS):
        rows[name] = bits[:, place]
    rows["sha256"] = bits.view(np.uint8).reshape(len(rows), 128)[:, :32]
    rows["shard"] = np.repeat(np.arange(len(sizes)), sizes)
    return rows


def names_of(rows: Rows) -> tuple[list[str], list[str]]:
    """A key and a source path for each row."""
    return [f"{number:09d}" for number in range(len(rows))], [f"train/{row}.JPEG" for row in rows["crc32"].tolist()]


def written(path: Path, rows: Rows, cuts: list[int]) -> FileInfo:
    """The index of these rows, handed over in parts that end at `cuts`."""
    keys, sources = names_of(rows)
    with writing(path, len(rows)) as writer:
        for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            writer.add(rows[first:last], keys[first:last], sources[first:last])
    return writer.info


def rendered_at_once(rows: Rows) -> bytes:
    """The file written as one table, as versions before the writer did."""
    keys, sources = names_of(rows)
    numbers = {name: pa.array(np.ascontiguousarray(rows[name])) for name in NUMBERS}
    sums = pa.py_buffer(np.ascontiguousarray(rows["sha256"]))
    hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(rows), [None, sums])
    out = io.BytesIO()
    texts = [pa.array(part, pa.string()) for part in (keys, sources)]
    table = pa.table({"key": texts[0], **numbers, "sha256": hashes, "source": texts[1]})
    pq.write_table(table, out, compression="zstd", row_group_size=1 << 20, use_dictionary=False)
    return out.getvalue()


@pytest.mark.parametrize(
    ("rows", "cuts"),
    [(0, []), (1, []), (2, [1]), (700, [0, 100, 100, 699]), (1_200_000, [5, 400_000, 1_048_577, 1_048_577])],
)
def test_bytes_are_those_of_one_table(tmp_path: Path, rows: int, cuts: list[int]) -> None:
    """In whatever pieces the rows arrive, the file equals one that is written as a single table.

    Before pyarrow 23, the ends of a file's pages depend on these pieces if it has several row groups.
    """
    made = rows_in([rows])
    info = written(tmp_path / "train.parquet", made, cuts)
    expected = rendered_at_once(made)
    if int(pa.__version__.split(".")[0]) < 23 and rows > 1 << 20:
        assert pq.read_table(tmp_path / "train.parquet") == pq.read_table(io.BytesIO(expected))
        return
    assert (tmp_path / "train.parquet").read_bytes() == expected
    assert info == FileInfo.of("train.parquet", expected)
    assert "parts" not in info.model_dump()


def test_index_of_an_older_version_is_made_again(tmp_path: Path) -> None:
    """The rows of a Parquet file that commit c122ade wrote give an equal table, without sums of parts."""
    old = pq.read_table(ROOT / "tests/formats/c122ade/set/train.parquet")
    rows = np.zeros(len(old), ROW)
    for name in NUMBERS:
        rows[name] = old[name].to_numpy()
    rows["sha256"] = np.array([list(one) for one in old["sha256"].to_pylist()], np.uint8)
    with writing(tmp_path / "train.parquet", len(rows)) as writer:
        writer.add(rows, old["key"].to_pylist(), old["source"].to_pylist())
    assert pq.read_table(tmp_path / "train.parquet").equals(old)
    assert writer.info.parts is None


@pytest.fixture
def low_border(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits of more than 1,000 samples are large, with row groups of 200 to 500 rows."""
    monkeypatch.setattr(index_writer, "LARGE", 1000)
    monkeypatch.setattr(index_writer, "_LEAST", 200)
    monkeypatch.setattr(index_writer, "_MOST", 500)


SIZES = [90, 0, 90, 90, 1200, 10, 190, 200, 1, 150]
GROUPS = [270, 500, 500, 200, 200, 200, 151]


def groups_in(path: Path) -> list[int]:
    """The number of rows in each row group."""
    parquet = pq.ParquetFile(path)
    return [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]


@pytest.mark.usefixtures("low_border")
def test_groups_of_a_large_split_end_with_its_shards(tmp_path: Path) -> None:
    """A row group ends with a shard unless the shard alone is too large, in whatever pieces the rows arrive."""
    rows = rows_in(SIZES)
    bounds = np.cumsum(SIZES)[:-1].tolist()
    first = written(tmp_path / "by_shard.parquet", rows, bounds)
    second = written(tmp_path / "by_chance.parquet", rows, [1, 2, 300, 301, 1999])
    third = written(tmp_path / "whole.parquet", rows, [])
    assert groups_in(tmp_path / "whole.parquet") == GROUPS
    assert first.sha256 == second.sha256 == third.sha256
    assert first.parts == third.parts


@pytest.mark.usefixtures("low_border")
@pytest.mark.parametrize("samples", [1000, 1001])
def test_border_is_counted_in_samples(tmp_path: Path, samples: int) -> None:
    """An index of up to the limit of samples has no sums of parts; a larger one has them."""
    info = written(tmp_path / "train.parquet", rows_in([samples // 2, samples - samples // 2]), [])
    assert (info.parts is None) == (samples == 1000)
    assert groups_in(tmp_path / "train.parquet") == ([500, 500] if samples == 1000 else [500, 500, 1])


def large(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FileInfo, Rows]:
    """An index of several parts with small row groups."""
    monkeypatch.setattr(index_writer, "LARGE", 1000)
    monkeypatch.setattr(index_writer, "_LEAST", 4000)
    rows = rows_in([5000] * 10)
    return written(path, rows, []), rows


def test_parts_are_the_sums_of_each_mebibyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums of the parts are the SHA-256 values of each MiB, which any tool can compute."""
    info, _ = large(tmp_path / "train.parquet", monkeypatch)
    data = (tmp_path / "train.parquet").read_bytes()
    sums = [hashlib.sha256(data[first : first + PART]).hexdigest() for first in range(0, len(data), PART)]
    assert len(sums) > 2
    assert info == FileInfo(
        name="train.parquet", bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), parts=tuple(sums)
    )


def test_numbers_are_read_from_checked_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers read equal those written, both all at once and by row group."""
    info, rows = large(tmp_path / "train.parquet", monkeypatch)
    found = index.read_numbers(tmp_path, info, COLUMNS)
    assert all(np.array_equal(found[name], rows[name]) for name in COLUMNS)
    groups = list(index.read_groups(tmp_path, info, COLUMNS))
    assert len(groups) == 10
    assert all(np.array_equal(_joined(groups, name), rows[name]) for name in COLUMNS)


def _joined(groups: list[dict[str, pa.Array]], name: str) -> NDArray[np.generic]:
    return np.concatenate([group[name].to_numpy() for group in groups])


def test_damage_is_found_by_whoever_reads_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage to one row group stops only the readers of that group; damage to the footer stops all."""
    info, _ = large(tmp_path / "train.parquet", monkeypatch)
    path = tmp_path / "train.parquet"
    column = pq.ParquetFile(path).metadata.row_group(5).column(1)
    flip(path, column.data_page_offset + column.total_compressed_size // 2)
    with closing(index.Index(tmp_path, info)) as found:
        found.read(COLUMNS, 0)
        with pytest.raises(
            DataError, match=r"train\.parquet: not the file that the manifest describes.*headrace index"
        ):
            found.read(COLUMNS, 5)
    flip(path, path.stat().st_size - 20)
    with pytest.raises(DataError, match=r"train\.parquet: not the file"):
        index.Index(tmp_path, info)


def flip(path: Path, place: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def test_every_flipped_bit_of_what_is_read_is_found(tmp_path: Path) -> None:
    """In a file that has a single sum, any flipped bit is found."""
    info = written(tmp_path / "train.parquet", rows_in([40]), [])
    data = (tmp_path / "train.parquet").read_bytes()
    for place in range(0, len(data), 97):
        flip(tmp_path / "train.parquet", place)
        with pytest.raises(DataError, match="not the file that the manifest describes"):
            index.read_numbers(tmp_path, info, ("label",))
        (tmp_path / "train.parquet").write_bytes(data)


def test_nothing_is_left_of_a_file_that_is_not_finished(tmp_path: Path) -> None:
    """No file is left when rows are missing at the end, or after an error."""
    rows = rows_in([10])
    with (
        pytest.raises(ValueError, match="9 rows were added, but the split has 10 samples"),
        writing(tmp_path / "a.parquet", 10) as writer,
    ):
        writer.add(rows[:9], *(names[:9] for names in names_of(rows)))
    with pytest.raises(KeyError), writing(tmp_path / "a.parquet", 10) as writer:
        raise KeyError("another's")
    assert list(tmp_path.iterdir()) == []


def test_verification_reads_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum of the file finds damage that opening never reads, as in the source paths."""
    info, _ = large(tmp_path / "train.parquet", monkeypatch)
    index.check_whole(tmp_path, info)
    column = pq.ParquetFile(tmp_path / "train.parquet").metadata.row_group(5).column(11)
    flip(tmp_path / "train.parquet", column.data_page_offset + column.total_compressed_size // 2)
    with pytest.raises(DataError, match=r"train\.parquet: not the file that the manifest describes"):
        index.check_whole(tmp_path, info)


@pytest.mark.parametrize("held", [True, False])
def test_file_with_one_sum_is_checked_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    """Held in memory or not: no flipped bit is read, and no byte that changed after the file was opened."""
    rows = rows_in([60_000])
    info = written(tmp_path / "train.parquet", rows, [])
    assert (info.parts, info.bytes > 2 * PART) == (None, True)
    monkeypatch.setattr(parts, "_HELD", 1 << 23 if held else 1 << 10)
    with closing(index.Index(tmp_path, info)) as found:
        assert (found.read(("crc32",))["crc32"].to_numpy() == rows["crc32"]).all()
        if not held:
            flip(tmp_path / info.name, info.bytes // 2)
            with pytest.raises(DataError, match="SHA-256 differs"):
                found.read(index_writer.NUMBERS)
    if held:
        flip(tmp_path / info.name, info.bytes // 2)
    with pytest.raises(DataError, match="SHA-256 differs"):
        index.read_numbers(tmp_path, info, ("crc32",))


def test_large_file_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a file of several MB some rows at a time takes less memory of Python than the file."""
    monkeypatch.setattr(parts, "_HELD", 1 << 20)
    rows = rows_in([150_000])
    info = written(tmp_path / "train.parquet", rows, [])
    tracemalloc.start()
    with closing(index.Index(tmp_path, info)) as found:
        seen = [batch["sha256"].slice(0, 1).to_pylist() for batch in found.batches(("sha256", "label"))]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == [[rows["sha256"][row].tobytes()] for row in range(0, 150_000, 1 << 16)]
    assert peak < 5 * PART < info.bytes


def test_rows_in_batches_are_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All columns of all row groups, or of one; and the texts of a few samples."""
    monkeypatch.setattr(index_writer, "_MOST", 100)
    monkeypatch.setattr(index, "_BATCH", 30)
    rows = rows_in([250])
    info = written(tmp_path / "train.parquet", rows, [])
    keys, sources = names_of(rows)
    with closing(index.Index(tmp_path, info)) as found:
        batches = list(found.batches(("crc32", "key")))
        assert [len(one["key"]) for one in batches] == [30, 30, 30, 10] * 2 + [30, 20]
        assert [key for one in batches for key in one["key"].to_pylist()] == keys
        assert np.concatenate([one["crc32"].to_numpy() for one in batches]).tolist() == rows["crc32"].tolist()
        assert [key for one in found.batches(("key",), 2) for key in one["key"].to_pylist()] == keys[200:]
    for ids in ([], [0], [0, 29, 30, 99, 100, 249], [201, 202]):
        assert index.texts_at(tmp_path, info, ids) == [(keys[one], sources[one]) for one in ids]
