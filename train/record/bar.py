"""Draws the progress bars of a run: one for staging, and one for an epoch, with its rate, loss and the time left."""

import time
from typing import Any, TextIO

from tqdm import tqdm

from headrace.train.record.ahead import Ahead

_FORM = (
    "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} steps, {images} images/s, loss {loss}, "
    "{remaining} left, run {run}"
)


class EpochBar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A tqdm progress bar of one epoch. `evaluation` is the duration of the last evaluation in seconds."""

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
        """The values that tqdm puts into the placeholders of the bar's format."""
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
        """Show that the evaluation of the epoch begins now."""
        self._evaluating_since = time.monotonic()
        self.set_description_str(f"[{self._ahead.epoch}/{self._ahead.epochs}] evaluating")

    def evaluated_for(self) -> float:
        """Return the seconds of the running evaluation so far, or of the last evaluation if none is running."""
        return self._evaluation if self._evaluating_since is None else time.monotonic() - self._evaluating_since


def staging_bar(here: int, total: int, stream: TextIO) -> Any:
    """Return a progress bar of the bytes that are fetched before a run begins."""
    tqdm.monitor_interval = 0  # no extra thread
    return tqdm(
        desc="stage", total=total, initial=here, unit="B", unit_scale=True, file=stream, leave=False, dynamic_ncols=True
    )
