"""What a run says and writes: lines for people, metrics.jsonl and epochs.csv for programs. Rank 0 only."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from headrace.shards import regular, store, streams
from headrace.shards.errors import HeadraceError
from headrace.train.record.bottleneck import Verdict
from headrace.train.record.console import WARNING, Console
from headrace.train.record.epoch import EPOCH_FIELDS, EpochPart, EpochReport
from headrace.train.record.moments import End, Saved, StepLogged
from headrace.train.record.rows import csv_text, json_line, parse, plain


class RunLog:
    """Writes to a run folder and to `console`; with `folder` None, the log of the ranks that stay silent."""

    def __init__(self, folder: Path | None, console: Console | None = None) -> None:
        self._folder = folder
        self.console = Console() if console is None else console
        self._unheard = False
        self._step = 0  # of the last row

    def say(self, text: str) -> None:
        """A line for the reader. The first that standard output does not take is said to be lost, on standard error.

        A warning is a row of metrics.jsonl, too.
        """
        self._say(self.console.say, text)

    def _say(self, say: Callable[[str], None], text: str) -> None:
        if self._folder is None:
            return
        say(text)
        if text.startswith(WARNING):
            self._note({"kind": "warning", "step": self._step, "text": text.removeprefix(WARNING)})
        if not self._unheard and (error := streams.lost()):
            self._unheard = True
            line = (
                f"headrace: standard output: {error.strerror or error}. Training goes on; its log is in {self._folder}"
            )
            streams.say(line, error=True)

    def say_warning(self, text: str) -> None:
        """A line that something is not as it should be, though the run goes on."""
        self.say(f"{WARNING}{text}")

    def keep_until(self, step: int, epochs: int) -> None:
        """Remove rows after `step` and after `epochs`: the run goes on from there and writes them again.

        Damaged rows go too: the file that has them is set aside. It says how many they are, where that file is, and
        where the rows end before `step`.
        """
        if self._folder is None:
            return
        self._step = step
        self._set_aside_what_is_damaged(self._folder)
        self._say_where_rows_end(step)
        rows = [row for row in self.rows() if row["step"] <= step and row.get("epoch", 0) <= epochs]
        store.write_bytes(self._folder / "metrics.jsonl", "".join(map(json_line, rows)).encode())
        lines = [{key: row[key] for key in EPOCH_FIELDS} for row in rows if row["kind"] == "epoch"]
        store.write_bytes(self._folder / "epochs.csv", csv_text(lines).encode())

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows of metrics.jsonl; a line that was cut short by a crash is left out."""
        return [row for line in self._lines() if (row := parse(line)) is not None]

    def _lines(self) -> list[str]:
        """The lines of metrics.jsonl, each with its end."""
        path = self._folder / "metrics.jsonl" if self._folder else None
        if path is None or not path.exists():
            return []
        return regular.read(path).decode("utf-8", "replace").splitlines(keepends=True)

    def _set_aside_what_is_damaged(self, folder: Path) -> None:
        """Keep what cannot be read under another name beside it, and say so: it is no reason to stop the run.

        A last line without its end is what a crash leaves, and needs no word.
        """
        path, table = folder / "metrics.jsonl", folder / "epochs.csv"
        if table.is_dir():
            self.say(f"warning: {table}: it is a folder; it is set aside as {store.set_aside(table).name}")
        try:
            damaged = sum(parse(line) is None and line.endswith("\n") for line in self._lines())
        except OSError as error:
            self.say(f"warning: {path}: {error.strerror}; it is set aside as {store.set_aside(path).name}")
            return
        if damaged:
            aside = store.copy_aside(path)
            self.say(
                f"warning: {path}: {damaged:,} damaged rows are left out; the file with them is kept as {aside.name}"
            )

    def _say_where_rows_end(self, step: int) -> None:
        path = self._folder / "metrics.jsonl" if self._folder else None
        if path is None or not path.exists():
            return
        last = max((row["step"] for row in self.rows()), default=0)
        if last < step:
            self.say(f"warning: {path}: its rows end at step {last:,}, and the run goes on from step {step:,}")

    def last_epoch(self) -> dict[str, Any]:
        """The row of the last epoch; empty where nothing was logged."""
        return next((row for row in reversed(self.rows()) if row["kind"] == "epoch"), {})

    def step(self, logged: StepLogged) -> None:
        """A row of metrics.jsonl about the last steps."""
        self._step = logged.step
        self._add({"kind": "step", "step": logged.step, **logged.row()})
        self.console.show_loss(logged.loss)

    def saved(self, saved: Saved) -> None:
        """A row of metrics.jsonl about a checkpoint: its bytes, and the seconds that the run stood still for it."""
        self._add({"kind": "save", "step": saved.step, **saved.row()})

    def began(self, step: int, seconds: float, first_batch: float) -> None:
        """A row about the start of this part of the run: the seconds until training began, also those for input."""
        self._note({"kind": "start", "step": step, "time": time.time(), "seconds": seconds, "first_batch": first_batch})

    def memory(self, step: int, resident: int, device: Mapping[str, int]) -> None:
        """A row about the bytes of memory that were in use at the most: of this process, and of the device."""
        self._note({"kind": "memory", "step": step, "resident": resident, **device})

    def verdict(self, step: int, verdict: Verdict) -> None:
        """The verdict's line, and its row."""
        self._say(self.console.say_figures, verdict.line())
        self._note({"kind": "verdict", "step": step, **asdict(verdict), "line": verdict.line()})

    def ended(self, end: End) -> None:
        """A row about the end of this part of the run."""
        self._note({"kind": "end", "step": end.step, "time": time.time(), "reason": end.reason, "error": end.error})

    def epoch(self, report: EpochReport) -> None:
        """The epoch's row in both files."""
        row = report.row()
        self._add({"kind": "epoch", **row})
        header = "" if self._folder and (self._folder / "epochs.csv").exists() else csv_text([])
        self._append("epochs.csv", header + csv_text([row], header=False))

    def say_epoch(self, report: EpochReport) -> None:
        """The epoch's line."""
        self._say(self.console.say_figures, report.line(datetime.now()))  # noqa: DTZ005  the 2023 log's local time

    def say_part(self, part: EpochPart) -> None:
        """How far the epoch has come."""
        self._say(self.console.say_part, part.line(datetime.now()))  # noqa: DTZ005  as above

    def _note(self, row: dict[str, Any]) -> None:
        """A row of metrics.jsonl that nothing depends on: where it cannot be written, others will say why."""
        with suppress(HeadraceError):
            self._add(row)

    def _add(self, row: dict[str, Any]) -> None:
        """A row of metrics.jsonl, which the console may show too."""
        if self._folder is not None:
            self.console.show_row(plain(row))
            self._append("metrics.jsonl", json_line(row))

    def _append(self, name: str, text: str) -> None:
        if self._folder is None:
            return
        try:
            with (self._folder / name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise store.storage_error(error, self._folder / name) from error
