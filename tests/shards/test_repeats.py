"""Equal images are counted as a dictionary of all SHA-256 values would count them."""

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards import index_writer
from headrace.shards.index_writer import writing
from headrace.shards.manifest import SplitInfo
from headrace.shards.repeats import Repeats, count_repeats
from headrace.shards.sample import ROW

Split = list[tuple[bytes, int]]  # SHA-256 and label of each sample


def written(root: Path, splits: list[Split]) -> tuple[SplitInfo, ...]:
    """Indexes with these samples."""
    infos = []
    for number, samples in enumerate(splits):
        rows = np.zeros(len(samples), ROW)
        for row, (image, label) in enumerate(samples):
            rows[row]["sha256"], rows[row]["label"] = np.frombuffer(image, np.uint8), label
        name, keys = f"split{number}", [str(row) for row in range(len(samples))]
        with writing(root / f"{name}.parquet", len(samples)) as writer:
            writer.add(rows, keys, keys)
        infos.append(SplitInfo(name=name, samples=len(samples), index=writer.info, shards=()))
    return tuple(infos)


def counted(splits: list[Split]) -> Repeats:
    """The same by dictionaries."""
    repeated, conflicting = {}, {}
    counts = {f"split{number}": Counter(image for image, _ in samples) for number, samples in enumerate(splits)}
    for number, samples in enumerate(splits):
        labels = defaultdict(set)
        for image, label in samples:
            labels[image].add(label)
        repeated[f"split{number}"] = len(samples) - len(labels)
        conflicting[f"split{number}"] = sum(len(found) > 1 for found in labels.values())
    shared = {
        (one, other): sum(count for image, count in counts[other].items() if image in counts[one])
        for one, other in combinations(counts, 2)
    }
    return Repeats(repeated, conflicting, shared)


IMAGES = st.tuples(*(st.sampled_from([b"\0" * 8, b"\1" * 8, b"\xff" * 8]) for _ in range(4))).map(b"".join)
SPLITS = st.lists(st.lists(st.tuples(IMAGES, st.integers(0, 2)), max_size=30), min_size=1, max_size=3)


@given(splits=SPLITS)
def test_counts_are_those_of_dictionaries(splits: list[Split], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also of images whose first, or last, bytes alone are equal, and of empty splits."""
    root = tmp_path_factory.mktemp("set")
    assert count_repeats(root, written(root, splits)) == counted(splits)


def test_row_groups_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal images may lie in any of them."""
    monkeypatch.setattr(index_writer, "_MOST", 7)
    chance = np.random.default_rng(0)
    splits = [[(bytes(32 * [int(one)]), int(one) % 3) for one in chance.integers(0, 60, size)] for size in (100, 40)]
    assert count_repeats(tmp_path, written(tmp_path, splits)) == counted(splits)
