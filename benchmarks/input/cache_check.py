"""Measures the cost of checking the pixels that are read from the decoded cache.

    python -m benchmarks.input.cache_check [--repeats 15] [--sides 64 256] [--seconds 3]

Views are drawn as in training, read from a cache of noise and resized: 20,000 images of 64 x 64 to 64 px, 2,048 images
of 256 x 256 to 224 px. A strip is checked each time it is read, when it is read for the first time, or never. Each
measurement is a process of its own, which first reads all images once.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, call_apart, interleave
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import rate_rows

NONE, FIRST, EACH = CONTENDERS = ("no check", "check at the first read", "check at each read")
IMAGES = {64: 20_000, 256: 2048}  # by their side
SIZES = {64: 64, 256: 224}
BATCH, THREADS = 256, 2


def cache_file(side: int, folder: Path) -> Any:
    """The cache of these images; its file is made if missing."""
    import numpy as np

    from headrace.train.input.decode.cache import CacheFile
    from headrace.train.input.decode.strips import Keys, strip_sums

    sides = np.full(IMAGES[side], side, np.int32)
    file = CacheFile(folder / f"{side}.rgb", "train", "0" * 64, sides, sides)
    if file.ready:
        return file
    rng, keys, sums = np.random.default_rng(0), Keys.for_widths(sides), []
    with file.path.open("wb") as stream:
        stream.write(file.header)
        for _ in range(IMAGES[side]):
            image = rng.integers(0, 256, (side, side, 3), np.uint8)
            stream.write(image.data)
            sums.append(strip_sums(image, keys))
        stream.write(np.concatenate(sums).astype("<u8").tobytes())
    return file


def batches(file: Any, name: str) -> Iterator[Any]:
    """Endless batches of resized views, made by lanes as in a run."""
    import numpy as np

    from headrace.shards.order import Order, Steps
    from headrace.train.input.augment.views import Crop
    from headrace.train.input.decode.cached import Checking, Decoded
    from headrace.train.input.decode.lanes import Lanes
    from headrace.train.input.plans import TrainPlans

    count, side = len(file.widths), int(file.widths[0])
    split: Any = SimpleNamespace(widths=file.widths, heights=file.heights, labels=np.zeros(count, np.int64))
    crop, sizes = Crop((0.35, 1.0), (3 / 4, 4 / 3), 0.5), ((0, SIZES[side]),)
    plans = TrainPlans(split, Order(count, 0), Steps(count, BATCH, BATCH), crop, sizes)
    shards: Any = None  # needed only to explain a damaged cache
    decoded = Decoded(file, shards, Checking.EACH_READ if name == EACH else Checking.FIRST_READ)
    if name == NONE:
        decoded._strips._stored.sound[:] = True  # noqa: SLF001  the product always checks
    lanes: Lanes[Any, Any] = Lanes(THREADS, lambda: lambda plan: decoded.resample(*plan.wanted))
    return (images for _, images in lanes.run(plans.stream(0, 10**9, range(1))))


def measure(name: str, side: int, seconds: float, folder: str) -> Run:
    """Make batches for some seconds, after one epoch that is not timed."""
    made = batches(cache_file(side, Path(folder)), name)
    for _ in range(-(-IMAGES[side] // BATCH)):
        next(made)
    return time_steps(lambda: len(next(made)), seconds)


def main() -> None:
    """Measure each way to check."""
    benchmark = Benchmark(__file__, __doc__, "decoded-check", "What a check of the decoded cache costs")
    sides = list(SIZES)
    benchmark.add(
        "--sides", type=int, nargs="+", default=sides, choices=sides, help="sides of the images in the cache, pixels"
    )
    benchmark.share(repeats=15, seconds=3.0)
    asked = benchmark.parse(batch=BATCH, threads=THREADS)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for side in asked.sides:
            cache_file(side, Path(folder))
            given = (side, asked.seconds, folder)
            runs = {name: partial(call_apart, __file__, "measure", name, *given) for name in CONTENDERS}
            tables[f"images of {side} px"] = rate_rows(interleave(runs, asked.repeats), NONE)
    benchmark.write(tables)


if __name__ == "__main__":
    main()
