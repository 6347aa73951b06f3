"""Measures the decoder of small images beside a training step on the same cores, and the memory that it takes.

    python -m benchmarks.input.beside SHARDS [--sizes 64] [--repeats 9] [--seconds 4]

B0 of efficientnet_pytorch is trained at the given size, in batches of 32 and with one thread of torch. The product's
pipeline feeds it in three ways: small images are decoded by the system's libturbojpeg, or by simplejpeg, which is used
without that library, or DALI decodes all images. Rates and CPU time are those of training. Memory is the peak of the
process (VmHWM) while it is fed without a step, minus its memory before.
"""

import json
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart, child
from benchmarks.harness.tables import Row, ratios, spread
from benchmarks.harness.turns import ContenderError, contend, contest
from benchmarks.input.contenders.task import BATCH, DATA, MEAN, STD, THREADS, Given

SYSTEM, SIMPLEJPEG, DALI = CONTENDERS = "the system's libturbojpeg", "simplejpeg", "DALI"
STEP = 32  # images per step
BATCHES = 200  # batches for the measurement of memory


def feed_of(name: str, shards: str, size: int) -> Any:
    """The product's feed of endless batches, decoded in the way `name`, in a process that is set up as for a run."""
    import torch

    from benchmarks.input.contenders.dali import planned
    from headrace.train.input.assembly import Input
    from headrace.train.input.decode import turbo, turbo_library
    from headrace.train.machine.device import Accelerator
    from headrace.train.machine.place import Place
    from headrace.train.machine.world import World
    from headrace.train.run.process import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    if name == DALI:
        mock.patch.object(turbo, "MOST_PIXELS", 0).start()
    elif name == SIMPLEJPEG:
        mock.patch.object(turbo, "system_library", return_value=None).start()
    elif turbo_library.system_library() is None:
        raise SystemExit("this system has no libturbojpeg that gives simplejpeg's pixels: install libturbojpeg0")
    samples, plans = planned(Given(Path(shards), size, Path()))
    return Input(samples, BATCH, Place(World(), Accelerator(None), THREADS)).feed(plans)


def offer(name: str, shards: str, size: int) -> None:
    """Take training steps in this contender's turns."""
    import torch
    from efficientnet_pytorch import EfficientNet

    from headrace.train.input.normalise import Normalise
    from headrace.train.machine.device import Accelerator

    feed, normalise = feed_of(name, shards, size), Normalise(MEAN, STD, Accelerator(None))
    network = EfficientNet.from_name("efficientnet-b0", num_classes=200).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)

    def step() -> int:
        batch = next(feed)
        images = normalise(batch.images)
        for first in range(0, BATCH, STEP):
            rows = slice(first, first + STEP)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[rows]), batch.labels[rows]).backward()
            optimizer.step()
        return BATCH

    step()
    contend(step, time.time(), 1)


def held(name: str, shards: str, size: int) -> float:
    """The peak memory of this process while it is fed, minus its memory before, in MiB."""
    feed = feed_of(name, shards, size)
    before = _peak()
    for _ in range(BATCHES):
        next(feed)
    return _peak() - before


def _peak() -> float:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def row_of(name: str, runs: dict[str, list[Run]], memory: list[float]) -> Row:
    """The row of one way to decode."""
    own = runs[name]
    row: Row = {"decoded by": name, "n": len(own)}
    row["images/s"] = round(median(run["images_per_second"] for run in own), 1)
    row["CPU microseconds an image"] = round(median(run["cpu_microseconds"] for run in own), 1)
    row |= spread("rate to DALI", list(ratios(own, runs[DALI])), 3)
    return row | spread("memory, MiB", memory, 1, "memory, min to max")


def main() -> None:
    """Measure all ways at all sizes."""
    benchmark = Benchmark(__file__, __doc__, "input-beside", "Small images beside a training step on the same cores")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.share(sizes=[64], repeats=9, seconds=4.0)
    asked = benchmark.parse(data=DATA, batch=BATCH, threads=THREADS)
    tables = {}
    for size in asked.sizes:
        failed = dict[str, str]()
        commands = {name: child(__file__, "offer", name, asked.shards, size) for name in CONTENDERS}
        runs, _ = contest(commands, asked.repeats, asked.seconds, failed)
        if failed:
            benchmark.fail(ContenderError(json.dumps(failed)))
        memory = {name: [call_apart(__file__, "held", name, asked.shards, size) for _ in range(3)] for name in runs}
        tables[f"{size} px"] = [row_of(name, runs, memory[name]) for name in runs]
    benchmark.write(tables)


if __name__ == "__main__":
    main()
