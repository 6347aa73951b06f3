"""A run that is stopped in the middle of an epoch goes on as if nothing had happened."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint import files
from tests.ddp.conftest import SETTINGS, STEPS, Outcome, Outcomes
from tests.ddp.processes import run_ranks

STOP_AT = 4


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.faults), 3])
def size(request: pytest.FixtureRequest) -> int:
    """The number of processes."""
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def stopped(size: int, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose last rank got SIGTERM in step 4."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    run_ranks("train_worker.py", size, tiny_set, folder, "--stop-after", str(STOP_AT), *SETTINGS)
    return folder


@pytest.fixture(scope="module")
def resumed(stopped: Path, size: int, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The same run resumed to its end, on the number of processes that it had."""
    state = files.newest(stopped).stored.state
    assert STOP_AT < state["progress"]["step"] <= STOP_AT + 2
    folder = shutil.copytree(stopped, tmp_path_factory.mktemp("resumed") / "run")
    run_ranks("train_worker.py", size, tiny_set, folder, "--resume", "last")
    return Outcome(folder)


def test_stop_leaves_no_process_group(stopped: Path, size: int) -> None:
    """Each rank of a run that a signal stopped has left its process groups; it would have ended with an error."""
    ended = sorted(path.name for path in stopped.glob("pixels-*"))
    assert ended == [f"pixels-{rank}.json" for rank in range(size)]


def test_weights_and_optimizer_are_bit_equal(outcomes: Outcomes, resumed: Outcome, size: int) -> None:
    """On the same number of processes all weights and momenta equal those of the undisturbed run bit for bit."""
    undisturbed, again = outcomes[size].state, resumed.state
    for name, value in undisturbed["model"].items():
        if "running_" in name:  # taken over ranks once more at the stop: another order of the same float sums
            torch.testing.assert_close(again["model"][name], value, rtol=0, atol=1e-6)
        elif "num_batches_tracked" not in name:
            assert torch.equal(again["model"][name], value), name
    momenta = undisturbed["optimizer"]["state"]
    for number, kept in momenta.items():
        assert torch.equal(again["optimizer"]["state"][number]["momentum_buffer"], kept["momentum_buffer"])


def test_metrics_continue_without_gap(outcomes: Outcomes, resumed: Outcome, size: int) -> None:
    """Each step has one row with the undisturbed run's loss, the epoch has one line with its accuracies."""
    steps = [row["step"] for row in resumed.rows if row["kind"] == "step"]
    assert steps == list(range(1, STEPS + 1))
    assert resumed.losses == outcomes[size].losses
    with (resumed.folder / "epochs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["1"]
    for key in ("train_loss", "train_accuracy", "validation_accuracy"):
        assert resumed.epoch[key] == pytest.approx(outcomes[size].epoch[key], rel=1e-12)


@pytest.mark.parametrize("size", [3], indirect=True)
def test_goes_on_with_another_number_of_processes(
    stopped: Path, outcomes: Outcomes, tiny_set: Path, tmp_path: Path
) -> None:
    """A run stopped on 3 processes and resumed on 2 has the losses and pixels of one that was never stopped."""
    path = files.newest(stopped).stored.path
    first = next(path for path in sorted((stopped / "checkpoints").iterdir()))
    run_ranks("train_worker.py", 2, tiny_set, tmp_path / "moved", "--resume", str(first), "runtime.log_every=1")
    moved = Outcome(tmp_path / "moved")
    done = STEPS - len(moved.losses)
    assert STOP_AT < done < STEPS
    assert moved.losses == pytest.approx(outcomes[1].losses[done:], abs=1e-9)
    assert moved.pixels == [row for row in outcomes[1].pixels if row[0] >= done]
    assert path.exists()
