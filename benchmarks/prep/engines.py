"""The engines of prep on one machine: what a shard costs more as a task of Ray, and what starting Ray costs.

    python -m benchmarks.prep.engines [--images 2400] [--few 24] [--many 600] [--repeats 7] [--workers 2]

Needs the extra `ray`. Drawn images of 64 x 64 pixels are prepared as whole commands, in few and in many shards, by the
pool and by Ray on this machine, in turns; all sets of equal options must have one digest. With both engines many shards
take longer than few; what they take longer with Ray than with the pool, divided by the number of shards more, is the
overhead of a shard. It is wall time with all workers busy; CPU time of Ray's own processes is not in it.
"""

import json
import shutil
import sys
import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, interleave, time_command
from benchmarks.harness.tables import Row, spread

POOL, RAY = "pool", "ray"


def prep(source: Path, out: Path, engine: str, samples: int, workers: int, digests: set[str]) -> Run:
    """Seconds of a prep, whose set is removed again."""
    options = ("--engine", engine, "--samples-per-shard", str(samples), "--workers", str(workers))
    ran = time_command([sys.executable, "-m", "headrace", "prep", str(source), str(out), *options])
    digests.add(json.loads((out / "shardset.json").read_text("utf-8"))["digest"])
    shutil.rmtree(out)
    return {"seconds": ran["seconds"]}


def overhead_rows(seconds: dict[tuple[str, int], list[float]], few: int, many: int) -> list[Row]:
    """Overheads of Ray, repetition by repetition."""
    columns = (seconds[key] for key in ((RAY, many), (RAY, few), (POOL, many), (POOL, few)))
    a_shard, start = [], []
    for ray_many, ray_few, pool_many, pool_few in zip(*columns, strict=True):
        a_shard.append(1000 * ((ray_many - pool_many) - (ray_few - pool_few)) / (many - few))
        start.append(ray_few - pool_few - few * a_shard[-1] / 1000)
    return [
        {"what": "a shard, ms", "n": len(a_shard), **spread("more with Ray", a_shard, 2)},
        {"what": "a command, s", "n": len(start), **spread("more with Ray", start, 2)},
    ]


def main() -> None:
    """Draw, run in turns, subtract."""
    benchmark = Benchmark(__file__, __doc__, "prep-engines", "Prep by the pool and by Ray")
    benchmark.add("--images", type=int, default=2400, help="drawn images; half of them are for validation")
    benchmark.add("--few", type=int, default=24, help="shards of the one set")
    benchmark.add("--many", type=int, default=600, help="shards of the other")
    benchmark.add("--workers", type=int, default=2, help="of each engine")
    benchmark.share(repeats=7)
    asked = benchmark.parse(ray=metadata.version("ray"))
    seconds: dict[tuple[str, int], list[float]] = {}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        draw = [sys.executable, "-m", "headrace", "prep", "--demo", str(work / "drawn")]
        time_command([*draw, "--per-class", str(asked.images // 24)])
        source = work / "drawn.source.zip"
        digests: dict[int, set[str]] = {asked.few: set(), asked.many: set()}
        turns = {
            f"{engine}, {shards} shards": partial(
                prep, source, work / "out", engine, asked.images // shards, asked.workers, digests[shards]
            )
            for shards in digests
            for engine in (POOL, RAY)
        }
        runs = interleave(turns, asked.repeats)
    if any(len(found) != 1 for found in digests.values()):
        raise SystemExit(f"the engines make other sets: {digests}")
    for (title, own), (shards, engine) in zip(
        runs.items(), ((shards, engine) for shards in digests for engine in (POOL, RAY)), strict=True
    ):
        seconds[engine, shards] = [run["seconds"] for run in own]
        rows.append({"what": title, "n": len(own), **spread("seconds", seconds[engine, shards], 2)})
    benchmark.write(
        {"Whole commands": rows, "Overhead of Ray": overhead_rows(seconds, asked.few, asked.many)}, runs=runs
    )


if __name__ == "__main__":
    main()
