"""A run that is stopped in the middle of an epoch goes on as if nothing had happened."""

import csv
from pathlib import Path

import pytest
import torch

from headrace.train.checkpoint import files
from tests.ddp.conftest import SETTINGS, STEPS, Outcome
from tests.ddp.processes import run_ranks

STOP_AT = 4


@pytest.fixture(scope="module")
def stopped(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Runs on 1, 2 and 3 processes whose last rank got SIGTERM in step 4."""
    folder = tmp_path_factory.mktemp("stopped")
    for size in (1, 2, 3):
        run_ranks("train_worker.py", size, tiny_set, folder / str(size), "--stop-after", str(STOP_AT), *SETTINGS)
    return {size: folder / str(size) for size in (1, 2, 3)}


@pytest.fixture(scope="module")
def resumed(stopped: dict[int, Path], tiny_set: Path) -> dict[int, Outcome]:
    """The same runs resumed to their end, each on the number of processes that it had."""
    for size, folder in stopped.items():
        state = files.newest(folder).stored.state
        assert STOP_AT < state["progress"]["step"] <= STOP_AT + 2
        run_ranks("train_worker.py", size, tiny_set, folder, "--resume", "last")
    return {size: Outcome(folder) for size, folder in stopped.items()}


def test_stop_leaves_no_process_group(stopped: dict[int, Path]) -> None:
    """Each rank of a run that a signal stopped has left its process groups; it would have ended with an error."""
    ended = {size: sorted(path.name for path in folder.glob("pixels-*")) for size, folder in stopped.items()}
    assert ended == {size: [f"pixels-{rank}.json" for rank in range(size)] for size in (1, 2, 3)}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_weights_and_optimizer_are_bit_equal(
    outcomes: dict[int, Outcome], resumed: dict[int, Outcome], size: int
) -> None:
    """On the same number of processes all weights and momenta equal those of the undisturbed run bit for bit."""
    undisturbed, again = outcomes[size].state, resumed[size].state
    for name, value in undisturbed["model"].items():
        if "running_" in name:  # taken over ranks once more at the stop: another order of the same float sums
            torch.testing.assert_close(again["model"][name], value, rtol=0, atol=1e-6)
        elif "num_batches_tracked" not in name:
            assert torch.equal(again["model"][name], value), name
    momenta = undisturbed["optimizer"]["state"]
    for number, kept in momenta.items():
        assert torch.equal(again["optimizer"]["state"][number]["momentum_buffer"], kept["momentum_buffer"])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_metrics_continue_without_gap(outcomes: dict[int, Outcome], resumed: dict[int, Outcome], size: int) -> None:
    """Each step has one row with the undisturbed run's loss, the epoch has one line with its accuracies."""
    steps = [row["step"] for row in resumed[size].rows if row["kind"] == "step"]
    assert steps == list(range(1, STEPS + 1))
    assert resumed[size].losses == outcomes[size].losses
    with (resumed[size].folder / "epochs.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["1"]
    for key in ("train_loss", "train_accuracy", "validation_accuracy"):
        assert resumed[size].epoch[key] == pytest.approx(outcomes[size].epoch[key], rel=1e-12)


def test_goes_on_with_another_number_of_processes(
    stopped: dict[int, Path], outcomes: dict[int, Outcome], tiny_set: Path, tmp_path: Path
) -> None:
    """A run stopped on 3 processes and resumed on 2 has the losses and pixels of one that was never stopped."""
    path = files.newest(stopped[3]).stored.path
    first = next(path for path in sorted((stopped[3] / "checkpoints").iterdir()))
    run_ranks("train_worker.py", 2, tiny_set, tmp_path / "moved", "--resume", str(first), "runtime.log_every=1")
    moved = Outcome(tmp_path / "moved")
    done = STEPS - len(moved.losses)
    assert STOP_AT < done < STEPS
    assert moved.losses == pytest.approx(outcomes[1].losses[done:], abs=1e-9)
    assert moved.pixels == [row for row in outcomes[1].pixels if row[0] >= done]
    assert path.exists()
