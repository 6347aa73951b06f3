"""Describes the number formats of a run, which are chosen once, before training begins, and then fixed."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

Scaler = torch.amp.GradScaler
_DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp64": torch.float64,
}


@dataclass(frozen=True)
class Numerics:
    """The number formats of a run; `precision` is a recipe's name such as "bf16", `device` is "cpu" or "cuda"."""

    precision: str = "fp32"
    device: str = "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the forward pass computes in."""
        return _DTYPES[self.precision]

    @property
    def master_dtype(self) -> torch.dtype:
        """The dtype of weights and normalised images."""
        return torch.float64 if self.precision == "fp64" else torch.float32

    @property
    def mixed(self) -> bool:
        """Whether the forward pass computes in 16 bits while the weights have 32 bits."""
        return self.dtype != self.master_dtype

    @property
    def exact(self) -> bool:
        """Whether the arithmetic has at least the full precision of float32: True for fp32 and fp64."""
        return self.precision in ("fp32", "fp64")

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context of mixed precision for the forward pass; it does nothing in fp32, tf32 and fp64."""
        return torch.autocast(self.device, dtype=self.dtype if self.mixed else torch.bfloat16, enabled=self.mixed)

    def scaler(self) -> Scaler:
        """Return a loss scaler for fp16; for other precisions, a scaler that does nothing."""
        return Scaler(self.device, enabled=self.precision == "fp16")


def load_scaler(scaler: Scaler, saved: dict[str, Any]) -> None:
    """Load the loss scale of a checkpoint; do nothing if this run or the checkpoint has no loss scale.

    Raises ValueError if the saved value is not a valid loss scale.
    """
    if not scaler.is_enabled() or not saved:
        return
    scale, steps = saved.get("scale"), saved.get("_growth_tracker")
    if not isinstance(scale, float) or not 0 < scale < float("inf"):
        raise ValueError(f"scaler.scale, the saved loss scale, is {scale!r:.40}, not a positive number")
    if type(steps) is not int or not 0 <= steps < scaler.get_growth_interval():
        raise ValueError(f"scaler._growth_tracker is {steps!r:.40}, not a valid number of steps")
    scaler.load_state_dict({**scaler.state_dict(), "scale": scale, "_growth_tracker": steps})
