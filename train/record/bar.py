"""The bar of an epoch on a terminal: steps, images a second, loss, time left for the epoch and for the run."""

import time
from typing import Any, TextIO

from tqdm import tqdm

from headrace.train.record.ahead import Ahead

_FORM = (
    "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} steps, {images} images/s, loss {loss}, "
    "{remaining} left, run {run}"
)


class EpochBar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A bar of tqdm. `evaluation` is how long the last evaluation took, in seconds."""

    def __init__(self, ahead: Ahead, evaluation: float, stream: TextIO) -> None:
        tqdm.monitor_interval = 0  # no extra thread
        self.loss: float | None = None
        self._ahead, self._evaluation = ahead, evaluation
        self._evaluating_since: float | None = None
        super().__init__(
            desc=f"[{ahead.epoch}/{ahead.epochs}]",
            total=ahead.steps,
            initial=ahead.done,
            file=stream,
            leave=False,
            dynamic_ncols=True,
            smoothing=0.1,
            bar_format=_FORM,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the form is filled with."""
        found: dict[str, Any] = super().format_dict
        rate = found["rate"] or (found["n"] - found["initial"]) / (found["elapsed"] or 1.0)
        left = "?"
        if rate > 0:
            steps = found["total"] - found["n"] + self._ahead.later
            evaluations = self._ahead.epochs - self._ahead.epoch + 1
            left = self.format_interval(steps / rate + evaluations * self._evaluation)
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        return {**found, "images": f"{rate * self._ahead.images:,.0f}", "loss": loss, "run": left}

    def evaluate(self) -> None:
        """Say that the epoch is evaluated, which begins now."""
        self._evaluating_since = time.monotonic()
        self.set_description_str(f"[{self._ahead.epoch}/{self._ahead.epochs}] evaluates")

    def evaluated_for(self) -> float:
        """Seconds of the evaluation so far; of the last one before there is one."""
        return self._evaluation if self._evaluating_since is None else time.monotonic() - self._evaluating_since
