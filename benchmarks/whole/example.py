"""Compares the accuracy of headrace.Loader in a plain PyTorch loop with `headrace train` and the same settings.

    python -m benchmarks.whole.example SOURCE WORK [--seeds 0 1 2] [--epochs 16] [--classes 4] [--per-class 500]

SOURCE is the official zip of TinyImageNet, of which the first classes are used, with --per-class images of each.
EfficientNet-B0 is trained in one process from random weights at 32 pixels with mixup and CutMix, with examples/plain.py
and with the recipe beside this file. Both see the same batches. In the example torch draws initial weights, dropout and
stochastic depth; in the run (seed, step) determines them. A run that exists in WORK is not made again.
"""

import re
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.paths import ROOT
from benchmarks.harness.tables import Row
from benchmarks.whole.invariance import headrace, points

RECIPE = Path(__file__).with_suffix(".toml")
"""The settings of both, without the epochs and the seed."""
PLAIN, TRAIN = "examples/plain.py", "headrace train"
SETTINGS = ("--batch", "32", "--group", "32", "--size", "32", "--lr", "0.003")


def by_plain(shards: Path, work: Path, seed: int, epochs: int) -> list[float]:
    """The accuracy in percent after each epoch of the example, which is run if its log is missing."""
    log = work / f"plain-{seed}.log"
    if not log.exists():
        given = ["--seed", str(seed), "--epochs", str(epochs), "--checkpoint", str(work / f"plain-{seed}.pt")]
        command = [sys.executable, PLAIN, str(shards), *SETTINGS, *given]
        ran = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        log.write_text(ran.stdout)
    return [float(percent) for percent in re.findall(r"correct \(([\d.]+)%\)", log.read_text())]


def by_train(shards: Path, work: Path, seed: int, epochs: int) -> list[float]:
    """The accuracy in percent after each epoch of a run, which is made if missing."""
    out = work / f"train-{seed}"
    if not (out / "epochs.csv").exists():
        settings = ("--set", f"train.seed={seed}", "--set", f"train.epochs={epochs}")
        headrace("train", shards, "--recipe", RECIPE, "--out", out, *settings)
    return [point.accuracy for point in points(out)]


def row_of(name: str, curves: list[list[float]]) -> Row:
    """A row with the accuracy after the last epoch, for all seeds."""
    last = [curve[-1] for curve in curves]
    each = ", ".join(f"{value:.1f}" for value in last)
    spread = statistics.stdev(last) if len(last) > 1 else 0.0
    return {
        "by": name,
        "n": len(last),
        "accuracy of each seed, %": each,
        "mean": round(statistics.mean(last), 2),
        "standard deviation": round(spread, 2),
    }


def main() -> None:
    """Make the missing runs, and write the result."""
    benchmark = Benchmark(__file__, __doc__, "example", "The Loader in a plain loop, and headrace train")
    benchmark.add("source", type=path, help="the official zip of TinyImageNet")
    benchmark.add("work", type=path, help="a folder for the runs, which is kept")
    benchmark.add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds; both ways are run with each")
    benchmark.add("--epochs", type=int, default=16, help="epochs of each run")
    benchmark.add("--classes", type=int, default=4, help="number of classes")
    benchmark.add("--per-class", type=int, default=500, help="training images of each class")
    asked = benchmark.parse(model="EfficientNet-B0, random weights")
    subset = f"first {asked.classes} classes, at most {asked.per_class} images a class in each split"
    benchmark.note(data=f"TinyImageNet, {subset}")
    shards = asked.work / "shards"
    headrace("prep", asked.source, shards, "--classes", asked.classes, "--per-class", asked.per_class)
    curves: dict[str, list[list[float]]] = {PLAIN: [], TRAIN: []}
    for seed in asked.seeds:
        curves[PLAIN].append(by_plain(shards, asked.work, seed, asked.epochs))
        curves[TRAIN].append(by_train(shards, asked.work, seed, asked.epochs))
    rows = [row_of(name, own) for name, own in curves.items()]
    benchmark.write({"After the last epoch": rows}, recipe=RECIPE.read_text("utf-8"), curves=curves)


if __name__ == "__main__":
    main()
