"""metrics.jsonl for readers: its rows by kind, read on from where the last look ended."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
_LARGEST = 1e300


@dataclass
class History:
    """What a run has logged. Rows are as they were written; damaged ones are left out."""

    epochs: list[Row] = field(default_factory=list)
    steps: list[tuple[int, float, float]] = field(default_factory=list)  # update, mean loss, learning rate
    saves: list[Row] = field(default_factory=list)
    starts: list[Row] = field(default_factory=list)
    memory: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # each text once
    verdict: str = ""  # whether the input was the bottleneck, in words
    state: str = ""  # "running" (or killed), or as a part of a run ends; "" where no row says it
    error: str = ""  # of the last end

    def add(self, row: Any) -> None:
        """Take a row; what is not as it should be is left out."""
        kind = row.get("kind") if isinstance(row, dict) else None
        if not isinstance(kind, str):
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
        """The epoch with the best validation accuracy, the first of equal ones."""
        known = [row for row in self.epochs if number(row, "validation_accuracy") is not None]
        return max(known, key=lambda row: float(row["validation_accuracy"]), default=None)


class HistoryReader:
    """Reads a run's metrics.jsonl; what was read before is not read again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"
        self._read = 0
        self._history = History()

    def read(self) -> History:
        """All whole rows so far; none where there is no file."""
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._read:  # written anew
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
    """The row's number under this key; None where it has none, or one that is not finite."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and abs(value) < _LARGEST else None
