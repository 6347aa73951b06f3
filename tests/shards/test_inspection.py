from pathlib import Path

from prep.convert import prep
from prep.figures import report
from prep.options import Options
from shards.inspection import inspect
from shards.shardset import ShardSet
from tests.prep.sources import as_folder, small


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
