"""A rank that has left its process groups ends, at whatever moment that is."""

from pathlib import Path

from tests.ddp.processes import run_ranks


def test_rank_that_left_never_waits(tmp_path: Path) -> None:
    """Two ranks leave fifteen times, each time while torch's own thread still holds the last collective."""
    run_ranks("leave_worker.py", 2, tmp_path, timeout=60)
