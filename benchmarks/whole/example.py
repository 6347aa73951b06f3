"""Accuracy of headrace.Loader in a plain PyTorch loop, beside `headrace train` with the same settings.

    python -m benchmarks.whole.example SOURCE WORK [--seeds 0 1 2] [--epochs 16] [--classes 4] [--per-class 500]

SOURCE is the official zip of TinyImageNet. `--classes` and `--per-class` limit the classes and the images of each.
EfficientNet-B0 is trained from random weights at 32 pixels with mixup and CutMix: by examples/plain.py as it is, and
by the recipe beside this file, in one process each. Both start from the same weights and see the same batches. torch
draws dropout and stochastic depth in the example; (seed, step) determines them in `headrace train`. The second table
compares runs of the same seed. A run that exists in WORK is not repeated.
"""

import csv
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from efficientnet_pytorch import EfficientNet

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.paths import ROOT
from benchmarks.harness.tables import Row
from benchmarks.whole.invariance import headrace
from headrace.shards.shardset import ShardSet

RECIPE = Path(__file__).with_suffix(".toml")
"""The settings of both, but for the epochs and the seed."""
PLAIN, TRAIN = "examples/plain.py", "headrace train"
SETTINGS = ("--batch", "32", "--group", "32", "--size", "32", "--lr", "0.003")


class Epoch(NamedTuple):
    """What a validation after an epoch gave."""

    percent: float
    loss: float


Curve = list[Epoch]


def by_plain(shards: Path, work: Path, seed: int, epochs: int) -> Curve:
    """The validations of the example."""
    log = work / f"plain-{seed}.log"
    if not log.exists():
        given = ["--seed", str(seed), "--epochs", str(epochs), "--checkpoint", str(work / f"plain-{seed}.pt")]
        command = [sys.executable, PLAIN, str(shards), *SETTINGS, *given]
        ran = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        log.write_text(ran.stdout)
    found = re.findall(r"correct \(([\d.]+)%\), loss ([\d.]+)", log.read_text())
    return [Epoch(float(percent), float(loss)) for percent, loss in found]


def by_train(shards: Path, work: Path, seed: int, epochs: int) -> Curve:
    """The same of a run that begins with the example's first weights."""
    out = work / f"train-{seed}"
    if not (out / "epochs.csv").exists():
        weights = ("--weights", first_weights(shards, work, seed), "--set", "model.init=pretrained")
        settings = ("--set", f"train.seed={seed}", "--set", f"train.epochs={epochs}")
        headrace("train", shards, "--recipe", RECIPE, "--out", out, *weights, *settings)
    with (out / "epochs.csv").open() as file:
        return [Epoch(float(row["validation_accuracy"]), float(row["validation_loss"])) for row in csv.DictReader(file)]


def first_weights(shards: Path, work: Path, seed: int) -> Path:
    """A file with the weights that the example draws for this seed before its first step."""
    file = work / f"first-{seed}.pt"
    torch.manual_seed(seed)
    classes = len(ShardSet.open(shards).class_ids)
    torch.save(EfficientNet.from_name("efficientnet-b0", num_classes=classes).state_dict(), file)
    return file


def row_of(name: str, curves: list[Curve]) -> Row:
    """Accuracy after the last epoch of all seeds."""
    last = [curve[-1].percent for curve in curves]
    each = ", ".join(f"{value:.1f}" for value in last)
    row: Row = {"by": name, "n": len(last), "accuracy of each seed, %": each}
    return row | {"mean": round(statistics.mean(last), 2), "standard deviation": round(_spread(last), 2)}


def difference(curves: dict[str, list[Curve]]) -> list[Row]:
    """`headrace train` less the example after the last epoch, seed by seed."""
    rows = []
    for what in Epoch._fields:
        pairs = zip(curves[TRAIN], curves[PLAIN], strict=True)
        less = [getattr(ours[-1], what) - getattr(plain[-1], what) for ours, plain in pairs]
        row: Row = {"of": what, "n": len(less), "mean": round(statistics.mean(less), 4)}
        rows.append(row | {"standard error": round(_spread(less) / len(less) ** 0.5, 4)})
    return rows


def _spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Make the runs that are missing and write the result."""
    benchmark = Benchmark(__file__, __doc__, "example", "The Loader in a plain loop, and headrace train")
    benchmark.add("source", type=path, help="the official zip of TinyImageNet")
    benchmark.add("work", type=path, help="a folder for the runs, kept")
    benchmark.add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="a run of each for each")
    benchmark.add("--epochs", type=int, default=16, help="of each run")
    benchmark.add("--classes", type=int, default=4, help="how many classes")
    benchmark.add("--per-class", type=int, default=500, help="training images of each class")
    asked = benchmark.parse(model="EfficientNet-B0, random weights")
    subset = f"first {asked.classes} classes, at most {asked.per_class} images a class in each split"
    benchmark.note(data=f"TinyImageNet, {subset}")
    shards = asked.work / "shards"
    headrace("prep", asked.source, shards, "--classes", asked.classes, "--per-class", asked.per_class)
    curves: dict[str, list[Curve]] = {PLAIN: [], TRAIN: []}
    for seed in asked.seeds:
        curves[PLAIN].append(by_plain(shards, asked.work, seed, asked.epochs))
        curves[TRAIN].append(by_train(shards, asked.work, seed, asked.epochs))
    rows = [row_of(name, own) for name, own in curves.items()]
    tables = {"After the last epoch": rows, "headrace train less the example": difference(curves)}
    benchmark.write(tables, recipe=RECIPE.read_text("utf-8"), curves=curves)


if __name__ == "__main__":
    main()
