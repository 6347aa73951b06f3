"""The engines of prep on one machine: what a shard costs more as a task of Ray, and when the first shard is there.

    python -m benchmarks.prep.engines [--images 1200] [--shards 300] [--repeats 5] [--workers 2]

Needs the extra `ray`. Drawn images of 64 x 64 pixels are prepared into many small shards, by the pool and by Ray on
this machine, in turns; each prep is a process of its own, and all sets must have one digest. The moments at which
shards are finished are noted. The first of them says how long the engine took to start; from the last three quarters of
them, when all workers are there, comes the wall time a shard. The overhead of Ray is the difference of the two engines
in the same repetition.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, call_apart, interleave, time_command
from benchmarks.harness.tables import Row, spread

if TYPE_CHECKING:
    from headrace.prep.make.planned import Job
    from headrace.prep.make.record import Record
    from headrace.prep.make.shard import Tick, Work

POOL, RAY = "pool", "ray"
FIRST, EACH = "first shard s", "a shard ms"


def measure(engine: str, source: str, out: str, samples: int, workers: int) -> Run:
    """In a process of its own: seconds to the first shard, and milliseconds of wall time a shard after a quarter."""
    from headrace.prep.command.options import Options
    from headrace.prep.convert import prep
    from headrace.prep.make.engines.on_ray import on_ray
    from headrace.prep.make.engines.pool import make_shards

    times: list[float] = []
    with ExitStack() as stack:
        inner = make_shards if engine == POOL else stack.enter_context(on_ray(None, Path(source), None, print))

        def noted(jobs: "list[Job]", work: "Work", count: int, tick: "Tick") -> "Iterator[Record]":
            times.append(time.perf_counter())
            for record in inner(jobs, work, count, tick):
                times.append(time.perf_counter())
                yield record

        options = Options(samples_per_shard=samples)
        prep(Path(source), Path(out), options, workers=workers, if_exists="error", say=print, engine=noted)
    quarter = len(times) // 4
    return {FIRST: times[1] - times[0], EACH: 1000 * (times[-1] - times[quarter]) / (len(times) - 1 - quarter)}


def turn(engine: str, source: Path, out: Path, samples: int, workers: int, digests: set[str]) -> Run:
    """The figures of a prep, whose set is removed again."""
    run: Run = call_apart(__file__, "measure", engine, source, out, samples, workers)
    digests.add(json.loads((out / "shardset.json").read_text("utf-8"))["digest"])
    shutil.rmtree(out)
    return run


def main() -> None:
    """Draw, run in turns, subtract."""
    benchmark = Benchmark(__file__, __doc__, "prep-engines", "Prep by the pool and by Ray")
    benchmark.add("--images", type=int, default=1200, help="drawn images; half of them are for validation")
    benchmark.add("--shards", type=int, default=300, help="shards of the set")
    benchmark.add("--workers", type=int, default=2, help="of each engine")
    benchmark.share(repeats=5)
    asked = benchmark.parse(ray=metadata.version("ray"))
    digests: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        work, samples = Path(name), asked.images // asked.shards
        draw = [sys.executable, "-m", "headrace", "prep", "--demo", str(work / "drawn")]
        time_command([*draw, "--per-class", str(asked.images // 24)])
        source = work / "drawn.source.zip"
        turns = {
            engine: partial(turn, engine, source, work / "out", samples, asked.workers, digests)
            for engine in (POOL, RAY)
        }
        runs = interleave(turns, asked.repeats)
    if len(digests) != 1:
        raise SystemExit(f"the engines make different sets: {digests}")
    rows: list[Row] = []
    for what, digits in ((FIRST, 2), (EACH, 1)):
        pool, ray = ([run[what] for run in runs[engine]] for engine in (POOL, RAY))
        more = [with_ray - without for with_ray, without in zip(ray, pool, strict=True)]
        row: Row = {"what": what, "n": len(more)}
        for title, values in (("pool", pool), ("Ray", ray), ("more with Ray", more)):
            row |= spread(title, values, digits, f"{title}, min to max")
        rows.append(row)
    benchmark.write({"Engines": rows}, runs=runs)


if __name__ == "__main__":
    main()
