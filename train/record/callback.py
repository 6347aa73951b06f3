"""`headrace.Callback`: code that is told of a few moments of a run."""

from collections.abc import Callable, Iterable

from headrace.train.record.epoch import EpochReport
from headrace.train.record.moments import End, Saved, Start, StepLogged


class Callback:
    """Told of the moments of a run, on rank 0. Override the methods that you need; each of them does nothing.

    They are called between steps, so the run waits for them. What they are given is frozen and plain: no tensor, no
    part of the run. An exception ends the run as an error of its own would; raise none to be rid of a moment.
    """

    def on_start(self, start: Start) -> None:
        """Tell that the first step comes next; the run folder, recipe.toml and environment.json are there."""

    def on_step_logged(self, logged: StepLogged) -> None:
        """Tell the losses of the last steps: every `runtime.log_every` steps, and before an evaluation or a save."""

    def on_epoch(self, report: EpochReport) -> None:
        """Tell what an epoch came to, after its evaluation. Its rows are in metrics.jsonl and epochs.csv."""

    def on_saved(self, saved: Saved) -> None:
        """Tell that a checkpoint is on the disk: at the end of each epoch, and where the recipe or a signal asks."""

    def on_end(self, end: End) -> None:
        """Tell that the run is over, also after an error. It is told to each callback, even if another one fails."""


class Callbacks(Callback):
    """Several as one, each told in turn."""

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._all = tuple(callbacks)

    def on_start(self, start: Start) -> None:
        """Tell each."""
        for callback in self._all:
            callback.on_start(start)

    def on_step_logged(self, logged: StepLogged) -> None:
        """Tell each."""
        for callback in self._all:
            callback.on_step_logged(logged)

    def on_epoch(self, report: EpochReport) -> None:
        """Tell each."""
        for callback in self._all:
            callback.on_epoch(report)

    def on_saved(self, saved: Saved) -> None:
        """Tell each."""
        for callback in self._all:
            callback.on_saved(saved)

    def on_end(self, end: End) -> None:
        """Tell each, and then raise the first error that one of them raised."""
        errors = [error for callback in self._all if (error := _error_of(callback.on_end, end))]
        if errors:
            raise errors[0]


def _error_of(tell: Callable[[End], None], end: End) -> Exception | None:
    try:
        tell(end)
    except Exception as error:  # noqa: BLE001  raised as soon as all have been told
        return error
    return None
