"""Jobs slowed down from outside at random, and whether the doctor names what binds them, and what relief would give.

    python -m benchmarks.doctor.blind SHARDS WORK --seed N [--count 30] [--seconds 2]

SHARDS should be about 2,000 images of 64 pixels with few to validate on, as `headrace prep ZIP SHARDS --classes 10
--per-class 200` makes them: then 30 trials take about half an hour on two cores. Each trial draws one of six slow-downs
and its strength, the share of the rate that shall be left, from 0.3 to 0.7: a quota of the control group; fewer cores
in the affinity mask; other programs on the cores and a nice value; a disk with little bandwidth; a file system whose
every read takes long; a larger network. The doctor is told nothing but the job; it measures as with --json --try, with
fewer seconds a rung. Disk and file system are a library that is preloaded into the job and delays its reads; that needs
a C compiler, and the quota a control group that may be made.

What binds is known twice: by construction, and because a run without the slow-down alone must be a tenth faster, else
the step itself binds. The measured gain is the rate of that run over that of one with it. Where the step itself was
made slow (fewer cores, a larger network) no setting takes that away; there the doctor's best setting of the input is
what is predicted, and a run whose images are decoded already what is measured. A prediction is right if it is within
30 % of what was measured.

Each trial is a line of WORK/trials.jsonl as soon as it is over; the same command goes on after the last one.
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
EVERY = 2  # trials for which one run without a slow-down counts
BENCHMARK = Benchmark(__file__, __doc__, "doctor-blind", "The doctor on jobs that are slowed down without telling it")


def main() -> None:
    """Run the trials that are missing, and write the result of all."""
    BENCHMARK.add("shards", type=path, help="a shard set of about 2,000 small images")
    BENCHMARK.add("work", type=path, help="a folder for the lines of the trials, and for images that are decoded")
    BENCHMARK.add("--seed", type=int, required=True, help="of the draws")
    BENCHMARK.add("--count", type=int, default=30, help="how many trials (30)")
    BENCHMARK.add("--recipe", default="demo", help="of the job (demo)")
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
    """Trials one after another."""

    job: Shown
    work: Path
    seconds: float
    """Of each rung."""
    library: Path
    clean: float = 0.0
    """Images a second of the last run without a slow-down, and for how many trials more it counts."""
    fresh: int = 0

    def run(self, kind: Callable[[Base, float], Slowdown], left: float) -> Row:
        """The row of one. A trial that fails has its error."""
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
