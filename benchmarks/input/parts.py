"""Divides the CPU time of an image in one thread: plans, reading, headers, decoding, resizing, normalising.

    python -m benchmarks.input.parts SHARDS [--sizes 64] [--repeats 9] [--work FOLDER]

One thread calls the product's own functions one after another, and each batch goes through all of them. Seconds are the
CPU time of the thread, so that other load matters little. A repetition is ten batches. "All, from files" and "all, from
the decoded cache" are the whole work of a lane, with the normalisation; parts are timed in batches of their own. The
last row is the floor, in which simplejpeg only decodes the same JPEGs.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import call_apart
from benchmarks.harness.tables import Row, spread
from benchmarks.input.contenders.dali import decoded_cache, planned
from benchmarks.input.contenders.task import BATCH, DATA, MEAN, STD, Given

BATCHES = 10  # batches in a repetition
WARM_UP = 20  # batches
FLOOR = "floor: decode"
Made = TypeVar("Made")


class Watch:
    """Counts the CPU seconds of this thread, by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, part: str, do: Callable[[], Made]) -> Made:
        """Call `do` and return its result; add its time to that of the part."""
        began = time.thread_time()
        made = do()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.thread_time() - began
        return made


class Parts:
    """Runs the parts of the product on batches of one size."""

    def __init__(self, shards: Path, size: int, work: Path) -> None:
        from headrace.train.input.decode.cpu import OnCpu
        from headrace.train.input.decode.turbo import TurboDecoder
        from headrace.train.input.normalise import Normalise
        from headrace.train.machine.device import Accelerator

        self.split, self.plans = planned(Given(shards, size, work))
        self.lane, self.turbo = OnCpu(self.split, BATCH, 1), TurboDecoder()
        self.normalise = Normalise(MEAN, STD, Accelerator(None))
        self.cache = decoded_cache(shards, work)

    def take(self, watch: Watch) -> None:
        """Send one batch through each part."""
        import simplejpeg

        from headrace.train.input.decode.crop_resize import resample
        from headrace.train.input.decode.reading import read
        from headrace.train.input.decode.regions import seen
        from headrace.train.input.decode.turbo import Files

        plan = watch.time("plans", lambda: next(self.plans))
        made = watch.time("all, from files", lambda: self.lane(plan))
        watch.time("all, from the decoded cache", lambda: self.cache.resample(*plan.wanted))
        watch.time("normalise", lambda: self.normalise(made))
        ids, views, size = plan.wanted
        jpegs = watch.time("read and check", lambda: read(self.split, ids))
        sizes, heights, widths = self.split.places(ids).sizes, self.split.heights[ids], self.split.widths[ids]
        files = Files(jpegs, sizes, heights, widths)
        small = watch.time("headers", files.small)
        if small.all():
            _, images = watch.time("decode", lambda: self.turbo(files))
            watch.time("resize", lambda: resample(images, views, size))
        else:
            regions = seen(views, heights, widths)
            dali: Any = self.lane._dali  # noqa: SLF001  the lane's own decoder
            images = watch.time("decode", lambda: dali(jpegs, regions))
            watch.time("resize", lambda: resample(images, regions.moved(views), size))
        held = [one.tobytes() for one in self.split.jpegs(ids)]
        watch.time(FLOOR, lambda: [simplejpeg.decode_jpeg(jpeg) for jpeg in held])


def measure(shards: str, size: int, repeats: int, work: str) -> list[dict[str, float]]:
    """The CPU microseconds per image of each part, in every repetition."""
    import torch

    from headrace.train.run.process import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    parts, found = Parts(Path(shards), size, Path(work)), []
    for _ in range(WARM_UP):
        parts.take(Watch())
    for _ in range(repeats):
        watch = Watch()
        for _ in range(BATCHES):
            parts.take(watch)
        found.append({part: 1e6 * seconds / (BATCHES * BATCH) for part, seconds in watch.seconds.items()})
    return found


def rows_of(runs: list[dict[str, float]]) -> list[Row]:
    """A row for each part."""
    floor = median(run[FLOOR] for run in runs)
    rows: list[Row] = []
    for part in runs[0]:
        values = [run[part] for run in runs]
        row = {"part": part, "n": len(runs), **spread("CPU microseconds an image", values, 2)}
        rows.append({**row, "decode floors": round(median(values) / floor, 2)})
    return rows


def main() -> None:
    """Measure all parts at all sizes."""
    benchmark = Benchmark(__file__, __doc__, "input-parts", "The CPU time of an image by part")
    benchmark.add("shards", type=path, help="a shard set")
    benchmark.share(sizes=[64], repeats=9)
    work = Path(tempfile.gettempdir()) / "headrace-bench-input"
    benchmark.add("--work", type=path, default=work, help="a folder for the decoded cache, which is kept")
    asked = benchmark.parse(data=DATA, batch=BATCH, threads=1)
    tables = {}
    for size in asked.sizes:
        runs = call_apart(__file__, "measure", asked.shards, size, asked.repeats, asked.work)
        tables[f"{size} px"] = rows_of(runs)
    benchmark.write(tables)


if __name__ == "__main__":
    main()
