"""The states of a step into a checkpoint, and back."""

from typing import Any

from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.machine.numerics import load_scaler
from headrace.train.model.states import load_network
from headrace.train.step.optimizer import kept_quantities, load_optimizer
from headrace.train.step.update import TrainStep


def restore(step: TrainStep, saved: Checkpoint) -> None:
    """Load the states of a checkpoint. Raises DataError when they do not fit the step."""
    with saved.explaining():
        load_network(step.network, saved.model, "model")
        load_optimizer(step.optimizer, saved.optimizer, saved.progress.step)
        _refuse_lost_quantities(step, saved)
        load_scaler(step.scaler, saved.scaler)
        if step.average is not None:
            load_network(step.average.network, saved.average or saved.model, "average")


def _refuse_lost_quantities(step: TrainStep, saved: Checkpoint) -> None:
    """Raise ValueError where there are none, although there were updates; in fp16 each may have been skipped."""
    updates, skipped = saved.progress.step, bool(saved.scaler)
    if updates and kept_quantities(step.optimizer) and not step.optimizer.state and not skipped:
        raise ValueError(f"optimizer.state is empty after {updates} updates")


def state_of(step: TrainStep) -> dict[str, Any]:
    """The states that `restore` loads: tensors and plain values."""
    return {
        "model": step.network.state_dict(),
        "average": step.average.network.state_dict() if step.average else {},
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
    }
