"""A model of the exchange of gradients: from bytes, buckets and links to the efficiency of many processes.

Gradients of b bytes go around a ring of N processes: each sends 2 (N - 1) / N b bytes in 2 (N - 1) messages. With G
processes per host the ring has two levels: first within the host; then between the processes with the same place on the
H hosts, over b / G bytes; then within the host again. Buckets are exchanged one after another, in the order in which
the backward pass makes them ready. The update waits for exchanges that end after the backward pass.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Link(NamedTuple):
    """The connection from a process to the next one."""

    bytes_per_second: float
    latency: float = 0.0  # seconds per message

    def behind(self, other: "Link") -> "Link":
        """Both links in a row, which work at the same time: the slower rate, and the sum of the latencies."""
        return Link(min(self.bytes_per_second, other.bytes_per_second), self.latency + other.latency)


class Bucket(NamedTuple):
    """Gradients that are exchanged together."""

    size: float  # bytes
    ready: float  # seconds from the beginning of the backward pass until all of them are computed


class Compute(NamedTuple):
    """The seconds of a step without the exchange."""

    forward: float
    backward: float
    update: float

    @property
    def seconds(self) -> float:
        """The seconds of the whole step."""
        return self.forward + self.backward + self.update


class Ring(NamedTuple):
    """Processes with equal links between all neighbours."""

    processes: int
    link: Link

    def seconds(self, size: float) -> float:
        """The seconds until each process has the sum of `size` bytes over all processes."""
        turns = 2 * (self.processes - 1)
        return turns * (size / self.processes / self.link.bytes_per_second + self.link.latency)


class Cluster(NamedTuple):
    """Hosts with several processes. Each process has its own link between hosts, like a network card for each GPU."""

    hosts: int
    processes: int  # per host
    within: Link
    between: Link

    def seconds(self, size: float) -> float:
        """The seconds until each process has the sum of `size` bytes over all processes."""
        inside = Ring(self.processes, self.within).seconds(size)
        return inside + Ring(self.hosts, self.between).seconds(size / self.processes)


def step_seconds(compute: Compute, buckets: Sequence[Bucket], group: Ring | Cluster) -> float:
    """The seconds of a step that exchanges the buckets during the backward pass."""
    over = 0.0
    for bucket in buckets:
        over = max(over, bucket.ready) + group.seconds(bucket.size)
    return compute.forward + max(compute.backward, over) + compute.update


def efficiency(compute: Compute, buckets: Sequence[Bucket], group: Ring | Cluster) -> float:
    """The rate of each process as a fraction of its rate without the exchange."""
    return compute.seconds / step_seconds(compute, buckets, group)


def fitted_link(processes: int, sizes: Sequence[float], seconds: Sequence[float]) -> Link:
    """The link with which the seconds of a ring fit the measured ones best, by relative error.

    This is a weighted least-squares fit of seconds = a + b * size, with neither a nor b below zero. Raises ValueError
    for fewer than two sizes.
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
