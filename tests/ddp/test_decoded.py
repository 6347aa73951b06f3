"""The decoded cache is shared by ranks, and a run does not notice it."""

from pathlib import Path

from tests.ddp.conftest import SETTINGS, Outcome, Outcomes
from tests.ddp.processes import run_ranks


def test_run_does_not_notice_the_cache(outcomes: Outcomes, tiny_set: Path, tmp_path: Path) -> None:
    """On two processes the losses of all steps and the evaluation are those without it, bit for bit."""
    settings = (*SETTINGS, "runtime.cache=decoded", f"runtime.cache_dir={tmp_path / 'cache'}")
    run_ranks("train_worker.py", 2, tiny_set, tmp_path / "run", *settings)
    found = Outcome(tmp_path / "run")
    assert found.losses == outcomes[2].losses
    assert found.epoch["validation_loss"] == outcomes[2].epoch["validation_loss"]
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".rgb", ".rgb"]
