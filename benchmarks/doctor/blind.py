"""Slows jobs down at random, and checks whether the doctor names the bottleneck and predicts the gain of its removal.

    python -m benchmarks.doctor.blind SHARDS WORK --seed N [--count 30] [--seconds 2]

SHARDS should be about 2,000 images of 64 pixels with few validation images, as `headrace prep ZIP SHARDS --classes 10
--per-class 200` makes them. Then 30 trials take about half an hour on two cores. Each trial draws one of six slow-downs
and its strength, from 0.3 to 0.7: the share of the rate that should remain. The slow-downs are: a quota of the control
group; fewer cores in the affinity mask; other programs on the cores and a nice value; a disk with little bandwidth; a
file system with slow reads; a larger network. The doctor knows only the job. It measures as with --json --try, with
fewer seconds per rung. Disk and file system are simulated by a library that is preloaded into the job and delays its
reads; this needs a C compiler. The quota needs the permission to create a control group.

The bottleneck is known by construction, and is confirmed by a run without the slow-down: if that run is not at least a
tenth faster, the step itself is the bottleneck. The measured gain is the rate of that run divided by the rate of a run
with the slow-down. If the step itself was slowed down (fewer cores, a larger network), no setting removes that. Then
the prediction is that of the doctor's best setting of the input, and the measurement is a run with decoded images. A
prediction is right if it is within 30 % of the measurement.

Each trial becomes a line of WORK/trials.jsonl when it ends. The same command continues after the last finished trial.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.doctor.jobs import Shown
from benchmarks.doctor.judged import by_kind, draw, judge, keep, kept, summary
from benchmarks.doctor.slowdowns import KINDS, Base, Slowdown, compile_library
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.tables import Row

JOB = ("train.epochs=1", "optim.warmup_epochs=0.1", "runtime.device=cpu")
EVERY = 2  # trials that share one run without a slow-down
BENCHMARK = Benchmark(__file__, __doc__, "doctor-blind", "The doctor on jobs that are slowed down unknown to it")


def main() -> None:
    """Run the missing trials, and write the result of all trials."""
    BENCHMARK.add("shards", type=path, help="a shard set of about 2,000 small images")
    BENCHMARK.add("work", type=path, help="a folder for the lines of the trials, and for decoded images")
    BENCHMARK.add("--seed", type=int, required=True, help="seed of the draws")
    BENCHMARK.add("--count", type=int, default=30, help="number of trials (30)")
    BENCHMARK.add("--recipe", default="demo", help="recipe of the job (demo)")
    BENCHMARK.share(seconds=2.0)
    asked = BENCHMARK.parse(data="a part of TinyImageNet")
    asked.work.mkdir(parents=True, exist_ok=True)
    lines = asked.work / "trials.jsonl"
    trial = Trials(Shown(asked.shards, asked.recipe, JOB), asked.work, asked.seconds, compile_library(asked.work))
    done = {row["trial"] for row in kept(lines, asked.seed)}
    for number in range(1, asked.count + 1):
        if number not in done:
            kind, left = draw(asked.seed, number, len(KINDS))
            keep(lines, {"seed": asked.seed, "trial": number, **trial.run(KINDS[kind], left)})
            print(kept(lines, asked.seed)[-1], flush=True)
    rows = [row for row in kept(lines, asked.seed) if row["trial"] <= asked.count]
    BENCHMARK.write({"summary": [summary(rows)], "by kind": by_kind(rows), "trials": rows})


@dataclass
class Trials:
    """Runs trials one after another."""

    job: Shown
    work: Path
    seconds: float
    """The seconds for each rung of the doctor."""
    library: Path
    clean: float = 0.0
    """Images per second of the last run without a slow-down; `fresh` is the number of further trials that use it."""
    fresh: int = 0

    def run(self, kind: Callable[[Base, float], Slowdown], left: float) -> Row:
        """Run a trial; return its row, which has the error if the trial failed."""
        if not self.fresh:
            self.clean, self.fresh = self.job.rate(), EVERY
        self.fresh -= 1
        slow, began = kind(_base(self.job.shards, self.clean, self.library), left), time.monotonic()
        row: Row = {"slow-down": slow.kind, "left": slow.strength, "made scarce": slow.expected}
        try:
            row |= self._judged(slow)
        except (RuntimeError, ValueError, KeyError) as error:
            row["error"] = f"{type(error).__name__}: {error}"
        return {**row, "seconds": round(time.monotonic() - began)}

    def _judged(self, slow: Slowdown) -> Row:
        found = self.job.examined_within(self.seconds, slow)
        slowed = self.job.rate(slow)
        removed = self.clean / slowed
        if slow.expected != "compute":
            return judge(found, slow.expected, removed, removed)
        cached = self.job.rate(slow, "runtime.cache=decoded", f"runtime.cache_dir={self.work / 'decoded'}")
        return judge(found, slow.expected, removed, cached / slowed)


def _base(shards: Path, rate: float, library: Path) -> Base:
    from headrace.shards.cores import usable_cores
    from headrace.shards.shardset import ShardSet

    split = ShardSet.open(shards).split("train")
    size = float(split.file_sizes(np.arange(len(split))).mean())
    split.close()
    return Base(rate, size, usable_cores(), usable_cores(), library)


if __name__ == "__main__":
    main()
