"""Collects the states of the training step (weights, optimizer, loss scale) for a checkpoint, and loads them."""

from typing import Any

from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.machine.numerics import load_scaler
from headrace.train.model.states import load_network
from headrace.train.step.optimizer import kept_quantities, load_optimizer
from headrace.train.step.update import TrainStep


def restore(step: TrainStep, saved: Checkpoint) -> None:
    """Load the states of a checkpoint into the training step. Raises DataError if the states do not fit the step."""
    with saved.explaining():
        load_network(step.network, saved.model, "model")
        updates = saved.progress.step
        trained = set(step.network.head.parameters()) if updates <= step.thaws_at else None
        load_optimizer(step.optimizer, saved.optimizer, updates, trained)
        _refuse_lost_quantities(step, saved)
        load_scaler(step.scaler, saved.scaler)
        if step.average is not None:
            load_network(step.average.network, saved.average or saved.model, "average")


def _refuse_lost_quantities(step: TrainStep, saved: Checkpoint) -> None:
    """Raise ValueError if the saved optimizer state is empty although the run has made updates.

    In fp16 an empty state is valid, because the loss scaler may have skipped all updates.
    """
    updates, skipped = saved.progress.step, bool(saved.scaler)
    if updates and kept_quantities(step.optimizer) and not step.optimizer.state and not skipped:
        raise ValueError(f"optimizer.state is empty, although the run has made {updates} updates")


def state_of(step: TrainStep) -> dict[str, Any]:
    """Return the states of the training step that `restore` loads: tables of tensors and plain values."""
    return {
        "model": step.network.state_dict(),
        "average": step.average.network.state_dict() if step.average else {},
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
    }
