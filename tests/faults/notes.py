"""What rank 0 does, noted in a file that outlives it: each step and each save. And a disk that is slow for a while."""

import json
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.train.checkpoint import files
from headrace.train.step.update import TrainStep

SLOW_SECONDS = 3.0


class Note(NamedTuple):
    """`what` is "step", "saving" or "saved": of the step that is done, or whose state it is."""

    what: str
    process: int
    step: int
    attempt: int = 0


def note_work(patch: pytest.MonkeyPatch, path: Path) -> None:
    """Note what this process does. While there is a file beside it that is called "slow", flushing takes 3 s."""
    update, save, flush = TrainStep.__call__, files.save, os.fsync

    def updating(self: TrainStep, number: int, *rest: Any) -> None:
        update(self, number, *rest)
        if os.environ.get("RANK", "0") == "0":
            _add(path, "step", number + 1)

    def saving(run: Any, state: Any, step: int, **rest: Any) -> files.Written:
        attempt = rest["attempt"].number
        _add(path, "saving", step, attempt)
        written = save(run, state, step, **rest)
        _add(path, "saved", step, attempt)
        return written

    def flushing(descriptor: int) -> None:
        if path.with_name("slow").exists():
            time.sleep(SLOW_SECONDS)
        flush(descriptor)

    patch.setattr(TrainStep, "__call__", updating)
    patch.setattr(files, "save", saving)
    patch.setattr(os, "fsync", flushing)


def read_notes(path: Path) -> list[Note]:
    """All notes, in the order in which they were made."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Note(*json.loads(line)) for line in lines]


class Restart(NamedTuple):
    """A process went on for another: from which step, and what was there then."""

    step: int
    done: int  # the last step of the process before it
    saved: int  # the step of the newest checkpoint that was noted
    unfinished: bool  # whether a save was under way


def restarts(notes: list[Note]) -> list[Restart]:
    """Each time that rank 0 became another process which made a step."""
    places = [place for place, note in enumerate(notes) if note.what == "step"]
    return [
        _restart(notes[:after], notes[after].step - 1)
        for before, after in pairwise(places)
        if notes[before].process != notes[after].process
    ]


def _restart(before: list[Note], step: int) -> Restart:
    steps = {what: [note.step for note in before if note.what == what] for what in ("step", "saving", "saved")}
    saved = max(steps["saved"], default=0)
    return Restart(step, steps["step"][-1], saved, max(steps["saving"], default=0) > saved)


def _add(path: Path, what: str, step: int, attempt: int = 0) -> None:
    line = json.dumps(Note(what, os.getpid(), step, attempt)) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
