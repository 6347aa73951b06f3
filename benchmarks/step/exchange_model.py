"""A model of the exchange of gradients: from bytes, buckets and links to the efficiency of many processes.

Gradients of b bytes go around a ring of N processes: each sends 2 (N - 1) / N b bytes in 2 (N - 1) messages. With G
processes a host the ring is of two levels: within the host first, then each process with those of its place on H
hosts, over b / G bytes, then within the host again. Buckets are exchanged one after another, in the order in which the
backward pass makes them ready; what is not over when it ends is waited for before the update.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Link(NamedTuple):
    """What carries a message from a process to the next one."""

    bytes_per_second: float
    latency: float = 0.0  # seconds a message

    def behind(self, other: "Link") -> "Link":
        """Both in a row, which work at the same time: the slower rate, and the sum of the latencies."""
        return Link(min(self.bytes_per_second, other.bytes_per_second), self.latency + other.latency)


class Bucket(NamedTuple):
    """Gradients that are exchanged together."""

    size: float  # bytes
    ready: float  # seconds from the beginning of the backward pass until the last of them is there


class Compute(NamedTuple):
    """The seconds of a step that needs no exchange."""

    forward: float
    backward: float
    update: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.forward + self.backward + self.update


class Ring(NamedTuple):
    """Processes that are equally far from each other."""

    processes: int
    link: Link

    def seconds(self, size: float) -> float:
        """Until each has the sum of `size` bytes of all."""
        turns = 2 * (self.processes - 1)
        return turns * (size / self.processes / self.link.bytes_per_second + self.link.latency)


class Cluster(NamedTuple):
    """Hosts of several processes; the link between hosts is that of one process, as with a network card a GPU."""

    hosts: int
    processes: int  # a host
    within: Link
    between: Link

    def seconds(self, size: float) -> float:
        """Until each has the sum of `size` bytes of all."""
        inside = Ring(self.processes, self.within).seconds(size)
        return inside + Ring(self.hosts, self.between).seconds(size / self.processes)


def step_seconds(compute: Compute, buckets: Sequence[Bucket], group: Ring | Cluster) -> float:
    """Seconds of a step in which the buckets are exchanged beside the backward pass."""
    over = 0.0
    for bucket in buckets:
        over = max(over, bucket.ready) + group.seconds(bucket.size)
    return compute.forward + max(compute.backward, over) + compute.update


def efficiency(compute: Compute, buckets: Sequence[Bucket], group: Ring | Cluster) -> float:
    """The images a second of each process, as a fraction of those without the exchange."""
    return compute.seconds / step_seconds(compute, buckets, group)


def fitted_link(processes: int, sizes: Sequence[float], seconds: Sequence[float]) -> Link:
    """The link with which a ring's seconds come nearest to those that were measured, relative to each of them.

    Weighted least squares of seconds = a + b * size, neither below zero. Raises ValueError for fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError(f"sizes {list(sizes)}: a line needs two")
    weights = [1 / second**2 for second in seconds]
    total = sum(weights)
    middle = sum(w * size for w, size in zip(weights, sizes, strict=True)) / total
    height = sum(w * second for w, second in zip(weights, seconds, strict=True)) / total
    around = sum(w * (size - middle) ** 2 for w, size in zip(weights, sizes, strict=True))
    slope = sum(
        w * (size - middle) * (second - height) for w, size, second in zip(weights, sizes, seconds, strict=True)
    )
    per_byte = max(slope / around, 1e-15)
    start = max(height - per_byte * middle, 0.0)
    turns = 2 * (processes - 1)
    return Link(turns / processes / per_byte, start / turns)
