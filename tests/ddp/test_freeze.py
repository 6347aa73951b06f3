"""Runs whose first half trains the classifier alone: a resume before, at and after the switch changes nothing."""

from pathlib import Path

import pytest
import torch

from tests.ddp.conftest import SETTINGS, STEPS, Outcome
from tests.ddp.processes import run_ranks

SWITCH = 5
FROZEN = (
    *SETTINGS,
    f"model.freeze_epochs={SWITCH / STEPS}",
    "optim.layer_decay=0.9",
    "runtime.checkpoint_steps=1",
    "runtime.keep_checkpoints=20",
)


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.faults), 3])
def undisturbed(request: pytest.FixtureRequest, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run that saves after each step; its folder has the name of the number of processes."""
    folder = tmp_path_factory.mktemp("frozen") / str(request.param)
    run_ranks("train_worker.py", request.param, tiny_set, folder, *FROZEN)
    return Outcome(folder)


def saved(run: Outcome, step: int) -> Path:
    """The checkpoint that a run wrote after this many steps."""
    (path,) = (run.folder / "checkpoints").glob(f"step-{step:08d}-*.pt")
    return path


def moved(run: Outcome, first: int, last: int) -> set[str]:
    """The names of the tensors that changed between two checkpoints."""
    before, after = (torch.load(saved(run, step), weights_only=True)["model"] for step in (first, last))
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_only_the_classifier_moves_until_the_switch(undisturbed: Outcome) -> None:
    """Up to it nothing else changes, no statistics either; the next step moves all that has gradients."""
    assert moved(undisturbed, 1, SWITCH) == {"_fc.weight", "_fc.bias"}
    state = undisturbed.state["model"]
    learned = {name for name, value in state.items() if value.is_floating_point()}
    assert moved(undisturbed, SWITCH, SWITCH + 1) >= learned


@pytest.mark.parametrize("step", [SWITCH - 2, SWITCH, SWITCH + 2])
def test_resume_around_the_switch_is_bit_equal(undisturbed: Outcome, tiny_set: Path, tmp_path: Path, step: int) -> None:
    """On the same number of processes weights and momenta are those of the run that was never stopped."""
    size = int(undisturbed.folder.name)
    run_ranks("train_worker.py", size, tiny_set, tmp_path / "run", "--resume", str(saved(undisturbed, step)))
    again = Outcome(tmp_path / "run")
    assert again.losses == undisturbed.losses[step:]
    for name, value in undisturbed.state["model"].items():
        if "running_" not in name and "num_batches" not in name:  # averaged over ranks at each save
            assert torch.equal(again.state["model"][name], value), name
    momenta = undisturbed.state["optimizer"]["state"]
    assert len(momenta) == len(again.state["optimizer"]["state"])
    for number, kept in momenta.items():
        assert torch.equal(again.state["optimizer"]["state"][number]["momentum_buffer"], kept["momentum_buffer"])


def test_processes_do_not_change_it(undisturbed: Outcome, tiny_set: Path, tmp_path: Path) -> None:
    """A run of another number of processes, resumed from a checkpoint before the switch, has the same losses."""
    other = 2 if undisturbed.folder.name == "3" else 3
    run_ranks("train_worker.py", other, tiny_set, tmp_path / "run", "--resume", str(saved(undisturbed, SWITCH - 1)))
    assert Outcome(tmp_path / "run").losses == pytest.approx(undisturbed.losses[SWITCH - 1 :], abs=1e-9)
