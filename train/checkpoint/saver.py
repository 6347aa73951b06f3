"""Saves the states of the training step and all other fields of a checkpoint, directly or in a thread."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from headrace.shards.errors import HeadraceError
from headrace.shards.version import running_version
from headrace.train.checkpoint import files, formats
from headrace.train.checkpoint.names import THIS
from headrace.train.checkpoint.progress import Progress
from headrace.train.checkpoint.snapshot import Snapshot, bytes_of
from headrace.train.checkpoint.writer import Writer
from headrace.train.machine.device import Accelerator
from headrace.train.model.states import not_finite, tensors_of
from headrace.train.record.attempts import Attempt, SupersededError
from headrace.train.record.moments import Saved
from headrace.train.step.tally import NotFiniteError

_MB = 10**6


@dataclass
class Saver:
    """Saves checkpoints of a run in the folder `out`.

    Every rank calls the saver; only a rank whose `writes` is true writes. `states` returns the tensors and numbers to
    save, in tables. `about` holds the fields that are the same in all checkpoints: recipe, precision, network,
    normalisation, classes, shard set, number of processes. A state of more than `beside_mb` MB is copied to main memory
    first, and a thread writes the copy while training continues. Use the saver in a `with` block; the end of the block
    waits for the last save.
    """

    out: Path
    keep: int
    about: Mapping[str, Any]
    states: Callable[[], Mapping[str, Any]]
    writes: bool
    accelerator: Accelerator
    beside_mb: float
    attempt: Attempt
    best: str  # the name of the best checkpoint so far, "" if there is none
    last: str = ""  # the name of the last checkpoint that this attempt wrote
    _writer: Writer = field(default_factory=Writer)
    _snapshot: Snapshot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.done(wait=True)
        except Exception:
            if error is None:  # otherwise report what ended the run, not this
                raise

    def __call__(self, progress: Progress, *, best: bool) -> None:
        """Begin to save the current state; `done` returns the result. Call only after the previous save has finished.

        Raises NotFiniteError, without saving, if a weight is not finite. The last update can make a weight infinite
        although the loss of its step was finite. Raises HeadraceError, here or from `done`, if the file cannot be
        written.
        """
        if not self.writes:
            return
        began, step = time.perf_counter(), progress.step
        state = self._state(progress, best=best)
        if (name := not_finite(tensors_of(state))) is not None:
            raise NotFiniteError(step - 1, f"the loss was finite, but the update made {name} infinite or NaN")
        beside = bytes_of(state) > self.beside_mb * _MB
        ready = None
        if beside:
            self._snapshot = self._snapshot or Snapshot(self.accelerator)
            state = self._snapshot.take(state)
            ready = self.accelerator.mark()
        stood = time.perf_counter() - began

        def save() -> Saved:
            self.accelerator.finish(ready)
            written = self._save(state, step, best=best)
            return Saved(step, *written, stood if beside else time.perf_counter() - began, best)

        self._writer.write(save, beside=beside)

    def done(self, *, wait: bool = False) -> Saved | None:
        """Return the save that finished since the last call, or None. With `wait`, wait for a save in progress."""
        began = time.perf_counter()
        saved = self._writer.result(wait=wait)
        if saved is None:
            return None
        self.last = saved.path.name
        self.best = self.last if saved.best else self.best
        return replace(saved, seconds=saved.seconds + time.perf_counter() - began)  # the run paused here too

    def end(self) -> None:
        """Point the links last.pt and best.pt at this attempt's checkpoints again.

        A process of an earlier attempt (an earlier start of this run) may still be alive and have changed the links.
        """
        if self.writes:
            files.link(self.out, self.last, self.best, self.attempt)

    def _save(self, state: dict[str, Any], step: int, *, best: bool) -> files.Written:
        try:
            return files.save(self.out, state, step, best=best, keep=self.keep, attempt=self.attempt, before=self.best)
        except SupersededError:
            raise
        except HeadraceError as error:
            self.attempt.look()  # a later attempt removes what this one began
            raise type(error)(
                f"{error}. The earlier checkpoints are intact: solve this problem, then resume with --resume"
            ) from error

    def _state(self, progress: Progress, *, best: bool) -> dict[str, Any]:
        return {
            "format": formats.FORMAT,
            "headrace": running_version(),
            **self.states(),
            "progress": progress.state(),
            "best": THIS if best else self.best,
            **self.about,
        }
