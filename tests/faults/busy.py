"""Long parts of a run made longer by computing, which keeps the interpreter busy, and noted with their seconds."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.train.checkpoint import files
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.run import training

PARTS: dict[str, tuple[Any, str]] = {
    "compile": (training, "compile_step"),
    "cache": (training, "open_caches"),
    "stage": (training, "stage_whole"),
    "save": (files, "save"),
    "evaluation": (Evaluator, "__call__"),
}


def make_busy(patch: pytest.MonkeyPatch, seconds: float, notes: Path) -> None:
    """Have each part compute for so many seconds more, without a pause, and note how long it took."""
    for part, (owner, name) in PARTS.items():
        patch.setattr(owner, name, _busy(part, getattr(owner, name), seconds, notes))


def seconds_of(notes: Path) -> dict[str, float]:
    """The longest time that each part took, by its name."""
    found: dict[str, float] = {}
    for line in notes.read_text().splitlines():
        note = json.loads(line)
        found[note["part"]] = max(found.get(note["part"], 0.0), note["seconds"])
    return found


def _busy(part: str, work: Callable[..., Any], seconds: float, notes: Path) -> Callable[..., Any]:
    def longer(*values: Any, **named: Any) -> Any:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            pass
        result = work(*values, **named)
        note = {"part": part, "seconds": time.monotonic() - began, "process": os.getpid()}
        with notes.open("a") as file:
            file.write(json.dumps(note) + "\n")
        return result

    return longer
