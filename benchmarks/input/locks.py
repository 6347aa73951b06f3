"""Decodes small images in one thread, in two threads of one process, and in two processes.

    python -m benchmarks.input.locks SHARDS [--repeats 9] [--seconds 1.5]

The product's TurboDecoder decodes batches of JPEGs that are in memory: with simplejpeg, which takes the interpreter's
lock before and after each image, and with the system's libturbojpeg, which takes it once for each batch. Two threads of
a process share this lock, two processes do not. `cores` is the CPU time divided by the seconds; `waits an image` counts
how often a thread gave up its core and slept (voluntary context switches). Each measurement is a process of its own.
"""

import multiprocessing
import resource
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import Run, call_apart, interleave
from benchmarks.harness.tables import Row, ratios, spread
from benchmarks.input.contenders.dali import planned
from benchmarks.input.contenders.task import BATCH, DATA, Given

SIMPLEJPEG, SYSTEM = "simplejpeg", "the system's libturbojpeg"
ALONE, THREADS, PROCESSES = "one thread", "two threads", "two processes"
CONTENDERS = {f"{way}, {shape}": (way, shape) for way in (SIMPLEJPEG, SYSTEM) for shape in (ALONE, THREADS, PROCESSES)}
HELD = 24  # batches in memory
_files: list[Any] = []  # the batches, which forked processes inherit


def measure(way: str, shape: str, shards: str, seconds: float) -> Run:
    """Decode for some seconds, in this process or two others."""
    from headrace.train.input.decode import turbo, turbo_library
    from headrace.train.input.decode.reading import read

    if way == SIMPLEJPEG:
        mock.patch.object(turbo, "system_library", return_value=None).start()
    elif turbo_library.system_library() is None:
        raise SystemExit("this system has no libturbojpeg that gives simplejpeg's pixels: install libturbojpeg0")
    split, plans = planned(Given(Path(shards), 64, Path()))
    for plan in islice(plans, HELD):
        ids = plan.ids
        _files.append(turbo.Files(read(split, ids), split.file_sizes(ids), split.heights[ids], split.widths[ids]))
    turbo.TurboDecoder()(_files[0])  # compiles the loops
    workers = 1 if shape == ALONE else 2
    executor: Executor = ThreadPoolExecutor(workers)
    if shape == PROCESSES:
        executor = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"))
    with executor:
        done = [future.result() for future in [executor.submit(decode, seconds) for _ in range(workers)]]
    images, rate = sum(one["images"] for one in done), sum(one["images"] / one["seconds"] for one in done)
    cpu, waits = sum(one["cpu"] for one in done), sum(one["waits"] for one in done)
    cores = sum(one["cpu"] / one["seconds"] for one in done)
    return {
        "images_per_second": rate,
        "cpu_microseconds": 1e6 * cpu / images,
        "cores": cores,
        "waits": waits / images,
    }


def decode(seconds: float) -> dict[str, float]:
    """Decode the batches in one thread; return its images, seconds, CPU seconds and waits."""
    from headrace.train.input.decode.turbo import TurboDecoder

    decoder, images, number = TurboDecoder(), 0, 0
    before, began, cpu = _waits(), time.perf_counter(), time.thread_time()
    while time.perf_counter() - began < seconds:
        decoder(_files[number % HELD])
        images, number = images + BATCH, number + 1
    spent = time.perf_counter() - began
    return {"images": images, "seconds": spent, "cpu": time.thread_time() - cpu, "waits": _waits() - before}


def _waits() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def row_of(name: str, runs: dict[str, list[Run]]) -> Row:
    """The row of a contender, compared with its way in one thread."""
    own, alone = runs[name], runs[f"{CONTENDERS[name][0]}, {ALONE}"]
    row: Row = {"decoded by": name, "n": len(own)}
    row |= spread("images/s", [run["images_per_second"] for run in own], 0)
    row |= spread("rate to one thread", list(ratios(own, alone)), 2, "ratio, min to max")
    for column, key, digits in (
        ("cores", "cores", 2),
        ("CPU microseconds an image", "cpu_microseconds", 1),
        ("waits an image", "waits", 3),
    ):
        row |= spread(column, [run[key] for run in own], digits, f"{column}, min to max")
    return row


def main() -> None:
    """Measure both ways in all three shapes, in turns."""
    benchmark = Benchmark(__file__, __doc__, "input-locks", "Small images decoded in threads and in processes")
    benchmark.add("shards", type=path, help="a shard set of small images")
    benchmark.share(repeats=9, seconds=1.5)
    asked = benchmark.parse(data=DATA, batch=BATCH)
    contenders = {
        name: partial(call_apart, __file__, "measure", *kind, asked.shards, asked.seconds)
        for name, kind in CONTENDERS.items()
    }
    runs = interleave(contenders, asked.repeats)
    benchmark.write({"decoding alone": [row_of(name, runs) for name in CONTENDERS]})


if __name__ == "__main__":
    main()
