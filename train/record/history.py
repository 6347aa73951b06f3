"""Reads metrics.jsonl incrementally, and sorts its rows by kind."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.train.record.rows import Newest

Row = dict[str, Any]
_LARGEST = 1e300


@dataclass
class History:
    """The logged rows of a run, sorted by kind; damaged rows are omitted."""

    epochs: list[Row] = field(default_factory=list)
    steps: list[tuple[int, float, float]] = field(default_factory=list)  # update, mean loss, learning rate
    saves: list[Row] = field(default_factory=list)
    starts: list[Row] = field(default_factory=list)
    memory: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # each text once
    verdict: str = ""  # whether the input was the bottleneck, in words
    state: str = ""  # "running" (or killed), or how the last part of the run ended; "" if no row says so
    error: str = ""  # of the last end
    newest: Newest = field(default_factory=Newest, repr=False, compare=False)

    def add(self, row: Any) -> None:
        """Add a row of metrics.jsonl; skip a malformed row, and a row that an old attempt added after a newer one."""
        kind = row.get("kind") if isinstance(row, dict) else None
        if not isinstance(kind, str) or self.newest.is_stale(row):
            return
        lists = {"epoch": self.epochs, "save": self.saves, "memory": self.memory}
        if kind in lists and all(type(row.get(key)) is int for key in ("step", "epoch")[: 1 + (kind == "epoch")]):
            lists[kind].append(row)
        elif kind == "step":
            step, loss, rate = (number(row, key) for key in ("step", "loss", "lr"))
            if step is not None and loss is not None and rate is not None:
                self.steps.append((int(step), loss, rate))
        elif kind == "verdict":
            self.verdict = str(row.get("line", ""))
        elif kind == "start":
            self.starts.append(row)
            self.state, self.error = "running", ""
        elif kind == "end":
            self.state, self.error = str(row.get("reason", "")), str(row.get("error", ""))
        elif kind == "warning" and (text := str(row.get("text", ""))) not in self.warnings:
            self.warnings.append(text)

    @property
    def best(self) -> Row | None:
        """The row of the first epoch with the best validation accuracy; None before the end of the first epoch."""
        known = [row for row in self.epochs if number(row, "validation_accuracy") is not None]
        return max(known, key=lambda row: float(row["validation_accuracy"]), default=None)


class HistoryReader:
    """Reads a run's metrics.jsonl repeatedly; each call reads only the new rows."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"
        self._read = 0
        self._history = History()

    def read(self) -> History:
        """Return the history of all complete rows so far; empty if the file does not exist."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._read:  # rewritten
                    self._read, self._history = 0, History()
                file.seek(self._read)
                data = file.read()
        except OSError:
            return self._history
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            self._history.add(row)
        return self._history


def number(row: Row, key: str) -> float | None:
    """Return the row's number under `key`; None if the value is missing, not a number or not finite."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else None
