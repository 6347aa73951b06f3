"""Computes the learning rate of a step as a pure function of the number of samples before the step."""

import math
from dataclasses import dataclass

from headrace.train.recipe.sections import Optim
from headrace.train.recipe.settled import Settled


@dataclass(frozen=True)
class ScaledRate:
    """The peak learning rate for the global batch of the run, and the rule that gave it, as text."""

    peak: float
    rule: str


def scaled_rate(optim: Optim, global_batch: int) -> ScaledRate:
    """Return `optim.lr`, scaled from its reference batch to `global_batch`.

    The rate grows linearly with the batch for SGD and RMSprop (Goyal et al., arXiv:1706.02677), and with its square
    root for AdamW (Malladi et al., arXiv:2205.10287).
    """
    ratio = global_batch / (optim.reference_batch or global_batch)
    if ratio == 1:
        return ScaledRate(optim.lr, "as given")
    if optim.scaling == "none":
        return ScaledRate(optim.lr, f"as given, not scaled by {ratio:g}: optim.scaling is none")
    if optim.name == "adamw":
        return ScaledRate(optim.lr * math.sqrt(ratio), f"{optim.lr:g} x sqrt({ratio:g})")
    return ScaledRate(optim.lr * ratio, f"{optim.lr:g} x {ratio:g}")


@dataclass(frozen=True)
class Schedule:
    """The learning rate during the `total` samples of a run.

    It rises linearly during the warm-up. Then it stays constant, or falls to 0 linearly or as a cosine.
    """

    peak: float
    shape: str
    warmup: float
    total: int
    global_batch: int

    @classmethod
    def of(cls, recipe: Settled, samples: int) -> "Schedule":
        """Return the schedule of a recipe. `samples` is the number of samples in the training split."""
        train, optim = recipe.train, recipe.optim
        peak = scaled_rate(optim, train.global_batch).peak
        return cls(peak, optim.schedule, optim.warmup_epochs * samples, train.epochs * samples, train.global_batch)

    def rate(self, step: int) -> float:
        """Return the learning rate of this step."""
        seen = step * self.global_batch
        if seen < self.warmup:
            return self.peak * min(1.0, (seen + self.global_batch) / self.warmup)
        if self.shape == "constant":
            return self.peak
        left = 1 - min(1.0, (seen - self.warmup) / max(1.0, self.total - self.warmup))
        return self.peak * (left if self.shape == "linear" else 0.5 * (1 - math.cos(math.pi * left)))
