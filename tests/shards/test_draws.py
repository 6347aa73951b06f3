import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.shards.draws import Stream, hash64, seed64, uniforms

MASK = (1 << 64) - 1
seeds = st.integers(-(2**63), 2**64)
words = st.integers(0, MASK)


def mixed(x: int) -> int:
    """SplitMix64's finalizer in Python integers, as the paper defines it."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def reference(seed: int, *counters: int) -> int:
    """The hash of one tuple, in a second implementation without numpy."""
    state = mixed((seed & MASK) + 0x9E3779B97F4A7C15 & MASK)
    for counter in counters:
        state = mixed((state ^ counter) + 0x9E3779B97F4A7C15 & MASK)
    return state


@pytest.mark.parametrize(
    ("seed", "stream", "counters", "expected"),
    [
        (0, Stream.ORDER, (), 0x08B4FDA8C892B50E),
        (0, Stream.ORDER, (0, 0), 0xD1C0270687984B37),
        (1, Stream.CROP, (2, 3), 0xC05D562FB03CF199),
        (-1, Stream.FLIP, (5,), 0x11CB707151D49088),
        (2**63 - 1, Stream.DEPTH, (7, 10**9, 1), 0x5BA0E7B9685E4BD1),
    ],
)
def test_hashes_never_change(seed: int, stream: Stream, counters: tuple[int, ...], expected: int) -> None:
    """A run can be repeated with any later version only if these numbers never change."""
    assert hash64(seed, stream, *counters).tolist() == [expected]


def test_uniforms_and_seeds_never_change() -> None:
    """The numbers derived from the hashes never change either."""
    expected = [[0.20467977295203932, 0.0750618042448723, 0.523664697839445]]
    assert uniforms(3, Stream.CROP, 0, 5, count=3).tolist() == expected
    assert seed64(0, Stream.INIT) == 3629814277340124659
    assert seed64(4, Stream.DROPOUT, 10, 2) == 3827817882338290866


def test_streams_keep_their_numbers() -> None:
    """A purpose keeps its number, since another would change every run; a new purpose gets a new number."""
    held = {"ORDER": 1, "CROP": 2, "FLIP": 3, "DEPTH": 4, "DROPOUT": 5, "PREP": 6, "INIT": 7}
    assert {name: Stream[name].value for name in held} == held
    assert len({stream.value for stream in Stream}) == len(Stream.__members__)


@given(seed=seeds, stream=st.sampled_from(Stream), counters=st.lists(words, max_size=4))
def test_hash_is_the_published_one(seed: int, stream: Stream, counters: list[int]) -> None:
    """For any seed and counters, the numpy vectors give the same values as exact integers."""
    arrays = [np.array([counter], np.uint64) for counter in counters]
    assert hash64(seed, stream, *arrays).tolist() == [reference(seed, stream, *counters)]


@given(seed=seeds, first=st.lists(words, min_size=1, max_size=5), second=st.lists(words, min_size=1, max_size=5))
def test_counters_broadcast(seed: int, first: list[int], second: list[int]) -> None:
    """Each cell in a table of hashes holds the value that the counters of that cell give alone."""
    table = hash64(seed, Stream.CROP, np.array(first, np.uint64)[:, None], np.array(second, np.uint64))
    assert table.tolist() == [[reference(seed, Stream.CROP, a, b) for b in second] for a in first]


def test_counters_are_not_written_to() -> None:
    """The hash works in place, but never writes to its arguments."""
    ids = np.arange(5, dtype=np.uint64)
    hash64(0, Stream.ORDER, ids)
    assert ids.tolist() == [0, 1, 2, 3, 4]


@given(seed=seeds, epoch=st.integers(0, 10**6), first=st.integers(0, 2**62))
def test_no_two_ids_collide(seed: int, epoch: int, first: int) -> None:
    """With the same seed and epoch, different ids have different hashes, so no tie ever decides the order."""
    assert len(np.unique(hash64(seed, Stream.ORDER, epoch, np.arange(first, first + 1000)))) == 1000


@given(seed=seeds, epoch=st.integers(0, 10**6), ids=st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_draws_belong_to_the_sample(seed: int, epoch: int, ids: list[int]) -> None:
    """A sample gets the same draws, in [0, 1), alone and together with any other samples."""
    together = uniforms(seed, Stream.CROP, epoch, np.array(ids), count=3)
    alone = [uniforms(seed, Stream.CROP, epoch, one, count=3)[0].tolist() for one in ids]
    assert together.tolist() == alone
    assert together.min() >= 0
    assert together.max() < 1


@given(seed=seeds, few=st.integers(1, 5), many=st.integers(5, 9))
def test_more_draws_begin_with_the_fewer(seed: int, few: int, many: int) -> None:
    """Asking for more draws of a sample does not change the first draws."""
    ids = np.arange(4)
    assert (
        uniforms(seed, Stream.FLIP, ids, count=many)[:, :few].tolist()
        == uniforms(seed, Stream.FLIP, ids, count=few).tolist()
    )


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_draws_are_uniform(seed: int) -> None:
    """The chi-square of 200,000 draws in 64 equal bins lies within five standard deviations of its mean."""
    draws = uniforms(seed, Stream.CROP, 0, np.arange(50_000), count=4)
    counts = np.bincount((draws * 64).astype(int).ravel(), minlength=64)
    chi_square = ((counts - draws.size / 64) ** 2 / (draws.size / 64)).sum()
    assert abs(chi_square - 63) < 5 * np.sqrt(2 * 63)


def test_neighbours_are_independent() -> None:
    """Draws of neighbouring ids, epochs, seeds, streams and places are uncorrelated (five standard errors)."""
    ids = np.arange(100_000)
    one = uniforms(0, Stream.CROP, 0, ids, count=2)
    others = [
        one[:, 1],
        np.roll(one[:, 0], 1),
        uniforms(0, Stream.CROP, 1, ids, count=1)[:, 0],
        uniforms(1, Stream.CROP, 0, ids, count=1)[:, 0],
        uniforms(0, Stream.FLIP, 0, ids, count=1)[:, 0],
    ]
    for other in others:
        assert abs(np.corrcoef(one[:, 0], other)[0, 1]) < 5 / np.sqrt(len(ids))


@given(seed=seeds, step=st.integers(0, 10**9), group=st.integers(0, 1000))
def test_library_seeds_fit(seed: int, step: int, group: int) -> None:
    """A seed for the generator of a library is one plain integer from 0 to 2**63 - 1."""
    drawn = seed64(seed, Stream.DROPOUT, step, group)
    assert type(drawn) is int
    assert 0 <= drawn < 2**63
