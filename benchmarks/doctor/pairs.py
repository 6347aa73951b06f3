"""R_real of the doctor beside that of runs of the same job, in pairs, and what the doctor prints.

    python -m benchmarks.doctor.pairs SHARDS [--recipe lite0-cpu] [--settings KEY=VALUE ...] [--repeats 5]

SHARDS should have as many images as a run takes half a minute for. Every repetition is a run of one epoch and then a
visit of the doctor, each in processes of its own. A run's rate is that of its epoch, evaluation not counted. R_real is
right if it is within 5 % of the run's own, or within the spread of the runs themselves, from the least to the largest.
"""

from statistics import median

from benchmarks.doctor.jobs import Shown
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.tables import Row, spread

CLOSE = 0.05
ONE_EPOCH = ("train.epochs=1", "optim.warmup_epochs=0.1", "runtime.device=cpu")
BENCHMARK = Benchmark(__file__, __doc__, "doctor-pairs", "R_real of the doctor beside that of runs")


def main() -> None:
    """Measure the pairs, and write the result."""
    BENCHMARK.add("shards", type=path, help="a shard set")
    BENCHMARK.add("--recipe", default="lite0-cpu", help="of the job (lite0-cpu)")
    BENCHMARK.add("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="more settings of it")
    BENCHMARK.share(repeats=5)
    asked = BENCHMARK.parse(data="a part of TinyImageNet")
    BENCHMARK.name += f"-{asked.recipe}"
    job = Shown(asked.shards, asked.recipe, (*ONE_EPOCH, *asked.settings))
    runs, visits = list[float](), list[dict[str, float]]()
    for _ in range(asked.repeats):
        runs.append(job.rate())
        visits.append(job.examined())
        print(runs[-1], visits[-1]["real"], visits[-1]["ratio"], flush=True)
    real = [visit["real"] for visit in visits]
    apart = [one / other - 1 for one, other in zip(real, runs, strict=True)]
    extent = (max(runs) - min(runs)) / median(runs)
    summary: Row = {
        **spread("run, images/s", runs, 1),
        **spread("doctor, images/s", real, 1, "its min to max"),
        **spread("doctor to run", [1 + part for part in apart], 3, "pair by pair"),
        "spread of the runs": round(extent, 3),
        "pairs within 5 %": sum(abs(part) <= CLOSE for part in apart),
        "within 5 % or the runs' spread": sum(abs(part) <= max(CLOSE, extent) for part in apart),
        **spread("R_real / R_synth", [visit["ratio"] for visit in visits], 3, "visit by visit"),
        "n": len(runs),
    }
    BENCHMARK.write({"pairs": [summary]}, visits=visits, runs=runs)


if __name__ == "__main__":
    main()
