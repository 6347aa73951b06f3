"""Defines `headrace.Callback`, the base class of user code that is called at a few moments of a run."""

from collections.abc import Callable, Iterable

from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import End, Saved, Start, StepLogged


class Callback:
    """Base class of objects whose methods are called at certain moments of a run, on rank 0.

    Override the methods that you need; by default they do nothing. The methods are called between steps, and the run
    waits until they return. Their arguments are plain, frozen values: no tensors and no parts of the run. An exception
    in a method ends the run, like any other error.
    """

    def on_start(self, start: Start) -> None:
        """Called before the first step, when the run folder, recipe.toml and environment.json exist."""

    def on_step_logged(self, logged: StepLogged) -> None:
        """Called with the last steps' losses: every `runtime.log_every` steps, and before each evaluation and save."""

    def on_epoch(self, report: EpochReport) -> None:
        """Called with an epoch's results after its evaluation, when its row is in metrics.jsonl and epochs.csv."""

    def on_saved(self, saved: Saved) -> None:
        """Called when a checkpoint is on disk: after each epoch, and after a save requested by recipe or signal."""

    def on_end(self, end: End) -> None:
        """Called when the run is over, even after an error, and even if another callback has failed."""


class Callbacks(Callback):
    """Combines several callbacks into one, which calls each of them in turn."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._all = tuple(callbacks)

    def on_start(self, start: Start) -> None:
        """Pass the start of the run to each callback."""
        for callback in self._all:
            callback.on_start(start)

    def on_step_logged(self, logged: StepLogged) -> None:
        """Pass the losses of the last steps to each callback."""
        for callback in self._all:
            callback.on_step_logged(logged)

    def on_epoch(self, report: EpochReport) -> None:
        """Pass the results of an epoch to each callback."""
        for callback in self._all:
            callback.on_epoch(report)

    def on_saved(self, saved: Saved) -> None:
        """Pass the news of a saved checkpoint to each callback."""
        for callback in self._all:
            callback.on_saved(saved)

    def on_end(self, end: End) -> None:
        """Pass the end of the run to each callback; then raise the first error that a callback raised."""
        errors = [error for callback in self._all if (error := _error_of(callback.on_end, end))]
        if errors:
            raise errors[0]


def _error_of(tell: Callable[[End], None], end: End) -> Exception | None:
    try:
        tell(end)
    except Exception as error:  # noqa: BLE001  raised as soon as all have been told
        return error
    return None
