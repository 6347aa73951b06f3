"""Draws a run's training loss and validation accuracy from its folder, as an SVG.

    python -m benchmarks.whole.curve RUN OUT.svg

The picture shows the loss of each step (faint), the mean of the last 50 losses, and the accuracies in epochs.csv.
"""

import argparse
import csv
import json
from pathlib import Path

from benchmarks.whole.picture import pyplot, save

MEAN_OVER = 50  # steps


def losses(run: Path) -> list[float]:
    """The loss of every step, in order."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return [loss for line in lines if line["kind"] == "step" for loss in line["losses"]]


def draw(run: Path, out: Path) -> None:
    """Write the picture; equal runs give equal bytes."""
    import numpy as np

    of_steps = np.array(losses(run))
    means = np.convolve(of_steps, np.ones(MEAN_OVER) / MEAN_OVER, "valid")
    epochs = list(csv.DictReader((run / "epochs.csv").open(encoding="utf-8")))
    figure, left = pyplot().subplots(figsize=(7, 4))
    left.plot(of_steps, color="tab:blue", alpha=0.25, linewidth=0.5)
    left.plot(np.arange(len(means)) + MEAN_OVER, means, color="tab:blue")
    left.set_xlabel("step")
    left.set_ylabel("training loss", color="tab:blue")
    right = left.twinx()
    steps, accuracies = zip(*((int(row["step"]), float(row["validation_accuracy"])) for row in epochs), strict=True)
    right.plot(steps, accuracies, "o-", color="tab:red")
    for step, accuracy in zip(steps, accuracies, strict=True):
        right.annotate(f"{accuracy:.2f}", (step, accuracy), (-4, 6), textcoords="offset points", ha="right")
    right.set_ylabel("validation accuracy, %", color="tab:red")
    figure.tight_layout()
    save(figure, out)


def main() -> None:
    """Draw one run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("out", type=Path, help="the picture")
    asked = parser.parse_args()
    draw(asked.run, asked.out)


if __name__ == "__main__":
    main()
