"""The number formats of a run: chosen once, before anything is built from them, and then the same to its end."""

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
    """What a run computes in: `precision` by its name in a recipe, on torch's kind of `device`, "cpu" or "cuda"."""

    precision: str = "fp32"
    device: str = "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """What the forward pass computes in."""
        return _DTYPES[self.precision]

    @property
    def master_dtype(self) -> torch.dtype:
        """What weights and normalised images are kept in."""
        return torch.float64 if self.precision == "fp64" else torch.float32

    @property
    def mixed(self) -> bool:
        """Whether the forward pass computes in 16 bits beside weights in 32."""
        return self.dtype != self.master_dtype

    @property
    def exact(self) -> bool:
        """Whether no product is rounded to fewer bits than its factors have, as TF32 is."""
        return self.precision in ("fp32", "fp64")

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for the forward pass; a no-op in fp32, tf32 and fp64."""
        return torch.autocast(self.device, dtype=self.dtype if self.mixed else torch.bfloat16, enabled=self.mixed)

    def scaler(self) -> Scaler:
        """Loss scaling for fp16; a no-op otherwise."""
        return Scaler(self.device, enabled=self.precision == "fp16")


def load_scaler(scaler: Scaler, saved: dict[str, Any]) -> None:
    """Take the loss scale of a checkpoint; where this run has none, or the checkpoint, there is nothing to take.

    Raises ValueError when it cannot be one.
    """
    if not scaler.is_enabled() or not saved:
        return
    scale, steps = saved.get("scale"), saved.get("_growth_tracker")
    if not isinstance(scale, float) or not 0 < scale < float("inf"):
        raise ValueError(f"scaler.scale is {scale!r:.40}, not a positive number")
    if type(steps) is not int or not 0 <= steps < scaler.get_growth_interval():
        raise ValueError(f"scaler._growth_tracker is {steps!r:.40}, not a number of steps")
    scaler.load_state_dict({**scaler.state_dict(), "scale": scale, "_growth_tracker": steps})
