"""The model of the exchange, against cases that can be counted by hand."""

import pytest

from benchmarks.step.exchange_model import Bucket, Cluster, Compute, Link, Ring, efficiency, fitted_link, step_seconds

COMPUTE = Compute(forward=1.0, backward=2.0, update=0.5)
FAST = Link(1e30)


def test_ring_sends_each_byte_nearly_twice() -> None:
    """Four processes, 400 bytes at 100 bytes/s: six messages of 100 bytes, 1 s and the latency each."""
    assert Ring(4, Link(100.0, 0.25)).seconds(400) == pytest.approx(6 * 1.25)


def test_nobody_to_exchange_with() -> None:
    """One process waits for nothing, and a link without limit costs nothing."""
    assert efficiency(COMPUTE, [Bucket(1e9, 2.0)], Ring(1, Link(1.0, 1.0))) == 1.0
    assert efficiency(COMPUTE, [Bucket(1e9, 2.0)], Ring(512, FAST)) == pytest.approx(1.0)


def test_only_what_outlasts_the_backward_pass_is_waited_for() -> None:
    """Two processes at 100 bytes/s: 50 bytes that are ready after 1 s hide, 100 bytes at the end do not."""
    pair = Ring(2, Link(100.0))
    assert step_seconds(COMPUTE, [Bucket(50, 1.0)], pair) == pytest.approx(3.5)
    assert step_seconds(COMPUTE, [Bucket(50, 1.0), Bucket(100, 2.0)], pair) == pytest.approx(4.5)


def test_buckets_wait_for_each_other() -> None:
    """A bucket of 3 s that is ready after 1 s holds up the next one, of 1 s: 1 + 3 + 1 beside 2 of backward."""
    pair = Ring(2, Link(100.0))
    assert step_seconds(COMPUTE, [Bucket(300, 1.0), Bucket(100, 2.0)], pair) == pytest.approx(1.0 + 5.0 + 0.5)


def test_hosts_share_the_bytes_of_their_processes() -> None:
    """On one host a cluster is a ring; on two of four processes, each sends a quarter of the bytes to the other."""
    within, between = Link(400.0), Link(100.0)
    assert Cluster(1, 4, within, between).seconds(800) == Ring(4, within).seconds(800)
    assert Cluster(2, 4, within, between).seconds(800) == pytest.approx(6 * 200 / 400 + 2 * 100 / 100)


def test_more_hosts_are_less_efficient_and_faster_links_more() -> None:
    """The order of predictions is that of what they are made from."""
    buckets = [Bucket(1e8, 1.0), Bucket(1e8, 2.0)]

    def on(hosts: int, gigabits: float) -> float:
        return efficiency(COMPUTE, buckets, Cluster(hosts, 8, Link(3e11, 5e-6), Link(gigabits / 8 * 1e9, 2e-5)))

    assert 1 > on(1, 1) > on(8, 1) > on(64, 1)
    assert on(64, 1) < on(64, 10) < on(64, 100)


def test_fit_finds_the_link() -> None:
    """From the seconds of a ring on four sizes; noise in one direction cannot make a rate or latency negative."""
    link = Link(3e8, 2e-4)
    sizes = [1e4, 1e5, 1e6, 1e7]
    assert fitted_link(3, sizes, [Ring(3, link).seconds(size) for size in sizes]) == pytest.approx(link)
    assert min(fitted_link(2, [1, 2], [2.0, 1.0])) >= 0
    with pytest.raises(ValueError, match="a line needs two"):
        fitted_link(2, [5.0, 5.0], [1.0, 1.0])
