"""Checkpoints of a run folder that several commands write, one after another or by mistake at once."""

from pathlib import Path

import pytest

from headrace.train.checkpoint import files
from headrace.train.record.attempts import Attempt, SupersededError, claimed
from tests.train.checkpoint.made_files import save


def test_newest_is_by_attempt_then_by_step(tmp_path: Path) -> None:
    """A checkpoint of a later attempt is newer at any step; one without an attempt belongs to attempt 0."""
    save(tmp_path, 9)
    later = save(tmp_path, 5, attempt=Attempt(7))
    save(tmp_path, 8, attempt=Attempt(6))  # late, by a writer that was taken for dead
    assert files.newest(tmp_path).stored.path == later
    save(tmp_path, 6, attempt=Attempt(7))
    assert files.newest(tmp_path).stored.state["progress"] == {"step": 6}


def test_run_folder_is_what_its_newest_calls_the_best(tmp_path: Path) -> None:
    """The newest checkpoint determines the best one of a run folder, wherever the links lead."""
    best = save(tmp_path, 4, said="this", attempt=Attempt(7))
    save(tmp_path, 5, attempt=Attempt(7), said=best.name)
    stale = save(tmp_path, 9, attempt=Attempt(6), said="this")
    assert (tmp_path / "last.pt").resolve() == stale
    assert files.load(tmp_path).path.name == best.name
    assert files.best_before(tmp_path, tmp_path / "last.pt", best.name) == best.name
    save(tmp_path, 6, attempt=Attempt(8), said="this")
    assert files.load(tmp_path).state["progress"] == {"step": 6}


def test_stale_writer_removes_nothing_of_a_later_one(tmp_path: Path) -> None:
    """An attempt removes only its own and older files, and the earlier best one stays."""
    first = save(tmp_path, 1)
    kept = [save(tmp_path, step, attempt=Attempt(7)) for step in (2, 3)]
    for step in (4, 5, 6):
        stale = save(tmp_path, step, keep=1, attempt=Attempt(6), before=first.name)
    assert sorted((tmp_path / "checkpoints").iterdir()) == sorted([first, *kept, stale])


def test_superseded_attempt_publishes_nothing(tmp_path: Path) -> None:
    """If there is a later attempt, a save ends before anything is visible, and leaves no unfinished file."""
    with claimed(tmp_path) as first:
        before = save(tmp_path, 1, attempt=first)
    with claimed(tmp_path), pytest.raises(SupersededError):
        save(tmp_path, 2, attempt=first)
    assert list((tmp_path / "checkpoints").iterdir()) == [before]
    assert (tmp_path / "last.pt").resolve() == before
