"""A process group that somebody else made is used for a run, and left alive."""

from pathlib import Path

from tests.ddp.conftest import Outcome
from tests.ddp.processes import run_ranks

SETTINGS = (
    "train.epochs=1",
    "train.global_batch=48",
    "train.group=8",
    "runtime.device=cpu",
    "runtime.threads=1",
    "runtime.log_every=1",
    "runtime.verdict=false",
)


def test_group_of_a_framework_is_used_and_left_alive(tiny_set: Path, tmp_path: Path) -> None:
    """Without a launcher's variables, `headrace.fit` in a thread of two processes trains on both."""
    run_ranks("guest_worker.py", 2, tiny_set, tmp_path / "run", tmp_path / "store", *SETTINGS)
    outcome = Outcome(tmp_path / "run")
    assert len(outcome.losses) == 10
    assert outcome.state["world"]["processes"] == 2
