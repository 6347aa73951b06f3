"""Measures accuracy with 1, 4 and 16 partitions, on tars with one class each and on tars made by prep.

    python -m benchmarks.whole.partitions TINY WORK [--seeds 0 1 2] [--partitions 1 4 16]

TINY is the official zip of TinyImageNet, and WORK a folder for sets and runs. Each finished run becomes a line of
WORK/runs.jsonl at once, and is not made again; an interrupted run begins again.

Both sets have the same images: the first 20 classes with 500 training images each, at 64 px, in 40 tars of 250, and the
official validation images of these classes, 50 each. `headrace prep` made the set `prepared`. In the set `sorted`,
which `headrace index` adopted, each tar has images of one class. A narrow EfficientNet-B0 (a quarter of the channels,
half of the layers) is trained from random weights. The global batch is always 256, in groups of 16, so that with 16
partitions each group has a partition of its own. Runs differ only in seed and number of partitions. Accuracy is that
after the last epoch, on all validation images; the spread is the largest minus the smallest over seeds. The classes in
a batch and in a group are counted in epoch 0 of the order with seed 0.
"""

import csv
import json
import shutil
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import child, time_command
from benchmarks.harness.tables import Row
from benchmarks.whole.partitions_sets import make_sets
from headrace.shards.order import Order
from headrace.shards.shardset import ShardSet
from headrace.shards.shuffling import Classes, seen_classes
from headrace.train.recipe.recipe import load_recipe

RECIPE = Path(__file__).with_suffix(".toml")
"""A recipe of its own: shipped recipes are improved over time, and runs with them would not match older results."""
WIDTH, DEPTH = 0.25, 0.5
"""The factors for the numbers of the network's channels and layers."""


class Case(NamedTuple):
    """One run."""

    set: str
    partitions: int
    seed: int


def fit(shards: str, out: str, case: list[Any]) -> None:
    """Train one run in this process."""
    from headrace.train.machine.signals import StopRequest
    from headrace.train.model.build import build_model
    from headrace.train.run.process import entered
    from headrace.train.run.request import Request
    from headrace.train.run.resolve import resolve
    from headrace.train.run.training import carry_out

    _, partitions, seed = case
    settings = (f"train.partitions={partitions}", f"train.seed={seed}")
    setup = resolve(Request(Path(shards), str(RECIPE), settings, out=Path(out)), 1)
    built = build_model(
        setup.recipe.model.name,
        len(setup.shards.class_ids),
        init="random",
        weights=None,
        seed=seed,
        width_coefficient=WIDTH,
        depth_coefficient=DEPTH,
    )
    with StopRequest() as stop, entered(setup.recipe.runtime) as place:
        carry_out(setup, place, stop, built)


def run(case: Case, shards: Path, work: Path) -> dict[str, Any]:
    """The accuracies after each epoch and the seconds of a run, which is made unless it is finished already."""
    kept = work / "runs.jsonl"
    for before in finished(kept):
        if before["case"] == list(case):
            return before
    out = work / "runs" / "-".join(map(str, case))
    shutil.rmtree(out, ignore_errors=True)
    ran = time_command(child(__file__, "fit", shards, out, list(case)))
    with (out / "epochs.csv").open() as file:
        accuracies = [float(row["validation_accuracy"]) for row in csv.DictReader(file)]
    made = {"case": list(case), "accuracies": accuracies, **ran}
    keep(kept, made)
    return made


def keep(kept: Path, made: dict[str, Any]) -> None:
    """Append a run as a line of its own, even if the last line is incomplete."""
    with kept.open("a", encoding="ascii") as lines:
        lines.write(f"\n{json.dumps(made)}\n")


def finished(kept: Path) -> list[dict[str, Any]]:
    """The runs in the file; an incomplete line is ignored."""
    found = []
    for line in kept.read_text("ascii").splitlines() if kept.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def mixing(shards: Path, partitions: int) -> Classes:
    """The mean numbers of distinct classes in a batch and in a group."""
    train, split = load_recipe(str(RECIPE)).train, ShardSet.open(shards)["train"]
    if train.global_batch == "auto" or train.group == "auto":
        raise ValueError(f"{RECIPE}: global_batch and group must be numbers")
    order = Order.of(split.shard_sizes, 0, None, partitions, train.global_batch)
    return seen_classes(split.labels, order, train.global_batch, train.group)


def row_of(name: str, partitions: int, runs: list[dict[str, Any]], classes: Classes) -> Row:
    """A row with the accuracy of each seed, their mean and spread."""
    last = [one["accuracies"][-1] for one in runs]
    return {
        "set": name,
        "partitions": partitions,
        "classes in a batch": f"{classes.batch:.1f}",
        "classes in a group": f"{classes.group:.1f}",
        "n": len(last),
        "accuracy of each seed, %": ", ".join(f"{value:.2f}" for value in last),
        "mean": f"{statistics.mean(last):.2f}",
        "spread": f"{max(last) - min(last):.2f}",
        "seconds": f"{statistics.mean(one['seconds'] for one in runs):.0f}",
    }


def main() -> None:
    """Make the missing runs, and write the result."""
    benchmark = Benchmark(__file__, __doc__, "partitions", "Accuracy with and without partitions")
    benchmark.add("tiny", type=path, help="the official zip of TinyImageNet")
    benchmark.add("work", type=path, help="a folder for the sets and runs, which is kept")
    benchmark.add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds; each case is run with each")
    benchmark.add("--partitions", type=int, nargs="+", default=[1, 4, 16], help="numbers of partitions of the order")
    asked = benchmark.parse(model=f"efficientnet-b0, {WIDTH:g} of its channels and {DEPTH:g} of its layers")
    asked.work.mkdir(parents=True, exist_ok=True)
    sets = make_sets(asked.tiny, asked.work)
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for seed in asked.seeds:  # seed by seed, so that an interrupted benchmark has a complete table for some seeds
        for name, shards in sets.items():
            for partitions in asked.partitions:
                made = run(Case(name, partitions, seed), shards, asked.work)
                found.setdefault((name, partitions), []).append(made)
                print(name, partitions, seed, made["accuracies"][-1], made["seconds"], flush=True)
    rows = [
        row_of(name, partitions, runs, mixing(sets[name], partitions)) for (name, partitions), runs in found.items()
    ]
    benchmark.write({"After the last epoch": rows}, recipe=RECIPE.read_text("utf-8"))


if __name__ == "__main__":
    main()
