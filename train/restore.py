"""The states of a step into a checkpoint, and back."""

from typing import Any

from train.numerics import load_scaler
from train.optim import kept_quantities, load_optimizer
from train.resume import Resumed
from train.states import load_network
from train.step import TrainStep


def restore(step: TrainStep, resumed: Resumed) -> None:
    """Load the states of a checkpoint. Raises DataError when they do not fit the step."""
    state = resumed.state
    with resumed.explaining():
        load_network(step.network, state["model"], "model")
        load_optimizer(step.optimizer, state["optimizer"], resumed.progress.step)
        _refuse_lost_quantities(step, resumed)
        load_scaler(step.scaler, state["scaler"])
        if step.average is not None:
            load_network(step.average.network, state["average"] or state["model"], "average")


def _refuse_lost_quantities(step: TrainStep, resumed: Resumed) -> None:
    """Raise ValueError where there are none, although there were updates; in fp16 each may have been skipped."""
    skipped = bool(resumed.state["scaler"])
    if resumed.progress.step and kept_quantities(step.optimizer) and not step.optimizer.state and not skipped:
        raise ValueError(f"optimizer.state is empty after {resumed.progress.step} updates")


def state_of(step: TrainStep) -> dict[str, Any]:
    """The states that `restore` loads: tensors and plain values."""
    return {
        "model": step.network.state_dict(),
        "average": step.average.network.state_dict() if step.average else {},
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
    }
