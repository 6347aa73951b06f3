"""Measures the accuracy of one recipe on one shard set, for several seeds.

    python -m benchmarks.whole.seeds SHARDS WORK [--recipe lite0-cpu] [--set KEY=VALUE ...] [--seeds 0 1 2]

The runs on one process differ only in their seeds. WORK is a folder for the runs. Existing runs are resumed; a finished
run has nothing left to do. Accuracy is that after the last epoch, on all validation images; seconds are those of
training and evaluation.
"""

import csv
import statistics
from argparse import Namespace
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.tables import Row
from benchmarks.whole.invariance import headrace
from headrace.shards.counts import counted
from headrace.shards.shardset import ShardSet


def run(seed: int, asked: Namespace) -> Row:
    """The row of one run, which is made if missing."""
    out: Path = asked.work / f"seed-{seed}"
    given = [f"train.seed={seed}", *asked.settings]
    settings = [word for setting in given for word in ("--set", setting)]
    headrace("train", asked.shards, "--recipe", asked.recipe, "--out", out, "--resume", "auto", *settings)
    with (out / "epochs.csv").open() as file:
        epochs = list(csv.DictReader(file))
    accuracies = [f"{float(epoch['validation_accuracy']):.2f}" for epoch in epochs]
    return {
        "seed": seed,
        "updates": int(epochs[-1]["step"]),
        "accuracy after each epoch, %": ", ".join(accuracies),
        "accuracy, %": accuracies[-1],
        "seconds": round(sum(float(epoch["seconds"]) for epoch in epochs)),
    }


def summary(rows: list[Row]) -> Row:
    """A row with the mean and the spread over the seeds."""
    last = [float(row["accuracy, %"]) for row in rows]
    return {
        "n": len(last),
        "mean, %": f"{statistics.mean(last):.2f}",
        "standard deviation": f"{statistics.stdev(last):.2f}" if len(last) > 1 else "",
        "min to max": f"{min(last):.2f} to {max(last):.2f}",
    }


def main() -> None:
    """Make the missing runs, and write the result."""
    benchmark = Benchmark(__file__, __doc__, "seeds", "Accuracy for several seeds")
    benchmark.add("shards", type=path, help="a shard set with validation images")
    benchmark.add("work", type=path, help="a folder for the runs, which is kept")
    benchmark.add("--recipe", default="lite0-cpu", help="name or file of a recipe")
    benchmark.add(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="as in headrace train"
    )
    benchmark.add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the runs")
    asked = benchmark.parse()
    shards = ShardSet.open(asked.shards)
    images = ", ".join(f"{len(shards[split.name]):,} of {split.name}" for split in shards.manifest.splits)
    benchmark.note(data=f"{counted(len(shards.class_ids), 'class', 'classes')}, images: {images}")
    rows = [run(seed, asked) for seed in asked.seeds]
    benchmark.write({"Each seed": rows, "All": [summary(rows)]})


if __name__ == "__main__":
    main()
