"""The real TinyImageNet: counts, bytes, and what other readers see in the shards."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.prep.command.options import Options
from headrace.prep.convert import prep
from headrace.prep.verify import check
from headrace.shards.shardset import ShardSet

pytestmark = pytest.mark.real

DIGEST = "c7ad328af61c495db2b91057cc4de2ac8ecfb8da0cee81c28a00b2c9e08f1f9a"  # of every version so far
Seen = set[tuple[str, int, str]]  # key, label, SHA-256 of the JPEG


def own(root: Path, name: str) -> Seen:
    """What our own reader sees of a split."""
    split = ShardSet.open(root).split(name)
    images = split.jpegs(np.arange(len(split)))
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    return set(zip(split.keys, split.labels.tolist(), hashes, strict=True))


def test_counts_classes_and_bytes(real_set: Path) -> None:
    """100,000 and 10,000 samples of 200 classes, 500 and 50 of each, at most 3,800 bytes a sample; the old digest."""
    shards = ShardSet.open(real_set)
    assert shards.digest == DIGEST
    assert (len(shards.class_ids), list(shards.class_ids)) == (200, sorted(shards.class_ids))
    assert shards.class_names[0] == "goldfish, Carassius auratus"
    for name, samples in (("train", 100_000), ("val", 10_000)):
        split = shards.split(name)
        assert np.bincount(split.labels).tolist() == [samples // 200] * 200
        assert set(split.widths.tolist()) == set(split.heights.tolist()) == {64}
        assert len(set(split.sources)) == len(set(split.keys)) == samples
    assert sum(shard.bytes for shard in shards.manifest.splits[0].shards) / 100_000 <= 3_800


@pytest.mark.parametrize("workers", [1, 3])
def test_same_bytes_for_any_workers(real_zip: Path, real_set: Path, tmp_path: Path, workers: int) -> None:
    """Every file is equal, whatever the number of workers."""
    prep(real_zip, tmp_path / "set", Options(), workers=workers, if_exists="error", say=print)
    sums = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.iterdir()}
        for root in (real_set, tmp_path / "set")
    ]
    assert sums[0] == sums[1]


def test_second_prep_is_instant(real_zip: Path, real_set: Path) -> None:
    """An unchanged source is recognised within a second."""
    began = time.monotonic()
    assert prep(real_zip, real_set, Options(), workers=1, if_exists="reuse", say=print).reused
    assert time.monotonic() - began < 1


def test_opening_is_fast(real_set: Path) -> None:
    """110,000 samples open in well under a second: columns are read, no text is parsed."""
    began = time.monotonic()
    shards = ShardSet.open(real_set)
    assert len(shards.split("train")) + len(shards.split("val")) == 110_000
    assert time.monotonic() - began < 0.6


def test_deep_verification(real_set: Path) -> None:
    """Every image decodes and every checksum holds."""
    assert "sound. 110,000 samples" in check(real_set, deep=True, say=print)


@pytest.mark.parametrize("name", ["train", "val"])
def test_webdataset_library_sees_the_same(real_set: Path, name: str) -> None:
    """The webdataset library iterates the tars and decodes the labels."""
    import webdataset as wds

    tars = sorted(str(path) for path in real_set.glob(f"{name}-*.tar"))
    samples = wds.WebDataset(tars, shardshuffle=False).decode()  # leaves JPEGs as they are, decodes .cls
    seen = {(one["__key__"], int(one["cls"]), hashlib.sha256(one["jpg"]).hexdigest()) for one in samples}
    assert seen == own(real_set, name)


@pytest.mark.parametrize("name", ["train", "val"])
def test_dali_reader_sees_the_same(real_set: Path, name: str) -> None:
    """DALI's own reader, with our .idx, gives the same labels and JPEGs, in the order of the keys."""
    from nvidia.dali import fn, pipeline_def

    tars = sorted(real_set.glob(f"{name}-*.tar"))
    keys = sorted(key for key, _, _ in own(real_set, name))

    @pipeline_def(batch_size=1000, num_threads=2, device_id=None)
    def reader():  # type: ignore[no-untyped-def] # noqa: ANN202
        jpegs_and_labels: Any = fn.readers.webdataset(
            paths=[str(path) for path in tars],
            index_paths=[str(path.with_suffix(".idx")) for path in tars],
            ext=["jpg", "cls"],
            missing_component_behavior="error",
        )
        return tuple(jpegs_and_labels)

    pipeline = reader()
    pipeline.build()
    seen: list[tuple[int, str]] = []
    while len(seen) < len(keys):
        jpegs, labels = pipeline.run()
        for jpeg, label in zip(jpegs, labels, strict=True):
            seen.append((int(bytes(np.array(label))), hashlib.sha256(np.array(jpeg).tobytes()).hexdigest()))
    assert {(key, *one) for key, one in zip(keys, seen, strict=True)} == own(real_set, name)
