"""Computes how a run spent its time: starting, training, waiting for data, evaluating and saving."""

from typing import NamedTuple

from headrace.train.record.history import History, number

STILL = ("start", "training", "waiting for data", "evaluation", "saving")


class Phase(NamedTuple):
    """An activity of a run, and its duration in seconds."""

    name: str
    seconds: float
    share: float  # of all phases


def phases(history: History) -> list[Phase]:
    """Return how long each activity took in all finished epochs; empty before the first epoch has finished.

    The log counts saves in the middle of an epoch as training time. Therefore the time of these saves is subtracted
    from the training time.
    """
    training = waiting = evaluation = 0.0
    for row in history.epochs:
        seconds, train = number(row, "seconds") or 0.0, number(row, "train_seconds") or 0.0
        stalled = train * (number(row, "stall_percent") or 0.0) / 100
        training, waiting, evaluation = training + train - stalled, waiting + stalled, evaluation + seconds - train
    ends = {row["step"] for row in history.epochs}
    last = max(ends, default=0)
    saves = [(row["step"], number(row, "seconds") or 0.0) for row in history.saves if row["step"] <= last]
    saving = sum(seconds for _, seconds in saves)
    within = sum(seconds for step, seconds in saves if step not in ends)
    start = sum(number(row, "seconds") or 0.0 for row in history.starts)
    found = dict(zip(STILL, (start, max(0.0, training - within), waiting, evaluation, saving), strict=True))
    whole = sum(found.values())
    return (
        [Phase(name, seconds, seconds / whole) for name, seconds in found.items()] if history.epochs and whole else []
    )
