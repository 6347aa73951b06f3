"""Measures the effect of each design choice for the input on a CPU, by undoing one at a time.

    python -m benchmarks.input.choices SHARDS [--repeats 9] [--sizes 64] [--seconds 2]

The task is that of `benchmarks.input.peers`. The choices are: a thread processes whole batches, instead of one lane of
all threads in which each has a fixed share of a batch; libjpeg-turbo itself decodes small images (docs/decisions/0027);
of other images only the visible part is decoded; a batch is read and checked in one call; draws are made for many
samples together (docs/decisions/0017). Each run is a process of its own, because the random placement of the decoder's
small blocks of memory differs between processes. A ratio below 1 is the loss of the input without the choice.
"""

from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart, interleave
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import rate_rows
from benchmarks.input.contenders.task import BATCH, DATA, THREADS, Given

ALL = "all choices"
LANES, SMALL, REGIONS, READING, DRAWS = WITHOUT = (
    "a lane a thread",
    "small images by libjpeg-turbo",
    "only what is seen",
    "reading in one call",
    "draws made together",
)
CONTENDERS = (ALL, *(f"without {name}" for name in WITHOUT))
WARM_UP = 40  # batches


def take_back(choice: str) -> None:
    """Make the product work without this choice."""
    from headrace.train.input import plans
    from headrace.train.input.decode import cpu, turbo
    from headrace.train.input.decode.regions import Regions

    instead: dict[str, tuple[Any, str, Any]] = {
        LANES: (cpu, "lanes_on_cpu", lambda threads, _: (1, threads)),
        SMALL: (turbo, "MOST_PIXELS", 0),
        REGIONS: (cpu, "seen", lambda _, heights, widths: Regions.whole(heights, widths)),
        READING: (cpu, "read", lambda split, ids: split.jpegs(ids)),
        DRAWS: (plans, "_DRAWN_TOGETHER", 1),
    }
    mock.patch.object(*instead[choice]).start()  # raises if the name does not exist any more


def measure(name: str, shards: str, size: int, seconds: float) -> Run:
    """Make batches for some seconds, after WARM_UP batches that are not timed."""
    from benchmarks.input.contenders.dali import headrace

    if name != ALL:
        take_back(name.removeprefix("without "))
    batches = headrace(Given(Path(shards), size, Path(shards)))
    for _ in range(WARM_UP):
        next(batches)
    return time_steps(lambda: len(next(batches)), seconds)


def main() -> None:
    """Measure with all choices and without each."""
    benchmark = Benchmark(__file__, __doc__, "input-choices", "Choices for the input on a CPU, one by one")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.share(repeats=9, sizes=[64], seconds=2.0)
    asked = benchmark.parse(data=DATA, batch=BATCH, threads=THREADS)
    tables = {}
    for size in asked.sizes:
        given = (asked.shards, size, asked.seconds)
        runs = {name: partial(call_apart, __file__, "measure", name, *given) for name in CONTENDERS}
        tables[f"{size} px"] = rate_rows(interleave(runs, asked.repeats), ALL)
    benchmark.write(tables)


if __name__ == "__main__":
    main()
