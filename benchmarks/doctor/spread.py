"""Measures how much the doctor's R_real / R_synth varies from visit to visit, and how far its R_real is from runs.

    python -m benchmarks.doctor.spread SHARDS [--recipe lite0-cpu] [--settings KEY=VALUE ...] [--repeats 5]

SHARDS should have so many images that a run takes half a minute. Every repetition is a run of one epoch and then a
visit of the doctor, each in processes of its own. Images have one size, even if the recipe begins with smaller images.
The rate of a run is that of its epoch without evaluation. R_real is right if it is within 5 % of the run's rate, or
within the spread of the runs. R_real / R_synth is steady if its spread is at most 3 %, or at most that of R_synth
against itself, which is measured before and after R_real in the same turns and shows the changes of the machine alone.
A spread is the distance from the least to the largest of the medians of visits, as a fraction of their median.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.doctor.jobs import Shown
from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.tables import Row, spread

CLOSE = 0.05  # the largest relative difference of R_real from a run's rate
STEADY = 0.03  # the largest spread of R_real / R_synth
ONE_EPOCH = ("train.epochs=1", "optim.warmup_epochs=0.1", "augment.sizes=[]", "runtime.device=cpu")
BENCHMARK = Benchmark(__file__, __doc__, "doctor-spread", "R_real and R_real / R_synth from visit to visit")


def main() -> None:
    """Measure the pairs, and write the result after each pair."""
    BENCHMARK.add("shards", type=path, help="a shard set")
    BENCHMARK.add("--recipe", default="lite0-cpu", help="recipe of the job (lite0-cpu)")
    BENCHMARK.add("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of the job")
    BENCHMARK.share(repeats=5)
    asked = BENCHMARK.parse(data="a part of TinyImageNet")
    BENCHMARK.name += f"-{asked.recipe}"
    job = Shown(asked.shards, asked.recipe, (*ONE_EPOCH, *asked.settings))
    runs, visits = list[float](), list[dict[str, Any]]()
    for _ in range(asked.repeats):
        runs.append(job.rate())
        visits.append(_without_place(job.examined()))
        tables = {"R_real": [against_runs(runs, visits)], "R_real / R_synth": [against_itself(visits)]}
        BENCHMARK.write(tables, visits=visits, runs=runs)


def _without_place(found: dict[str, Any]) -> dict[str, Any]:
    """The doctor's answer without the path of the shard set, because a result names no path of the machine."""
    return {**found, "job": {**found["job"], "shards": "SHARDS"}}


def extent(values: Sequence[float]) -> float:
    """The distance from the least to the largest value, as a fraction of the median."""
    return (max(values) - min(values)) / median(values)


def against_runs(runs: Sequence[float], visits: Sequence[dict[str, Any]]) -> Row:
    """A row that compares R_real with the rates of runs, pair by pair."""
    real = [visit["real"] for visit in visits]
    ratios = [one / other for one, other in zip(real, runs, strict=True)]
    own = extent(runs)
    return {
        "n": len(runs),
        **spread("run, images/s", runs, 1),
        **spread("doctor, images/s", real, 1, "its min to max"),
        **spread("doctor to run", ratios, 3, "pair by pair"),
        "spread of the runs": round(own, 3),
        "pairs within 5 %": sum(abs(ratio - 1) <= CLOSE for ratio in ratios),
        "within 5 % or the runs' spread": sum(abs(ratio - 1) <= max(CLOSE, own) for ratio in ratios),
    }


def against_itself(visits: Sequence[dict[str, Any]]) -> Row:
    """A row that compares R_real / R_synth with R_synth after R_real divided by R_synth before it."""
    ratios, itself = ([median(visit[key]) for visit in visits] for key in ("ratios", "synthetic_against_itself"))
    turns, own_turns = (
        [turn for visit in visits for turn in visit[key]] for key in ("ratios", "synthetic_against_itself")
    )
    return {
        "n": len(visits),
        **spread("R_real / R_synth", ratios, 3, "visit by visit"),
        **spread("R_synth against itself", itself, 3, "its visit by visit"),
        "spread": round(extent(ratios), 3),
        "spread of R_synth against itself": round(extent(itself), 3),
        "steady": extent(ratios) <= max(STEADY, extent(itself)),
        "spread of all turns": round(extent(turns), 3),
        "of R_synth against itself": round(extent(own_turns), 3),
    }


if __name__ == "__main__":
    main()
