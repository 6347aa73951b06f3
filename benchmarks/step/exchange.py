"""Measures the cost of exchanging gradients on throttled links, and compares it with a model, which predicts clusters.

    python -m benchmarks.step.exchange [--processes 2 4] [--throttles 100 200 400 800] [--repeats 3] [--gigabits 25 100]

Hosts are network namespaces of this machine, joined by a bridge, with one process each (needs root and iproute2). The
model (`exchange_model.py`) does not use the steps that it predicts, but these measurements: the parts of a step without
the exchange, while all processes share the cores; the bytes of DDP's buckets, and when each is ready; rate and latency
of a sum of numbers over the same number of processes on links without a throttle; and the share of a throttle's rate
that arrives, from one sum of two processes at one throttle. Then `tc tbf` throttles the links of the hosts, and steps
of EfficientNet-B0 are timed. Efficiency is the rate of a process divided by its rate without the exchange.

Predictions for GPUs come from the model alone. They assume a step of `--step-ms` with the same share of each part and
B0's buckets; hosts of 8 GPUs with 300 GB/s and 5 microseconds between two GPUs; and a network card of `--gigabits` and
20 microseconds for each GPU. The number of images per GPU does not depend on the number of GPUs.
"""

import os
import sys
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.tables import Row, spread
from benchmarks.step.exchange_group import Group, on_hosts, throttle
from benchmarks.step.exchange_model import (
    Bucket,
    Cluster,
    Compute,
    Link,
    Ring,
    efficiency,
    fitted_link,
    step_seconds,
)

SIZES = [1 << 16, 1 << 19, 1 << 22, 1 << 24]  # bytes of the sums to which a link is fitted
WITHIN, BETWEEN_LATENCY, GPUS_OF_HOST = Link(300e9, 5e-6), 20e-6, 8
GPUS = (8, 64, 512)


class Measured(NamedTuple):
    """The measurements of a number of processes that the model uses."""

    compute: Compute
    buckets: list[Bucket]
    link: Link  # without a throttle


def measured(group: Group) -> Measured:
    """Measure these ranks for the model."""
    found = group.ask("compute")
    seconds = group.ask("reduce", *SIZES)
    buckets = [Bucket(float(size), ready) for size, ready in found["buckets"]]
    return Measured(Compute(*found["parts"]), buckets, fitted_link(group.size, SIZES, seconds))


def share_that_arrives(side: int, batch: int, megabits: int) -> float:
    """The share of a throttle's rate that arrives, from a sum of two processes that each send the largest size."""
    with on_hosts(2, side, batch) as (group, made):
        for host in made:
            throttle(host, megabits)
        (seconds,) = group.ask("reduce", SIZES[-1])
    return float(SIZES[-1] / seconds / (megabits / 8 * 1e6))


def row_of(given: Measured, size: int, name: str, link: Link, seconds: list[float]) -> Row:
    """A row that compares the timed steps on a link with the model."""
    ring = Ring(size, link)
    said, seen = step_seconds(given.compute, given.buckets, ring), median(seconds)
    return {
        "processes": size,
        "link": name,
        "n": len(seconds),
        **spread("seconds a step", seconds, 3),
        "the model's": round(said, 3),
        "error, %": round(100 * (said / seen - 1), 1),
        "efficiency": round(given.compute.seconds / seen, 3),
        "efficiency, the model's": round(efficiency(given.compute, given.buckets, ring), 3),
    }


def throttled_rows(asked: Any, size: int, share: float) -> tuple[Measured, list[Row]]:
    """Time the steps of this many processes on each throttle, in turns."""
    with on_hosts(size, asked.side, asked.batch) as (group, made):
        given = measured(group)
        seconds: dict[int, list[float]] = {megabits: [] for megabits in asked.throttles}
        for megabits in [*asked.throttles] * asked.repeats:
            for host in made:
                throttle(host, megabits)
            seconds[megabits].append(group.ask("steps"))
            sys.stderr.write(f"{size} processes, {megabits} Mbit/s: {seconds[megabits][-1]:.3f} s a step\n")
    links = {megabits: Link(share * megabits / 8 * 1e6).behind(given.link) for megabits in seconds}
    return given, [row_of(given, size, f"{one} Mbit/s", links[one], seconds[one]) for one in seconds]


def loopback_row(size: int, side: int, batch: int, repeats: int) -> Row:
    """Time the steps of this many processes on one host, over its loopback interface."""
    with ExitStack() as stack:
        group = Group(stack, [[]] * size, "127.0.0.1", side, batch)
        given = measured(group)
        return row_of(given, size, "loopback", given.link, [group.ask("steps") for _ in range(repeats)])


def predictions(given: Measured, step_ms: float, gigabits: list[float]) -> list[Row]:
    """Rows with the efficiency that the model predicts for hosts of eight GPUs."""
    faster = step_ms / 1e3 / given.compute.seconds
    compute = Compute(*(part * faster for part in given.compute))
    buckets = [Bucket(size, ready * faster) for size, ready in given.buckets]
    rows = []
    for gpus in GPUS:
        row: Row = {"GPUs": gpus, "hosts": gpus // GPUS_OF_HOST}
        for rate in gigabits:
            between = Link(rate / 8 * 1e9, BETWEEN_LATENCY)
            cluster = Cluster(gpus // GPUS_OF_HOST, GPUS_OF_HOST, WITHIN, between)
            row[f"{rate:g} Gbit/s a GPU"] = round(efficiency(compute, buckets, cluster), 3)
        rows.append(row)
    return rows


def in_words(given: Measured) -> str:
    """A text with the parts of a step without the exchange, and DDP's buckets."""
    backward = given.compute.backward
    parts = ", ".join(f"{name} {1e3 * part:.0f} ms" for name, part in given.compute._asdict().items())
    buckets = [f"{one.size / 1e6:.1f} MB ready after {one.ready / backward:.0%} of backward" for one in given.buckets]
    return f"{parts}; {'; '.join(buckets)}"


def main() -> None:
    """Measure, compare with the model, and predict."""
    benchmark = Benchmark(__file__, __doc__, "exchange", "The exchange of gradients, and a model of it")
    benchmark.add("--processes", type=int, nargs="+", default=[2, 4], help="numbers of hosts, with one process each")
    benchmark.add("--throttles", type=int, nargs="+", default=[100, 200, 400, 800], help="Mbit/s of each host")
    benchmark.add("--gigabits", type=float, nargs="+", default=[10, 25, 100, 400], help="Gbit/s for each GPU")
    benchmark.add("--step-ms", type=float, default=150.0, help="milliseconds of a GPU's step in the predictions")
    benchmark.add("--side", type=int, default=64, help="side of the images, pixels")
    benchmark.share(repeats=3, batch=8)
    asked = benchmark.parse()
    if os.geteuid():
        benchmark.fail(PermissionError("hosts are network namespaces, which only root can make"), 2)
    middle = sorted(asked.throttles)[len(asked.throttles) // 2]
    share = share_that_arrives(asked.side, asked.batch, middle)
    benchmark.note(**{"share of a throttle's rate that arrives": round(share, 3)})
    tables: dict[str, list[Row]] = {"One host": [], "Throttled links": []}
    given = None
    for size in asked.processes:
        tables["One host"].append(loopback_row(size, asked.side, asked.batch, asked.repeats))
        given, rows = throttled_rows(asked, size, share)
        tables["Throttled links"] += rows
    if given is not None:
        benchmark.note(**{"a step without the exchange": in_words(given)})
        tables[f"The model's efficiency, steps of {asked.step_ms:g} ms"] = predictions(
            given, asked.step_ms, asked.gigabits
        )
    benchmark.write(tables)


if __name__ == "__main__":
    main()
