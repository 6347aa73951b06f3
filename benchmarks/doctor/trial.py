"""Jobs slowed down from outside at random, and whether the doctor names what binds them, and what relief would give.

    python -m benchmarks.doctor.trial SHARDS [--trials 30] [--seed N]

SHARDS should be a few thousand small images, so that a run takes seconds. Each trial draws one of five slow-downs and
its strength, the share of the rate that shall be left, from 0.3 to 0.7: a quota of the control group; other programs on
the cores and a nice value; a disk with little bandwidth; a file system whose every read takes long; a larger network.
The doctor is told nothing but the job. Disk and file system are a library that is preloaded into the job and delays its
reads; that needs a C compiler, and the quota a control group that may be made. Named right: the doctor's resource is
that of the slow-down. The measured gain is the rate of a run of the same job without the slow-down, before and after,
over that with it, each a process of its own; where the network itself binds no input helps, and it is the gain of a run
whose images are decoded already. A prediction is right if it is within 30 % of it.
"""

import random
import secrets
import tempfile
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from benchmarks.doctor.jobs import Shown
from benchmarks.doctor.slowdowns import KINDS, Base, Slowdown, compile_library
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.tables import Row

JOB = ("train.epochs=3", "optim.warmup_epochs=0.3", "runtime.device=cpu")
LEAST, MOST = 0.3, 0.7  # of the rate that is left
RIGHT = 0.3  # a prediction is within this share of the measured gain
BENCHMARK = Benchmark(__file__, __doc__, "doctor-trial", "The doctor on jobs that are slowed down without telling it")


def main() -> None:
    """Run the trials, and write the result after each, so that nothing is lost on the way."""
    BENCHMARK.add("shards", type=path, help="a shard set of a few thousand small images")
    BENCHMARK.add("--trials", type=int, default=30, help="how many (30)")
    BENCHMARK.add("--recipe", default="demo", help="of the job (demo)")
    BENCHMARK.add("--seed", type=int, help="of the draws; none given means one that nobody knows")
    asked = BENCHMARK.parse(data="a part of TinyImageNet")
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    draws, job = random.Random(seed), Shown(asked.shards, asked.recipe, JOB)
    with tempfile.TemporaryDirectory(prefix="headrace-trial-") as folder:
        library, rows = compile_library(Path(folder)), list[Row]()
        before = job.rate()
        for number in range(asked.trials):
            kind, left = draws.choice(KINDS), round(draws.uniform(LEAST, MOST), 3)
            slow = kind(_base(asked.shards, before, library), left)
            row, before = _trial(job, slow, before, Path(folder))
            rows.append({"trial": number + 1, **row})
            print(rows[-1], flush=True)
            BENCHMARK.note(seed=seed)
            BENCHMARK.write({"summary": [_summary(rows)], "by kind": _by_kind(rows), "trials": rows})


def _base(shards: Path, rate: float, library: Path) -> Base:
    from headrace.shards.cores import usable_cores
    from headrace.shards.shardset import ShardSet

    split = ShardSet.open(shards).split("train")
    size = float(split.file_sizes(np.arange(len(split))).mean())
    split.close()
    return Base(rate, size, usable_cores(), usable_cores(), library)


def _trial(job: Shown, slow: Slowdown, before: float, folder: Path) -> tuple[Row, float]:
    """A row, and the rate without a slow-down after it."""
    found = job.examined(slow)
    slowed = job.rate(slow)
    if slow.expected == "compute":
        cached = job.rate(slow, "runtime.cache=decoded", f"runtime.cache_dir={folder / 'cache'}")
        return _row(slow, found, cached / slowed), before
    after = job.rate()
    return _row(slow, found, fmean((before, after)) / slowed), after


def _row(slow: Slowdown, found: dict[str, Any], measured: float) -> Row:
    binding, predicted = found["binding"], found["binding"]["predicted_gain"]
    return {
        "slow-down": slow.kind,
        "left": slow.strength,
        "expected": slow.expected,
        "named": binding["resource"],
        "cause": binding["cause"],
        "right": binding["resource"] == slow.expected,
        "predicted gain": round(predicted, 3),
        "measured gain": round(measured, 3),
        "off by": round(predicted / measured - 1, 3),
        "within 30 %": abs(predicted / measured - 1) <= RIGHT,
        "ratio": round(found["ratio"], 3),
        "ratio, min to max": f"{min(found['ratios']):.3f} to {max(found['ratios']):.3f}",
    }


def _summary(rows: list[Row]) -> Row:
    return {
        "trials": len(rows),
        "named right": sum(row["right"] for row in rows),
        "predicted within 30 %": sum(row["within 30 %"] for row in rows),
        "median of the error": round(median(abs(row["off by"]) for row in rows), 3),
    }


def _by_kind(rows: list[Row]) -> list[Row]:
    kinds = dict.fromkeys(row["slow-down"] for row in rows)
    return [{"slow-down": kind, **_summary([row for row in rows if row["slow-down"] == kind])} for kind in kinds]


if __name__ == "__main__":
    main()
