"""Prints a run's lines for people, and writes metrics.jsonl and epochs.csv for programs, on rank 0 only."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from headrace.shards import regular, store, streams
from headrace.shards.counts import counted
from headrace.shards.errors import HeadraceError
from headrace.shards.home import without_home
from headrace.train.record.attempts import Attempt
from headrace.train.record.bottleneck import Verdict
from headrace.train.record.console import WARNING, Console
from headrace.train.record.epoch import EPOCH_FIELDS, EpochPart, EpochReport
from headrace.train.record.moments import End, Saved, StepLogged
from headrace.train.record.rows import csv_text, json_line, parse, plain, without_stale


class RunLog:
    """Writes a run's log to its folder and to `console`; on ranks above 0, `folder` is None and nothing is written."""

    def __init__(self, folder: Path | None, console: Console | None = None, attempt: Attempt | None = None) -> None:
        self._folder = folder
        self.attempt = attempt or Attempt()
        self.console = Console() if console is None else console
        self._unheard = False
        self._step = 0  # of the last row

    def say(self, text: str) -> None:
        """Print a line; if standard output fails, report the failure once on standard error.

        A warning also becomes a row of metrics.jsonl.
        """
        self._say(self.console.say, text)

    def _say(self, say: Callable[[str], None], text: str) -> None:
        if self._folder is None:
            return
        say(text)
        if text.startswith(WARNING):
            self._note({"kind": "warning", "step": self._step, "text": without_home(text.removeprefix(WARNING))})
        if not self._unheard and (error := streams.lost()):
            self._unheard = True
            problem = f"headrace: standard output: {error.strerror or error}"
            line = f"{problem}. Training continues; the log is in {self._folder}"
            streams.say(line, error=True)

    def show_staged(self, here: int, total: int, rate: float) -> None:
        """Show the progress of staging, in bytes and bytes a second."""
        if self._folder is not None:
            self.console.show_staged(here, total, rate)

    def say_warning(self, text: str) -> None:
        """Print a warning; the run continues."""
        self.say(f"{WARNING}{text}")

    def keep_until(self, step: int, epochs: int) -> None:
        """Remove rows of steps after `step` and of epochs after `epochs`; the resumed run will write these rows again.

        Damaged rows are removed too, after the file has been copied. A warning tells how many rows are damaged and
        where the copy is. If the rows end before `step`, another warning says so.
        """
        if self._folder is None:
            return
        self._step = step
        self._set_aside_what_is_damaged(self._folder)
        self._say_where_rows_end(step)
        rows = [row for row in self.rows() if row["step"] <= step and row.get("epoch", 0) <= epochs]
        if self.attempt.number:  # from now on rows of earlier attempts come from writers that were taken for dead
            rows.append({"kind": "attempt", "step": step, "attempt": self.attempt.number})
            self.console.show_row(rows[-1])
        store.write_bytes(self._folder / "metrics.jsonl", "".join(map(json_line, rows)).encode(), self.attempt.look)
        lines = [{key: row[key] for key in EPOCH_FIELDS} for row in rows if row["kind"] == "epoch"]
        store.write_bytes(self._folder / "epochs.csv", csv_text(lines).encode(), self.attempt.look)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows of metrics.jsonl, except damaged lines and rows that an old attempt added too late."""
        return without_stale(row for line in self._lines() if (row := parse(line)) is not None)

    def _lines(self) -> list[str]:
        """Return the lines of metrics.jsonl, each with its line ending."""
        path = self._folder / "metrics.jsonl" if self._folder else None
        if path is None or not path.exists():
            return []
        return regular.read(path).decode("utf-8", "replace").splitlines(keepends=True)

    def _set_aside_what_is_damaged(self, folder: Path) -> None:
        """Rename an unreadable log file, or copy a damaged one, with a warning, so that the run can continue.

        A last line without its line ending is normal after a crash, and causes no warning.
        """
        path, table = folder / "metrics.jsonl", folder / "epochs.csv"
        if table.is_dir():
            self.say(f"warning: {table}: this is a folder, not a file; it was renamed to {store.set_aside(table).name}")
        try:
            damaged = sum(parse(line) is None and line.endswith("\n") for line in self._lines())
        except OSError as error:
            self.say(f"warning: {path}: {error.strerror}; it was renamed to {store.set_aside(path).name}")
            return
        if damaged:
            aside = store.copy_aside(path)
            self.say(
                f"warning: {path}: removed {counted(damaged, 'damaged row')}; the original file is kept as {aside.name}"
            )

    def _say_where_rows_end(self, step: int) -> None:
        path = self._folder / "metrics.jsonl" if self._folder else None
        if path is None or not path.exists():
            return
        last = max((row["step"] for row in self.rows()), default=0)
        if last < step:
            self.say(f"warning: {path}: the rows end at step {last:,}, but the run continues from step {step:,}")

    def last_epoch(self) -> dict[str, Any]:
        """Return the row of the last epoch; empty if no epoch was logged."""
        return next((row for row in reversed(self.rows()) if row["kind"] == "epoch"), {})

    def step(self, logged: StepLogged) -> None:
        """Write a row of metrics.jsonl about the last steps."""
        self._step = logged.step
        self._add({"kind": "step", "step": logged.step, **logged.row()})
        self.console.show_loss(logged.loss)

    def saved(self, saved: Saved) -> None:
        """Write a row of metrics.jsonl about a checkpoint: its bytes, and the seconds that the run paused for it."""
        self._add({"kind": "save", "step": saved.step, **saved.row()})

    def began(self, step: int, seconds: float, first_batch: float) -> None:
        """Write a row about the start or resume of the run, with the `seconds` since this process was asked to run.

        `first_batch` is the time in seconds that the run waited for the first batch.
        """
        self._note({"kind": "start", "step": step, "time": time.time(), "seconds": seconds, "first_batch": first_batch})

    def memory(self, step: int, resident: int, device: Mapping[str, int]) -> None:
        """Write a row about the peak memory, in bytes, of this process and of the device."""
        self._note({"kind": "memory", "step": step, "resident": resident, **device})

    def verdict(self, step: int, verdict: Verdict) -> None:
        """Print whether the input was the bottleneck, and write this verdict to metrics.jsonl as a row."""
        self._say(self.console.say_figures, verdict.line())
        self._note({"kind": "verdict", "step": step, **asdict(verdict), "line": verdict.line()})

    def ended(self, end: End) -> None:
        """Write a row about the end of the run, which may be resumed later."""
        how = {"reason": end.reason, "error": without_home(end.error)}
        self._note({"kind": "end", "step": end.step, "time": time.time(), **how})

    def epoch(self, report: EpochReport) -> None:
        """Write the epoch's row to metrics.jsonl and to epochs.csv."""
        row = report.row()
        self._add({"kind": "epoch", **row})
        header = "" if self._folder and (self._folder / "epochs.csv").exists() else csv_text([])
        self._append("epochs.csv", header + csv_text([row], header=False))

    def say_epoch(self, report: EpochReport) -> None:
        """Print the line about a finished epoch."""
        self._say(self.console.say_figures, report.line(datetime.now()))  # noqa: DTZ005  the 2023 log's local time

    def say_part(self, part: EpochPart) -> None:
        """Print a line about the progress within an epoch."""
        self._say(self.console.say_part, part.line(datetime.now()))  # noqa: DTZ005  as above

    def _note(self, row: dict[str, Any]) -> None:
        """Write an optional row; ignore errors, because the next required row would fail with the same error."""
        with suppress(HeadraceError):
            self._add(row)

    def _add(self, row: dict[str, Any]) -> None:
        """Write a row to metrics.jsonl, and pass it to the console, which may show it."""
        if self._folder is not None:
            number = {"attempt": self.attempt.number} if self.attempt.number else {}
            self.console.show_row(plain({**row, **number}))
            self._append("metrics.jsonl", json_line({**row, **number}))

    def _append(self, name: str, text: str) -> None:
        if self._folder is None:
            return
        self.attempt.look()
        try:
            with (self._folder / name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise store.storage_error(error, self._folder / name) from error
