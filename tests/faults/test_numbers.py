import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from headrace.train.checkpoint import files
from headrace.train.step.update import TrainStep
from tests.faults.runs import STEPS, arguments, assert_same_run, here, one_line, running


def test_loss_that_is_not_finite(tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run stops with 1, names the step and its samples, lists all in a file, and keeps the last good checkpoint."""
    out, forward = tmp_path / "run", TrainStep._forward
    update = TrainStep.__call__

    def poisoned(self: TrainStep, number: int, *rest: Any) -> None:
        def infinite(*given: Any) -> Any:
            loss, logits = forward(self, *given)
            return (loss * float("inf") if number == 5 else loss), logits

        monkeypatch.setattr(self, "_forward", infinite)
        update(self, number, *rest)

    given = arguments(tiny_set, out, runtime__log_every=50)
    with monkeypatch.context() as patch:
        patch.setattr(TrainStep, "__call__", poisoned)
        one_line(
            here(*given), 1, "step 5: the loss is inf", "(key ", "not-finite-step-00000005.csv", "--override recipe"
        )
    with (out / "not-finite-step-00000005.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["id"] for row in rows}) == 48
    assert files.load(out / "last.pt").state["progress"]["step"] == 4
    assert here(*given, "--resume").exit_code == 0
    assert files.load(out / "last.pt").state["progress"]["step"] == STEPS


def test_weights_that_are_not_finite_are_not_saved(
    tiny_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update that breaks the weights after a finite loss ends the run before they become a checkpoint."""
    out, update = tmp_path / "run", TrainStep.__call__

    def broken(self: TrainStep, number: int, *rest: Any) -> None:
        update(self, number, *rest)
        if number == 3:
            next(iter(self.network.parameters())).data.fill_(float("nan"))

    monkeypatch.setattr(TrainStep, "__call__", broken)
    one_line(here(*arguments(tiny_set, out)), 1, "step 3: the loss was finite, but the update", "last.pt")
    assert files.load(out / "last.pt").state["progress"]["step"] == 2


def test_deterministic_runs_are_bit_equal(tiny_set: Path, tmp_path: Path) -> None:
    """Two runs with --deterministic on one process have the same weights, losses and accuracies, bit for bit."""
    try:
        for name in ("one", "two"):
            result = here(*arguments(tiny_set, tmp_path / name, "--deterministic"))
            assert result.exit_code == 0, result.output
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.faults
def test_deterministic_runs_on_two_processes_are_bit_equal(tiny_set: Path, tmp_path: Path) -> None:
    """The same on two processes: the order of the sums over ranks does not change either."""
    for name in ("one", "two"):
        with running(arguments(tiny_set, tmp_path / name, "--deterministic", "--nproc", "2")) as process:
            output, errors = process.communicate(timeout=250)
        assert process.returncode == 0, output + errors
    assert_same_run(tmp_path / "one", tmp_path / "two")
