import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.figures import report
from headrace.shards.errors import DataError
from headrace.shards.inspection import inspect
from headrace.shards.manifest import NAME, FileInfo, Manifest, load
from headrace.shards.shardset import ShardSet
from tests.prep.contents import as_folder, small


def test_counts_and_percentiles(tiny_set: Path) -> None:
    """Every split has its samples per class and the spread of its sizes; drawn images are all different."""
    shards = ShardSet.open(tiny_set)
    train, val = inspect(shards).splits
    assert (train.samples, train.per_class.tolist(), val.per_class.tolist()) == (480, [40] * 12, [10] * 12)
    assert (train.widths, train.aspects) == ((64,) * 5, (1.0,) * 5)
    assert list(train.bytes) == sorted(train.bytes)
    assert (train.repeated, train.conflicting) == (0, 0)
    assert "480 samples; per class 40 to 40" in report(shards)
    assert f"  red plain disc                 40 {'#' * 40}" in report(shards).splitlines()


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
    assert "val: 1 samples have an image that is also in train (leakage)" in report(shards)


def with_column(root: Path, name: str, value: int) -> None:
    """Give the last training sample of a set another number in this column, and the manifest the sum that fits."""
    manifest, path = load(root), root / "train.parquet"
    table = pq.read_table(path)
    column = table.column(name).to_numpy().copy()
    column[-1] = value
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(column, table.schema.field(at).type)), path)
    train, *others = manifest.splits
    train = train.model_copy(update={"index": FileInfo.of(path.name, path.read_bytes())})
    forged = Manifest.make(manifest.classes, (train, *others), manifest.source, manifest.options)
    (root / NAME).write_bytes(forged.render())


@pytest.mark.parametrize(
    ("name", "value"), [("label", -1), ("label", 12), ("label", np.iinfo(np.int32).max), ("height", 0), ("width", -5)]
)
def test_senseless_index_is_named(tiny_set: Path, tmp_path: Path, name: str, value: int) -> None:
    """A label outside the class list, or an image without pixels, is one line, as in training."""
    copy = Path(shutil.copytree(tiny_set, tmp_path / "copy"))
    with_column(copy, name, value)
    with pytest.raises(DataError, match=r"train\.parquet: a row points outside its tar or its class list, or has no"):
        report(ShardSet.open(copy))
