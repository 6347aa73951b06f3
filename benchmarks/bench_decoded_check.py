"""What it costs to check the pixels that come from the decoded cache.

    python benchmarks/bench_decoded_check.py [--repeats 15] [--sides 64 256] [--seconds 3]

Views are drawn as training draws them, read from a cache of noise and resized: 20,000 images of 64 x 64 to 64 px, 2,048
images of 256 x 256 to 224 px. A strip is checked each time it is read, when it is read for the first time, or never.
Each measurement is a process of its own, which first goes over all images once, so that all have been read before.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common import facts, interleaved, rows, write

NONE, FIRST, EACH = CONTENDERS = ("no check", "check at the first read", "check at each read")
IMAGES = {64: 20_000, 256: 2048}  # by their side
SIZES = {64: 64, 256: 224}
BATCH, THREADS = 256, 2


def cache_file(side: int, folder: Path) -> Any:
    """The cache of these images; its file is made where it is not there."""
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
    """Resized views without end, by lanes as in a run."""
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
    shards: Any = None  # asked only to explain a cache that is damaged
    decoded = Decoded(file, shards, Checking.EACH_READ if name == EACH else Checking.FIRST_READ)
    if name == NONE:
        decoded._strips._stored.sound[:] = True  # noqa: SLF001  the product cannot go without
    lanes: Lanes[Any, Any] = Lanes(THREADS, lambda: lambda plan: decoded.resample(*plan.wanted))
    return (images for _, images in lanes.run(plans.stream(0, 10**9, range(1))))


def measure(name: str, side: int, seconds: float, folder: Path) -> dict[str, float]:
    """Batches for some seconds, after one epoch that does not count."""
    made = batches(cache_file(side, folder), name)
    for _ in range(-(-IMAGES[side] // BATCH)):
        next(made)
    usage, began, images = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += len(next(made))
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {"images_per_second": images / wall, "cpu_microseconds": 1e6 * cpu / images}


def main() -> None:
    """Run one contender, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--contender", choices=CONTENDERS)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.contender:
        print(json.dumps(measure(asked.contender, asked.sides[0], asked.seconds, asked.folder)))
        return
    command = f"python benchmarks/bench_decoded_check.py --repeats {asked.repeats} --seconds {asked.seconds:g}"
    command += f" --sides {' '.join(map(str, asked.sides))}"
    about, tables = facts(command, batch=BATCH, threads=THREADS), {}
    with tempfile.TemporaryDirectory() as folder:
        for side in asked.sides:
            cache_file(side, Path(folder))
            given = ("--sides", side, "--seconds", asked.seconds, "--folder", folder)
            tables[f"images of {side} px"] = rows(interleaved(__file__, CONTENDERS, asked.repeats, *given), NONE)
    method = (__doc__ or "").split("\n\n", 2)[2]
    print(write("decoded-check", "What a check of the decoded cache costs", about, method, tables))


if __name__ == "__main__":
    main()
