import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.prep.make.plan import cuts, keys, shard_count, shard_name, tar_bytes


def permutation(samples: int, seed: int, split: str) -> NDArray[np.int64]:
    """For each place, the position of its sample in the sorted listing."""
    return np.argsort(keys(np.arange(samples), seed, split), kind="stable")


GOLDEN = [3, 9, 5, 6, 7, 1, 0, 2, 8, 4]


@given(st.integers(0, 3000), st.integers(0, 2**63 - 1))
def test_every_sample_has_one_place(samples: int, seed: int) -> None:
    """The plan is a permutation for any size and seed, and always the same one."""
    order = permutation(samples, seed, "train")
    assert sorted(order.tolist()) == list(range(samples))
    assert order.tolist() == permutation(samples, seed, "train").tolist()


def test_plan_is_the_same_for_ever() -> None:
    """Golden values: another machine or version of numpy must plan the same shards."""
    assert permutation(10, 0, "train").tolist() == GOLDEN
    assert permutation(10, 1, "train").tolist() != GOLDEN
    assert permutation(10, 0, "val").tolist() != GOLDEN


def test_shards_are_a_fair_mix() -> None:
    """Of 100,000 samples listed class by class, every shard of 10,000 has each of 200 classes."""
    labels = np.repeat(np.arange(200), 500)[permutation(100_000, 0, "train")]
    counts = [np.bincount(labels[first:last], minlength=200) for first, last in cuts(100_000, 10)]
    assert min(int(count.min()) for count in counts) > 20
    assert max(int(count.max()) for count in counts) < 90


@given(st.integers(1, 10_000), st.integers(1, 200))
def test_cuts_cover_and_are_even(samples: int, shards: int) -> None:
    """Shards follow one another, cover all samples, and differ in size by one at most."""
    places = cuts(samples, shards)
    assert [first for first, _ in places] == [0, *(last for _, last in places[:-1])]
    assert places[-1][1] == samples
    sizes = {last - first for first, last in places}
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_samples_per_shard_is_an_upper_bound(samples: int, limit: int) -> None:
    """No shard has more samples than requested, and there is no shard too many."""
    count = shard_count(samples, samples * 4096, samples_per_shard=limit, shard_bytes=1)
    assert max(last - first for first, last in cuts(samples, count)) <= limit
    assert count == 1 or max(last - first for first, last in cuts(samples, count - 1)) > limit


def test_shard_size_counts_bytes() -> None:
    """Shards have about the requested bytes; a small set is one shard, and the number of shards is limited."""
    total = tar_bytes(np.full(10_000, 2000))  # 3,584 bytes each in a tar
    assert total == 35_840_000
    assert shard_count(10_000, total, samples_per_shard=None, shard_bytes=32_000_000) == 2
    assert shard_count(10, total // 1000, samples_per_shard=None, shard_bytes=32_000_000) == 1
    assert shard_count(10_000, total, samples_per_shard=None, shard_bytes=1) == 512


def test_shards_do_not_grow_beyond_a_useful_size() -> None:
    """A set of which 512 tars would exceed 256 MB each gets more than 512 tars."""
    for total, count in ((131_072_000_000, 512), (131_072_000_001, 513), (11_180_000_000_000, 43_672)):
        assert shard_count(10**8, total, samples_per_shard=None, shard_bytes=32_000_000) == count
    assert shard_count(10**8, 10**12, samples_per_shard=None, shard_bytes=10**9) == 1000


def test_names_sort_as_numbers() -> None:
    """A listing of the folder shows the shards in order."""
    assert shard_name("train", 7) == "train-000007"
