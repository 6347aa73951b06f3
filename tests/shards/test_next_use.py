"""Which tar is removed first when there is not room for all, compared with the best cache that knows the future."""

from collections.abc import Iterator

import numpy as np
import pytest

from headrace.shards.next_use import NEVER, NextUse

EPOCHS, WARM = 12, 3


def epochs(tars: int, seed: int = 1) -> list[list[int]]:
    """The tars of each epoch, each epoch in a different order."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(tars).tolist() for _ in range(EPOCHS)]


def optimum(sequence: list[int], room: int, counted: int) -> float:
    """The hit rate from place `counted` on of a cache that drops or refuses the tar whose next use is farthest."""
    following, last = [NEVER] * len(sequence), dict[int, int]()
    for place in range(len(sequence) - 1, -1, -1):
        following[place] = last.get(sequence[place], NEVER)
        last[sequence[place]] = place
    kept: dict[int, int] = {}
    hits = 0
    for place, tar in enumerate(sequence):
        hits += tar in kept and place >= counted
        if tar in kept or len(kept) < room:
            kept[tar] = following[place]
        elif max(kept.values()) > following[place]:
            del kept[max(kept, key=lambda one: kept[one])]
            kept[tar] = following[place]
    return hits / (len(sequence) - counted)


def staged(windows: list[list[int]], room: int, counted: int) -> float:
    """The hit rate of a run that fetches two windows ahead, with room in the stage for `room` tars of equal size."""
    uses, here, fetched = NextUse(iter(windows)), set[int](), -1
    hits = seen = 0
    for number, window in enumerate(windows):
        uses.go_on(window, 2)
        assert uses.current == number
        for later in range(fetched + 1, min(number + 3, len(windows))):
            for tar in uses.window(later):
                if later >= counted:
                    hits, seen = hits + (tar in here), seen + 1
                if tar not in here and len(here) == room:
                    here.discard(uses.farthest_first(here, later)[0])
                here.add(tar)
            fetched = later
    return hits / seen


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("times", [1.5, 2.0])
def test_hits_are_those_of_the_best_cache(length: int, times: float) -> None:
    """The hit rate of a set `times` as large as the stage is within two points of the optimum."""
    tars = 240
    orders, room = epochs(tars), int(tars / times)
    windows = [order[first : first + length] for order in orders for first in range(0, tars, length)]
    best = optimum([tar for order in orders for tar in order], room, WARM * tars)
    assert abs(staged(windows, room, WARM * tars // length) - best) < 0.02


def test_partitions_of_a_host_recur_rarely_and_the_future_still_counts() -> None:
    """A host that reads another eighth of the set each epoch finds over half its tars in a stage of a quarter."""
    tars, epochs_of_host = 160, 60
    rng = np.random.default_rng(3)
    windows = [part.tolist() for _ in range(epochs_of_host) for part in np.split(rng.permutation(tars)[:20], 10)]
    assert 0.5 < staged(windows, tars // 4, 200) < 0.7


def test_tars_of_windows_to_come_never_go() -> None:
    """Tars of windows up to the one that needs room are never offered; tars never used again go first."""

    def windows() -> Iterator[list[int]]:
        yield from ([0, 1], [2, 3], [0, 4], [5, 1])

    uses = NextUse(windows())
    assert [uses.next_use(tar) for tar in range(7)] == [0, 0, 1, 1, 2, 3, NEVER]
    assert uses.farthest_first(range(7), beyond=1) == [6, 5, 4]
    uses.go_on([2], ahead=2)
    uses.go_on([4], ahead=2)
    assert (uses.current, uses.next_use(0), uses.next_use(1), uses.next_use(2)) == (2, 2, 3, 1)
    assert uses.farthest_first([1, 2, 3], beyond=2) == [1]
    assert uses.window(9) == ()
