"""Checkpoint files of a small made-up state."""

from pathlib import Path
from typing import Any

import torch

from headrace.train.checkpoint import files, formats
from headrace.train.checkpoint.fields import NETWORK
from headrace.train.record.attempts import Attempt

STATE: dict[str, Any] = {
    "format": formats.FORMAT,
    "headrace": "0",
    "model": {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)},
    "average": {},
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "scaler": {},
    "progress": {"step": 1},
    "recipe": {"train": {"epochs": 3}},
    "precision": "fp32",
    "classes": ["a", "b"],
    "shard_set": "0" * 64,
    "network": NETWORK,
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "class_names": ["first", "second"],
    "world": {"processes": 1, "threads": 1},
}


def save(
    run: Path,
    step: int,
    *,
    best: bool = False,
    keep: int = 3,
    attempt: Attempt | None = None,
    before: str = "",
    said: str | None = None,
    **changes: Any,
) -> Path:
    """Save a state that differs by its step, and return the file. `said` is what it says of the best one."""
    run.mkdir(exist_ok=True)
    state = STATE | {"progress": {"step": step}} | changes | ({} if said is None else {"best": said})
    return files.save(
        run, state, step, best=best, keep=keep, attempt=attempt or Attempt(), before=before
    ).path.resolve()
