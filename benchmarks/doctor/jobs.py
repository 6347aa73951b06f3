"""Examines a job with the doctor, and runs the same job to measure its actual rate."""

import csv
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.doctor.slowdowns import Slowdown, run_slowly
from benchmarks.harness.processes import ENVIRONMENT, child

_HEADRACE = (sys.executable, "-P", "-m", "headrace")
_RANDOM = ("model.init=random", "model.head=new")  # like the doctor: larger networks have no weights here


@dataclass(frozen=True)
class Shown:
    """A job: a shard set, a recipe and its settings."""

    shards: Path
    recipe: str
    settings: tuple[str, ...]

    def examined(self, *options: str, slow: Slowdown | None = None) -> dict[str, Any]:
        """The output of `headrace doctor --json` for the job. The doctor knows the job, but not the slow-down."""
        found: dict[str, Any] = json.loads(self.said("--json", *options, slow=slow))
        return found

    def examined_within(self, seconds: float, slow: Slowdown) -> dict[str, Any]:
        """The output of `headrace doctor --json --try`, with this many seconds per rung instead of eight."""
        settings = [*self.settings, *slow.settings]
        command = child(__file__, "examine_within", seconds, self.shards, self.recipe, settings)
        found: dict[str, Any] = json.loads(run_slowly(command, slow, _environment()).splitlines()[-1])
        return found

    def said(self, *options: str, slow: Slowdown | None = None) -> str:
        """The text that `headrace doctor` prints about the job."""
        command = [*_HEADRACE, "doctor", str(self.shards), f"--recipe={self.recipe}", *options]
        return run_slowly([*command, *self._set(slow)], slow, _environment())

    def rate(self, slow: Slowdown | None = None, *more: str) -> float:
        """Run the job; return its rate in images per second, without evaluations."""
        with tempfile.TemporaryDirectory(prefix="headrace-doctor-") as folder:
            out = Path(folder, "run")
            command = [*_HEADRACE, "train", str(self.shards), f"--recipe={self.recipe}", f"--out={out}"]
            settings = [f"--set={setting}" for setting in (*_RANDOM, "runtime.verdict=false", *more)]
            run_slowly([*command, *self._set(slow), *settings], slow, _environment())
            with (out / "epochs.csv").open(encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        seconds = sum(float(row["train_seconds"]) for row in rows)
        return sum(float(row["images_per_second"]) * float(row["train_seconds"]) for row in rows) / seconds

    def _set(self, slow: Slowdown | None) -> list[str]:
        return [f"--set={setting}" for setting in (*self.settings, *(slow.settings if slow else ()))]


def examine_within(seconds: float, shards: str, recipe: str, settings: list[str]) -> dict[str, Any]:
    """Do the same as the command with --json --try, in a process of its own, which does not load torch."""
    from headrace.train.doctor.answer import answer
    from headrace.train.doctor.asked import Asked
    from headrace.train.doctor.examination import examine
    from headrace.train.doctor.shape import Budget

    return answer(examine(Asked(Path(shards), recipe, tuple(settings)), attempt=True, budget=Budget(seconds)))


def _environment() -> dict[str, str]:
    return {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)}
