"""Undisturbed runs of one recipe on several numbers of processes, shared by all tests of this folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.train.checkpoint import files
from tests.ddp.processes import run_ranks

# 6 groups of 8 in a batch: 4 processes take 2, 2, 1, 1 of them. All noise and every augmentation is on; batch norm is
# live. The learning rate is low enough that a difference in the last bit does not grow beyond 1e-9 in ten steps.
SETTINGS = (
    "train.epochs=1",
    "train.global_batch=48",
    "train.group=8",
    "model.dropout=0.2",
    "model.drop_connect=0.2",
    "augment.rotate=20",
    "augment.scale=[0.8, 1.2]",
    "augment.brightness=0.4",
    "augment.contrast=0.4",
    "augment.saturation=0.4",
    "augment.hue=0.1",
    "augment.trivial_augment=true",
    "augment.erase=0.5",
    "augment.mixup=0.4",
    "augment.cutmix=1.0",
    "optim.name=sgd",
    "optim.lr=0.01",
    "optim.ema_half_life=100",
    "runtime.device=cpu",
    "runtime.threads=1",
    "runtime.precision=fp64",
    "runtime.log_every=1",
    "runtime.verdict=false",
)
STEPS = 10  # 480 samples


class Outcome:
    """What a run left behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        self.losses = [row["loss"] for row in self.rows if row["kind"] == "step"]
        self.epoch: dict[str, Any] = next(row for row in self.rows if row["kind"] == "epoch")
        self.state = files.load(folder / "last.pt").state
        ranks = [json.loads(path.read_text()) for path in folder.glob("pixels-*.json")]
        self.pixels = sorted(row for rows in ranks for row in rows)  # [step, epoch, id, hash of the image]


class Outcomes(dict[int, Outcome]):
    """By the number of processes; each run is made when a test first asks for it."""

    def __init__(self, run: Callable[[int], Outcome]) -> None:
        super().__init__()
        self._run = run

    def __missing__(self, size: int) -> Outcome:
        self[size] = self._run(size)
        return self[size]


@pytest.fixture(scope="session")
def outcomes(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """The same recipe on any number of processes, in float64."""
    folder = tmp_path_factory.mktemp("undisturbed")

    def run(size: int) -> Outcome:
        run_ranks("train_worker.py", size, tiny_set, folder / str(size), *SETTINGS)
        return Outcome(folder / str(size))

    return Outcomes(run)
