"""What a run says and writes: lines for people, metrics.jsonl and epochs.csv for programs. Rank 0 only."""

import csv
import io
import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from headrace.shards import regular, store, streams
from headrace.shards.errors import HeadraceError
from headrace.train.record.bottleneck import Verdict
from headrace.train.record.epoch import EPOCH_FIELDS, EpochPart, EpochReport
from headrace.train.record.moments import End, Saved, StepLogged

_WARNING = "warning: "


class RunLog:
    """Writes to a run folder and to standard output; with `folder` None, the log of the ranks that stay silent."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._unheard = False
        self._step = 0  # of the last row

    def say(self, text: str) -> None:
        """A line for the reader. The first that standard output does not take is said to be lost, on standard error.

        A warning is a row of metrics.jsonl, too.
        """
        if self._folder is None:
            return
        streams.say(text)
        if text.startswith(_WARNING):
            self._note({"kind": "warning", "step": self._step, "text": text.removeprefix(_WARNING)})
        if not self._unheard and (error := streams.lost()):
            self._unheard = True
            line = (
                f"headrace: standard output: {error.strerror or error}. Training goes on; its log is in {self._folder}"
            )
            streams.say(line, error=True)

    def say_warning(self, text: str) -> None:
        """A line that something is not as it should be, though the run goes on."""
        self.say(f"{_WARNING}{text}")

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
        store.write_bytes(self._folder / "metrics.jsonl", "".join(map(_json_line, rows)).encode())
        lines = [{key: row[key] for key in EPOCH_FIELDS} for row in rows if row["kind"] == "epoch"]
        store.write_bytes(self._folder / "epochs.csv", _csv(lines).encode())

    def rows(self) -> list[dict[str, Any]]:
        """All whole rows of metrics.jsonl; a line that was cut short by a crash is left out."""
        return [row for line in self._lines() if (row := _parse(line)) is not None]

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
            damaged = sum(_parse(line) is None and line.endswith("\n") for line in self._lines())
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
        self._append("metrics.jsonl", _json_line({"kind": "step", "step": logged.step, **logged.row()}))

    def saved(self, saved: Saved) -> None:
        """A row of metrics.jsonl about a checkpoint: its bytes, and the seconds that the run stood still for it."""
        self._append("metrics.jsonl", _json_line({"kind": "save", "step": saved.step, **saved.row()}))

    def began(self, step: int, seconds: float, first_batch: float) -> None:
        """A row about the start of this part of the run: the seconds until training began, also those for input."""
        self._note({"kind": "start", "step": step, "time": time.time(), "seconds": seconds, "first_batch": first_batch})

    def memory(self, step: int, resident: int, device: Mapping[str, int]) -> None:
        """A row about the bytes of memory that were in use at the most: of this process, and of the device."""
        self._note({"kind": "memory", "step": step, "resident": resident, **device})

    def verdict(self, step: int, verdict: Verdict) -> None:
        """The verdict's line, and its row."""
        self.say(verdict.line())
        self._note({"kind": "verdict", "step": step, **asdict(verdict), "line": verdict.line()})

    def ended(self, end: End) -> None:
        """A row about the end of this part of the run."""
        self._note({"kind": "end", "step": end.step, "time": time.time(), "reason": end.reason, "error": end.error})

    def epoch(self, report: EpochReport) -> None:
        """The epoch's row in both files."""
        row = report.row()
        self._append("metrics.jsonl", _json_line({"kind": "epoch", **row}))
        header = "" if self._folder and (self._folder / "epochs.csv").exists() else _csv([])
        self._append("epochs.csv", header + _csv([row], header=False))

    def say_epoch(self, report: EpochReport) -> None:
        """The epoch's line."""
        self.say(report.line(datetime.now()))  # noqa: DTZ005  the 2023 log's local time

    def say_part(self, part: EpochPart) -> None:
        """How far the epoch has come."""
        self.say(part.line(datetime.now()))  # noqa: DTZ005  as above

    def _note(self, row: dict[str, Any]) -> None:
        """A row of metrics.jsonl that nothing depends on: where it cannot be written, others will say why."""
        with suppress(HeadraceError):
            self._append("metrics.jsonl", _json_line(row))

    def _append(self, name: str, text: str) -> None:
        if self._folder is None:
            return
        try:
            with (self._folder / name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise store.storage_error(error, self._folder / name) from error


def _json_line(row: dict[str, Any]) -> str:
    """One line of JSON, which knows no NaN: what is not a number becomes null."""
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()
    }
    return json.dumps(plain, allow_nan=False) + "\n"


def _parse(line: str) -> dict[str, Any] | None:
    """The row in a line; None where it is damaged."""
    try:
        row = json.loads(line)
        json.dumps(row, allow_nan=False)
    except (ValueError, RecursionError):  # no JSON, numbers that are none or have thousands of digits, deep brackets
        return None
    return row if isinstance(row, dict) and _is_sound(row) else None


def _is_sound(row: dict[str, Any]) -> bool:
    """Whether a row has what every one has, and one of an epoch all its figures."""
    counts = (row.get("step"), row.get("epoch", 0))
    figures = [row.get(key, "") for key in EPOCH_FIELDS] if row.get("kind") == "epoch" else []
    return (
        isinstance(row.get("kind"), str)
        and all(type(count) is int for count in counts)
        and all(value is None or type(value) in (int, float) for value in figures)
    )


def _csv(rows: list[dict[str, Any]], *, header: bool = True) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, EPOCH_FIELDS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
