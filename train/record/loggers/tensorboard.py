"""Writes TensorBoard's event files to RUN/tensorboard with TensorBoard's own writer, without torch or TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.shards import store
from headrace.train.record.callback import Callback
from headrace.train.record.epoch import EpochReport
from headrace.train.record.loggers import scalars
from headrace.train.record.moments import End, Start, StepLogged

FOLDER = "tensorboard"


class TensorBoardLogger(Callback):
    """Writes scalars to event files.

    A resumed run opens a new file, and removes from the earlier files the steps that it will repeat.
    """

    def __init__(self, _: Callable[[str], None]) -> None:
        self._writer: Any = None

    def on_start(self, start: Start) -> None:
        """Open a new event file, after removing the steps that a resumed run will repeat."""
        from tensorboard.summary import Writer  # noqa: PLC0415  optional

        folder = start.folder / FOLDER
        if start.step:
            _drop_after(folder, start.step)
        self._writer = Writer(str(folder))

    def on_step_logged(self, logged: StepLogged) -> None:
        """Add the figures of the last steps."""
        self._add(scalars.of_steps(logged), logged.step)

    def on_epoch(self, report: EpochReport) -> None:
        """Add the figures of the epoch, and flush them to the disk."""
        self._add(scalars.of_epoch(report), report.step)
        self._writer.flush()

    def on_end(self, _: End) -> None:
        """Close the event file."""
        self._writer.close()

    def _add(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)


def _drop_after(folder: Path, step: int) -> None:
    """Remove events after step `step` from the event files, because the resumed run repeats these steps.

    A SessionLog event, with which TensorBoard marks a restart, is not enough: TensorBoard would still show both
    versions of each repeated step.
    """
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # noqa: PLC0415  optional
    from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415  as above
    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415  as above

    for path in sorted(folder.glob("events.out.tfevents.*")):
        with store.replacing(path) as stream:
            kept = RecordWriter(stream)
            for data in RawEventFileLoader(str(path)).Load():
                if Event.FromString(data).step <= step:
                    kept.write(data)
