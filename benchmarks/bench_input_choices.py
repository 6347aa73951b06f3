"""What each choice for the input on a CPU brings, taken back one at a time.

    python benchmarks/bench_input_choices.py SHARDS [--repeats 9] [--sizes 64] [--seconds 2]

The task is that of bench_input.py. The choices: a thread takes a whole batch through, where one lane of all threads
would leave each its fixed share of a batch; only what is seen is decoded; a batch is read and checked in one call;
and draws are made for many samples together (all docs/decisions/0017). Each run is a process of its own, as chance
places the decoder's small blocks of memory anew in each. A ratio below 1 is what the input loses without the choice.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any
from unittest import mock

from common import facts, interleaved, rows, write
from input_contenders.task import BATCH, THREADS, Given

ALL = "all choices"
LANES, REGIONS, READING, DRAWS = WITHOUT = (
    "a lane a thread",
    "only what is seen",
    "reading in one call",
    "draws made together",
)
CONTENDERS = (ALL, *(f"without {name}" for name in WITHOUT))
WARM_UP = 40  # batches


def take_back(choice: str) -> None:
    """Have the product do without one of them."""
    from headrace.train.input import plans
    from headrace.train.input.decode import cpu
    from headrace.train.input.decode.regions import Regions

    instead: dict[str, tuple[Any, str, Any]] = {
        LANES: (cpu, "lanes_on_cpu", lambda threads, _: (1, threads)),
        REGIONS: (cpu, "seen", lambda _, heights, widths: Regions.whole(heights, widths)),
        READING: (cpu, "read", lambda split, ids: split.jpegs(ids)),
        DRAWS: (plans, "_DRAWN_TOGETHER", 1),
    }
    mock.patch.object(*instead[choice]).start()  # which refuses a name that is no longer there


def measure(name: str, shards: Path, size: int, seconds: float) -> dict[str, float]:
    """Batches for some seconds, after those that do not count."""
    from input_contenders.dali import headrace

    if name != ALL:
        take_back(name.removeprefix("without "))
    batches = headrace(Given(shards, size, shards))
    for _ in range(WARM_UP):
        next(batches)
    usage, began, images = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += len(next(batches))
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {"images_per_second": images / wall, "cpu_microseconds": 1e6 * cpu / images}


def main() -> None:
    """Run one contender, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--contender", choices=CONTENDERS)
    asked = parser.parse_args()
    if asked.contender:
        print(json.dumps(measure(asked.contender, asked.shards, asked.sizes[0], asked.seconds)))
        return
    command = f"python benchmarks/bench_input_choices.py SHARDS --repeats {asked.repeats} --seconds {asked.seconds:g}"
    command += f" --sizes {' '.join(map(str, asked.sizes))}"
    about = facts(command, data="TinyImageNet's training split", batch=BATCH, threads=THREADS)
    tables = {}
    for size in asked.sizes:
        given = (asked.shards, "--sizes", size, "--seconds", asked.seconds)
        tables[f"{size} px"] = rows(interleaved(__file__, CONTENDERS, asked.repeats, *given), ALL)
    method = (__doc__ or "").split("\n\n", 2)[2]
    print(write("input-choices", "Choices for the input on a CPU, one by one", about, method, tables))


if __name__ == "__main__":
    main()
