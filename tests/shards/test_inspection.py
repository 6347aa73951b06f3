"""The figures of a set are those of its samples, counted one by one."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.shards import index
from headrace.shards.bins import EDGES
from headrace.shards.errors import DataError
from headrace.shards.index_writer import writing
from headrace.shards.inspection import inspect
from headrace.shards.manifest import NAME, ClassInfo, FileInfo, Manifest, ShardInfo, SourceInfo, SplitInfo, load
from headrace.shards.percentiles import PERCENTILES
from headrace.shards.sample import ROW
from headrace.shards.shardset import ShardSet
from tests.prep.contents import as_folder, small
from tests.prep.figures import figures_of


def test_counts_and_percentiles(tiny_set: Path) -> None:
    """Each split has its samples per class and the distribution of its sizes; drawn images are all different."""
    shards = ShardSet.open(tiny_set)
    train, val = inspect(shards).splits
    assert (train.samples, train.per_class.tolist(), val.per_class.tolist()) == (480, [40] * 12, [10] * 12)
    assert (train.sizes["width"].percentiles, train.sizes["aspect"].percentiles) == ((64,) * 5, (1.0,) * 5)
    sizes = shards["train"].file_sizes(np.arange(480))
    assert train.sizes["bytes"].percentiles == tuple(np.percentile(sizes, PERCENTILES, method="nearest").tolist())
    assert (train.repeated, train.conflicting) == (0, 0)
    assert "480 samples; per class 40 to 40, median 40" in figures_of(tiny_set)
    assert f"  red plain disc                 40 {'#' * 40}" in figures_of(tiny_set).splitlines()


def test_duplicates_and_leakage(tmp_path: Path) -> None:
    """Equal images are counted within a split, under different labels, and across splits."""
    files = small()
    image = files["train/n01/images/n01_0.JPEG"]
    files["train/n01/images/copy.JPEG"] = files["train/n02/images/copy.JPEG"] = files["val/images/0_0.JPEG"] = image
    prep(as_folder(files, tmp_path / "in"), tmp_path / "out", Options(), workers=1, if_exists="error", say=print)
    shards = ShardSet.open(tmp_path / "out")
    facts = inspect(shards)
    assert (facts.splits[0].repeated, facts.splits[0].conflicting) == (2, 1)
    assert facts.shared == {("train", "val"): 1}
    assert "val: 1 samples have an image that is also in train (leakage)" in figures_of(tmp_path / "out")


SAMPLES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 300), st.integers(1, 300), st.integers(1, 30_000)), max_size=40
)


@given(samples=SAMPLES)
def test_figures_are_those_of_the_samples(
    samples: list[tuple[int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The percentiles, histograms and classes of a split are right for any sizes, read in parts of a few rows."""
    root = tmp_path_factory.mktemp("set")
    rows = np.zeros(len(samples), ROW)
    for name, column in zip(("label", "width", "height", "size"), np.array(samples).reshape(-1, 4).T, strict=True):
        rows[name] = column
    with writing(root / "train.parquet", len(rows)) as writer:
        keys = [str(row) for row in range(len(rows))]
        writer.add(rows, keys, keys)
    (root / "a.tar").write_bytes(bytes(40_000))
    shard = ShardInfo(name="a.tar", samples=len(rows), bytes=40_000, sha256="0" * 64)
    info = SplitInfo(name="train", samples=len(rows), index=writer.info, shards=(shard,))
    classes = tuple(ClassInfo(id=one, name=one) for one in "dcba")
    source = SourceInfo(layout="made up", files=1, fingerprint="0" * 64)
    (root / NAME).write_bytes(Manifest.make(classes, (info,), source, {}).render())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_BATCH", 7)
        (train,) = inspect(ShardSet.open(root)).splits
    columns = {"width": rows["width"], "height": rows["height"], "bytes": rows["size"]}
    for name, values in {**columns, "aspect": rows["width"] / rows["height"]}.items():
        expected = np.percentile(values, PERCENTILES, method="nearest").tolist() if samples else [0] * 5
        assert train.sizes[name].percentiles == tuple(expected)
        bins = Counter(max(edge for edge in EDGES[name] if edge <= value) for value in values.tolist())
        assert train.sizes[name].counts.tolist() == [bins[edge] for edge in EDGES[name]]
    counts = Counter(label for label, *_ in samples)
    ranked = sorted(range(4), key=lambda label: (counts[label], label))
    assert train.per_class.tolist() == [counts[label] for label in range(4)]
    assert train.balance[:2] == (ranked[0], ranked[1])
    assert counts[train.balance.largest] == counts[ranked[-1]]
    assert train.balance.empty == 4 - len(counts)


def rewritten(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the index of the training split, and give the manifest the matching sum."""
    manifest, path = load(root), root / "train.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    train, *others = manifest.splits
    train = train.model_copy(update={"index": FileInfo.of(path.name, path.read_bytes())})
    forged = Manifest.make(manifest.classes, (train, *others), manifest.source, manifest.options)
    (root / NAME).write_bytes(forged.render())


def with_column(root: Path, name: str, value: int) -> None:
    """Give the last training sample of a set another number in this column."""

    def change(table: pa.Table) -> pa.Table:
        column = table.column(name).to_numpy().copy()
        column[-1] = value
        at = table.column_names.index(name)
        return table.set_column(at, table.schema.field(at), pa.array(column, table.schema.field(at).type))

    rewritten(root, change)


@pytest.mark.parametrize("name", ["label", "width", "sha256", "key"])
def test_nulls_are_named(tiny_set: Path, tmp_path: Path, name: str) -> None:
    """A null in a column gives one line of error, even in the hash or the key of one of two equal images."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))

    def change(table: pa.Table) -> pa.Table:
        at, hashes = table.column_names.index(name), table.column_names.index("sha256")
        sums = table.column("sha256").to_pylist()
        table = table.set_column(hashes, table.schema.field(hashes), pa.array([sums[0], *sums[:-1]], pa.binary(32)))
        column = [None, *table.column(name).to_pylist()[1:]]
        return table.set_column(at, table.schema.field(at), pa.array(column, table.schema.field(at).type))

    rewritten(copy, change)
    with pytest.raises(
        DataError, match=rf"train\.parquet: column '{name}' is .* with 1 nulls, expected .* without nulls"
    ):
        figures_of(copy)


def test_odd_numbers_are_counted(tiny_set: Path, tmp_path: Path) -> None:
    """A side of two thousand million pixels, which a hostile index may contain, is counted like any other."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with_column(copy, "width", 2**31 - 1)
    train = inspect(ShardSet.open(copy)).splits[0]
    assert train.sizes["width"].percentiles == (64, 64, 64, 64, 2**31 - 1)
    assert train.sizes["width"].counts[-1] == train.sizes["aspect"].counts[-1] == 1
    assert train.sizes["aspect"].percentiles[-1] == (2**31 - 1) / 64


@pytest.mark.parametrize(
    ("name", "value"), [("label", -1), ("label", 12), ("label", np.iinfo(np.int32).max), ("height", 0), ("width", -5)]
)
def test_senseless_index_is_named(tiny_set: Path, tmp_path: Path, name: str, value: int) -> None:
    """A label outside the class list, or an image without pixels, gives one line of error, as in training."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with_column(copy, name, value)
    with pytest.raises(DataError, match=r"train\.parquet: a row has an image outside its tar or without pixels, or a"):
        figures_of(copy)
