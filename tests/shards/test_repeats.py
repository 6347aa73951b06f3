"""Equal images are counted and listed as a dictionary of all SHA-256 values would count and list them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards import index, index_writer, repeats
from headrace.shards.equal_images import KINDS, Pair, Place
from headrace.shards.index_writer import writing
from headrace.shards.manifest import SplitInfo
from headrace.shards.repeats import Repeats, count_repeats
from headrace.shards.sample import ROW

Split = list[tuple[bytes, int]]  # SHA-256 and label of each sample


def written(root: Path, splits: list[Split]) -> tuple[SplitInfo, ...]:
    """The entries of splits whose indexes hold these samples."""
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


def counted(splits: list[Split], most: int) -> Repeats:
    """The same counts, made with dictionaries."""
    names = [f"split{number}" for number in range(len(splits))]
    counts = [Counter(image for image, _ in samples) for samples in splits]
    places: defaultdict[bytes, list[Place]] = defaultdict(list)
    for number, samples in enumerate(splits):
        for row, (image, label) in enumerate(samples):
            places[image].append(Place(number, row, label))
    equal = {image: own for image, own in places.items() if len(own) > 1}
    pairs = [Pair(own[0], other) for own in equal.values() for other in own[1:]]
    pairs.sort(key=lambda pair: (pair.first, pair.second.split, pair.second.id))
    by_kind = {kind: [pair for pair in pairs if pair.kind == kind] for kind in KINDS}
    return Repeats(
        {name: len(splits[number]) - len(counts[number]) for number, name in enumerate(names)},
        {name: several(splits[number]) for number, name in enumerate(names)},
        {
            (names[one], names[other]): sum(count for image, count in counts[other].items() if image in counts[one])
            for one, other in combinations(range(len(splits)), 2)
        },
        len(equal),
        several(one for samples in splits for one in samples),
        {kind: len(own) for kind, own in by_kind.items()},
        {kind: own[:most] for kind, own in by_kind.items()},
    )


def several(samples: Iterable[tuple[bytes, int]]) -> int:
    """The number of images that occur with more than one label."""
    labels = defaultdict(set)
    for image, label in samples:
        labels[image].add(label)
    return sum(len(found) > 1 for found in labels.values())


IMAGES = st.tuples(*(st.sampled_from([b"\0" * 8, b"\1" * 8, b"\xff" * 8]) for _ in range(4))).map(b"".join)
SPLITS = st.lists(st.lists(st.tuples(IMAGES, st.integers(0, 2)), max_size=30), min_size=1, max_size=3)


@given(splits=SPLITS, most=st.integers(0, 9))
def test_counts_are_those_of_dictionaries(
    splits: list[Split], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The counts equal those of dictionaries, even if images agree only in some bytes, or a split is empty."""
    root = tmp_path_factory.mktemp("set")
    assert count_repeats(root, written(root, splits), most) == counted(splits, most)


@given(splits=SPLITS, room=st.integers(1, 20), at_once=st.integers(1, 3))
def test_passes_change_nothing(
    splits: list[Split], room: int, at_once: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With room for a few hashes, fewer than an image has copies, the counts are the same."""
    root = tmp_path_factory.mktemp("set")
    infos = written(root, splits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "_NUMBERS", room)
        patch.setattr(repeats, "_AT_ONCE", at_once)
        patch.setattr(repeats, "_ROWS", room)
        patch.setattr(index, "_BATCH", 5)
        assert count_repeats(root, infos, 4) == counted(splits, 4)


def test_row_groups_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal images are counted across all row groups."""
    monkeypatch.setattr(index_writer, "_MOST", 7)
    chance = np.random.default_rng(0)
    splits = [[(bytes(32 * [int(one)]), int(one) % 3) for one in chance.integers(0, 60, size)] for size in (100, 40)]
    assert count_repeats(tmp_path, written(tmp_path, splits), 5) == counted(splits, 5)
